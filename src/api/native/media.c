/* media.c - POST on the paths of the image, video and people services (media.md §0.3).
 *
 * What a service takes and gives is data/media; here is the way that all of them go: model, account, sync or task, body, rules of
 * texts, then the run or the making of a task.
 *
 * Spec: media.md §0.5, §0.6, §1.1, §1.9.
 */
#include "access/admission.h"
#include "access/faults.h"
#include "api/body_model.h"
#include "api/native/native.h"
#include "api/native/task_reply.h"
#include "api/reply.h"
#include "contract/chat_content.h"
#include "contract/errors.gen.h"
#include "contract/media_service.h"
#include "net/http_server.h"
#include "service/media_run.h"
#include "service/whole.h"

/* With a final slash as well. */
static enum model_path path_of_request(const struct request *rq)
{
    str path = http_path(rq->x);

    if (str_ends(path, S("/")))
        path.len--;
    for (int p = 0; p < MODEL_PATH_COUNT; p++)
        if (str_eq(model_path_urls[p], path))
            return (enum model_path)p;
    return MODEL_PATH_COUNT;
}

/* REF: E188, E189. */
static enum err check_mode(struct request *rq, const struct media_service *s)
{
    if (s->mode == MEDIA_SYNC && task_wanted(rq))
        return fail_async_not_supported(&rq->fault);
    if (s->mode == MEDIA_ASYNC && !task_wanted(rq))
        return fail_sync_not_supported(&rq->fault);
    return OK;
}

/* Uploads are named only by those that say so (media.md §2.4). REF: E049c. */
static enum err check_uploads(struct request *rq, const struct media_call *c)
{
    for (unsigned i = 0; i < c->service->member_count; i++)
        for (size_t k = 0; k < c->values[i].url_count; k++)
            if (str_starts(c->values[i].urls[k], S("oss://")) && !chat_resolves_uploads(rq))
                return fail_media_type_unsupported(&rq->fault);
    return OK;
}

SUSPENDS static enum err reply(struct request *rq, const struct media_outcome *done)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"output\":{"));
    buf_add(&b, str_from(buf_str(&done->output), 1)); /* without the first comma */
    buf_add_char(&b, '}');
    if (done->usage.len) {
        buf_add(&b, S(",\"usage\":"));
        buf_add(&b, done->usage);
    }
    reply_add_request_id(&b, rq);
    return reply_json(rq, buf_str(&b));
}

SUSPENDS static enum err run_now(struct request *rq, const struct media_call *c)
{
    struct media_outcome done;
    enum err             e = whole_begin(rq, NULL, 0);

    if (e)
        return e;
    e = media_run(rq, c, str_of(rq->id, UUID_LEN), request_base(rq), &done);
    e = whole_end(rq, e);
    return e ? e : reply(rq, &done);
}

enum err native_media(struct request *rq, yyjson_val *root, const struct model *m, enum model_path path)
{
    const struct media_service *s = media_service_find(m->id, path, root);
    struct media_call          *c = arena_new(rq->arena, struct media_call);
    char                        id[UUID_LEN + 1];
    enum err e = s ? check_mode(rq, s) : fail_not_served_yet(&rq->fault, http_request(rq->x)->method, http_path(rq->x));

    might_suspend();
    if (!s || e)
        return e;
    rq->stream = false;
    e = admit(rq, m);
    if (!e)
        e = media_call_read(rq, s, root, c);
    if (!e)
        e = check_uploads(rq, c);
    if (!e)
        e = media_moderate(rq, c);
    if (e)
        return e;
    if (!task_wanted(rq))
        return run_now(rq, c);
    e = task_create(rq, S("media"), root, id);
    return e ? e : task_reply_created(rq, id);
}

enum err handle_native_media(struct request *rq)
{
    enum model_path     path = path_of_request(rq);
    const struct model *m;
    yyjson_val         *root;
    enum err            e = request_json(rq, &root);

    if (!e)
        e = body_model_native(rq, root, path, &m);
    return e ? e : native_media(rq, root, m, path);
}
