/* catalog_search.c - finds the rows that a person means who pastes an error.
 *
 * The text may be an id, a name, a code, a status, a sentence (with the prefix, help link, quotes and numbers that the
 * service or an SDK put around it), a whole reply body of either protocol, or a few words. Sentences are compared in a
 * folded form: lower case, one blank for any run, no quotes, no "please", half-width punctuation, no period at the end.
 *
 * Thread: any.
 * Memory: the arena given; a search folds the whole catalogue (some 100 KiB), so use one that ends soon.
 * Limits: a query is looked at up to QUERY_MAX bytes, a JSON body to DEPTH_MAX levels.
 */
#include "contract/catalog.h"

#include "base/buf.h"
#include "base/num.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <yyjson.h>

#define QUERY_MAX (64u << 10)
#define DEPTH_MAX 6
#define PLACE     '\1' /* in a folded template: an argument; the next byte is its index + 1 */

/* The classes do not overlap: an exact sentence comes before any that only stands inside. */
enum {
    SCORE_ID = 700000,
    SCORE_EXACT = 600000,
    SCORE_NUMBERS = 500000,
    SCORE_INSIDE = 400000,
    SCORE_CODE = 300000,
    SCORE_WORDS = 200000,
    SCORE_NEAR = 0
};

/* A text in its folded form, and where each byte of it came from. */
struct folded {
    char   *ptr;
    size_t  len;
    size_t *origin;
    str     source;
};

/* What a query says. */
struct question {
    str  message; /* the sentence, or all of the query */
    str  code;    /* as a body or a heading named it; may be empty */
    int  status;  /* 0: not said */
    bool body;    /* it was a JSON body */
};

/* --- Folding ----------------------------------------------------------------------------------------------------- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* The half-width form of full-width punctuation; 0 for quotation marks, which are left out; `cp` itself otherwise. */
static uint32_t plain(uint32_t cp)
{
    static const struct {
        uint32_t from, to;
    } table[] = {
        { '"', 0 },      { '\'', 0 },     { '`', 0 },      { '\\', 0 },     { 0x2018, 0 },
        { 0x2019, 0 },   { 0x201c, 0 },   { 0x201d, 0 },   { 0xa0, ' ' },   { 0x3000, ' ' },
        { 0x3001, ',' }, { 0x3002, '.' }, { 0xff01, '!' }, { 0xff08, '(' }, { 0xff09, ')' },
        { 0xff0c, ',' }, { 0xff1a, ':' }, { 0xff1b, ';' }, { 0xff1f, '?' },
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].from == cp)
            return table[i].to;
    }
    return cp;
}

static void fold_add(struct folded *f, char c, size_t origin)
{
    f->ptr[f->len] = c;
    f->origin[f->len++] = origin;
}

/* Whether the word at `at` is "please"; it and the blank behind it are left out. */
static size_t please_at(str s, size_t at)
{
    str rest = str_from(s, at), word = S("please");

    if (!str_starts_nocase(rest, word) || (at && is_letter(s.ptr[at - 1])))
        return 0;
    if (rest.len > word.len && is_letter(rest.ptr[word.len]))
        return 0;
    return word.len + (rest.len > word.len && rest.ptr[word.len] == ' ');
}

/* The index of the argument whose {name} stands at `at`, or -1. */
static int place_at(const struct error_row *row, str s, size_t at, size_t *ret_len)
{
    str name = str_from(s, at + 1);

    if (s.ptr[at] != '{' || str_find(name, '}') == STR_NONE)
        return -1;
    name = str_first(name, str_find(name, '}'));
    for (unsigned i = 0; i < row->arg_count; i++) {
        if (str_eq(row->args[i].name, name)) {
            *ret_len = name.len + 2;
            return (int)i;
        }
    }
    return -1;
}

/* `row` is NULL for a query, whose braces mean nothing. */
static struct folded fold(struct arena *a, str s, const struct error_row *row)
{
    struct folded f = {
        .ptr = arena_bytes(a, s.len + 1),
        .origin = arena_array(a, size_t, s.len + 1),
        .source = s,
    };
    size_t i = 0;

