/* html.c - one walk over the bytes. */
#include "engines/document/html.h"

#include "base/num.h"
#include "base/utf8.h"

#include <stdlib.h>

#define NAME_MAX_LEN 16 /* of an element or entity; a longer one is none that is known here */

/* ---- entities ---- */

/* U+00A0 to U+00FF, as HTML 4 names them. */
static const char *const latin[] = {
    "nbsp",   "iexcl",  "cent",   "pound",  "curren", "yen",    "brvbar", "sect",   "uml",    "copy",   "ordf",
    "laquo",  "not",    "shy",    "reg",    "macr",   "deg",    "plusmn", "sup2",   "sup3",   "acute",  "micro",
    "para",   "middot", "cedil",  "sup1",   "ordm",   "raquo",  "frac14", "frac12", "frac34", "iquest", "Agrave",
    "Aacute", "Acirc",  "Atilde", "Auml",   "Aring",  "AElig",  "Ccedil", "Egrave", "Eacute", "Ecirc",  "Euml",
    "Igrave", "Iacute", "Icirc",  "Iuml",   "ETH",    "Ntilde", "Ograve", "Oacute", "Ocirc",  "Otilde", "Ouml",
    "times",  "Oslash", "Ugrave", "Uacute", "Ucirc",  "Uuml",   "Yacute", "THORN",  "szlig",  "agrave", "aacute",
    "acirc",  "atilde", "auml",   "aring",  "aelig",  "ccedil", "egrave", "eacute", "ecirc",  "euml",   "igrave",
    "iacute", "icirc",  "iuml",   "eth",    "ntilde", "ograve", "oacute", "ocirc",  "otilde", "ouml",   "divide",
    "oslash", "ugrave", "uacute", "ucirc",  "uuml",   "yacute", "thorn",  "yuml",
};
/* U+0391 to U+03A9 with the gap at U+03A2, and 32 further on the small ones with ς there. */
static const char *const greek[] = {
    "alpha", "beta",   "gamma",   "delta", "epsilon", "zeta",    "eta",   "theta", "iota",
    "kappa", "lambda", "mu",      "nu",    "xi",      "omicron", "pi",    "rho",   "sigmaf",
    "sigma", "tau",    "upsilon", "phi",   "chi",     "psi",     "omega",
};
static const struct {
    const char *name;
    uint32_t    cp;
} others[] = {
    { "amp", '&' },        { "lt", '<' },        { "gt", '>' },        { "quot", '"' },      { "apos", '\'' },
    { "OElig", 0x152 },    { "oelig", 0x153 },   { "Scaron", 0x160 },  { "scaron", 0x161 },  { "Yuml", 0x178 },
    { "fnof", 0x192 },     { "circ", 0x2c6 },    { "tilde", 0x2dc },   { "ensp", 0x2002 },   { "emsp", 0x2003 },
    { "thinsp", 0x2009 },  { "zwnj", 0x200c },   { "zwj", 0x200d },    { "lrm", 0x200e },    { "rlm", 0x200f },
    { "ndash", 0x2013 },   { "mdash", 0x2014 },  { "lsquo", 0x2018 },  { "rsquo", 0x2019 },  { "sbquo", 0x201a },
    { "ldquo", 0x201c },   { "rdquo", 0x201d },  { "bdquo", 0x201e },  { "dagger", 0x2020 }, { "Dagger", 0x2021 },
    { "bull", 0x2022 },    { "hellip", 0x2026 }, { "permil", 0x2030 }, { "prime", 0x2032 },  { "Prime", 0x2033 },
    { "lsaquo", 0x2039 },  { "rsaquo", 0x203a }, { "oline", 0x203e },  { "frasl", 0x2044 },  { "euro", 0x20ac },
    { "image", 0x2111 },   { "weierp", 0x2118 }, { "real", 0x211c },   { "trade", 0x2122 },  { "alefsym", 0x2135 },
    { "larr", 0x2190 },    { "uarr", 0x2191 },   { "rarr", 0x2192 },   { "darr", 0x2193 },   { "harr", 0x2194 },
    { "crarr", 0x21b5 },   { "lArr", 0x21d0 },   { "uArr", 0x21d1 },   { "rArr", 0x21d2 },   { "dArr", 0x21d3 },
    { "hArr", 0x21d4 },    { "forall", 0x2200 }, { "part", 0x2202 },   { "exist", 0x2203 },  { "empty", 0x2205 },
    { "nabla", 0x2207 },   { "isin", 0x2208 },   { "notin", 0x2209 },  { "ni", 0x220b },     { "prod", 0x220f },
    { "sum", 0x2211 },     { "minus", 0x2212 },  { "lowast", 0x2217 }, { "radic", 0x221a },  { "prop", 0x221d },
    { "infin", 0x221e },   { "ang", 0x2220 },    { "and", 0x2227 },    { "or", 0x2228 },     { "cap", 0x2229 },
    { "cup", 0x222a },     { "int", 0x222b },    { "there4", 0x2234 }, { "sim", 0x223c },    { "cong", 0x2245 },
    { "asymp", 0x2248 },   { "ne", 0x2260 },     { "equiv", 0x2261 },  { "le", 0x2264 },     { "ge", 0x2265 },
    { "sub", 0x2282 },     { "sup", 0x2283 },    { "nsub", 0x2284 },   { "sube", 0x2286 },   { "supe", 0x2287 },
    { "oplus", 0x2295 },   { "otimes", 0x2297 }, { "perp", 0x22a5 },   { "sdot", 0x22c5 },   { "lceil", 0x2308 },
    { "rceil", 0x2309 },   { "lfloor", 0x230a }, { "rfloor", 0x230b }, { "lang", 0x2329 },   { "rang", 0x232a },
    { "loz", 0x25ca },     { "spades", 0x2660 }, { "clubs", 0x2663 },  { "hearts", 0x2665 }, { "diams", 0x2666 },
    { "thetasym", 0x3d1 }, { "upsih", 0x3d2 },   { "piv", 0x3d6 },
};

