/* table.c - the tokenizer's table: mapped, and checked first.
 *
 * Memory: the mapping (4 MB, clean pages).
 */
#include "tokens/table.h"

#include "base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TABLE_VERSION  2
#define TABLE_SIZE_MAX ((size_t)64 * 1024 * 1024)

enum section {
    SECTION_TOKENS,
    SECTION_TRIE,
    SECTION_MARKS,
    SECTION_PAIRS,
    SECTION_BORDERS,
    SECTION_CLASS_INDEX,
    SECTION_CLASS_BLOCKS,
    SECTION_ORDERS,
    SECTION_DECOMPOSITIONS,
    SECTION_COMPOSITIONS,
    SECTION_CODE_POINTS,
    SECTION_BLOB,
    SECTION_COUNT
};

struct table_header {
    char     magic[8];
    uint32_t version, size, checksum;
    uint32_t plain_count, token_count;
    uint32_t root;
    struct {
        uint32_t offset, size;
    } sections[SECTION_COUNT];
    uint32_t unused[16];
};
static_assert(sizeof(struct table_header) == 192, "the header is what compile.mjs writes");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the table is read as it lies in the file");

/* Four FNV-1a sums over every fourth word, the checksum itself taken for 0, as compile.mjs makes them. The file is read,
 * not touched through the mapping, so that only the pages that texts need become resident. */
static enum err table_check(int fd, const struct table_header *header)
{
    enum { CHUNK = 64 * 1024 };
    uint32_t  sums[4] = { 0x811C9DC5u, 0x811C9DC6u, 0x811C9DC7u, 0x811C9DC8u };
    uint32_t  sum = 0;
    uint32_t *words = xmalloc(CHUNK);
    enum err  e = OK;

    for (size_t at = 0; at < header->size;) {
        size_t  want = header->size - at < CHUNK ? header->size - at : CHUNK;
        ssize_t got = pread(fd, words, want, (off_t)at);

        if (got != (ssize_t)want) {
            e = got < 0 ? ERR_IO : ERR_INVALID;
            goto out;
        }
        if (at == 0)
            words[offsetof(struct table_header, checksum) / 4] = 0;
        for (size_t i = 0; i < want / 4; i += 4) {
            for (size_t lane = 0; lane < 4; lane++)
                sums[lane] = (sums[lane] ^ words[i + lane]) * 0x01000193u;
        }
        at += want;
    }
    for (size_t lane = 0; lane < 4; lane++)
        sum = (sum ^ sums[lane]) * 0x01000193u;
    if (sum != header->checksum)
        e = ERR_INVALID;
out:
    free(words);
    return e;
}

static bool header_valid(const struct table_header *h, size_t file_size)
{
    if (memcmp(h->magic, "QwenTok\n", 8) != 0 || h->version != TABLE_VERSION)
        return false;
    if (h->size != file_size || h->size % 64 != 0)
        return false;
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        if (h->sections[i].offset % 64 != 0 || h->sections[i].offset < sizeof(*h))
            return false;
        if (h->sections[i].offset > h->size || h->sections[i].size > h->size - h->sections[i].offset)
            return false;
    }
    if (h->plain_count < 256 || h->plain_count > h->token_count || h->token_count > ID_MASK)
        return false;
    if (h->sections[SECTION_TOKENS].size != h->token_count * sizeof(struct token_entry))
        return false;
    if (h->sections[SECTION_TRIE].size / 4 <= (size_t)h->root + 256)
        return false;
    if (h->sections[SECTION_MARKS].size == 0 || h->sections[SECTION_MARKS].size % (2 * PAIR_WAYS) != 0)
        return false;
    if (h->sections[SECTION_PAIRS].size / 2 != h->sections[SECTION_MARKS].size)
        return false;
    if (h->sections[SECTION_BORDERS].size != (65536 + (1 << BORDER_BITS)) / 8)
        return false;
    return h->sections[SECTION_CLASS_INDEX].size == 0x110000 / 128;
}

static const void *section(const struct tokenizer *t, enum section which)
{
    const struct table_header *h = t->map;

    return (const char *)t->map + h->sections[which].offset;
}

static struct tokenizer *tokenizer_new(void *map)
{
    const struct table_header *h = map;
    struct tokenizer          *t = xcalloc(1, sizeof(*t));

    t->map = map;
    t->map_size = h->size;
    t->root = h->root;
    t->plain_count = h->plain_count;
    t->token_count = h->token_count;
    t->tokens = section(t, SECTION_TOKENS);
    t->trie = section(t, SECTION_TRIE);
    t->marks = section(t, SECTION_MARKS);
    t->bucket_count = h->sections[SECTION_MARKS].size / (2 * PAIR_WAYS);
    t->pairs = section(t, SECTION_PAIRS);
    t->borders = section(t, SECTION_BORDERS);
    t->class_index = section(t, SECTION_CLASS_INDEX);
    t->class_blocks = section(t, SECTION_CLASS_BLOCKS);
    t->class_ascii = t->class_blocks + t->class_index[0] * 128;
    t->orders = section(t, SECTION_ORDERS);
    t->order_count = h->sections[SECTION_ORDERS].size / sizeof(*t->orders);
    t->decompositions = section(t, SECTION_DECOMPOSITIONS);
    t->decomposition_count = h->sections[SECTION_DECOMPOSITIONS].size / sizeof(*t->decompositions);
    t->compositions = section(t, SECTION_COMPOSITIONS);
    t->composition_count = h->sections[SECTION_COMPOSITIONS].size / sizeof(*t->compositions);
    t->code_points = section(t, SECTION_CODE_POINTS);
    t->blob = section(t, SECTION_BLOB);
    return t;
}

enum err tokenizer_open(const char *path, struct tokenizer **ret)
{
    int                 fd = open(path, O_RDONLY | O_CLOEXEC);
    struct table_header header;
    struct stat         st;
    enum err            e;
    void               *map;
    ssize_t             got;

    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO;
    e = ERR_IO;
    if (fstat(fd, &st) != 0)
        goto out;
    got = pread(fd, &header, sizeof(header), 0);
    if (got < 0)
        goto out;
    e = ERR_INVALID;
    if ((size_t)got != sizeof(header) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > TABLE_SIZE_MAX)
        goto out;
    if (!header_valid(&header, (size_t)st.st_size))
        goto out;
    e = table_check(fd, &header);
    if (e)
        goto out;
    map = mmap(NULL, header.size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        e = ERR_IO;
        goto out;
    }
    *ret = tokenizer_new(map);
    /* What the checks and tables above have touched is given back: texts bring in what they need. */
    (void)madvise(map, header.size, MADV_DONTNEED); /* a hint */
out:
    close(fd);
    return e;
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t)
        return;
    (void)munmap(t->map, t->map_size); /* cannot fail for what mmap() gave */
    free(t);
}

str tokenizer_decode(const struct tokenizer *t, uint32_t id)
{
    if (id >= t->token_count)
        return (str){ 0 };
    return str_of(token_ptr(t, id), token_len(t, id));
}
