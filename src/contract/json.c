/* json.c - JSON on the wire. */
#include "contract/json.h"

#include "base/num.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What the values of one document may take: some ten times what bodies of the largest size need that hold text, and a bound
 * for those that are nothing but brackets. */
#define DOCUMENT_MAX ((size_t)64 << 20)

struct memory {
    struct arena *arena;
    size_t        left;
};

static void *memory_take(struct memory *m, size_t size)
{
    if (size > m->left)
        return NULL;
    m->left -= size;
    return arena_alloc(m->arena, size);
}

static void *arena_malloc_fn(void *ctx, size_t size)
{
    return memory_take(ctx, size);
}

static void *arena_realloc_fn(void *ctx, void *ptr, size_t old_size, size_t size)
{
    void *moved;

    if (size <= old_size)
        return ptr;
    moved = memory_take(ctx, size);
    if (moved && old_size)
        memcpy(moved, ptr, old_size);
    return moved;
}

static void arena_free_fn(void *ctx, void *ptr)
{
    (void)ctx, (void)ptr; /* the lifetime's end frees it */
}

static yyjson_alc arena_alc(struct memory *m)
{
    return (yyjson_alc){ .malloc = arena_malloc_fn, .realloc = arena_realloc_fn, .free = arena_free_fn, .ctx = m };
}

yyjson_val *json_parse(struct arena *a, char *text, size_t len)
{
    struct memory m = { a, DOCUMENT_MAX };
    yyjson_alc    alc = arena_alc(&m);
    yyjson_doc   *doc = len ? yyjson_read_opts(text, len, YYJSON_READ_INSITU, &alc, NULL) : NULL;

    return doc ? yyjson_doc_get_root(doc) : NULL;
}

yyjson_val *json_parse_copy(struct arena *a, str text)
{
    char *copy = arena_bytes(a, text.len + YYJSON_PADDING_SIZE);

    if (text.len)
        memcpy(copy, text.ptr, text.len);
    memset(copy + text.len, 0, YYJSON_PADDING_SIZE);
    return json_parse(a, copy, text.len);
}

bool json_to_i64(yyjson_val *v, int64_t *ret)
{
    double d;

    if (yyjson_is_sint(v)) {
        *ret = yyjson_get_sint(v);
        return true;
    }
    if (yyjson_is_uint(v)) {
        if (yyjson_get_uint(v) > INT64_MAX)
            return false;
        *ret = (int64_t)yyjson_get_uint(v);
        return true;
    }
    if (!yyjson_is_real(v))
        return false;
    d = yyjson_get_real(v);
    if (d != trunc(d) || d < -9007199254740992.0 || d > 9007199254740992.0)
        return false;
    *ret = (int64_t)d;
    return true;
}

bool json_to_num(yyjson_val *v, double *ret)
{
    if (!yyjson_is_num(v))
        return false;
    *ret = yyjson_get_num(v);
    return true;
}

str json_text(struct arena *a, yyjson_val *v)
{
    struct memory m = { a, SIZE_MAX };
    yyjson_alc    alc = arena_alc(&m);
    size_t        len = 0;
    char         *text = yyjson_val_write_opts(v, YYJSON_WRITE_NOFLAG, &alc, &len, NULL);

    return text ? str_of(text, len) : S("null");
}

/* What a byte becomes inside a string: 0 itself, 'u' a \u escape, else the letter behind the backslash. */
static const char escapes[256] = {
    [0] = 'u',  [1] = 'u',  [2] = 'u',  [3] = 'u',  [4] = 'u',  [5] = 'u',   [6] = 'u',     [7] = 'u',  [8] = 'b',
    [9] = 't',  [10] = 'n', [11] = 'u', [12] = 'f', [13] = 'r', [14] = 'u',  [15] = 'u',    [16] = 'u', [17] = 'u',
    [18] = 'u', [19] = 'u', [20] = 'u', [21] = 'u', [22] = 'u', [23] = 'u',  [24] = 'u',    [25] = 'u', [26] = 'u',
    [27] = 'u', [28] = 'u', [29] = 'u', [30] = 'u', [31] = 'u', ['"'] = '"', ['\\'] = '\\',
};

/* Whether one of the 8 bytes is below 0x20, a quote or a backslash; bytes above 0x7F never are. */
static bool word_needs_escape(uint64_t w)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    uint64_t       low = (w - ones * 0x20) & ~w;
    uint64_t       quote = w ^ ones * '"', slash = w ^ ones * '\\';

    quote = (quote - ones) & ~quote;
    slash = (slash - ones) & ~slash;
    return ((low | quote | slash) & tops) != 0;
}

void json_add_escaped(struct buf *b, str s)
{
    const char *p = s.ptr, *end = str_end(s), *run = p;

    while (p < end) {
        uint64_t w;
        char     e;

        if (end - p >= 8) {
            memcpy(&w, p, 8);
            if (!word_needs_escape(w)) {
                p += 8;
                continue;
            }
        }
        e = escapes[(unsigned char)*p];
        if (!e) {
            p++;
            continue;
        }
        buf_add_bytes(b, run, (size_t)(p - run));
        if (e == 'u') {
            char text[6] = { '\\', 'u', '0', '0' };

            num_hex(text + 4, p, 1);
            buf_add_bytes(b, text, 6);
        } else {
            char text[2] = { '\\', e };

            buf_add_bytes(b, text, 2);
        }
        run = ++p;
    }
    buf_add_bytes(b, run, (size_t)(p - run));
}

void json_add_str(struct buf *b, str s)
{
    buf_add_char(b, '"');
    json_add_escaped(b, s);
    buf_add_char(b, '"');
}

void json_add_count(struct buf *b, str before, int64_t count)
{
    buf_add(b, before);
    buf_add_i64(b, count);
}

void json_add_num(struct buf *b, double v)
{
    char text[32];

    if (!isfinite(v)) {
        buf_add(b, S("null"));
        return;
    }
    if (v == trunc(v) && v > -1e15 && v < 1e15) {
        buf_add_i64(b, (int64_t)v);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    buf_add(b, str_from_cstr(text));
}
