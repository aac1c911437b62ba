/* params.c - reads a JSON body against a table. */
#include "contract/params.h"

#include "contract/catalog.h"

#define MEMBERS_MAX 64 /* parameters a table may have: one bit each */

static bool bound_value(const struct param_bound *b, const struct model *m, double *ret)
{
    if (!b->set)
        return false;
    if (b->model_offset < 0) {
        *ret = b->v;
        return true;
    }
    if (!m)
        return false;
    *ret = (double)*(const int64_t *)((const char *)m + b->model_offset);
    return *ret > 0; /* a model whose limit is not known has none */
}

static bool in_range(const struct param *p, const struct model *m, double v)
{
    double bound;

    if (bound_value(&p->min, m, &bound) && (p->min.open ? v <= bound : v < bound))
        return false;
    if (bound_value(&p->max, m, &bound) && (p->max.open ? v >= bound : v > bound))
        return false;
    return true;
}

/* The nearest there is: a client may send any number. */
static int64_t to_i64(double v)
{
    if (v >= 0x1p63)
        return INT64_MAX;
    return v <= -0x1p63 ? INT64_MIN : (int64_t)v;
}

str param_choices(struct arena *a, const str *choices, size_t count)
{
    struct buf b;

    buf_init(&b, a, 4096);
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add(&b, i + 1 < count ? S(", ") : S(" or "));
        buf_add_char(&b, '\'');
        buf_add(&b, choices[i]);
        buf_add_char(&b, '\'');
    }
    return buf_str(&b);
}

static str text_arg(struct request *rq, const struct param *p, str name, yyjson_val *v)
{
    if (str_eq(name, S("value")) && v)
        return json_text(rq->arena, v);
    if (str_eq(name, S("choices")))
        return param_choices(rq->arena, p->choices, p->choice_count);
    return str_eq(name, S("path")) && p->path.len ? p->path : p->name;
}

static enum err refuse(struct request *rq, const struct param *p, enum error_number error, yyjson_val *v,
                       const struct model *m)
{
    const struct error_row *row = &error_rows[error];
    struct fault_arg        args[FAULT_ARGS_MAX];

    for (unsigned i = 0; i < row->arg_count; i++) {
        str    name = row->args[i].name;
        double number = 0;

        args[i] = (struct fault_arg){ .kind = row->args[i].kind };
        if (str_eq(name, S("value")))
            number = yyjson_is_num(v) ? yyjson_get_num(v) : 0;
        else if (str_eq(name, S("min")))
            (void)bound_value(&p->min, m, &number); /* unknown: 0 */
        else
            (void)bound_value(&p->max, m, &number);
        switch (args[i].kind) {
        case FAULT_ARG_STR:
            args[i].s = text_arg(rq, p, name, v);
            break;
        case FAULT_ARG_INT:
            args[i].i = to_i64(number);
            break;
        case FAULT_ARG_NUM:
            args[i].n = number;
            break;
        }
    }
    return fault_raise(&rq->fault, row, args, row->arg_count);
}

enum err param_refuse_type(struct request *rq, const struct param *p, yyjson_val *v, const struct model *m)
{
    return refuse(rq, p, p->type_error, v, m);
}

enum err param_refuse_range(struct request *rq, const struct param *p, yyjson_val *v, const struct model *m)
{
    return refuse(rq, p, p->range_error, v, m);
}

static enum err read_one(struct request *rq, const struct param *p, yyjson_val *v, const struct model *m, void *base)
{
    void   *into = (char *)base + p->offset;
    double  number;
    int64_t whole;

    switch (p->type) {
    case PARAM_NUM:
        if (!json_to_num(v, &number))
            return param_refuse_type(rq, p, v, m);
        if (!in_range(p, m, number))
            return param_refuse_range(rq, p, v, m);
        *(opt_num *)into = (opt_num){ .v = number, .set = true };
        return OK;
    case PARAM_INT:
        if (!json_to_i64(v, &whole))
            return yyjson_is_int(v) ? param_refuse_range(rq, p, v, m) : param_refuse_type(rq, p, v, m);
        if (!in_range(p, m, (double)whole))
            return param_refuse_range(rq, p, v, m);
        *(opt_int *)into = (opt_int){ .v = whole, .set = true };
        return OK;
    case PARAM_BOOL:
        if (!yyjson_is_bool(v))
            return param_refuse_type(rq, p, v, m);
        *(opt_bool *)into = (opt_bool){ .v = yyjson_get_bool(v), .set = true };
        return OK;
    case PARAM_STR:
        if (!yyjson_is_str(v))
            return param_refuse_type(rq, p, v, m);
        *(str *)into = json_str(v);
        return OK;
    case PARAM_CHOICE:
        if (!yyjson_is_str(v))
            return param_refuse_type(rq, p, v, m);
        for (unsigned i = 0; i < p->choice_count; i++) {
            if (str_eq(json_str(v), p->choices[i])) {
                *(int *)into = (int)i + 1;
                return OK;
            }
        }
        return param_refuse_range(rq, p, v, m);
    case PARAM_ANY:
        *(yyjson_val **)into = v;
        return OK;
    case PARAM_READ:
        return p->read(rq, p, v, base);
    }
    return OK;
}

enum err params_read(struct request *rq, const struct param_table *t, yyjson_val *object, const struct model *m,
                     void *into)
{
    yyjson_val *found[MEMBERS_MAX];
    uint64_t    present = 0;
    size_t      i, n;
    yyjson_val *key, *v;

    ASSERT(t->count <= MEMBERS_MAX);
    if (!object)
        return OK;
    yyjson_obj_foreach(object, i, n, key, v)
    {
        str name = json_str(key);

        if (yyjson_is_null(v))
            continue;
        for (unsigned k = 0; k < t->count; k++) {
            if (str_eq(t->params[k].name, name)) {
                found[k] = v; /* of a doubled member the last one counts */
                present |= UINT64_C(1) << k;
                break;
            }
        }
    }
    while (present) {
        unsigned k = (unsigned)__builtin_ctzll(present);
        enum err e = read_one(rq, &t->params[k], found[k], m, into);

        if (e)
            return e;
        present &= present - 1;
    }
    return OK;
}

bool param_name_ok(const struct param_name *rule, str name)
{
    if (name.len == 0 || name.len > rule->length_max)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (str_find(rule->chars, name.ptr[i]) == STR_NONE)
            return false;
    }
    return true;
}

bool param_name_reserved(const struct param_name *rule, str name)
{
    return words_have(rule->reserved, name);
}
