/* package.c - libzip, on memory. */
#include "engines/document/package.h"

#include "base/buf.h"

#include <stdlib.h>
#include <zip.h>

#define PIECE ((size_t)64 * 1024)

struct package {
    zip_t  *zip;
    int64_t bytes;    /* of the archive */
    int64_t unpacked; /* so far */
    char    piece[PIECE];
};

struct package *package_open(str bytes)
{
    struct package *p = xcalloc(1, sizeof(*p));
    zip_source_t   *source;
    zip_error_t     error;

    zip_error_init(&error);
    p->bytes = (int64_t)bytes.len;
    source = zip_source_buffer_create(bytes.ptr, bytes.len, 0, &error);
    if (source)
        p->zip = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (!p->zip)
        zip_source_free(source);
    zip_error_fini(&error);
    if (p->zip && zip_get_num_entries(p->zip, 0) <= PACKAGE_PARTS_MAX)
        return p;
    package_close(p);
    return NULL;
}

void package_close(struct package *p)
{
    if (p->zip)
        zip_discard(p->zip);
    free(p);
}

bool package_has(struct package *p, const char *name)
{
    return zip_name_locate(p->zip, name, ZIP_FL_NOCASE) >= 0;
}

static zip_file_t *part_open(struct package *p, const char *name)
{
    zip_int64_t i = zip_name_locate(p->zip, name, 0);
    zip_stat_t  st;

    if (i < 0)
        i = zip_name_locate(p->zip, name, ZIP_FL_NOCASE); /* the names of OPC's parts are the same in both */
    if (i < 0 || zip_stat_index(p->zip, (zip_uint64_t)i, 0, &st))
        return NULL;
    if (!(st.valid & ZIP_STAT_COMP_METHOD) || !(st.comp_method == ZIP_CM_STORE || st.comp_method == ZIP_CM_DEFLATE) ||
        !(st.valid & ZIP_STAT_ENCRYPTION_METHOD) || st.encryption_method != ZIP_EM_NONE)
        return NULL;
    return zip_fopen_index(p->zip, (zip_uint64_t)i, 0);
}

static bool is_too_much(const struct package *p)
{
    return p->unpacked > PACKAGE_BYTES_MAX || (p->unpacked > PACKAGE_FREE && p->unpacked / PACKAGE_RATIO > p->bytes);
}

enum document_verdict package_pieces(struct package *p, const char *name, bool (*take)(void *arg, str piece, bool last),
                                     void *arg)
{
    zip_file_t           *f = part_open(p, name);
    enum document_verdict v = DOCUMENT_OK;
    zip_int64_t           n = 1;
    bool                  more = true;

    if (!f)
        return DOCUMENT_BROKEN;
    while (more && n > 0 && v == DOCUMENT_OK) {
        n = zip_fread(f, p->piece, PIECE);
        p->unpacked += n > 0 ? n : 0;
        if (n < 0)
            v = DOCUMENT_BROKEN;
        else if (is_too_much(p))
            v = DOCUMENT_LARGE;
        else
            more = take(arg, str_of(p->piece, (size_t)n), n == 0);
    }
    zip_fclose(f);
    return v;
}

static bool keep(void *arg, str piece, bool last)
{
    struct buf *b = arg;

    (void)last;
    buf_add(b, piece);
    return !b->full;
}

enum document_verdict package_part(struct package *p, const char *name, struct arena *a, str *ret)
{
    struct buf            b;
    enum document_verdict v;

    buf_init(&b, a, PACKAGE_PART_MAX);
    v = package_pieces(p, name, keep, &b);
    if (v == DOCUMENT_OK && b.full)
        v = DOCUMENT_LARGE;
    if (v == DOCUMENT_OK)
        *ret = buf_str(&b);
    return v;
}

/* ---- names ---- */

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

static str unescape(struct arena *a, str s)
{
    char  *to = arena_bytes(a, s.len + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        int high = s.ptr[i] == '%' && i + 2 < s.len ? hex(s.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex(s.ptr[i + 2]) : -1;

        to[n++] = low >= 0 ? (char)(high * 16 + low) : s.ptr[i];
        i += low >= 0 ? 2 : 0;
    }
    return str_of(to, n);
}

static void segments_add(struct buf *b, str path)
{
    while (path.len) {
        str segment = str_cut(&path, '/');

        if (str_eq(segment, S(".."))) {
            while (b->len && b->ptr[b->len - 1] != '/')
                b->len--;
            b->len -= b->len > 0;
        } else if (segment.len && !str_eq(segment, S("."))) {
            if (b->len)
                buf_add_char(b, '/');
            buf_add(b, segment);
        }
    }
}

const char *package_resolve(struct arena *a, str from, str target, bool escaped)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    target = str_first(target, str_find(target, '#'));
    if (escaped)
        target = unescape(a, target);
    if (!target.len || target.ptr[0] != '/') {
        while (from.len && from.ptr[from.len - 1] != '/')
            from.len--;
        segments_add(&b, from);
    }
    segments_add(&b, target);
    return str_to_cstr(a, buf_str(&b));
}
