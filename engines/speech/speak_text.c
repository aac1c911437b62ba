/* speak_text.c - SSML by expat, languages by script. Spec: speech.md §1.7.1 (enable_ssml, language_hints), §5. */
#include "speak_text.h"

#include "base/buf.h"
#include "base/num.h"
#include "base/utf8.h"
#include "contract/speech_text.h"

#include <expat.h>

enum { DEPTH_MAX = 32, PIECES_MAX = 2000 };

/* ---- markup ---- */

struct manner {
    double rate, pitch, volume;
    bool   spelled;
    bool   silent; /* its text is replaced */
};

struct reader {
    struct arena       *a;
    XML_Parser          parser;
    struct speak_piece *pieces;
    size_t              count, cap;
    struct manner       stack[DEPTH_MAX];
    size_t              depth;
    struct buf          text; /* of the piece that comes */
    size_t              index;
    int                 pause_ms;
    bool                failed;
};

static void end_piece(struct reader *r)
{
    const struct manner *m = &r->stack[r->depth];
    struct speak_piece   p = { .text = arena_str(r->a, buf_str(&r->text)),
                               .index = r->index,
                               .rate = m->rate,
                               .pitch = m->pitch,
                               .volume = m->volume,
                               .pause_ms = r->pause_ms,
                               .spelled = m->spelled };

    if (!p.text.len && !p.pause_ms)
        return;
    if (r->count == PIECES_MAX) {
        r->failed = true;
        return;
    }
    if (r->count == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 8;

        r->pieces = arena_realloc(r->a, r->pieces, r->cap * sizeof(*r->pieces), cap * sizeof(*r->pieces));
        r->cap = cap;
    }
    r->pieces[r->count++] = p;
    r->index += utf8_count(p.text);
    r->pause_ms = 0;
    buf_reset(&r->text);
}

static const char *attribute(const char **attributes, const char *name)
{
    for (; attributes[0]; attributes += 2) {
        if (strcmp(attributes[0], name) == 0)
            return attributes[1];
    }
    return NULL;
}

/* "1.2", "120%", "+20%", a word; as a factor. */
static double factor(const char *text, double otherwise)
{
    static const struct {
        const char *word;
        double      value;
    } words[] = { { "x-slow", 0.5 }, { "slow", 0.75 },  { "medium", 1 }, { "default", 1 }, { "fast", 1.4 },
                  { "x-fast", 1.8 }, { "x-low", 0.6 },  { "low", 0.8 },  { "high", 1.25 }, { "x-high", 1.6 },
                  { "silent", 0 },   { "x-soft", 0.3 }, { "soft", 0.6 }, { "loud", 1.5 },  { "x-loud", 2 } };
    str    s = str_from_cstr(text);
    bool   relative = s.len && (s.ptr[0] == '+' || s.ptr[0] == '-'), percent = str_ends(s, S("%"));
    double v;

    if (!text)
        return otherwise;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(text, words[i].word) == 0)
            return words[i].value;
    }
    if (percent)
        s.len--;
    if (s.len && s.ptr[0] == '+')
        s = str_from(s, 1);
    if (!str_to_f64(s, &v))
        return otherwise;
    if (percent)
        v /= 100;
    return relative && percent ? 1 + v : v;
}

/* "500ms", "1.5s", a strength. */
static int pause_of(const char **attributes)
{
    const char *time = attribute(attributes, "time"), *strength = attribute(attributes, "strength");
    str         s = str_from_cstr(time);
    double      v, scale = 1000;

    if (!time)
        return !strength ? 300 : strcmp(strength, "none") == 0 ? 0 : strstr(strength, "strong") ? 700 : 300;
    if (str_ends(s, S("ms")))
        s.len -= 2, scale = 1;
    else if (str_ends(s, S("s")))
        s.len--;
    if (!str_to_f64(s, &v) || v < 0)
        return 0;
    return (int)(v * scale < 10000 ? v * scale : 10000);
}

static bool is(const XML_Char *tag, const char *name)
{
    return strcmp(tag, name) == 0;
}

