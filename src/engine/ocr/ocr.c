/* ocr.c - pictures go to the children of a pool, each with its pixels as a descriptor. */
#include "engine/ocr/ocr.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/utf8.h"
#include "contract/json.h"
#include "engine/pool/pool.h"
#include "engine/pool/program.h"
#include "loop/loop.h"

#include <stdlib.h>

#define RETIRE_CPU_MS ((int64_t)300 * 1000) /* it ends itself at 600 s (engines/ocr/main.c) */
#define PLACE_MAX     INT64_C(1000000)      /* pixels */

struct ocr {
    struct loop *loop;
    struct pool *pool;
    int64_t      read_ms;
    bool         told; /* the log knows of the sandbox */
};

/* ---- a child ---- */

static enum err hear_ready(void *arg, str message)
{
    struct ocr  *o = arg;
    struct arena a;
    yyjson_val  *root;
    bool         ready;

    arena_init(&a, 0);
    root = json_parse_copy(&a, message);
    ready = yyjson_is_true(json_get(root, "ready"));
    if (!ready)
        log_warn(
            "text engine: it has no models of languages; are tesseract-ocr-eng and tesseract-ocr-chi-sim installed?");
    else if (!o->told && !yyjson_is_true(json_get(root, "sandbox")))
        log_warn("text engine: this system has no seccomp for it");
    o->told = o->told || ready;
    arena_free(&a);
    return ready ? OK : ERR_PROTOCOL;
}

enum err ocr_open(struct loop *l, const struct ocr_options *options, struct ocr **ret)
{
    static const char *const env[] = { "OMP_THREAD_LIMIT=1", NULL }; /* its sandbox makes no threads */
    struct ocr              *o = xcalloc(1, sizeof(*o));
    struct pool_options      p = {
             .name = "text engine",
             .program = options->program,
             .env = env,
             .process_max = options->process_max ? options->process_max : 1,
             .queue_max = options->queue_max ? options->queue_max : 64,
             .start_ms = options->start_ms ? options->start_ms : 30000,
             .backoff_ms = options->backoff_ms ? options->backoff_ms : 1000,
             .idle_ms = options->idle_ms ? options->idle_ms : 300 * 1000,
             .retire_cpu_ms = RETIRE_CPU_MS,
             .ready = hear_ready,
             .arg = o,
    };
    struct arena a;
    enum err     e = OK;

    arena_init(&a, 0);
    o->loop = l;
    o->read_ms = options->read_ms ? options->read_ms : 60000;
    if (!p.program)
        e = pool_program(&a, "ocr", &p.program);
    if (!e)
        e = pool_open(l, &p, &o->pool);
    arena_free(&a);
    if (e) {
        free(o);
        return e;
    }
    *ret = o;
    return OK;
}

/* ---- a picture ---- */

static bool read_place(yyjson_val *box, size_t at, int64_t *ret)
{
    return json_to_i64(yyjson_arr_get(box, at), ret) && *ret >= 0 && *ret <= PLACE_MAX;
}

static bool read_line(struct arena *a, yyjson_val *root, struct picture_line *ret)
{
    yyjson_val *box = json_get(root, "box");

    ret->text = arena_str(a, json_str(json_get(root, "text")));
    return ret->text.len && yyjson_arr_size(box) == 4 && read_place(box, 0, &ret->x) && read_place(box, 1, &ret->y) &&
           read_place(box, 2, &ret->width) && read_place(box, 3, &ret->height);
}

enum err ocr_hear(struct arena *a, str message, struct picture_lines *lines, bool *ret_done, int64_t *ret_cpu_us)
{
    yyjson_val *root = json_parse_copy(a, message);

    *ret_done = yyjson_is_true(json_get(root, "done"));
    if (*ret_done)
        return json_to_i64(json_get(root, "cpu_us"), ret_cpu_us) && *ret_cpu_us >= 0 ? OK : ERR_PROTOCOL;
    if (lines->count == PICTURE_LINES_MAX)
        return ERR_PROTOCOL;
    if (lines->count == lines->cap) {
        size_t cap = lines->cap ? 2 * lines->cap : 16;

        lines->at = arena_realloc(a, lines->at, lines->cap * sizeof(*lines->at), cap * sizeof(*lines->at));
        lines->cap = cap;
    }
    return read_line(a, root, &lines->at[lines->count++]) ? OK : ERR_PROTOCOL;
}

static SUSPENDS enum err child_ask(struct ocr *o, struct pool_child *c, int pixels_fd, str request, struct arena *a,
                                   struct picture_lines *ret, int64_t *ret_cpu_us)
{
    char     text[CHANNEL_MESSAGE_MAX];
    size_t   len;
    int64_t  deadline_us = loop_now_us(o->loop) + o->read_ms * 1000;
    bool     done = false;
    enum err e = channel_send(pool_child_channel(c), request, pixels_fd);

    while (!e && !done) {
        e = channel_receive(pool_child_channel(c), text, sizeof(text), deadline_us, &len);
        if (!e)
            e = ocr_hear(a, str_of(text, len), ret, &done, ret_cpu_us);
    }
    return e == ERR_EOF ? ERR_IO : e == ERR_LIMIT ? ERR_PROTOCOL : e;
}

SUSPENDS enum err ocr_look(struct ocr *o, int pixels_fd, int64_t width, int64_t height, struct arena *a,
                           struct picture_lines *ret)
{
    struct pool_child *c;
    int64_t            cpu_us = 0;
    enum err           e;

    might_suspend();
    *ret = (struct picture_lines){ 0 };
    if (width <= 0 || height <= 0 || width > OCR_SIDE_MAX || height > OCR_SIDE_MAX)
        return ERR_INVALID;
    e = pool_take(o->pool, &c);
    if (e)
        return e;
    e = child_ask(o, c, pixels_fd, arena_printf(a, "read %lld %lld", (long long)width, (long long)height), a, ret,
                  &cpu_us);
    pool_give_back(c, e, cpu_us);
    return e;
}

void ocr_close(struct ocr *o)
{
    if (!o)
        return;
    pool_close(o->pool);
    free(o);
}
