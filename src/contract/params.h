/* params.h - reads a JSON body against a table.
 *
 * The tables come from data/params (tools/gen_params.py): what each parameter of a service is called on each surface, its
 * type, range and choices, where it goes, and which catalogue row refuses it. The walker goes through a table in its
 * order, so the first refusal does not depend on the client's order of members. Names that are not in the table are
 * ignored, and null is the same as absent.
 */
#ifndef DASHBOX_CONTRACT_PARAMS_H
#define DASHBOX_CONTRACT_PARAMS_H

#include "contract/errors.gen.h"
#include "contract/json.h"
#include "contract/model.h"
#include "contract/request.h"

enum param_type {
    PARAM_NUM,    /* opt_num */
    PARAM_INT,    /* opt_int */
    PARAM_BOOL,   /* opt_bool */
    PARAM_STR,    /* str */
    PARAM_CHOICE, /* an enum (int): the position in `choices`, from 1 */
    PARAM_ANY,    /* yyjson_val *, as it stands */
    PARAM_READ,   /* a function reads it */
};

/* Reads what does not fit the columns. May refuse; changes nothing but `into`. */
struct param;
typedef enum err (*param_read_fn)(struct request *rq, const struct param *p, yyjson_val *v, void *into);

/* A bound is a number, or a number that the model has. */
struct param_bound {
    bool   set, open; /* open: the bound itself is outside */
    double v;
    int    model_offset; /* of an int64_t in struct model; -1: `v` counts */
};

struct param {
    str                name; /* of the member */
    str                path; /* where it stands, "parameters.ocr_options.task"; empty: its name */
    enum param_type    type;
    size_t             offset; /* in the service's input */
    struct param_bound min, max;
    const str         *choices;
    unsigned           choice_count;
    param_read_fn      read;
    enum error_number  type_error, range_error;
};

/* 'Cherry', 'Serena' or 'Ethan', as refusals name choices. */
str param_choices(struct arena *a, const str *choices, size_t count);

/* The rule of a name that a client gives to something. */
struct param_name {
    str    chars;
    size_t length_max;
    str    reserved; /* names parted by blanks that are not free */
};

bool param_name_ok(const struct param_name *rule, str name);
bool param_name_reserved(const struct param_name *rule, str name);

struct param_table {
    const struct param *params;
    unsigned            count;
};

/* Reads the members of `object` into `into`. `model` may be NULL when no bound asks for it. A NULL object has no
 * members. */
enum err params_read(struct request *rq, const struct param_table *t, yyjson_val *object, const struct model *model,
                     void *into);

/* Refuses `p` with its type error or range error, the row's arguments filled in: name, path, min, max or
 * limit, value, choices. */
enum err param_refuse_type(struct request *rq, const struct param *p, yyjson_val *v, const struct model *model);
enum err param_refuse_range(struct request *rq, const struct param *p, yyjson_val *v, const struct model *model);

#endif
