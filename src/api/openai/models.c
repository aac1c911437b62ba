/* models.c - GET /compatible-mode/v1/models and /models/{id}.
 *
 * The shape is OpenAI's; the real service's was not recorded (chat.md §6.5). Listed is what this protocol serves.
 */
#include "api/openai/openai.h"
#include "api/reply.h"
#include "contract/errors.gen.h"
#include "contract/json.h"
#include "contract/model.h"
#include "net/http_server.h"

static bool is_listed(const struct model *m)
{
    return m->openai && model_on_path(m, MODEL_PATH_OPENAI);
}

static void add_model(struct buf *b, const struct model *m)
{
    buf_add(b, S("{\"id\":"));
    json_add_str(b, m->id);
    buf_add(b, S(",\"object\":\"model\",\"created\":"));
    buf_add_i64(b, model_listing.created);
    buf_add(b, S(",\"owned_by\":"));
    json_add_str(b, model_listing.owned_by);
    buf_add_char(b, '}');
}

enum err handle_openai_models(struct request *rq)
{
    struct buf b;
    bool       first = true;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"object\":\"list\",\"data\":["));
    for (size_t i = 0; i < rq->settings->model_count + model_count; i++) {
        bool                own = i < rq->settings->model_count;
        const struct model *m = own ? &rq->settings->models[i] : &models[i - rq->settings->model_count];

        if (!is_listed(m) || !model_is_served(m))
            continue;
        if (!first)
            buf_add_char(&b, ',');
        add_model(&b, m);
        first = false;
    }
    buf_add(&b, S("]}"));
    return reply_json(rq, buf_str(&b));
}

enum err handle_openai_model(struct request *rq)
{
    str path = http_path(rq->x);
    str id = http_unescape(rq->arena, str_from(path, str_find_str(path, S("/models/")) + sizeof("/models/") - 1));
    const struct model *m = request_model(rq, id);
    struct buf          b;

    rq->model_name = id;
    if (!m || !is_listed(m))
        return fail_model_not_found_or_no_access(&rq->fault, id);
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    add_model(&b, m);
    return reply_json(rq, buf_str(&b));
}
