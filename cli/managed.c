/* managed.c - calls to what is managed on the native protocol, and their answers as tables. */
#include "cli/managed.h"

#include <stdio.h>

void cli_path_add(struct buf *b, str part)
{
    for (size_t i = 0; i < part.len; i++) {
        unsigned char c = (unsigned char)part.ptr[i];

        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_' ||
            c == '.')
            buf_add_char(b, (char)c);
        else
            buf_addf(b, "%%%02X", c);
    }
}

int cli_managed_ask(struct cli_client *c, const char *method, const struct buf *path, const struct buf *body,
                    yyjson_val **ret_output, str *ret_text)
{
    struct dashscope_request q = { .method = method,
                                   .path = str_to_cstr(&c->arena, buf_str(path)),
                                   .body = body ? str_to_cstr(&c->arena, buf_str(body)) : NULL };
    struct dashscope_answer *a;
    yyjson_val              *output;

    if (dashscope_call(c->handle, &q, &a))
        return cli_client_failed(c);
    output = json_get(json_parse_copy(&c->arena, str_of(a->body, a->len)), "output");
    if (ret_text)
        *ret_text = arena_str(&c->arena, str_of(a->body, a->len));
    dashscope_free(a);
    if (!output)
        return cli_client_complain(c, CLI_FAILED, "the answer cannot be read");
    *ret_output = output;
    return CLI_DONE;
}

bool cli_managed_page(struct cli_client *c, struct buf *path, const char *page, const char *size)
{
    int64_t n;

    if ((page && !cli_client_number(c, "--page", page, &n)) || (size && !cli_client_number(c, "--size", size, &n)))
        return false;
    buf_add(path, S("?page_no="));
    cli_path_add(path, page ? str_from_cstr(page) : S("1"));
    buf_add(path, S("&page_size="));
    cli_path_add(path, size ? str_from_cstr(size) : S("10"));
    return true;
}

void cli_managed_more(yyjson_val *output, size_t shown)
{
    int64_t total;

    if (json_to_i64(json_get(output, "total"), &total) && total > (int64_t)shown)
        printf("%zu of %lld; --page and --size show others\n", shown, (long long)total);
}

str cli_managed_text(struct cli_client *c, yyjson_val *object, const char *name)
{
    yyjson_val *v = json_get(object, name);

    if (!v)
        return S("-");
    return yyjson_is_str(v) ? json_str(v) : json_text(&c->arena, v);
}

void cli_managed_row(struct cli_client *c, struct cli_table *t, yyjson_val *object, const char *name)
{
    if (!json_get(object, name))
        return;
    cli_table_add(t, str_from_cstr(name));
    cli_table_add(t, cli_managed_text(c, object, name));
}