/* A character that text can have. */
static bool is_text(uint64_t cp)
{
    return cp && cp <= 0x10ffff && !(cp >= 0xd800 && cp < 0xe000);
}

static uint32_t number(str digits)
{
    uint64_t cp = 0;
    unsigned base = 10;

    if (digits.len && (digits.ptr[0] | 0x20) == 'x') {
        base = 16;
        digits = str_from(digits, 1);
    }
    if (!digits.len)
        return 0;
    for (size_t i = 0; i < digits.len; i++) {
        char     c = digits.ptr[i], small = (char)(c | 0x20);
        unsigned digit = c >= '0' && c <= '9'           ? (unsigned)(c - '0')
                         : small >= 'a' && small <= 'f' ? (unsigned)(small - 'a' + 10)
                                                        : 16;

        if (digit >= base || cp > 0x10ffff)
            return 0;
        cp = cp * base + digit;
    }
    return is_text(cp) ? (uint32_t)cp : 0;
}

uint32_t html_entity(str entity)
{
    str name = str_from(entity, 1);

    if (name.len < 2)
        return 0;
    name = str_first(name, name.len - 1);
    if (name.ptr[0] == '#')
        return number(str_from(name, 1));
    for (size_t i = 0; i < ARRAY_LEN(latin); i++) {
        if (str_eq(name, str_from_cstr(latin[i])))
            return (uint32_t)(0xa0 + i);
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (str_eq(name, str_from_cstr(others[i].name)))
            return others[i].cp;
    }
    for (size_t i = 0; i < ARRAY_LEN(greek); i++) {
        bool small = name.ptr[0] >= 'a';

        if (str_eq_nocase(name, str_from_cstr(greek[i])) && (small || i != 17))
            return (uint32_t)((small ? 0x3b1 : 0x391) + i);
    }
    return 0;
}

/* ---- elements ---- */

enum part {
    INLINE,
    BLOCK,   /* begins and ends a line */
    HEADING, /* and has an empty one around it */
    ITEM,
    CELL,
    BREAK,
    PRE,
    HIDDEN /* nothing of it is read */
};

static const struct {
    const char *name;
    enum part   part;
} elements[] = {
    { "address", BLOCK },
    { "article", BLOCK },
    { "aside", BLOCK },
    { "blockquote", BLOCK },
    { "body", BLOCK },
    { "br", BREAK },
    { "caption", BLOCK },
    { "center", BLOCK },
    { "dd", BLOCK },
    { "details", BLOCK },
    { "div", BLOCK },
    { "dl", BLOCK },
    { "dt", BLOCK },
    { "figcaption", BLOCK },
    { "figure", BLOCK },
    { "footer", BLOCK },
    { "form", BLOCK },
    { "h1", HEADING },
    { "h2", HEADING },
    { "h3", HEADING },
    { "h4", HEADING },
    { "h5", HEADING },
    { "h6", HEADING },
    { "head", HIDDEN },
    { "header", BLOCK },
    { "hr", BLOCK },
    { "li", ITEM },
    { "main", BLOCK },
    { "mbp:pagebreak", BLOCK },
    { "nav", BLOCK },
    { "ol", BLOCK },
    { "p", BLOCK },
    { "pre", PRE },
    { "script", HIDDEN },
    { "section", BLOCK },
    { "style", HIDDEN },
    { "svg", HIDDEN },
    { "summary", BLOCK },
    { "table", BLOCK },
    { "td", CELL },
    { "template", HIDDEN },
    { "th", CELL },
    { "tr", BLOCK },
    { "ul", BLOCK },
};

static enum part part_of(str name)
{
    for (size_t i = 0; i < ARRAY_LEN(elements); i++) {
        if (str_eq_nocase(name, str_from_cstr(elements[i].name)))
            return elements[i].part;
    }
    return INLINE;
}