    while (i < s.len) {
        uint32_t cp;
        size_t   len, skip = please_at(s, i);
        int      place;

        if (skip) {
            i += skip;
            continue;
        }
        place = row ? place_at(row, s, i, &len) : -1;
        if (place >= 0) {
            fold_add(&f, PLACE, i);
            fold_add(&f, (char)(place + 1), i);
            i += len;
            continue;
        }
        if (s.len - i >= 2 && s.ptr[i] == '\\' && (s.ptr[i + 1] == 'n' || s.ptr[i + 1] == 't')) {
            cp = ' '; /* a line end as JSON and one row of the reference spell it */
            len = 2;
        } else {
            len = utf8_decode(s.ptr + i, s.ptr + s.len, &cp);
            if (len == 0) {
                len = 1;
                cp = ' ';
            }
            cp = plain(cp);
        }
        if (cp > 0 && cp < ' ')
            cp = ' ';
        if (cp == ' ') {
            if (f.len && f.ptr[f.len - 1] != ' ')
                fold_add(&f, ' ', i);
        } else if (cp > 0 && cp < 0x80) {
            fold_add(&f, lower((char)cp), i);
        } else if (cp) {
            for (size_t k = 0; k < len; k++)
                fold_add(&f, s.ptr[i + k], i + k);
        }
        i += len;
    }
    while (f.len && strchr(" .!", f.ptr[f.len - 1]))
        f.len--;
    return f;
}

static str folded_str(const struct folded *f)
{
    return str_of(f->ptr, f->len);
}

/* Digits become '#', one a run, so that sentences with other numbers in them compare equal. */
static void blur_numbers(struct folded *f)
{
    size_t to = 0;

    for (size_t i = 0; i < f->len; i++) {
        if (is_digit(f->ptr[i]) && to && f->ptr[to - 1] == '#')
            continue;
        f->ptr[to] = is_digit(f->ptr[i]) ? '#' : f->ptr[i];
        f->origin[to++] = f->origin[i];
        if (f->ptr[to - 1] == PLACE) { /* its index is no text */
            f->ptr[to] = f->ptr[i + 1];
            f->origin[to++] = f->origin[++i];
        }
    }
    f->len = to;
}

/* --- Fitting a folded sentence to a folded template -------------------------------------------------------------- */

/* Where each argument was found: begin and end in the folded text. */
struct places {
    size_t begin[FAULT_ARGS_MAX], end[FAULT_ARGS_MAX];
};

/* What stands for an argument goes on to the end of the sentence; in a longer text, to the next blank. */
static size_t place_end(str text, size_t at, bool inside)
{
    size_t blank = inside ? str_find(str_from(text, at + 1), ' ') : STR_NONE;

    return blank == STR_NONE ? text.len : at + 1 + blank;
}

/* Fits template[t…] to text[at…]. `inside`: the text may go on behind. */
static bool fit(str template, size_t t, str text, size_t at, bool inside, struct places *p)
{
    while (t < template.len) {
        unsigned arg;
        str      literal;

        if (template.ptr[t] != PLACE) {
            if (at >= text.len || text.ptr[at] != template.ptr[t])
                return false;
            at++;
            t++;
            continue;
        }
        arg = (unsigned)template.ptr[t + 1] - 1;
        t += 2;
        p->begin[arg] = at;
        if (at >= text.len)
            return false;
        if (t == template.len) {
            p->end[arg] = place_end(text, at, inside);
            return true;
        }
        literal = str_from(template, t);
        literal = str_first(literal, str_find(literal, PLACE));
        for (size_t end = at + 1; end + literal.len <= text.len; end++) {
            if (!str_starts(str_from(text, end), literal))
                continue;
            p->end[arg] = end;
            if (fit(template, t, text, end, inside, p))
                return true;
        }
        return false;
    }
    return inside || at == text.len;
}

static size_t literal_len(str template)
{
    size_t n = template.len;

    for (size_t i = 0; i < template.len; i++)
        n -= template.ptr[i] == PLACE ? 2 : 0;
    return n;
}

/* The words in which the query had the arguments. */
static void bind_args(const struct folded *query, const struct places *p, struct error_hit *hit)
{
    for (unsigned i = 0; i < hit->row->arg_count; i++) {
        size_t begin = p->begin[i], end = p->end[i];

        if (end <= begin || end > query->len)
            continue;
        while (end > begin + 1 && query->ptr[end - 1] == ' ')
            end--;
        begin = query->origin[begin];
        end = query->origin[end - 1];
        hit->args[i] = str_first(str_from(query->source, begin), end + 1 - begin);
    }
}

static void hit_better(struct error_hit *hit, enum error_how how, size_t score)
{
    hit->how = how;
    hit->score = (int)score;
}

