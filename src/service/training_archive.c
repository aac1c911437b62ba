/* training_archive.c - the directory of a ZIP, and one file in it. */
#include "service/training_archive.h"

#include "base/arena.h"
#include "base/num.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define END_SIZE     22 /* of the record at the end, without its comment */
#define COMMENT_MAX  65535
#define ENTRY_SIZE   46
#define LOCAL_SIZE   30
#define PACKED       ((size_t)64 * 1024)
#define METHOD_STORE 0
#define METHOD_FLATE 8
#define DATA_NAME    S("data.jsonl")

struct entry {
    str      name;
    int64_t  at, packed, size;
    uint32_t crc;
    unsigned flags, method;
};

struct training_archive {
    int           fd;
    struct arena  arena;
    struct entry *entries; /* in the order of their names */
    size_t        count;
    struct entry  data;
    int64_t       at, left, given; /* packed bytes; unpacked ones */
    uint32_t      crc;
    z_stream      z;
    unsigned char packed[PACKED];
    bool          inflating, over;
};

static unsigned u16(const unsigned char *p)
{
    return p[0] | (unsigned)p[1] << 8;
}

static uint32_t u32(const unsigned char *p)
{
    return u16(p) | (uint32_t)u16(p + 2) << 16;
}

/* All of them, or false. */
static bool read_at(int fd, void *bytes, size_t len, int64_t at)
{
    char *to = bytes;

    while (len) {
        ssize_t n = pread(fd, to, len, at);

        if (n <= 0)
            return false;
        to += n;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

/* ---- the directory ---- */

/* The last record that looks like the end: what is behind it is its comment. */
static bool find_end(struct training_archive *a, int64_t size, unsigned char end[END_SIZE])
{
    size_t         len = (size_t)min_i64(size, END_SIZE + COMMENT_MAX);
    unsigned char *tail = arena_alloc(&a->arena, len);

    if (len < END_SIZE || !read_at(a->fd, tail, len, size - (int64_t)len))
        return false;
    for (size_t i = len - END_SIZE + 1; i-- > 0;) {
        if (memcmp(tail + i, "PK\5\6", 4) == 0 && i + END_SIZE + u16(tail + i + 20) == len) {
            memcpy(end, tail + i, END_SIZE);
            return true;
        }
    }
    return false;
}

static int by_name(const void *x, const void *y)
{
    const struct entry *a = x, *b = y;
    int                 r = memcmp(a->name.ptr, b->name.ptr, min_size(a->name.len, b->name.len));

    return r ? r : (a->name.len > b->name.len) - (a->name.len < b->name.len);
}

/* False: it is no directory. */
static bool read_directory(struct training_archive *a, const unsigned char *p, size_t len, size_t count)
{
    a->entries = arena_array(&a->arena, struct entry, count);
    for (size_t i = 0; i < count; i++) {
        struct entry *e = &a->entries[i];
        size_t        name, whole;

        if (len < ENTRY_SIZE || memcmp(p, "PK\1\2", 4) != 0)
            return false;
        name = u16(p + 28);
        whole = ENTRY_SIZE + name + u16(p + 30) + u16(p + 32);
        if (len < whole)
            return false;
        *e = (struct entry){ .name = str_of((const char *)p + ENTRY_SIZE, name),
                             .flags = u16(p + 8),
                             .method = u16(p + 10),
                             .crc = u32(p + 16),
                             .packed = u32(p + 20),
                             .size = u32(p + 24),
                             .at = u32(p + 42) };
        p += whole;
        len -= whole;
    }
    a->count = count;
    qsort(a->entries, count, sizeof(*a->entries), by_name);
    return true;
}

static const struct entry *find(const struct training_archive *a, str name)
{
    struct entry key = { .name = name };

    return a->count ? bsearch(&key, a->entries, a->count, sizeof(key), by_name) : NULL;
}

bool training_archive_has(const struct training_archive *a, str name)
{
    return find(a, name) != NULL;
}

/* ---- data.jsonl ---- */

static bool begin_data(struct training_archive *a, int64_t size)
{
    unsigned char local[LOCAL_SIZE];
    struct entry *e = &a->data;

    if (!read_at(a->fd, local, sizeof(local), e->at) || memcmp(local, "PK\3\4", 4) != 0)
        return false;
    a->at = e->at + LOCAL_SIZE + u16(local + 26) + u16(local + 28);
    a->left = e->packed;
    if (a->left > size - a->at)
        return false;
    a->crc = (uint32_t)crc32(0, NULL, 0);
    a->inflating = e->method == METHOD_FLATE && inflateInit2(&a->z, -MAX_WBITS) == Z_OK;
    return e->method == METHOD_STORE || a->inflating;
}

static ssize_t read_stored(struct training_archive *a, char *bytes, size_t max)
{
    size_t n = (size_t)min_i64((int64_t)max, a->left);

    if (!read_at(a->fd, bytes, n, a->at))
        return -1;
    a->at += (int64_t)n;
    a->left -= (int64_t)n;
    return (ssize_t)n;
}

static ssize_t read_inflated(struct training_archive *a, char *bytes, size_t max)
{
    int r = Z_OK;

    a->z.next_out = (unsigned char *)bytes;
    a->z.avail_out = (unsigned)max;
    while (a->z.avail_out && r == Z_OK) {
        if (!a->z.avail_in) {
            ssize_t n = read_stored(a, (char *)a->packed, PACKED);

            if (n <= 0)
                return -1; /* it ends before its text does */
            a->z.next_in = a->packed;
            a->z.avail_in = (unsigned)n;
        }
        r = inflate(&a->z, Z_NO_FLUSH);
    }
    a->over = r == Z_STREAM_END;
    return r == Z_OK || r == Z_STREAM_END ? (ssize_t)(max - a->z.avail_out) : -1;
}

ssize_t training_archive_read(struct training_archive *a, char *bytes, size_t max)
{
    ssize_t n = a->over ? 0 : a->inflating ? read_inflated(a, bytes, max) : read_stored(a, bytes, max);

    if (n < 0 || (a->given += n) > ARCHIVE_DATA_MAX)
        return -1;
    a->crc = (uint32_t)crc32(a->crc, (unsigned char *)bytes, (unsigned)n);
    if (n == 0 && (a->crc != a->data.crc || a->given != a->data.size))
        return -1;
    return n;
}

/* ---- open, close ---- */

static str open_directory(struct training_archive *a)
{
    unsigned char       end[END_SIZE], *directory;
    struct stat         st;
    const struct entry *data;
    int64_t             at;
    size_t              len, count;

    if (fstat(a->fd, &st) || !find_end(a, st.st_size, end))
        return S("it is no whole ZIP archive");
    count = u16(end + 10);
    len = u32(end + 12);
    at = u32(end + 16);
    if (count == 0xffff || len == 0xffffffff || at == 0xffffffff)
        return S("it is a ZIP64 archive, which is not read");
    if (len > ARCHIVE_DIRECTORY_MAX || count > ARCHIVE_FILES_MAX)
        return S("it has too many files");
    directory = arena_alloc(&a->arena, len + 1);
    if (!read_at(a->fd, directory, len, at) || !read_directory(a, directory, len, count))
        return S("its directory is broken");
    data = find(a, DATA_NAME);
    if (!data)
        return S("there is no data.jsonl at its root");
    a->data = *data;
    if (data->flags & 1)
        return S("its data.jsonl is encrypted");
    if (!begin_data(a, st.st_size))
        return S("its data.jsonl is broken, or packed in a way that is not read");
    return (str){ 0 };
}

enum err training_archive_open(int fd, struct training_archive **ret, str *ret_problem)
{
    struct training_archive *a = xcalloc(1, sizeof(*a));

    a->fd = fd;
    arena_init(&a->arena, 0);
    *ret_problem = open_directory(a);
    if (ret_problem->len) {
        training_archive_close(a);
        return ERR_INVALID;
    }
    *ret = a;
    return OK;
}

void training_archive_close(struct training_archive *a)
{
    if (!a)
        return;
    if (a->inflating)
        (void)inflateEnd(&a->z);
    arena_free(&a->arena);
    free(a);
}
