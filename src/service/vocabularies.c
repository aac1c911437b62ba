/* vocabularies.c - from a row to words. */
#include "service/vocabularies.h"

#include "contract/errors.gen.h"
#include "contract/json.h"
#include "service/services.h"
#include "store/assets.h"

enum err vocabulary_words(struct request *rq, str id, struct recogniser_options *o)
{
    struct asset_get     g = { .arena = rq->arena, .id = id, .kind = VOCABULARY_KIND, .workspace = rq->workspace };
    struct boosted_word *words;
    yyjson_val          *list, *v;
    size_t               i, n;
    enum err             e = id.len ? store_run(rq->services->store, asset_get_job, &g) : OK;

    might_suspend();
    if (e == ERR_NOT_FOUND)
        return fail_vocabulary_not_found(&rq->fault);
    if (e || !id.len)
        return e;
    list = json_parse_copy(rq->arena, g.row.body);
    words = arena_array(rq->arena, struct boosted_word, yyjson_arr_size(list));
    o->word_count = 0;
    yyjson_arr_foreach(list, i, n, v) words[o->word_count++] =
        (struct boosted_word){ json_str(json_get(v, "text")), (int)yyjson_get_sint(json_get(v, "weight")) };
    o->words = words;
    return OK;
}