/* Tries one sentence of a row; a worse fit than what is in `hit` changes nothing. */
static void try_sentence(const struct folded *query, const struct folded *blurred, struct folded *template,
                         struct error_hit *hit)
{
    enum { INSIDE_MIN = 10 }; /* letters of its own that a sentence inside another text must have */
    str           t = folded_str(template), q = folded_str(query);
    size_t        own = literal_len(t);
    struct places p = { 0 };

    if (own == 0)
        return;
    if ((int)(SCORE_EXACT + own) > hit->score && fit(t, 0, q, 0, false, &p)) {
        hit_better(hit, ERROR_HOW_EXACT, SCORE_EXACT + own);
        bind_args(query, &p, hit);
        return;
    }
    /* One that begins with an argument would begin anywhere. */
    for (size_t at = 0; own >= INSIDE_MIN && t.ptr[0] != PLACE && at + own <= q.len; at++) {
        if ((int)(SCORE_INSIDE + own) <= hit->score)
            break;
        if (at && is_letter(q.ptr[at - 1]))
            continue; /* not from the middle of a word */
        p = (struct places){ 0 };
        if (fit(t, 0, q, at, true, &p)) {
            hit_better(hit, ERROR_HOW_INSIDE, SCORE_INSIDE + own);
            bind_args(query, &p, hit);
        }
    }
    blur_numbers(template);
    p = (struct places){ 0 };
    if ((int)(SCORE_NUMBERS + own) > hit->score && fit(folded_str(template), 0, folded_str(blurred), 0, false, &p))
        hit_better(hit, ERROR_HOW_NUMBERS, SCORE_NUMBERS + own);
}

/* --- Words ------------------------------------------------------------------------------------------------------- */

#define WORDS_MAX 24

static bool is_word_byte(char c)
{
    return is_letter(c) || is_digit(c) || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_noise(str word)
{
    static const char *const noise[] = { "the",   "an",  "is",  "are", "of",   "to",  "in",   "my",
                                         "on",    "for", "and", "or",  "it",   "be",  "not",  "with",
                                         "error", "got", "get", "why", "what", "how", "when", "from" };

    for (size_t i = 0; i < ARRAY_LEN(noise); i++) {
        if (str_eq(word, str_from_cstr(noise[i])))
            return true;
    }
    return word.len < 2;
}

static size_t cut_words(str text, str words[WORDS_MAX])
{
    size_t n = 0, i = 0;

    while (i < text.len && n < WORDS_MAX) {
        size_t begin = i;

        while (i < text.len && is_word_byte(text.ptr[i]))
            i++;
        words[n] = str_first(str_from(text, begin), i - begin);
        if (!is_noise(words[n]))
            n++;
        i += i == begin;
    }
    return n;
}

/* How much a word in this row says: in the sentence and the code more than in the advice. 0: it is not there. */
static unsigned word_weight(const struct error_row *row, str word)
{
    const struct {
        str      text;
        unsigned weight;
    } places[] = {
        { row->words, 8 },
        { row->name, 6 },
        { row->form[WORDING_REFERENCE].text, 6 },
        { row->form[WORDING_WIRE].text, 6 },
        { row->form[WORDING_REFERENCE].native, 5 },
        { row->form[WORDING_REFERENCE].compat_code, 5 },
        { row->cause, 3 },
        { row->cause_zh, 3 },
        { row->fix, 2 },
        { row->fix_zh, 2 },
        { row->area, 1 },
    };

    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (str_find_str_nocase(places[i].text, word) != STR_NONE)
            return places[i].weight;
    }
    return 0;
}

/* Share of three-byte pieces that two texts have in common, of 1000: forgives a typing mistake. */
static unsigned likeness(str a, str b)
{
    enum { LOOKED_AT = 300 };
    size_t common = 0;

    a = str_first(a, LOOKED_AT);
    if (a.len < 3 || b.len < 3)
        return 0;
    for (size_t i = 0; i + 3 <= a.len; i++)
        common += str_find_str_nocase(b, str_first(str_from(a, i), 3)) != STR_NONE;
    return (unsigned)(1000 * 2 * common / (a.len - 2 + max_size(b.len - 2, common)));
}

static void try_words(const struct error_row *row, str query, const str *words, size_t word_count,
                      struct error_hit *hit)
{
    const str likes[] = { row->name, row->form[WORDING_REFERENCE].native, row->form[WORDING_REFERENCE].compat_code,
                          row->form[WORDING_REFERENCE].text, row->form[WORDING_WIRE].text };
    unsigned  weight = 0, found = 0, best = 0;

