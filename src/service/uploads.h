/* uploads.h - the temporary store: a policy is asked for with a key, a file is posted with the policy, and is read as oss://KEY by
 * whoever asked for it (fetch/fetch.h).
 *
 * A policy is not kept: it is signed, and so is the access key beside it, which says whose it is and for which model.
 */
#ifndef DASHBOX_SERVICE_UPLOADS_H
#define DASHBOX_SERVICE_UPLOADS_H

#include "contract/request.h"
#include "service/services.h"
#include "store/results.h"

#define UPLOAD_ACL       S("private")
#define UPLOAD_OVERWRITE S("true")

struct upload_policy {
    str folder; /* keys begin with it and a slash */
    str access_key;
    str policy; /* JSON, in base64 */
    str signature;
};

/* A policy for the caller and his model, rq->model_name. */
void upload_policy_make(struct request *rq, struct upload_policy *ret);

/* The fields of a form, as they came. */
struct upload_form {
    str access_key, signature, policy, key, acl, overwrite, type;
};

/* A file that is coming in. */
struct upload {
    struct services *services;
    str              id; /* empty: there is none */
    int64_t          size, size_max;
    char            *buffer; /* what has not been written yet: a form may come in very small pieces */
    size_t           buffered;
    char             path[RESULT_PATH_MAX];
    int              fd; /* -1: not open */
};

/* Checks the form against its policy, which must be ours and good, and takes a place for a file of at most `size` bytes. The
 * owner goes into rq->workspace and rq->model_name. E190, E214, W241-W247, W250. */
SUSPENDS enum err upload_begin(struct request *rq, const struct upload_form *f, int64_t size, struct upload *ret);
/* W245, E214. */
SUSPENDS enum err upload_write(struct request *rq, struct upload *u, str bytes);
/* The file is whole, and can be read from now on. */
SUSPENDS enum err upload_keep(struct request *rq, struct upload *u);
/* It will not be. Nothing happens to what has been kept. */
SUSPENDS void upload_drop(struct upload *u);

/* Whether the caller has such an upload for his model: oss://… of a body that nobody downloads here. ERR_NOT_FOUND. */
SUSPENDS enum err upload_check(struct request *rq, str url);

/* The same as a data URI, for an engine that cannot read oss://. ERR_LIMIT: it is larger than the option uploads.inline_max. */
SUSPENDS enum err upload_inline(struct request *rq, str url, str *ret);

/* What is too old goes; all of it goes. */
SUSPENDS void     uploads_sweep(struct services *s);
SUSPENDS enum err uploads_forget(struct services *s);

#endif