static void XMLCALL on_start(void *arg, const XML_Char *tag, const XML_Char **attributes)
{
    struct reader *r = arg;
    struct manner  m;

    if (r->depth + 1 >= DEPTH_MAX) {
        r->failed = true;
        XML_StopParser(r->parser, XML_FALSE);
        return;
    }
    end_piece(r);
    m = r->stack[r->depth];
    if (is(tag, "break"))
        r->pause_ms += pause_of(attributes);
    if (is(tag, "speak") || is(tag, "prosody")) {
        m.rate *= factor(attribute(attributes, "rate"), 1);
        m.pitch *= factor(attribute(attributes, "pitch"), 1);
        m.volume *= is(tag, "prosody") ? factor(attribute(attributes, "volume"), 1) : 1;
    }
    if (is(tag, "emphasis"))
        m.volume *= 1.3, m.rate *= 0.9;
    if (is(tag, "say-as")) {
        const char *how = attribute(attributes, "interpret-as");

        m.spelled = how && (is(how, "characters") || is(how, "spell-out") || is(how, "digits") || is(how, "telephone"));
    }
    r->stack[++r->depth] = m;
    if (is(tag, "sub") && attribute(attributes, "alias")) {
        buf_add(&r->text, str_from_cstr(attribute(attributes, "alias")));
        r->stack[r->depth].silent = true;
    }
}

static void XMLCALL on_end(void *arg, const XML_Char *tag)
{
    struct reader *r = arg;

    end_piece(r);
    if (is(tag, "p") || is(tag, "s"))
        r->pause_ms += 200;
    r->depth--;
}

static void XMLCALL on_text(void *arg, const XML_Char *text, int len)
{
    struct reader *r = arg;

    if (!r->stack[r->depth].silent)
        buf_add(&r->text, str_of(text, (size_t)len));
}

static bool read_markup(struct arena *a, str text, struct reader *r)
{
    bool bare = !str_starts(text, S("<speak")) && !str_starts(text, S("<?xml"));
    bool ok;

    *r = (struct reader){ .a = a, .stack = { { 1, 1, 1, false, false } } };
    buf_init(&r->text, a, SIZE_MAX / 2);
    r->parser = XML_ParserCreate("UTF-8");
    if (!r->parser)
        abort();
    XML_SetUserData(r->parser, r);
    XML_SetElementHandler(r->parser, on_start, on_end);
    XML_SetCharacterDataHandler(r->parser, on_text);
    ok = (!bare || XML_Parse(r->parser, "<speak>", 7, 0) == XML_STATUS_OK) &&
         XML_Parse(r->parser, text.ptr, (int)text.len, !bare) == XML_STATUS_OK &&
         (!bare || XML_Parse(r->parser, "</speak>", 8, 1) == XML_STATUS_OK);
    XML_ParserFree(r->parser);
    end_piece(r);
    return ok && !r->failed;
}

bool speak_pieces(struct arena *a, str text, bool ssml, struct speak_piece **ret, size_t *ret_count)
{
    struct reader r;

    if (ssml && speech_text_is_marked_up(text)) {
        if (!read_markup(a, str_trim(text), &r))
            return false;
        *ret = r.pieces;
        *ret_count = r.count;
        return true;
    }
    *ret = arena_new(a, struct speak_piece);
    **ret = (struct speak_piece){ .text = text, .rate = 1, .pitch = 1, .volume = 1 };
    *ret_count = 1;
    return true;
}

/* ---- languages ---- */

enum script { ANY, LATIN, HAN, KANA, HANGUL, CYRILLIC, GREEK, ARABIC, HEBREW, DEVANAGARI, THAI };

static enum script script_of(uint32_t c)
{
    static const struct {
        uint32_t    from, to;
        enum script script;
    } ranges[] = {
        { 'A', 'Z', LATIN },          { 'a', 'z', LATIN },        { 0xc0, 0x24f, LATIN },     { 0x1e00, 0x1eff, LATIN },
        { 0x370, 0x3ff, GREEK },      { 0x400, 0x52f, CYRILLIC }, { 0x590, 0x5ff, HEBREW },   { 0x600, 0x6ff, ARABIC },
        { 0x900, 0x97f, DEVANAGARI }, { 0xe00, 0xe7f, THAI },     { 0x1100, 0x11ff, HANGUL }, { 0x3040, 0x30ff, KANA },
        { 0x3400, 0x9fff, HAN },      { 0xac00, 0xd7af, HANGUL }, { 0xf900, 0xfaff, HAN },    { 0xff66, 0xff9f, KANA },
        { 0x20000, 0x3134f, HAN },
    };

    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        if (c >= ranges[i].from && c <= ranges[i].to)
            return ranges[i].script;
    }
    return ANY;
}

