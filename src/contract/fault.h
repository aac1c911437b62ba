/* fault.h - a refusal on its way to the client.
 *
 * Where something is found wrong, a fail_…() constructor (generated from data/errors, in "contract/errors.gen.h") records
 * which catalogue row it is and with which arguments, and returns ERR_FAULT; everyone above passes that on, and the
 * surface's writer renders the row in its own form at the very end. The argument texts must live as long as the request.
 */
#ifndef DASHBOX_CONTRACT_FAULT_H
#define DASHBOX_CONTRACT_FAULT_H

#include "base/buf.h"
#include "base/err.h"

struct error_row;

#define FAULT_ARGS_MAX 4

enum fault_arg_kind { FAULT_ARG_STR, FAULT_ARG_INT, FAULT_ARG_NUM };

struct fault_arg {
    enum fault_arg_kind kind;
    union {
        str     s;
        int64_t i;
        double  n;
    };
};

struct fault {
    const struct error_row *row; /* NULL: no fault, or somebody else's (foreign) */
    struct fault_arg        args[FAULT_ARGS_MAX];
    unsigned                arg_count;
    str                     detail; /* the truth for the log; never sent */
    /* An upstream of the same kind (the cloud itself) refused in the contract's own form: its words are passed on. */
    struct fault_foreign {
        int status;
        str code, type, message;
    } foreign;
};

/* Which of the documented spellings the server answers with. */
enum wording { WORDING_REFERENCE, WORDING_WIRE };
enum edition { EDITION_CURRENT, EDITION_2024 };

struct wording_options {
    enum wording wording;
    enum edition edition;
    bool         help_links; /* under WORDING_WIRE: append " For details, see: …#anchor" */
    str          help_base;  /* e.g. "https://help.aliyun.com/zh/model-studio/error-code" */
};

/* What a surface needs to write, after wording and edition have been applied. */
struct fault_view {
    int  status;
    str  code;        /* native, "InvalidParameter" */
    str  compat_code; /* OpenAI-compatible, "invalid_parameter_error"; empty: none on the wire */
    str  compat_type; /* "invalid_request_error" */
    str  message;
    str  id;     /* "E010a", or "" when foreign; for the log */
    bool engine; /* decided behind the gateway: the body of the compatible protocol has an "id" */
};

bool fault_is_set(const struct fault *f);

/* Records the row; used by the generated constructors and by table walkers. `args` may be NULL when count is 0. */
enum err fault_raise(struct fault *f, const struct error_row *row, const struct fault_arg *args, unsigned count);

/* Adds what really happened, for the log. The text is copied by nobody: it must outlive the request. */
enum err fault_detail(struct fault *f, str detail);

enum err fault_raise_foreign(struct fault *f, int status, str code, str type, str message);

void fault_render(const struct fault *f, const struct wording_options *w, struct arena *a, struct fault_view *ret);

#endif
