/* knowledge_chunks.c - sentences, packed. */
#include "service/knowledge_chunks.h"

#include "base/buf.h"
#include "base/num.h"
#include "base/utf8.h"
#include "contract/knowledge_params.gen.h"
#include "engine/lexical/words.h"
#include "tokens/tokenizer.h"

#define WORD_DIGITS 12

/* ---- sentences ---- */

struct sentence {
    str    text;
    size_t tokens;
    bool   heading;
    str    title; /* that holds for it */
};

struct sentences {
    struct arena    *arena;
    struct sentence *all;
    size_t           count, cap;
    str              title;
};

static void sentence_add(struct sentences *s, str text, size_t tokens, bool heading)
{
    if (s->count == s->cap) {
        size_t now = s->cap ? 2 * s->cap : 64;

        s->all = arena_realloc(s->arena, s->all, s->cap * sizeof(*s->all), now * sizeof(*s->all));
        s->cap = now;
    }
    s->all[s->count++] = (struct sentence){ text, tokens, heading, s->title };
}

/* "## Title" → its title; empty: it is none. */
static str heading_of(str line)
{
    size_t marks = 0;

    while (marks < line.len && line.ptr[marks] == '#')
        marks++;
    return marks && marks <= 6 && marks < line.len && line.ptr[marks] == ' ' ? str_trim(str_from(line, marks))
                                                                             : (str){ 0 };
}

static size_t sentence_len(str text, const struct chunk_rule *rule)
{
    static const str usual[] = { S("\n"), S(". "), S("! "), S("? "), S("。"), S("！"), S("？"), S("；") };
    const str       *stops = rule->separator_count ? rule->separators : usual;
    size_t           count = rule->separator_count ? rule->separator_count : ARRAY_LEN(usual);

    for (size_t i = 0; i < text.len; i++) {
        for (size_t k = 0; k < count; k++) {
            if (text.ptr[i] == stops[k].ptr[0] && str_starts(str_from(text, i), stops[k]))
                return i + stops[k].len;
        }
    }
    return text.len;
}

/* A place in the middle: behind a blank, else between characters. */
static size_t middle(str text)
{
    size_t half = text.len / 2;

    for (size_t i = half; i > half / 2; i--) {
        if (text.ptr[i - 1] == ' ')
            return i;
    }
    return max_size(utf8_cut(text, half), 1);
}

/* The text with its tokens, in parts of at most `most`. */
static void add_parts(struct sentences *s, const struct tokenizer *t, str text, size_t most, bool heading)
{
    while (text.len) {
        str    part = text;
        size_t tokens = tokenizer_count(t, part);

        while (tokens > most && part.len > 1) {
            part = str_first(part, middle(part));
            tokens = tokenizer_count(t, part);
        }
        sentence_add(s, part, tokens, heading);
        text = str_from(text, part.len);
    }
}

#define SENTENCE_MAX ((size_t)64 * 1024) /* bytes: no counting of more at once */

static void read_sentences(struct sentences *s, const struct tokenizer *t, str text, const struct chunk_rule *rule)
{
    bool line_begins = true;

    while (text.len) {
        str    rest = str_first(text, SENTENCE_MAX), title;
        size_t len = sentence_len(rest, rule);

        if (len == rest.len && len < text.len)
            len = max_size(utf8_cut(text, len), 1);
        title = line_begins ? heading_of(str_first(text, min_size(len, str_find(text, '\n')))) : (str){ 0 };
        if (title.len)
            s->title = title;
        add_parts(s, t, str_first(text, len), rule->size, title.len > 0);
        line_begins = text.ptr[len - 1] == '\n';
        text = str_from(text, len);
    }
}

/* ---- packing ---- */

static str text_of(const struct sentence *first, const struct sentence *last)
{
    return str_trim(str_of(first->text.ptr, (size_t)(last->text.ptr + last->text.len - first->text.ptr)));
}

/* Where the chunk ends that begins at `from`. */
static size_t end_of(const struct sentences *s, size_t from, size_t size)
{
    size_t tokens = 0, i = from;

    while (i < s->count && (i == from || tokens + s->all[i].tokens <= size)) {
        if (s->all[i].heading && tokens > size / 4)
            break;
        tokens += s->all[i++].tokens;
    }
    return i;
}

/* Where the next one begins: what it repeats must leave room for something new. */
static size_t next_of(const struct sentences *s, size_t from, size_t end, const struct chunk_rule *rule)
{
    size_t room = min_size(rule->overlap, rule->size - min_size(rule->size, s->all[end].tokens)), i = end;

    if (s->all[end].heading)
        return end;
    while (i > from + 1 && s->all[i - 1].tokens <= room)
        room -= s->all[--i].tokens;
    return i;
}

enum err chunks_cut(const struct tokenizer *t, struct arena *a, str text, const struct chunk_rule *rule, size_t most,
                    struct chunk **ret, size_t *ret_count)
{
    struct sentences s = { .arena = a };
    size_t           from = 0, count = 0, cap = 0;
    struct chunk    *all = NULL;

    read_sentences(&s, t, text, rule);
    while (from < s.count) {
        size_t end = end_of(&s, from, rule->size);
        str    one = text_of(&s.all[from], &s.all[end - 1]);

        if (one.len && count == most)
            return ERR_LIMIT;
        if (one.len) {
            if (count == cap) {
                size_t now = cap ? 2 * cap : 16;

                all = arena_realloc(a, all, cap * sizeof(*all), now * sizeof(*all));
                cap = now;
            }
            all[count++] = (struct chunk){ s.all[end - 1].title, one };
        }
        from = end < s.count ? next_of(&s, from, end, rule) : end;
    }
    *ret = all;
    *ret_count = count;
    return OK;
}

/* ---- words ---- */

struct writing {
    struct buf text;
    uint64_t  *seen; /* NULL: all are written */
    size_t     count;
};

static void write_word(void *arg, uint64_t term)
{
    static const char digits[] = "0123456789abcdef";
    struct writing   *w = arg;
    char              word[WORD_DIGITS + 1];

    for (size_t i = 0; w->seen && i < w->count; i++) {
        if (w->seen[i] == term)
            return;
    }
    if (w->seen && w->count == KNOWLEDGE_TERMS_MAX)
        return;
    if (w->seen)
        w->seen[w->count] = term;
    for (size_t i = 0; i < WORD_DIGITS; i++)
        word[1 + i] = digits[(term >> (4 * i)) & 15];
    word[0] = ' ';
    buf_add_bytes(&w->text, w->count ? word : word + 1, w->count ? sizeof(word) : WORD_DIGITS);
    w->count++;
}

str chunk_words(struct arena *a, str text, bool once)
{
    struct words   ws;
    struct writing w = { .seen = once ? arena_array(a, uint64_t, KNOWLEDGE_TERMS_MAX) : NULL };

    buf_init(&w.text, a, SIZE_MAX / 2);
    words_read(a, text, &ws);
    words_terms(&ws, write_word, &w);
    return buf_str(&w.text);
}