/* What the wire calls a language, and espeak-ng. */
static const char *espeak_name(str language)
{
    static const struct {
        str         name;
        const char *espeak;
    } names[] = {
        { S("zh"), "cmn" }, { S("yue"), "yue" }, { S("en-GB"), "en-gb" }, { S("en-US"), "en-us" }, { S("ja"), "ja" },
        { S("ko"), "ko" },  { S("fr"), "fr" },   { S("de"), "de" },       { S("es"), "es" },       { S("it"), "it" },
        { S("pt"), "pt" },  { S("ru"), "ru" },   { S("id"), "id" },       { S("th"), "th" },       { S("vi"), "vi" },
        { S("ms"), "ms" },  { S("ar"), "ar" },   { S("tr"), "tr" },       { S("nl"), "nl" },       { S("sv"), "sv" },
        { S("da"), "da" },  { S("fi"), "fi" },   { S("pl"), "pl" },       { S("cs"), "cs" },       { S("hu"), "hu" },
        { S("el"), "el" },  { S("hi"), "hi" },   { S("uk"), "uk" },       { S("ro"), "ro" },       { S("fil"), "id" },
        { S("no"), "nb" },  { S("is"), "is" },   { S("he"), "he" },
    };

    if (str_starts(language, S("zh")))
        return "cmn";
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_eq_nocase(names[i].name, language))
            return names[i].espeak;
    }
    return NULL;
}

static bool is_latin(str language)
{
    static const str others[] = { S("zh"), S("yue"), S("ja"), S("ko"), S("ru"), S("th"),
                                  S("ar"), S("el"),  S("hi"), S("uk"), S("he") };

    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (str_starts(language, others[i]))
            return false;
    }
    return espeak_name(language);
}

static const char *latin(str own, str hint)
{
    str first = own;

    first = str_cut(&own, '+');
    if (is_latin(hint))
        return espeak_name(hint);
    if (is_latin(first))
        return espeak_name(first);
    return "en";
}

static const char *han(str own, str hint)
{
    if (str_starts(hint, S("ja")) || (!hint.len && str_starts(own, S("ja"))))
        return "ja";
    if (str_starts(hint, S("yue")) || str_starts(own, S("yue")))
        return "yue";
    return "cmn";
}

static const char *language_of(enum script s, str own, str hint)
{
    switch (s) {
    case LATIN:
        return latin(own, hint);
    case HAN:
        return han(own, hint);
    case KANA:
        return "ja";
    case HANGUL:
        return "ko";
    case CYRILLIC:
        return str_starts(hint, S("uk")) ? "uk" : "ru";
    case GREEK:
        return "el";
    case ARABIC:
        return "ar";
    case HEBREW:
        return "he";
    case DEVANAGARI:
        return "hi";
    case THAI:
        return "th";
    case ANY:
        break;
    }
    /* Figures alone: as its own language reads them. */
    own = str_cut(&own, '+');
    return hint.len && espeak_name(hint) ? espeak_name(hint) : espeak_name(own) ? espeak_name(own) : latin(own, hint);
}

/* Ideographs among kana are Japanese. */
static bool has_kana(str s)
{
    for (const char *p = s.ptr, *end = str_end(s); p < end;) {
        uint32_t c;

        p += utf8_decode(p, end, &c);
        if (script_of(c) == KANA)
            return true;
    }
    return false;
}

str speak_run(str *rest, str own, str hint, const char **ret_language)
{
    const char *p = rest->ptr, *end = str_end(*rest), *cut = end;
    enum script script = ANY;
    bool        kana = has_kana(*rest);
    str         run;

    while (p < end) {
        uint32_t    c;
        const char *at = p;
        enum script s;

        p += utf8_decode(p, end, &c);
        s = script_of(c);
        if (s == HAN && kana)
            s = KANA;
        if (s == ANY)
            continue;
        if (script == ANY)
            script = s;
        if (s != script) {
            cut = at;
            break;
        }
    }
    run = str_first(*rest, (size_t)(cut - rest->ptr));
    *rest = str_from(*rest, run.len);
    *ret_language = language_of(script, own, hint);
    return run;
}
