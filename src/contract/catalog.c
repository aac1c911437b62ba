/* catalog.c - finds rows and codes.
 *
 * Thread: any; the tables are constant.
 * Spec:   chat.md §8.3 (codes).
 */
#include "contract/catalog.h"

const struct error_row *error_find(str id_or_name)
{
    for (unsigned i = 0; i < error_row_count; i++) {
        if (str_eq_nocase(error_rows[i].id, id_or_name) || str_eq_nocase(error_rows[i].name, id_or_name))
            return &error_rows[i];
    }
    return NULL;
}

/* --- Codes ------------------------------------------------------------------------------------------------------- */

/* "X.*" has the sub-codes of X, not X itself. */
static bool code_covers(str line, str native)
{
    if (!str_ends(line, S(".*")))
        return str_eq(line, native);
    line.len--; /* with the dot */
    return native.len > line.len && str_starts(native, line);
}

const struct error_code *error_code_by_native(str native)
{
    const struct error_code *best = NULL;

    for (unsigned i = 0; i < error_code_count; i++) {
        const struct error_code *c = &error_codes[i];

        if (str_eq(c->native, native))
            return c;
        if (code_covers(c->native, native) && (!best || c->native.len > best->native.len))
            best = c;
    }
    return best;
}

const struct error_code *error_code_by_compat(str code)
{
    const struct error_code *stem = NULL;

    for (unsigned i = 0; i < error_code_count; i++) {
        const struct error_code *c = &error_codes[i];

        if (!str_eq(c->compat[WORDING_REFERENCE].code, code) && !str_eq(c->compat[WORDING_WIRE].code, code))
            continue;
        if (!str_ends(c->native, S(".*")))
            return c;
        if (!stem)
            stem = c;
    }
    return stem;
}

static str http_type(int status)
{
    for (unsigned i = 0; i < error_http_count; i++) {
        if (error_https[i].status == status)
            return error_https[i].anthropic;
    }
    return http_type(status < 500 ? 400 : 500); /* these two are there: tools/gen_errors.py sees to it */
}

str error_anthropic_type(int status, str native)
{
    const struct error_code *code = error_code_by_native(native);

    return code && code->anthropic.len ? code->anthropic : http_type(status);
}
