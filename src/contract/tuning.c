/* tuning.c - what does not fit the columns of data/params/tuning.txt. */
#include "contract/tuning_params.gen.h"

/* A number, or one as text: clients write 1.6e-5 both ways (platform.md §6.2). */
enum err tuning_read_rate(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct tuning_input *in = into;
    double               rate = 0;

    if (yyjson_is_str(v) ? !str_to_f64(json_str(v), &rate) : !json_to_num(v, &rate))
        return param_refuse_type(rq, p, v, NULL);
    if (!(rate > 0 && rate < 1))
        return param_refuse_range(rq, p, v, NULL);
    in->learning_rate = (opt_num){ rate, true };
    return OK;
}