    for (size_t i = 0; i < word_count; i++) {
        unsigned w = word_weight(row, words[i]);

        weight += w * (unsigned)min_size(words[i].len, 12);
        found += w > 0;
    }
    if (word_count && found == word_count) {
        hit_better(hit, ERROR_HOW_WORDS, SCORE_WORDS + weight);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(likes); i++) {
        unsigned l = likeness(query, likes[i]);

        best = l > best ? l : best;
    }
    if (best > 250 || found)
        hit_better(hit, ERROR_HOW_NEAR,
                   SCORE_NEAR + 1 + best * 20 + weight * 1000 * found / (unsigned)(word_count + 1) / 8);
}

/* --- What the query is ------------------------------------------------------------------------------------------- */

static str json_text(struct arena *a, yyjson_val *object, const char *const *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        yyjson_val *v = yyjson_obj_get(object, keys[i]);

        if (yyjson_is_str(v) && yyjson_get_len(v))
            return arena_str(a, str_of(yyjson_get_str(v), yyjson_get_len(v)));
    }
    return (str){ 0 };
}

/* Takes the sentence, the code and the status from the first object that has a sentence: {"error":{…}}, {"code":…},
 * {"output":{…}}, {"header":{"error_message":…}}, and what SDKs print. */
static bool ask_json(struct arena *a, yyjson_val *v, struct question *q, int depth)
{
    static const char *const messages[] = { "message", "error_message", "status_message", "errorMessage" };
    static const char *const codes[] = { "code", "error_code", "errorCode", "type", "status_name" };
    static const char *const statuses[] = { "status_code", "statusCode", "status" };
    yyjson_val              *key, *member;
    size_t                   i, max;
    str                      message;

    if (depth > DEPTH_MAX)
        return false;
    if (yyjson_is_arr(v)) {
        yyjson_arr_foreach(v, i, max, member)
        {
            if (ask_json(a, member, q, depth + 1))
                return true;
        }
        return false;
    }
    if (!yyjson_is_obj(v))
        return false;
    for (i = 0; i < ARRAY_LEN(statuses); i++) {
        member = yyjson_obj_get(v, statuses[i]);
        if (yyjson_is_int(member) && yyjson_get_sint(member) >= 200 && yyjson_get_sint(member) < 600)
            q->status = (int)yyjson_get_sint(member);
    }
    message = json_text(a, v, messages, ARRAY_LEN(messages));
    if (message.len) {
        q->message = message;
        q->code = json_text(a, v, codes, ARRAY_LEN(codes));
        return true;
    }
    member = yyjson_obj_get(v, "error");
    if (yyjson_is_str(member)) {
        q->message = arena_str(a, str_of(yyjson_get_str(member), yyjson_get_len(member)));
        return true;
    }
    yyjson_obj_foreach(v, i, max, key, member)
    {
        if (ask_json(a, member, q, depth + 1))
            return true;
    }
    q->code = json_text(a, v, codes, 3);
    return q->code.len > 0;
}

/* Without what is put around a sentence: "<400> InternalError.Algo.InvalidParameter: " before it, the link behind. */
static str strip_wire(str s)
{
    size_t link = str_find_str_nocase(s, S("For details, see"));

    if (link != STR_NONE)
        s.len = link;
    s = str_trim(s);
    if (s.len > 2 && s.ptr[0] == '<' && is_digit(s.ptr[1])) {
        size_t close = str_find(s, '>');

        if (close != STR_NONE && close < 12)
            s = str_trim(str_from(s, close + 1));
    }
    if (str_starts_nocase(s, S("InternalError.Algo"))) {
        size_t colon = str_find(s, ':');

        if (colon != STR_NONE && colon + 1 < s.len)
            s = str_trim(str_from(s, colon + 1));
    }
    return s;
}

/* "400-InvalidParameter", "429 limit_requests", "HTTP 503": a heading of the reference. */
static void ask_heading(str text, struct question *q)
{
    int64_t status;
    str     rest = text;

    if (str_starts_nocase(rest, S("http ")))
        rest = str_trim(str_from(rest, 5));
    if (rest.len >= 3 && str_to_i64(str_first(rest, 3), &status) && status >= 200 && status < 600 &&
        (rest.len == 3 || strchr("- :/", rest.ptr[3]))) {
        q->status = (int)status;
        rest = str_trim(str_from(rest, 4));
    }
    q->code = str_trim(str_cut(&rest, '/'));
}

