/* speech_text.c - where sentences end, and how characters count. Thread: any. */
#include "contract/speech_text.h"

#include "base/utf8.h"

static bool is_han(uint32_t c)
{
    return (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x4e00 && c <= 0x9fff) || (c >= 0xf900 && c <= 0xfaff) ||
           (c >= 0x20000 && c <= 0x3134f) || c == 0x3005 || c == 0x3007;
}

static bool is_blank(uint32_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == 0xa0 || c == 0x3000 || (c >= 0x2000 && c <= 0x200b);
}

static bool is_closing(uint32_t c)
{
    return c == '"' || c == '\'' || c == ')' || c == ']' || c == 0x201d || c == 0x2019 || c == 0x300d || c == 0x300f ||
           c == 0xff09 || c == 0x300b || c == 0x3011;
}

/* Ends a sentence wherever it stands. */
static bool is_full_stop(uint32_t c)
{
    return c == 0x3002 || c == 0xff01 || c == 0xff1f || c == 0xff1b || c == 0xff0e || c == 0x2026 || c == '\n' ||
           c == 0x0964 || c == 0x06d4 || c == 0x061f;
}

/* Ends one when a blank follows. */
static bool is_stop(uint32_t c)
{
    return c == '.' || c == '!' || c == '?' || c == ';';
}

static bool is_pause(uint32_t c)
{
    return c == ',' || c == ':' || c == 0xff0c || c == 0x3001 || c == 0xff1a;
}

static bool is_letter(uint32_t c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* What stands before a full stop that ends no sentence: an initial, a title. */
static bool is_abbreviation(str before)
{
    static const str words[] = { S("Mr"),   S("Mrs"), S("Ms"), S("Dr"),  S("St"),
                                 S("Prof"), S("vs"),  S("No"), S("e.g"), S("i.e") };
    size_t           n = 0;

    while (n < before.len &&
           (is_letter((unsigned char)before.ptr[before.len - n - 1]) || before.ptr[before.len - n - 1] == '.'))
        n++;
    before = str_from(before, before.len - n);
    if (before.len == 1)
        return before.ptr[0] != 'I';
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eq(before, words[i]))
            return true;
    return false;
}

void speech_text_init(struct speech_text *t, struct arena *a)
{
    *t = (struct speech_text){ 0 };
    buf_init(&t->text, a, SIZE_MAX / 2);
}

void speech_text_add(struct speech_text *t, str piece)
{
    if (t->at == t->text.len) {
        buf_reset(&t->text);
        t->at = 0;
    }
    buf_add(&t->text, piece);
}

/* Takes what stands before `end`. False when that is blank. */
static bool take(struct speech_text *t, const char *end, str *ret)
{
    str all = str_from(buf_str(&t->text), t->at);

    *ret = str_trim(str_first(all, (size_t)(end - all.ptr)));
    t->at += (size_t)(end - all.ptr);
    return ret->len > 0;
}

/* The end of the first sentence in `s`; NULL: it has not come. */
static const char *sentence_end(str s)
{
    const char *p = s.ptr, *end = str_end(s), *pause = NULL;
    bool        ended = false; /* behind its last stop, and what closes there */
    bool        begun = false;
    size_t      count = 0;

    while (p < end) {
        uint32_t    c;
        const char *next = p + utf8_decode(p, end, &c);

        if (ended && !is_closing(c) && !is_full_stop(c) && !is_stop(c))
            return p;
        if (is_full_stop(c) && begun)
            ended = true;
        else if (is_stop(c) && begun && next < end) {
            uint32_t after;

            (void)utf8_decode(next, end, &after);
            ended = (is_blank(after) || is_closing(after)) &&
                    !(c == '.' && is_abbreviation(str_of(s.ptr, (size_t)(p - s.ptr))));
        }
        begun = begun || !is_blank(c);
        if (is_pause(c) || is_blank(c))
            pause = next;
        if (!ended && ++count >= SPEECH_SENTENCE_MAX)
            return pause && begun ? pause : next;
        p = next;
    }
    /* A stop of ideographs ends the sentence now: what closes behind it is rarely worth waiting for. */
    return ended ? end : NULL;
}

bool speech_text_next(struct speech_text *t, str *ret)
{
    const char *end;

    while ((end = sentence_end(str_from(buf_str(&t->text), t->at)))) {
        if (take(t, end, ret))
            return true;
    }
    return false;
}

bool speech_text_flush(struct speech_text *t, str *ret)
{
    if (speech_text_next(t, ret))
        return true;
    return t->at < t->text.len && take(t, t->text.ptr + t->text.len, ret);
}

/* Behind a tag that begins at `p`; NULL: none does. */
static const char *behind_tag(const char *p, const char *end)
{
    const char *q = p + 1;

    if (*p != '<' || q == end || !(is_letter((unsigned char)*q) || *q == '/' || *q == '!' || *q == '?'))
        return NULL;
    q = memchr(q, '>', (size_t)(end - q));
    return q ? q + 1 : NULL;
}

int64_t speech_text_count(str text, enum speech_count how, bool ssml)
{
    const char *p = text.ptr, *end = str_end(text);
    int64_t     n = 0;

    while (p < end) {
        uint32_t    c;
        const char *behind = ssml ? behind_tag(p, end) : NULL;

        if (behind) {
            p = behind;
            continue;
        }
        p += utf8_decode(p, end, &c);
        n += how == SPEECH_COUNT_HAN_2 && is_han(c) ? 2 : 1;
    }
    return n;
}

/* What no voice reads aloud. */
static bool is_silent(uint32_t c)
{
    return is_blank(c) || (c < 0x80 && !is_letter(c) && !(c >= '0' && c <= '9')) || (c >= 0x2010 && c <= 0x206f) ||
           (c >= 0x3001 && c <= 0x3004) || (c >= 0x3008 && c <= 0x3020) || (c >= 0xff01 && c <= 0xff0f) ||
           (c >= 0xff1a && c <= 0xff20);
}

bool speech_text_audible(str text, bool ssml)
{
    const char *p = text.ptr, *end = str_end(text);

    while (p < end) {
        uint32_t    c;
        const char *behind = ssml ? behind_tag(p, end) : NULL;

        if (behind) {
            p = behind;
            continue;
        }
        p += utf8_decode(p, end, &c);
        if (!is_silent(c))
            return true;
    }
    return false;
}

bool speech_text_is_marked_up(str text)
{
    static const str tags[] = { S("speak"),   S("break"),    S("prosody"),    S("sub"), S("say-as"),
                                S("phoneme"), S("emphasis"), S("soundEvent"), S("p>"),  S("s>"),
                                S("w>"),      S("voice"),    S("audio") };

    for (const char *p = text.ptr, *end = str_end(text); p < end; p++) {
        str at = str_of(p + 1, (size_t)(end - p - 1));

        if (*p != '<')
            continue;
        if (str_starts(at, S("/")))
            at = str_from(at, 1);
        for (size_t i = 0; i < ARRAY_LEN(tags); i++)
            if (str_starts_nocase(at, tags[i]))
                return true;
    }
    return false;
}
