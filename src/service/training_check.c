/* training_check.c - a training file line by line. Spec: platform.md §6.2. */
#include "service/training_check.h"

#include "base/num.h"
#include "contract/tuning_params.gen.h"
#include "service/training_archive.h"

#include <stdlib.h>
#include <unistd.h>

#define PIECE         ((size_t)128 * 1024)
#define FRAME_TOKENS  5 /* that ChatML puts around a message (tokens/chat_template.h) */
#define ARCHIVE_MAGIC S("PK\x03\x04")

struct training_check {
    int                      fd;
    enum training_kind       kind;
    const struct tokenizer  *tokenizer;
    int64_t                  max_length, number; /* of the line */
    struct training_totals   totals;
    struct training_problem  problems[TUNING_PROBLEMS_MAX];
    size_t                   problem_count;
    struct arena             arena, line_arena;
    char                    *line; /* what has been read of the one that is not whole */
    size_t                   len, cap;
    bool                     too_long; /* the rest of it is passed over */
    bool                     begun;
    struct training_archive *archive; /* NULL: it is none */
    str                      broken;
};

struct training_check *training_check_open(int fd, enum training_kind kind, const struct tokenizer *t,
                                           int64_t max_length)
{
    struct training_check *c = xcalloc(1, sizeof(*c));

    c->fd = fd;
    c->kind = kind;
    c->tokenizer = t;
    c->max_length = max_length;
    arena_init(&c->arena, 0);
    arena_init(&c->line_arena, 0);
    return c;
}

static void add_problem(struct training_check *c, str reason)
{
    c->totals.bad++;
    if (c->problem_count < TUNING_PROBLEMS_MAX)
        c->problems[c->problem_count++] = (struct training_problem){ c->number, arena_str(&c->arena, reason) };
}

static void count_tokens(struct training_check *c, const struct training_line *l)
{
    int64_t tokens = (int64_t)l->message_count * FRAME_TOKENS;

    for (size_t i = 0; i < l->text_count; i++)
        tokens += (int64_t)tokenizer_count(c->tokenizer, l->texts[i]);
    c->totals.cut += tokens > c->max_length;
    c->totals.tokens += min_i64(tokens, c->max_length);
}

/* Of an archive. Otherwise they are addresses, or the trainer's to find. */
static bool files_are_there(struct training_check *c, const struct training_line *l)
{
    for (size_t i = 0; i < l->file_count && c->archive; i++) {
        str name = l->files[i];

        if (str_starts(name, S("./")))
            name = str_from(name, 2);
        if (training_archive_has(c->archive, name))
            continue;
        add_problem(c, arena_printf(&c->line_arena, "it names %.*s, which is not in the archive",
                                    STR_ARG(str_first(name, 80))));
        return false;
    }
    return true;
}

static void take_line(struct training_check *c, str line)
{
    struct training_line l;

    c->number++;
    if (c->number == 1 && str_starts(line, S("\xef\xbb\xbf")))
        line = str_from(line, 3); /* as some editors begin a file */
    line = str_trim(line);
    if (!line.len && !c->too_long)
        return;
    c->totals.lines++;
    if (c->too_long) {
        add_problem(c, arena_printf(&c->line_arena, "it is longer than %d bytes", TUNING_LINE_BYTES_MAX));
    } else {
        training_line_read(&c->line_arena, c->kind, line, &l);
        if (l.reason.len)
            add_problem(c, l.reason);
        else if (files_are_there(c, &l))
            count_tokens(c, &l);
    }
    arena_reset(&c->line_arena);
}

static void keep(struct training_check *c, str bytes)
{
    if (c->too_long || c->len + bytes.len > TUNING_LINE_BYTES_MAX) {
        c->too_long = true;
        c->len = 0;
        return;
    }
    if (c->len + bytes.len > c->cap) {
        c->cap = 2 * (c->len + bytes.len);
        c->line = xrealloc(c->line, c->cap);
    }
    if (bytes.len)
        memcpy(c->line + c->len, bytes.ptr, bytes.len);
    c->len += bytes.len;
}

static void end_line(struct training_check *c)
{
    take_line(c, str_of(c->line, c->len));
    c->len = 0;
    c->too_long = false;
}

/* Whether it is an archive is what its first bytes say, not its name. ERR_INVALID: a broken one. */
static enum err begin(struct training_check *c)
{
    char magic[4];

    c->begun = true;
    if (pread(c->fd, magic, sizeof(magic), 0) != sizeof(magic) || !str_eq(str_of(magic, sizeof(magic)), ARCHIVE_MAGIC))
        return OK;
    return training_archive_open(c->fd, &c->archive, &c->broken);
}

str training_check_broken(const struct training_check *c)
{
    return c->broken;
}

enum err training_check_step(struct training_check *c)
{
    char   *bytes;
    ssize_t n;
    str     rest;

    if (!c->begun && begin(c))
        return ERR_INVALID;
    bytes = xmalloc(PIECE);
    n = c->archive ? training_archive_read(c->archive, bytes, PIECE) : read(c->fd, bytes, PIECE);
    rest = str_of(bytes, n > 0 ? (size_t)n : 0);
    while (rest.len) {
        size_t at = str_find(rest, '\n');

        keep(c, str_first(rest, at == STR_NONE ? rest.len : at));
        if (at == STR_NONE)
            break;
        end_line(c);
        rest = str_from(rest, at + 1);
    }
    if (n == 0 && (c->len || c->too_long))
        end_line(c);
    free(bytes);
    if (n < 0 && c->archive) {
        c->broken = S("its data.jsonl is broken, or too large");
        return ERR_INVALID;
    }
    return n < 0 ? ERR_IO : n == 0 ? ERR_EOF : OK;
}

const struct training_totals *training_check_totals(const struct training_check *c)
{
    return &c->totals;
}

const struct training_problem *training_check_problems(const struct training_check *c, size_t *ret_count)
{
    *ret_count = c->problem_count;
    return c->problems;
}

void training_check_close(struct training_check *c)
{
    if (!c)
        return;
    training_archive_close(c->archive);
    close(c->fd);
    free(c->line);
    arena_free(&c->arena);
    arena_free(&c->line_arena);
    free(c);
}
