/* catalog.c - finds rows and codes, and fits sentences to the templates of rows.
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

/* --- Sentences --------------------------------------------------------------------------------------------------- */

/* Fits `text` from its beginning to its end to a template, {…} standing for at least one byte. The shortest fit of each
 * place is tried first. ret_args[i] is the i-th place met. */
static bool fits(str template, str text, str *ret_args)
{
    size_t open = str_find(template, '{');
    str    literal, rest, next;

    if (open == STR_NONE)
        return str_eq(template, text);
    literal = str_first(template, open);
    if (!str_starts(text, literal))
        return false;
    text = str_from(text, open);
    rest = str_from(template, open + 1);
    (void)str_cut(&rest, '}');
    next = str_first(rest, str_find(rest, '{'));
    for (size_t len = 1; len <= text.len; len++) {
        str after = str_from(text, len);

        if (str_starts(after, next) && fits(rest, after, ret_args + 1)) {
            *ret_args = str_first(text, len);
            return true;
        }
    }
    return false;
}

bool error_match(const struct error_row *row, enum wording w, str message, str *ret_args)
{
    str places[2 * FAULT_ARGS_MAX], rest = row->form[w].text;

    if (!fits(rest, message, places))
        return false;
    for (unsigned place = 0; ret_args && str_find(rest, '{') != STR_NONE; place++) {
        str name;

        (void)str_cut(&rest, '{');
        name = str_cut(&rest, '}');
        for (unsigned i = 0; i < row->arg_count; i++) {
            if (str_eq(row->args[i].name, name))
                ret_args[i] = places[place];
        }
    }
    return true;
}