struct walk {
    struct out *out;
    bool        blank; /* one is due before the next character */
    bool        cell;  /* a tab is due before the next cell's first */
    unsigned    pre;   /* elements in which blanks stay */
    bool        mark;  /* of an item, with nothing behind it yet: a block in it stays on its line */
};

static void tag(struct walk *w, enum part part, bool ends)
{
    if (part == INLINE || part == HIDDEN || (w->mark && !ends && part != ITEM))
        return;
    w->blank = w->mark = false;
    switch (part) {
    case BREAK:
        out_add_char(w->out, '\n');
        break;
    case HEADING:
        out_gap(w->out);
        break;
    case ITEM:
        out_line(w->out);
        if (!ends)
            out_add(w->out, S("- "));
        w->mark = !ends;
        break;
    case CELL:
        if (!ends && w->cell && !w->out->breaks)
            out_add_char(w->out, '\t');
        w->cell = true;
        break;
    case PRE:
        out_line(w->out);
        if (!ends)
            w->pre++;
        else if (w->pre)
            w->pre--;
        break;
    case BLOCK:
        out_line(w->out);
        w->cell = false;
        break;
    case INLINE:
    case HIDDEN:
        break;
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

/* Where the tag that begins at `at` ends, behind its >; quoted values may have one. */
static size_t tag_end(str html, size_t at)
{
    char quote = 0;

    for (size_t i = at + 1; i < html.len; i++) {
        char c = html.ptr[i];

        if (quote ? c == quote : c == '"' || c == '\'')
            quote = quote ? 0 : c;
        else if (c == '>' && !quote)
            return i + 1;
    }
    return html.len;
}

/* Behind `end`, or the end of all. */
static size_t skip_past(str html, size_t at, str end)
{
    size_t n = str_find_str_nocase(str_from(html, at), end);

    return n == STR_NONE ? html.len : at + n + end.len;
}

/* A comment, a declaration or a tag, and with a hidden element all that is in it. Returns where it ends. */
static size_t markup(struct walk *w, str html, size_t at)
{
    str    rest = str_from(html, at + 1), name;
    bool   ends = rest.len && rest.ptr[0] == '/';
    size_t len = 0, end;
    char   closing[NAME_MAX_LEN + 3];

    if (str_starts(rest, S("!--")))
        return skip_past(html, at + 4, S("-->"));
    if (str_starts(rest, S("![CDATA[")))
        return skip_past(html, at + 9, S("]]>"));
    end = tag_end(html, at);
    name = str_from(rest, ends);
    while (len < name.len && len < NAME_MAX_LEN && !is_blank(name.ptr[len]) && name.ptr[len] != '>' &&
           name.ptr[len] != '/')
        len++;
    name = str_first(name, len);
    if (part_of(name) == HIDDEN && !ends && html.ptr[end - 1] == '>' && html.ptr[end - 2] != '/') {
        int n = snprintf(closing, sizeof(closing), "</%.*s", STR_ARG(name));

        end = skip_past(html, end, str_of(closing, (size_t)n));
        return end < html.len ? tag_end(html, end) : end;
    }
    tag(w, part_of(name), ends);
    return end;
}

static void character(struct walk *w, uint32_t cp)
{
    if (w->blank && !w->out->breaks && !w->mark)
        out_add_char(w->out, ' ');
    w->blank = w->mark = false;
    out_add_char(w->out, cp);
}

/* Returns how many bytes it has taken. */
static size_t text(struct walk *w, str html, size_t at)
{
    str      rest = str_from(html, at);
    uint32_t cp = 0;
    size_t   n = 1;

    if (!w->pre && is_blank(rest.ptr[0])) {
        w->blank = true;
        return 1;
    }
    if (rest.ptr[0] == '&') {
        n = str_find(str_first(rest, NAME_MAX_LEN), ';');
        n = n == STR_NONE ? 1 : n + 1;
        cp = n > 1 ? html_entity(str_first(rest, n)) : 0;
        n = cp ? n : 1;
        cp = cp ? cp : '&';
    } else {
        n = utf8_decode(rest.ptr, str_end(rest), &cp);
        cp = n ? cp : 0xfffd;
        n = n ? n : 1;
    }
    character(w, cp);
    return n;
}

void html_to_text(str html, struct out *out)
{
    struct walk w = { .out = out };

    for (size_t at = 0; at < html.len && !out->full;) {
        bool is_markup = html.ptr[at] == '<' && at + 1 < html.len &&
                         (html.ptr[at + 1] == '/' || html.ptr[at + 1] == '!' || html.ptr[at + 1] == '?' ||
                          ((html.ptr[at + 1] | 0x20) >= 'a' && (html.ptr[at + 1] | 0x20) <= 'z'));

        at = is_markup ? markup(&w, html, at) : at + text(&w, html, at);
    }
    out_line(out);
}
