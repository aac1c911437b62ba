/* json.c - JSON on the wire. */
#include "contract/json.h"

#include "base/num.h"
#include "base/utf8.h"

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

/* Whether one of 16 bytes is below 0x20, a quote or a backslash. */
#define BLOCK 16

static bool block_needs_escape(const char *p)
{
    typedef unsigned char bytes __attribute__((vector_size(BLOCK)));
    bytes                 b;
    uint64_t              any[BLOCK / 8];

    memcpy(&b, p, BLOCK);
    b = (bytes)((b < 0x20) | (b == '"') | (b == '\\'));
    memcpy(any, &b, BLOCK);
    return (any[0] | any[1]) != 0;
}

size_t json_plain_len(str s)
{
    size_t i = 0;

    while (s.len - i >= BLOCK && !block_needs_escape(s.ptr + i))
        i += BLOCK;
    while (i < s.len && !escapes[(unsigned char)s.ptr[i]])
        i++;
    return i;
}

void json_add_escaped(struct buf *b, str s)
{
    for (;;) {
        size_t n = json_plain_len(s);
        char   e;

        buf_add_bytes(b, s.ptr, n);
        if (n == s.len)
            return;
        e = escapes[(unsigned char)s.ptr[n]];
        if (e == 'u') {
            char text[6] = { '\\', 'u', '0', '0' };

            num_hex(text + 4, s.ptr + n, 1);
            buf_add_bytes(b, text, 6);
        } else {
            char text[2] = { '\\', e };

            buf_add_bytes(b, text, 2);
        }
        s = str_from(s, n + 1);
    }
}

void json_add_str(struct buf *b, str s)
{
    buf_add_char(b, '"');
    json_add_escaped(b, s);
    buf_add_char(b, '"');
}

void json_add_lossy(struct buf *b, str s)
{
    const char *end = str_end(s);

    buf_add_char(b, '"');
    while (s.len) {
        uint32_t cp;
        size_t   n = utf8_decode(s.ptr, end, &cp);

        if (n)
            json_add_escaped(b, str_first(s, n));
        else
            buf_add(b, S("\xef\xbf\xbd"));
        s = str_from(s, n ? n : 1);
    }
    buf_add_char(b, '"');
}

void json_add_count(struct buf *b, str before, int64_t count)
{
    buf_add(b, before);
    buf_add_i64(b, count);
}

/* Up to six decimals, which is how people write parameters: both sides of the division are exact, so that its result is
 * what the text reads back as. */
static bool add_decimals(struct buf *b, double v)
{
    double scale = 1;

    if (fabs(v) >= 1e6 || fabs(v) < 1e-4)
        return false;
    for (size_t digits = 1; digits <= 6; digits++) {
        double  scaled = nearbyint(v * (scale *= 10));
        int64_t whole = (int64_t)fabs(scaled) / (int64_t)scale, rest = (int64_t)fabs(scaled) % (int64_t)scale;
        char    text[NUM_TEXT_MAX];

        if (scaled / scale != v)
            continue;
        if (v < 0)
            buf_add_char(b, '-');
        buf_add_i64(b, whole);
        buf_add_char(b, '.');
        for (size_t len = num_format(text, rest); len < digits; len++)
            buf_add_char(b, '0');
        buf_add_i64(b, rest);
        return true;
    }
    return false;
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
    if (add_decimals(b, v))
        return;
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    buf_add(b, str_from_cstr(text));
}

/* yyjson writes them, some at a time in memory that is used again: no number costs an allocation. */
void json_add_nums(struct buf *b, const double *v, size_t count)
{
    enum { AT_ONCE = 64 };
    char memory[8 * 1024];

    buf_add_char(b, '[');
    for (size_t i = 0; i < count; i += AT_ONCE) {
        size_t          n = min_size(AT_ONCE, count - i), len;
        yyjson_alc      alc;
        yyjson_mut_doc *doc;
        const char     *text;

        (void)yyjson_alc_pool_init(&alc, memory, sizeof(memory));
        doc = yyjson_mut_doc_new(&alc);
        text = yyjson_mut_val_write_opts(yyjson_mut_arr_with_double(doc, v + i, n), 0, &alc, &len, NULL);
        ASSERT(text);
        if (i)
            buf_add_char(b, ',');
        buf_add(b, str_of(text + 1, len - 2)); /* without its brackets */
    }
    buf_add_char(b, ']');
}
