/* synthesis.c - what the table of parameters cannot say. Spec: speech.md §1.7.1. */
#include "contract/synthesis.h"

#include "contract/synthesis_params.gen.h"

/* One of the rates that there are; 0 is what SDKs send for none. */
enum err synthesis_read_sample_rate(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    static const int64_t    rates[] = { 0, 8000, 16000, 22050, 24000, 44100, 48000 };
    struct synthesis_input *in = into;
    int64_t                 rate;

    if (!json_to_i64(v, &rate))
        return param_refuse_type(rq, p, v, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        if (rate == rates[i]) {
            in->sample_rate = (opt_int){ rate, rate != 0 };
            return OK;
        }
    }
    return param_refuse_range(rq, p, v, NULL);
}
