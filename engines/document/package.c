/* package.c - libzip, on memory. */
#include "engines/document/package.h"

#include "base/buf.h"

#include <stdlib.h>
#include <zip.h>

#define PIECE         ((size_t)64 * 1024)
#define DIRECTORY_MAX ((uint64_t)PACKAGE_PARTS_MAX * 400) /* bytes: names of some length */
#define END_MAX       (UINT16_MAX + 22 + 20)              /* from the end: a comment, and the two ends before it */

struct package {
    zip_t  *zip;
    int64_t bytes;    /* of the archive */
    int64_t unpacked; /* so far */
    char    piece[PIECE];
};

/* ---- its directory ---- */

/* Little-endian; 0 beyond the end. */
static uint64_t number_at(str bytes, uint64_t at, size_t len)
{
    uint64_t n = 0;

    if (at > bytes.len || len > bytes.len - at)
        return 0;
    for (size_t i = len; i > 0; i--)
        n = n << 8 | (unsigned char)bytes.ptr[at + i - 1];
    return n;
}

/* What libzip takes memory for: it believes the numbers at the end of the archive, those of ZIP64 where there are any. All ends are looked
 * at that it could find. APPNOTE 6.3.10, 4.3.14 to 4.3.16. */
static bool directory_fits(str bytes)
{
    uint64_t tail = bytes.len > END_MAX ? bytes.len - END_MAX : 0;

    for (uint64_t at = tail; at + 4 <= bytes.len; at++) {
        uint64_t place, count = 0, size = 0;

        if (memcmp(bytes.ptr + at, "PK\5\6", 4) == 0) {
            count = number_at(bytes, at + 10, 2);
            size = number_at(bytes, at + 12, 4);
            if (count == UINT16_MAX || size == UINT32_MAX) /* it stands in the other one */
                count = size = 0;
        } else if (memcmp(bytes.ptr + at, "PK\6\7", 4) == 0) {
            place = number_at(bytes, at + 8, 8);
            if (place > bytes.len)
                return false;
            count = number_at(bytes, place + 32, 8);
            size = number_at(bytes, place + 40, 8);
        }
        if (count > PACKAGE_PARTS_MAX || size > DIRECTORY_MAX)
            return false;
    }
    return true;
}

/* ---- parts ---- */

enum document_verdict package_open(str bytes, struct package **ret)
{
    struct package       *p = xcalloc(1, sizeof(*p));
    zip_source_t         *source;
    zip_error_t           error;
    enum document_verdict v;

    if (!directory_fits(bytes)) {
        free(p);
        return DOCUMENT_LARGE;
    }
    zip_error_init(&error);
    p->bytes = (int64_t)bytes.len;
    source = zip_source_buffer_create(bytes.ptr, bytes.len, 0, &error);
    if (source)
        p->zip = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (!p->zip)
        zip_source_free(source);
    zip_error_fini(&error);
    if (p->zip && zip_get_num_entries(p->zip, 0) <= PACKAGE_PARTS_MAX) {
        *ret = p;
        return DOCUMENT_OK;
    }
    v = p->zip ? DOCUMENT_LARGE : DOCUMENT_BROKEN;
    package_close(p);
    return v;
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
