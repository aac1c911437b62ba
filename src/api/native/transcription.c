/* transcription.c - POST /api/v1/services/audio/asr/transcription. Spec: speech.md §3.1, §3.3. */
#include "access/admission.h"
#include "api/body_model.h"
#include "api/native/native.h"
#include "api/native/task_reply.h"
#include "contract/chat_content.h"
#include "contract/errors.gen.h"
#include "service/transcription.h"

/* Uploads are named only by those that say so (media.md §2.4). REF: E049c. */
static enum err check_uploads(struct request *rq, const struct transcription *t)
{
    size_t      i, n;
    yyjson_val *v;
    bool        names = str_starts(t->url, S("oss://"));

    yyjson_arr_foreach(t->urls, i, n, v) names = names || str_starts(json_str(v), S("oss://"));
    return names && !chat_resolves_uploads(rq) ? fail_media_type_unsupported(&rq->fault) : OK;
}

/* REF: E189. */
enum err handle_native_transcription(struct request *rq)
{
    struct transcription t;
    const struct model  *m;
    yyjson_val          *root;
    char                 id[UUID_LEN + 1];
    enum err             e = request_json(rq, &root);

    if (!e)
        e = body_model_native(rq, root, MODEL_PATH_TRANSCRIPTION, &m);
    if (!e && !task_wanted(rq))
        e = fail_sync_not_supported(&rq->fault);
    if (!e)
        e = admit(rq, m);
    if (!e)
        e = transcription_read(rq, root, m, &t);
    if (!e)
        e = check_uploads(rq, &t);
    if (!e)
        e = task_create(rq, S("transcription"), root, id);
    return e ? e : task_reply_created(rq, id);
}
