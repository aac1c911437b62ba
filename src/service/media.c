/* media.c - what a request names, downloaded and looked into. */
#include "service/media.h"

#include "engine/media/media.h"
#include "service/services.h"

enum err media_get(struct request *rq, const struct fetch_request *f, struct media_file *ret)
{
    struct fetch_request want = *f;

    might_suspend();
    want.workspace = rq->workspace;
    want.model = rq->model_name;
    *ret = (struct media_file){ .inspected = ERR_NOT_FOUND };
    ret->fetch = fetch(rq->services->fetcher, rq->arena, &want, &ret->file);
    if (ret->fetch == FETCH_CANCELLED)
        return ERR_CANCELLED;
    if (ret->fetch || !rq->services->media)
        return OK;
    ret->inspected = media_inspect(rq->services->media, ret->file.fd, rq->arena, &ret->facts);
    return ret->inspected == ERR_CANCELLED ? ERR_CANCELLED : OK;
}
