/* refusal.h - what the failures of an upstream become: rows of the catalogue. The table is in upstream.h.
 *
 * Each function records the fault and its detail for the log, and returns ERR_FAULT.
 */
#ifndef DASHBOX_ENGINE_UPSTREAM_REFUSAL_H
#define DASHBOX_ENGINE_UPSTREAM_REFUSAL_H

#include "base/arena.h"
#include "contract/fault.h"

struct yyjson_val;

/* What an upstream said in refusing. */
struct refusal {
    int     status;              /* 0: it named none */
    int64_t limit;               /* "n_ctx": tokens of its context; 0: not said */
    str     code, type, message; /* as far as there */
};

/* Reads the forms of an error body: {"error":{…}}, {"error":"…"}, {"code","message"}, {"object":"error",…}, {"detail":…}.
 * False when it is none of them. */
bool refusal_read(struct yyjson_val *root, struct refusal *ret);

/* An answer of a status other than 200; `body` may be anything. `input_max` is how long a prompt may be when the upstream
 * does not say; 0 when nobody knows. */
enum err refusal_of_answer(struct fault *f, struct arena *a, bool cloud, int64_t input_max, int status, str body);
/* An error object inside an answer that had begun with 200. */
enum err refusal_in_answer(struct fault *f, struct arena *a, bool cloud, int64_t input_max, const struct refusal *r);

/* An answer that cannot be understood. */
enum err refusal_of_protocol(struct fault *f, struct arena *a, const char *what, str shown);

#endif
