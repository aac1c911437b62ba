/* fault.c - records refusals and turns them into the words of the wire.
 *
 * Wording, edition, prefix and help link are decided here and nowhere else; which bytes go around them is the surface's
 * business.
 *
 * Thread: any; a fault belongs to its request.
 * Memory: rendered texts are in the arena given, or are the catalogue's.
 * Spec:   wire-forms.md R3-R5, R12, §2.2, §2.4, §9; chat.md §8.2, §8.3.
 */
#include "contract/fault.h"

#include "contract/catalog.h"

#include "base/utf8.h"

#include <math.h>

/* Longer messages do not exist: the longest template has some 300 bytes, and what a client can bring into one is cut. */
#define MESSAGE_MAX   (16u << 10)
#define ARG_SHOWN_MAX (2u << 10)

bool fault_is_set(const struct fault *f)
{
    return f->row || f->foreign.status;
}

enum err fault_raise(struct fault *f, const struct error_row *row, const struct fault_arg *args, unsigned count)
{
    ASSERT(row);
    ASSERT(count == row->arg_count);
    ASSERT(count <= FAULT_ARGS_MAX);
    *f = (struct fault){ .row = row, .arg_count = count };
    for (unsigned i = 0; i < count; i++)
        f->args[i] = args[i];
    return ERR_FAULT;
}

enum err fault_detail(struct fault *f, str detail)
{
    ASSERT(fault_is_set(f));
    f->detail = detail;
    return ERR_FAULT;
}

enum err fault_raise_foreign(struct fault *f, int status, str code, str type, str message)
{
    ASSERT(status >= 400);
    ASSERT(status <= 599);
    *f = (struct fault){ .foreign = { .status = status, .code = code, .type = type, .message = message } };
    return ERR_FAULT;
}

/* --- Arguments as text ------------------------------------------------------------------------------------------- */

/* As the service's engines print floating point: the shortest decimal that reads back the same, and never without a
 * point: "2.0", "0.01", "1e-07". */
static void add_num(struct buf *b, double v)
{
    char text[40];
    int  len = 0;

    if (isfinite(v) && v == nearbyint(v) && fabs(v) < 1e16) {
        buf_addf(b, "%.1f", v);
        return;
    }
    for (int precision = 1; precision <= 17; precision++) {
        double back;

        len = snprintf(text, sizeof(text), "%.*g", precision, v);
        if (str_to_f64(str_of(text, (size_t)len), &back) && back == v)
            break;
    }
    buf_add_bytes(b, text, (size_t)len);
}

static void add_arg(struct buf *b, const struct fault_arg *arg)
{
    switch (arg->kind) {
    case FAULT_ARG_STR:
        if (arg->s.len > ARG_SHOWN_MAX) {
            buf_add(b, str_first(arg->s, utf8_cut(arg->s, ARG_SHOWN_MAX)));
            buf_add(b, S("…"));
            return;
        }
        buf_add(b, arg->s);
        return;
    case FAULT_ARG_INT:
        buf_add_i64(b, arg->i);
        return;
    case FAULT_ARG_NUM:
        add_num(b, arg->n);
        return;
    }
}

/* The arguments are those of f->row; an older row has a selection of them, by name. */
static const struct fault_arg *arg_by_name(const struct fault *f, str name)
{
    for (unsigned i = 0; i < f->arg_count; i++) {
        if (str_eq(f->row->args[i].name, name))
            return &f->args[i];
    }
    return NULL;
}

static void add_template(struct buf *b, const struct fault *f, str text)
{
    while (text.len) {
        size_t open = str_find(text, '{');
        str    rest, name;

        if (open == STR_NONE) {
            buf_add(b, text);
            return;
        }
        buf_add(b, str_first(text, open));
        rest = str_from(text, open + 1);
        name = str_cut(&rest, '}');
        add_arg(b, arg_by_name(f, name));
        text = rest;
    }
}

/* --- What the wire puts around a sentence ------------------------------------------------------------------------ */

/* "<400> InternalError.Algo.InvalidParameter: " (R4): where the engine says which code it is, that stands alone. */
static void add_prefix(struct buf *b, const struct error_form *form)
{
    buf_add_char(b, '<');
    buf_add_i64(b, form->status);
    buf_add(b, S("> "));
    if (!str_starts(form->native, S("InternalError")))
        buf_add(b, S("InternalError.Algo."));
    buf_add(b, form->native);
    buf_add(b, S(": "));
}

static bool ends_sentence(str s)
{
    static const char *const ends[] = { ".", "!", "?", "！", "。", "？" };

    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        if (str_ends(s, str_from_cstr(ends[i])))
            return true;
    }
    return false;
}

/* " For details, see: …#anchor" (R12); a sentence without an end gets a period first. */
static void add_link(struct buf *b, str base, str anchor)
{
    while (b->len && b->ptr[b->len - 1] == ' ')
        b->len--;
    if (!ends_sentence(buf_str(b)))
        buf_add_char(b, '.');
    buf_add(b, S(" For details, see: "));
    buf_add(b, base);
    buf_add_char(b, '#');
    buf_add(b, anchor);
}

/* --- Rendering --------------------------------------------------------------------------------------------------- */

static void render_foreign(const struct fault_foreign *foreign, struct fault_view *ret)
{
    const struct error_code *known = error_code_by_native(foreign->code);

    *ret = (struct fault_view){
        .status = foreign->status,
        .code = foreign->code,
        .compat_code = foreign->code,
        .compat_type = foreign->type,
        .message = foreign->message,
        .id = S(""),
    };
    /* Refused in the spelling of one protocol, asked for in that of the other. */
    if (known) {
        ret->compat_code = known->compat[WORDING_WIRE].code;
        ret->compat_type = known->compat[WORDING_WIRE].type;
        return;
    }
    known = error_code_by_compat(foreign->code);
    if (known && !str_ends(known->native, S(".*")))
        ret->code = known->native;
    if (ret->compat_type.len == 0)
        ret->compat_type = ret->compat_code;
}

/* Rows of the compatible protocol have no native code in the reference; on the native one they get the general one. */
static str native_code(const struct error_form *form)
{
    if (form->native.len)
        return form->native;
    return form->status < 500 ? S("InvalidParameter") : S("InternalError");
}

void fault_render(const struct fault *f, const struct wording_options *w, struct arena *a, struct fault_view *ret)
{
    const struct error_row  *row = f->row;
    const struct error_form *form;
    str                      text;
    bool                     prefix, link;
    struct buf               b;

    ASSERT(fault_is_set(f));
    if (!row) {
        render_foreign(&f->foreign, ret);
        return;
    }
    if (w->edition == EDITION_2024 && row->older >= 0)
        row = &error_rows[row->older];
    form = &row->form[w->wording];
    /* The older reference has one row without a sentence. */
    text = form->text.len ? form->text : f->row->form[w->wording].text;
    prefix = w->wording == WORDING_WIRE && row->level == ERROR_ENGINE;
    link = w->wording == WORDING_WIRE && w->help_links && row->anchor.len && w->help_base.len;

    if (prefix || link || str_find(text, '{') != STR_NONE) {
        buf_init(&b, a, MESSAGE_MAX);
        if (prefix)
            add_prefix(&b, form);
        add_template(&b, f, text);
        if (link)
            add_link(&b, w->help_base, row->anchor);
        text = buf_str(&b);
    }
    *ret = (struct fault_view){
        .status = form->status ? form->status : 400,
        .code = native_code(form),
        .compat_code = form->compat_code,
        .compat_type = form->compat_type,
        .message = text,
        .id = row->id,
        .engine = row->level == ERROR_ENGINE,
    };
}
