/* separators.c - reads separators. */
#include "api/native/separators.h"

#include "base/buf.h"
#include "contract/json.h"
#include "contract/knowledge_params.gen.h"

static bool is_special(char c)
{
    return c && strchr("()[]{}*+?.^$", c);
}

/* One alternative, without its backslashes. */
static bool read_one(struct arena *a, str *rest, str *ret)
{
    char  *text = arena_bytes(a, rest->len + 1);
    size_t n = 0, i = 0;

    for (; i < rest->len && rest->ptr[i] != '|'; i++) {
        char c = rest->ptr[i];

        if (is_special(c) && c != '.')
            return false;
        if (c == '\\' && ++i < rest->len)
            c = rest->ptr[i] == 'n' ? '\n' : rest->ptr[i] == 't' ? '\t' : rest->ptr[i];
        text[n++] = c;
    }
    *rest = str_from(*rest, i + 1);
    *ret = str_of(text, n);
    return n > 0;
}

bool separators_read(struct arena *a, str text, str *ret)
{
    struct buf b;
    size_t     count = 0;

    buf_init(&b, a, SIZE_MAX / 2);
    buf_add_char(&b, '[');
    while (text.len) {
        str one;

        if (!read_one(a, &text, &one) || count++ == KNOWLEDGE_SEPARATORS_MAX)
            return false;
        if (count > 1)
            buf_add_char(&b, ',');
        json_add_str(&b, one);
    }
    buf_add_char(&b, ']');
    *ret = count ? buf_str(&b) : (str){ 0 };
    return true;
}

void separators_list(struct arena *a, str json, const str **ret, size_t *ret_count)
{
    yyjson_val *list = json.len ? json_parse_copy(a, json) : NULL, *one;
    str        *all = arena_array(a, str, KNOWLEDGE_SEPARATORS_MAX);
    size_t      i, n;

    *ret = all;
    *ret_count = 0;
    yyjson_arr_foreach(list, i, n, one) all[(*ret_count)++] = json_str(one);
}
