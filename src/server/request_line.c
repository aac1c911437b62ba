/* request_line.c - one line a request: JSON for programs, or short text for a terminal. */
#include "server/request_line.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "contract/catalog.h"
#include "contract/json.h"
#include "net/http_server.h"

#include <time.h>

#define LOG_LINE_MAX 4096
#define DETAIL_SHOWN 160 /* bytes of a refusal's detail on a terminal */

static void add_text(struct buf *b, str name, str value)
{
    if (!value.len)
        return;
    buf_add(b, S(",\""));
    buf_add(b, name);
    buf_add(b, S("\":"));
    json_add_str(b, value);
}

static void add_number(struct buf *b, str name, int64_t value)
{
    buf_add(b, S(",\""));
    buf_add(b, name);
    buf_add(b, S("\":"));
    buf_add_i64(b, value);
}

static str error_name(const struct request *rq)
{
    return rq->fault.row ? rq->fault.row->id : S("foreign");
}

/* No prompts, no keys: ids, sizes, durations. Times are microseconds. */
static void write_json(struct request *rq, int status, enum err e)
{
    struct buf b;
    char       when[CLOCK_ISO_LEN + 1];
    str        comma = { 0 };

    buf_init(&b, rq->arena, LOG_LINE_MAX);
    (void)buf_room(&b, 640); /* an ordinary line: one allocation */
    clock_iso(when, clock_unix_ms());
    buf_add(&b, S("{\"time\":\""));
    buf_add(&b, str_of(when, CLOCK_ISO_LEN));
    buf_add(&b, S("\",\"request_id\":\""));
    buf_add(&b, str_of(rq->id, UUID_LEN));
    buf_add_char(&b, '"');
    add_text(&b, S("method"), http_request(rq->x)->method);
    add_text(&b, S("path"), str_first(http_path(rq->x), 256));
    add_number(&b, S("status"), status ? status : rq->cut_off ? 503 : 499);
    if (fault_is_set(&rq->fault)) {
        add_text(&b, S("error"), error_name(rq));
    } else if (rq->cut_off) {
        add_text(&b, S("error"), S("drained"));
    } else if (e && e != ERR_EOF) {
        add_text(&b, S("error"), str_from_cstr(err_text(e)));
    }
    add_text(&b, S("detail"), str_first(rq->fault.detail, 512));
    if (!status)
        add_text(&b, S("action"), str_from_cstr(rq->action));
    add_text(&b, S("key"), rq->key_id);
    add_text(&b, S("workspace"), rq->workspace);
    add_text(&b, S("model"), str_first(rq->model_name, 128));
    add_text(&b, S("engine"), rq->engine);
    add_text(&b, S("fallback_from"), rq->fallback_from);
    if (rq->stream)
        buf_add(&b, S(",\"stream\":true"));
    if (rq->usage.prompt_tokens) {
        add_number(&b, S("prompt_tokens"), rq->usage.prompt_tokens);
        add_number(&b, S("completion_tokens"), rq->usage.completion_tokens);
        if (rq->usage.reasoning_tokens)
            add_number(&b, S("reasoning_tokens"), rq->usage.reasoning_tokens);
    }
    add_number(&b, S("bytes_out"), http_bytes_out(rq->x));
    add_number(&b, S("us"), rq->phase_started_us - rq->started_us);
    buf_add(&b, S(",\"phases_us\":{"));
    for (enum phase p = 0; p < PHASE_COUNT; p++) {
        if (!rq->phase_us[p])
            continue;
        buf_add(&b, comma);
        buf_add_char(&b, '"');
        buf_add(&b, phase_name(p));
        buf_add(&b, S("\":"));
        buf_add_i64(&b, rq->phase_us[p]);
        comma = S(",");
    }
    buf_add(&b, S("}}\n"));
    if (!b.full)
        log_line(buf_str(&b));
}

/* What came from a peer must not steer the terminal. */
static void add_plain(struct buf *b, str s)
{
    for (size_t i = 0; i < s.len; i++)
        buf_add_char(b, (unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 0x7f ? '?' : s.ptr[i]);
}

static void write_text(struct request *rq, bool colour, int status, enum err e)
{
    const char *mark = !colour || (status && status < 400) ? "" : status >= 500 ? "\033[31m" : "\033[33m";
    time_t      now = (time_t)(clock_unix_ms() / 1000);
    char        when[16];
    struct tm   tm;
    struct buf  b;

    buf_init(&b, rq->arena, LOG_LINE_MAX);
    localtime_r(&now, &tm);
    strftime(when, sizeof(when), "%H:%M:%S", &tm);
    buf_addf(&b, "%s%s ", mark, when);
    add_plain(&b, str_first(http_request(rq->x)->method, 16));
    buf_add_char(&b, ' ');
    add_plain(&b, str_first(http_path(rq->x), 256));
    if (status)
        buf_addf(&b, " %d", status);
    else
        buf_add(&b, rq->cut_off ? S(" drained") : S(" gone")); /* the client, before its answer */
    if (fault_is_set(&rq->fault)) {
        buf_add_char(&b, ' ');
        buf_add(&b, error_name(rq));
    }
    if (rq->model_name.len) {
        buf_add_char(&b, ' ');
        add_plain(&b, str_first(rq->model_name, 128));
    }
    if (fault_is_set(&rq->fault) && rq->fault.detail.len) {
        buf_add(&b, S(" ("));
        add_plain(&b, str_first(rq->fault.detail, utf8_cut(rq->fault.detail, DETAIL_SHOWN)));
        buf_add_char(&b, ')');
    }
    if (!fault_is_set(&rq->fault) && !rq->cut_off && e && e != ERR_EOF)
        buf_addf(&b, " (%s)", err_text(e));
    if (rq->fallback_from.len)
        buf_addf(&b, " %.*s → %.*s", STR_ARG(rq->fallback_from), STR_ARG(rq->engine));
    buf_addf(&b, " %lld ms%s\n", (long long)(rq->phase_started_us - rq->started_us) / 1000, *mark ? "\033[0m" : "");
    if (!b.full)
        log_line(buf_str(&b));
}

void request_line(struct request *rq, const struct logging *l, int status, enum err e)
{
    if (l->requests == REQUEST_LINES_JSON)
        write_json(rq, status, e);
    else if (l->requests == REQUEST_LINES_TEXT)
        write_text(rq, l->colour, status, e);
}