static struct question ask(struct arena *a, str query)
{
    struct question q = { .message = query };
    size_t          brace = str_find(query, '{');

    if (brace != STR_NONE) {
        str         json = str_from(query, brace);
        char       *text = arena_bytes(a, json.len);
        yyjson_doc *doc;

        memcpy(text, json.ptr, json.len);
        doc = yyjson_read_opts(text, json.len, YYJSON_READ_STOP_WHEN_DONE, NULL, NULL);
        if (doc) {
            q.message = (str){ 0 };
            q.body = ask_json(a, yyjson_doc_get_root(doc), &q, 0);
            if (!q.body)
                q.message = query;
        }
        yyjson_doc_free(doc);
    }
    if (!q.body)
        ask_heading(query, &q);
    q.message = strip_wire(q.message);
    return q;
}

static bool has_code(const struct error_row *row, str code)
{
    for (size_t w = 0; w < ARRAY_LEN(row->form); w++) {
        const struct error_form *f = &row->form[w];

        if (str_eq_nocase(f->native, code) || str_eq_nocase(f->compat_code, code) ||
            str_eq_nocase(f->compat_type, code))
            return code.len > 0;
    }
    return false;
}

/* --- Searching --------------------------------------------------------------------------------------------------- */

/* "E010" finds E010a and E010b. */
static bool is_id(const struct error_row *row, str text)
{
    if (str_eq_nocase(row->id, text) || str_eq_nocase(row->name, text))
        return true;
    return text.len == 4 && row->id.len == 5 && str_eq_nocase(str_first(row->id, 4), text);
}

/* A row that only an older reference has comes after the one that took its place. */
static bool *mark_older(struct arena *a)
{
    bool *older = arena_array(a, bool, error_row_count);

    for (unsigned i = 0; i < error_row_count; i++) {
        if (error_rows[i].older >= 0)
            older[error_rows[i].older] = true;
    }
    return older;
}

static int by_score(const void *a, const void *b)
{
    const struct error_hit *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return (x->row > y->row) - (x->row < y->row);
}

size_t error_search(struct arena *a, str query, struct error_hit *hits, size_t max)
{
    str               words[WORDS_MAX];
    struct question   q;
    struct folded     folded, blurred;
    struct error_hit *all = arena_array(a, struct error_hit, error_row_count);
    const bool       *older = mark_older(a);
    size_t            word_count, n = 0;
    int               best = 0;

    query = str_trim(str_first(query, utf8_cut(query, QUERY_MAX)));
    if (query.len == 0)
        return 0;
    q = ask(a, query);
    folded = fold(a, q.message, NULL);
    blurred = fold(a, q.message, NULL);
    blur_numbers(&blurred);
    word_count = cut_words(folded_str(&folded), words);

    for (unsigned i = 0; i < error_row_count; i++) {
        const struct error_row *row = &error_rows[i];
        struct error_hit        hit = { .row = row };

        if (is_id(row, query))
            hit_better(&hit, ERROR_HOW_ID, SCORE_ID);
        for (size_t w = 0; w < ARRAY_LEN(row->form); w++) {
            struct folded template = fold(a, row->form[w].text, row);

            try_sentence(&folded, &blurred, &template, &hit);
        }
        all[i] = hit;
        best = hit.score > best ? hit.score : best;
    }
    for (unsigned i = 0; i < error_row_count; i++) {
        struct error_hit       *hit = &all[i];
        const struct error_row *row = hit->row;
        bool                    status_fits = q.status && row->form[WORDING_REFERENCE].status == q.status;

        if (hit->score == 0 && (has_code(row, q.code) || (q.code.len == 0 && status_fits)))
            hit_better(hit, ERROR_HOW_CODE,
                       SCORE_CODE + 1 + (q.body ? likeness(folded_str(&folded), row->form[WORDING_WIRE].text) : 0));
        else if (hit->score == 0 && best == 0)
            try_words(row, folded_str(&folded), words, word_count, hit);
        if (hit->score == 0)
            continue;
        /* Among equals, what the rest of the query says. */
        hit->score =
            hit->score * 2 + (q.body && has_code(row, q.code) ? 1 : 0) + (status_fits ? 1 : 0) - (older[i] ? 3 : 0);
        all[n++] = *hit;
    }
    qsort(all, n, sizeof(*all), by_score);
    n = min_size(n, max);
    for (size_t i = 0; i < n; i++)
        hits[i] = all[i];
    return n;
}
