/* transcript.c - from heard words to written ones. Thread: any. */
#include "service/transcript.h"

static bool is_filler(str word)
{
    static const str fillers[] = { S("uh"), S("um"), S("er"), S("ah"), S("hm"), S("hmm"), S("mm") };

    for (size_t i = 0; i < ARRAY_LEN(fillers); i++) {
        if (str_eq_nocase(word, fillers[i]))
            return true;
    }
    return false;
}

/* Whether the list special_word_filter.NAME.word_list has the word. */
static bool is_listed(yyjson_val *filter, const char *name, str word)
{
    yyjson_val *list = json_get(json_get(filter, name), "word_list"), *v;
    size_t      i, n;

    yyjson_arr_foreach(list, i, n, v)
    {
        if (str_eq_nocase(json_str(v), word))
            return true;
    }
    return false;
}

static str starred(struct arena *a, str word)
{
    char *p = arena_bytes(a, word.len);

    memset(p, '*', word.len);
    return str_of(p, word.len);
}

static str capital(struct arena *a, str word)
{
    char *p = arena_bytes(a, word.len);

    memcpy(p, word.ptr, word.len);
    if (p[0] >= 'a' && p[0] <= 'z')
        p[0] = (char)(p[0] - 'a' + 'A');
    return str_of(p, word.len);
}

static bool is_i(str word)
{
    return str_eq(word, S("i")) || str_starts(word, S("i'"));
}

void transcript_make(struct arena *a, const struct heard *h, const struct transcript_options *o, bool closed,
                     struct transcript *ret)
{
    struct buf text;

    *ret = (struct transcript){ .words = arena_array(a, struct transcript_word, h->word_count) };
    buf_init(&text, a, SIZE_MAX / 2);
    for (size_t i = 0; i < h->word_count; i++) {
        const struct heard_word *from = &h->words[i];
        struct transcript_word   w = { from->text, { 0 }, from->begin_ms, from->end_ms };

        if (!w.text.len || (o->no_fillers && is_filler(w.text)) || is_listed(o->filter, "filter_with_empty", w.text))
            continue;
        if (is_listed(o->filter, "filter_with_signed", w.text))
            w.text = starred(a, w.text);
        else if (o->punctuation && (!ret->count || is_i(w.text)))
            w.text = capital(a, w.text);
        if (ret->count)
            buf_add_char(&text, ' ');
        buf_add(&text, w.text);
        ret->words[ret->count++] = w;
    }
    if (closed && o->punctuation && ret->count) {
        ret->words[ret->count - 1].punctuation = S(".");
        buf_add_char(&text, '.');
    }
    ret->text = buf_str(&text);
}
