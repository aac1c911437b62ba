/* admin_client.c - the way from a command to the admin API and back.
 *
 * Memory: the command's arena.
 * Limits: ANSWER_MAX for an answer, CALL_MS for the time it may take.
 */
#include "cli/admin_client.h"

#include "loop/loop.h"
#include "net/http_client.h"
#include "net/tls.h"
#include "server/admin_key.h"
#include "server/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX ((size_t)256 << 20)
#define CONNECT_MS 5000
#define CALL_MS    30000

/* ---- whom to ask, and with what key ---- */

static str find_url(const struct cli *c)
{
    const struct options *o = &c->config->options;
    const char           *named = c->url ? c->url : getenv("DASHBOX_URL");

    if (named)
        return str_from_cstr(named);
    if (str_starts(o->listen, S("unix:")))
        return o->listen;
    return arena_printf(c->edit.arena, "%s://%.*s", o->tls_certificate.len ? "https" : "http", STR_ARG(o->listen));
}

/* *ret_from says where it stands, for messages. */
static enum err find_key(struct cli *c, str *ret, str *ret_from)
{
    const char *named = getenv("DASHBOX_ADMIN_KEY");
    str         path = admin_key_path(c->config->options.data, c->edit.arena);

    if (c->admin_key) {
        *ret = str_from_cstr(c->admin_key);
        *ret_from = S("--admin-key");
    } else if (named) {
        *ret = str_from_cstr(named);
        *ret_from = S("DASHBOX_ADMIN_KEY");
    } else if (c->config->options.admin_key.len) {
        *ret = c->config->options.admin_key;
        *ret_from = S("the configuration");
    } else {
        if (admin_key_read(path, c->edit.arena, ret))
            return edit_refuse(&c->edit, ERR_NOT_FOUND,
                               "%.*s: %s; name the server's folder with --data, or its key with --admin-key or "
                               "DASHBOX_ADMIN_KEY",
                               STR_ARG(path), strerror(errno));
        *ret_from = path;
    }
    return OK;
}

/* ---- a call ---- */

struct call {
    struct loop               *loop;
    struct http_pool_options   pool;
    struct http_client_request request;
    struct arena              *arena;
    int                        status;
    char                      *body;
    size_t                     len;
    enum err                   e;
};

SUSPENDS static void call_on_fiber(void *arg)
{
    struct call        *call = arg;
    struct http_pool   *pool = http_pool_open(call->loop, &call->pool);
    struct http_client *client;

    call->e = http_client_open(pool, call->arena, &call->request, &client);
    if (!call->e) {
        call->status = http_client_head(client)->status;
        call->e = http_client_body(client, ANSWER_MAX, &call->body, &call->len);
        http_client_close(client);
    }
    http_pool_close(pool);
    loop_stop(call->loop);
}

static void run(struct call *call)
{
    call->loop = loop_new();
    fiber_start(call->loop, call_on_fiber, call);
    loop_run(call->loop);
    loop_free(call->loop);
}

static enum err refuse_failure(struct cli *c, str url, enum err e)
{
    if (e == ERR_REFUSED || e == ERR_UNREACHABLE)
        return edit_refuse(
            &c->edit, e,
            "there is no server at %.*s; start one with dashbox serve, or name it with --url or DASHBOX_URL",
            STR_ARG(url));
    return edit_refuse(&c->edit, e, "%.*s: %s", STR_ARG(url), err_text(e));
}

/* What the server says of its refusal, in its own words. */
static enum err refuse_answer(struct cli *c, str url, str key_from, int status, yyjson_val *answer)
{
    str message = json_str(json_get(json_get(answer, "error"), "message"));

    if (status == 401 && message.len)
        return edit_refuse(&c->edit, ERR_REFUSED, "%.*s does not take the admin key of %.*s", STR_ARG(url),
                           STR_ARG(key_from));
    if (message.len)
        return edit_refuse(&c->edit, ERR_REFUSED, "%.*s", STR_ARG(message));
    return edit_refuse(&c->edit, ERR_PROTOCOL, "%.*s answers %d, and not as a dashbox server of this version does",
                       STR_ARG(url), status);
}

enum err admin_client_call(struct cli *c, const char *method, str target, str body, yyjson_val **ret)
{
    str               url = find_url(c), key = { 0 }, key_from = { 0 }, base;
    struct http_field fields[2] = { { S("authorization"), { 0 } }, { S("content-type"), S("application/json") } };
    struct call       call = { .arena = c->edit.arena };
    yyjson_val       *answer;
    enum err          e;

    if (!http_origin_parse(url, &call.pool.origin, &base))
        return edit_refuse(&c->edit, ERR_INVALID, "\"%.*s\" is no URL such as http://127.0.0.1:8420", STR_ARG(url));
    e = find_key(c, &key, &key_from);
    if (e)
        return e;
    fields[0].value = arena_printf(c->edit.arena, "Bearer %.*s", STR_ARG(key));
    call.pool.connect_ms = CONNECT_MS;
    call.request = (struct http_client_request){
        .method = str_from_cstr(method),
        .target = arena_printf(c->edit.arena, "%.*s%.*s", STR_ARG(base), STR_ARG(target)),
        .fields = fields,
        .field_count = body.len ? 2 : 1,
        .body = body,
        .has_body = body.len > 0,
        .total_ms = CALL_MS,
    };
    if (call.pool.origin.tls && tls_context_client(NULL, true, &call.pool.tls))
        return edit_refuse(&c->edit, ERR_IO, "TLS is not to be had");
    run(&call);
    tls_context_free(call.pool.tls);
    if (call.e)
        return refuse_failure(c, url, call.e);
    answer = call.len ? json_parse(c->edit.arena, call.body, call.len) : NULL;
    if (call.status / 100 != 2 || (call.len && !answer))
        return refuse_answer(c, url, key_from, call.status, answer);
    *ret = answer;
    return OK;
}

/* ---- writing and reading ---- */

void admin_client_query(struct buf *b, const char *name, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";

    if (!text)
        return;
    buf_addf(b, "%c%s=", memchr(b->ptr, '?', b->len) ? '&' : '?', name);
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;

        if ((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
            strchr("-._~*/", byte))
            buf_add_char(b, (char)byte);
        else
            buf_addf(b, "%%%c%c", hex[byte >> 4], hex[byte & 15]);
    }
}

void admin_client_text(struct buf *b, const char *name, const char *text)
{
    if (!text)
        return;
    buf_addf(b, "%c\"%s\":", b->len ? ',' : '{', name);
    json_add_str(b, str_from_cstr(text));
}

enum err admin_client_number(struct cli *c, struct buf *b, const char *flag, const char *text)
{
    int64_t  n;
    enum err e = cli_number(c, flag, text, &n);

    if (!e && text)
        buf_addf(b, "%c\"%s\":%lld", b->len ? ',' : '{', flag + 2, (long long)n);
    return e;
}

str admin_client_cell(struct cli *c, yyjson_val *object, const char *name)
{
    yyjson_val *v = json_get(object, name);

    return yyjson_is_str(v) ? json_str(v) : v ? json_text(c->edit.arena, v) : (str){ 0 };
}

int64_t admin_client_int(yyjson_val *object, const char *name)
{
    int64_t n = 0;

    (void)json_to_i64(json_get(object, name), &n); /* absent: 0 */
    return n;
}

void admin_client_print_data(struct cli *c, yyjson_val *answer)
{
    yyjson_val *one;
    size_t      at, max;

    yyjson_arr_foreach(json_get(answer, "data"), at, max, one)
    {
        str line = json_text(c->edit.arena, one);

        printf("%.*s\n", STR_ARG(line));
    }
}
