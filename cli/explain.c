/* explain.c - dashbox explain: what an error means and what to do about it.
 *
 * Shows the best few rows that contract/catalog finds. Text is wrapped and emphasised on a terminal only, so that a pipe
 * gets one line a fact; --json is for programs.
 */
#include "cli/cli.h"

#include "base/arena.h"
#include "base/utf8.h"
#include "contract/catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <yyjson.h>

#define HITS_MAX  512
#define INPUT_MAX (1u << 20)
#define SHOWN_MAX 3

struct words {
    const char *code, *compat, *none, *wire, *value, *cause, *fix, *older, *engine, *numbers, *more, *nothing, *near;
};

static const struct words english = {
    .code = "Code",
    .compat = "OpenAI",
    .none = "no HTTP answer",
    .wire = "Wire",
    .value = "Here",
    .cause = "Cause",
    .fix = "Fix",
    .older = "2024",
    .engine = "checked by the model engine",
    .numbers = "the numbers differ from those of the text",
    .more = "%zu more; --all shows them\n",
    .nothing = "dashbox: nothing documented is like this\n",
    .near = "The nearest:\n",
};

static const struct words chinese = {
    .code = "错误码",
    .compat = "OpenAI",
    .none = "无 HTTP 响应",
    .wire = "线上",
    .value = "取值",
    .cause = "原因",
    .fix = "处理",
    .older = "2024",
    .engine = "由模型引擎检查",
    .numbers = "数字与所给文本不同",
    .more = "还有 %zu 条，用 --all 查看\n",
    .nothing = "dashbox: 没有找到对应的错误\n",
    .near = "最接近的有：\n",
};

struct options {
    bool                zh, json, all, help;
    const struct words *words;
    bool                tty, bold;
    size_t              width; /* 0: lines are not wrapped */
};

/* --- Text on a terminal ------------------------------------------------------------------------------------------ */

static void put(str s)
{
    (void)fwrite(s.ptr, 1, s.len, stdout); /* what cannot be shown is seen by fflush() in the end */
}

static void put_bold(const struct options *o, str s)
{
    if (o->bold)
        (void)fputs("\033[1m", stdout);
    put(s);
    if (o->bold)
        (void)fputs("\033[0m", stdout);
}

static void put_blanks(size_t n)
{
    for (; n; n--)
        (void)putchar(' ');
}

/* Columns of a code point: two for those of East Asia. */
static size_t cp_width(uint32_t cp)
{
    return (cp >= 0x1100 && cp <= 0x115f) || (cp >= 0x2e80 && cp <= 0xa4cf) || (cp >= 0xac00 && cp <= 0xd7a3) ||
                   (cp >= 0xf900 && cp <= 0xfaff) || (cp >= 0xfe30 && cp <= 0xfe6f) || (cp >= 0xff00 && cp <= 0xff60) ||
                   (cp >= 0xffe0 && cp <= 0xffe6) || cp >= 0x1f300
               ? 2
               : 1;
}

static size_t text_width(str s)
{
    size_t width = 0;

    for (size_t i = 0, len; i < s.len; i += len) {
        uint32_t cp = 0;

        len = utf8_decode(s.ptr + i, s.ptr + s.len, &cp);
        len = len ? len : 1;
        width += cp_width(cp);
    }
    return width;
}

/* Punctuation that must not begin a line. */
static bool is_closing(uint32_t cp)
{
    return cp == 0x3001 || cp == 0x3002 || cp == 0xff0c || cp == 0xff1a || cp == 0xff1b || cp == 0xff01 ||
           cp == 0xff1f || cp == 0xff09 || cp == 0x201d || cp == 0x300b;
}

/* Bytes of the piece that a line cannot be broken in: a word with the blanks behind it, or one wide character with its
 * closing punctuation. */
static size_t piece_len(str s)
{
    size_t i = 0;

    while (i < s.len) {
        uint32_t cp = 0;
        size_t   len = utf8_decode(s.ptr + i, s.ptr + s.len, &cp);

        if (i && cp_width(cp) == 2 && !is_closing(cp))
            break;
        i += len ? len : 1;
        if (cp_width(cp) == 2) {
            while (i < s.len && (len = utf8_decode(s.ptr + i, s.ptr + s.len, &cp)) && is_closing(cp))
                i += len;
            break;
        }
        if (cp == ' ') {
            while (i < s.len && s.ptr[i] == ' ')
                i++;
            break;
        }
    }
    return i;
}

static void put_wrapped(const struct options *o, size_t indent, str s)
{
    size_t column = indent;

    while (s.len) {
        str    piece = str_first(s, piece_len(s));
        size_t width = text_width(str_trim(piece));

        s = str_from(s, piece.len);
        if (o->width && column > indent && column + width > o->width) {
            (void)putchar('\n');
            put_blanks(indent);
            column = indent;
        }
        put(s.len ? piece : str_trim(piece));
        column += text_width(piece);
    }
    (void)putchar('\n');
}

static void put_fact(const struct options *o, const char *label, str text)
{
    enum { INDENT = 9 };
    str    name = str_from_cstr(label);
    size_t width = text_width(name);

    put_blanks(2);
    put_bold(o, name);
    put_blanks(width + 2 < INDENT ? INDENT - width - 2 : 1);
    put_wrapped(o, INDENT, text);
}

/* --- Rows as text ------------------------------------------------------------------------------------------------ */

static str row_codes(struct arena *a, const struct options *o, const struct error_row *row)
{
    const struct error_form *f = &row->form[WORDING_REFERENCE];
    str                      status = f->status ? arena_printf(a, "%d", f->status) : str_from_cstr(o->words->none);

    return arena_printf(a, "%.*s%s%.*s%s%s", STR_ARG(status), f->native.len ? " " : "", STR_ARG(f->native),
                        row->level == ERROR_ENGINE ? ", " : "", row->level == ERROR_ENGINE ? o->words->engine : "");
}

static str row_compat(struct arena *a, const struct error_form *f)
{
    if (f->compat_code.len == 0 || str_eq(f->compat_code, f->compat_type))
        return f->compat_type;
    return arena_printf(a, "%.*s / %.*s", STR_ARG(f->compat_code), STR_ARG(f->compat_type));
}

static void put_args(struct arena *a, const struct options *o, const struct error_hit *hit)
{
    str text = { 0 };

    for (unsigned i = 0; i < hit->row->arg_count; i++) {
        if (hit->args[i].len)
            text = arena_printf(a, "%.*s%s%.*s = %.*s", STR_ARG(text), text.len ? ", " : "",
                                STR_ARG(hit->row->args[i].name), STR_ARG(hit->args[i]));
    }
    if (text.len)
        put_fact(o, o->words->value, text);
}

static void put_hit(struct arena *a, const struct options *o, const struct error_hit *hit)
{
    const struct error_row  *row = hit->row;
    const struct error_form *f = &row->form[WORDING_REFERENCE], *wire = &row->form[WORDING_WIRE];

    put_bold(o, row->id);
    put_blanks(2);
    put_bold(o, row->name);
    put_blanks(2);
    put(row->area);
    (void)putchar('\n');
    if (f->text.len) {
        put_blanks(2);
        put_wrapped(o, 2, f->text);
    }
    put_fact(o, o->words->code, row_codes(a, o, row));
    if (f->compat_type.len)
        put_fact(o, o->words->compat, row_compat(a, f));
    if (!str_eq(f->text, str_trim(wire->text)))
        put_fact(o, o->words->wire, wire->text);
    if (row->older >= 0) {
        const struct error_row *older = &error_rows[row->older];

        put_fact(o, o->words->older,
                 arena_printf(a, "%.*s: %.*s%s%.*s", STR_ARG(older->id), STR_ARG(row_codes(a, o, older)),
                              older->form[WORDING_REFERENCE].text.len ? "; " : "",
                              STR_ARG(older->form[WORDING_REFERENCE].text)));
    }
    put_args(a, o, hit);
    if (hit->how == ERROR_HOW_NUMBERS)
        put_fact(o, o->words->value, str_from_cstr(o->words->numbers));
    put_fact(o, o->words->cause, o->zh ? row->cause_zh : row->cause);
    put_fact(o, o->words->fix, o->zh ? row->fix_zh : row->fix);
}

static void put_suggestion(const struct options *o, const struct error_row *row)
{
    put_blanks(2);
    put_bold(o, row->id);
    put_blanks(row->id.len < 7 ? 7 - row->id.len : 1);
    put(row->area);
    put(S(": "));
    put_wrapped(o, 11 + row->area.len,
                row->form[WORDING_REFERENCE].text.len ? row->form[WORDING_REFERENCE].text : row->name);
}

/* --- Rows as JSON ------------------------------------------------------------------------------------------------ */

static void json_put(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, str s)
{
    yyjson_mut_obj_add_strn(doc, object, key, s.len ? s.ptr : "", s.len);
}

static const char *how_name(enum error_how how)
{
    switch (how) {
    case ERROR_HOW_ID:
        return "id";
    case ERROR_HOW_EXACT:
        return "exact";
    case ERROR_HOW_NUMBERS:
        return "numbers";
    case ERROR_HOW_INSIDE:
        return "inside";
    case ERROR_HOW_CODE:
        return "code";
    case ERROR_HOW_WORDS:
        return "words";
    case ERROR_HOW_NEAR:
        return "near";
    }
    return "";
}

static yyjson_mut_val *json_hit(yyjson_mut_doc *doc, const struct options *o, const struct error_hit *hit)
{
    const struct error_row  *row = hit->row;
    const struct error_form *f = &row->form[WORDING_REFERENCE], *wire = &row->form[WORDING_WIRE];
    yyjson_mut_val          *v = yyjson_mut_obj(doc), *args;

    json_put(doc, v, "id", row->id);
    json_put(doc, v, "name", row->name);
    json_put(doc, v, "area", row->area);
    yyjson_mut_obj_add_str(doc, v, "match", how_name(hit->how));
    if (f->status)
        yyjson_mut_obj_add_int(doc, v, "status", f->status);
    else
        yyjson_mut_obj_add_null(doc, v, "status");
    json_put(doc, v, "code", f->native);
    json_put(doc, v, "compat_code", f->compat_code);
    json_put(doc, v, "compat_type", f->compat_type);
    json_put(doc, v, "message", f->text);
    json_put(doc, v, "wire_message", wire->text);
    yyjson_mut_obj_add_str(doc, v, "level", row->level == ERROR_ENGINE ? "engine" : "gateway");
    args = yyjson_mut_obj(doc);
    yyjson_mut_obj_add_val(doc, v, "args", args);
    for (unsigned i = 0; i < row->arg_count; i++) {
        yyjson_mut_val *name = yyjson_mut_strn(doc, row->args[i].name.ptr, row->args[i].name.len);

        if (hit->args[i].len)
            yyjson_mut_obj_add(args, name, yyjson_mut_strn(doc, hit->args[i].ptr, hit->args[i].len));
        else
            yyjson_mut_obj_add(args, name, yyjson_mut_null(doc));
    }
    json_put(doc, v, "cause", o->zh ? row->cause_zh : row->cause);
    json_put(doc, v, "fix", o->zh ? row->fix_zh : row->fix);
    if (row->older >= 0)
        json_put(doc, v, "older", error_rows[row->older].id);
    return v;
}

static void put_json(const struct options *o, const struct error_hit *hits, size_t count)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *list = yyjson_mut_arr(doc);
    size_t          len = 0;
    char           *text;

    yyjson_mut_doc_set_root(doc, list);
    for (size_t i = 0; i < count; i++)
        yyjson_mut_arr_append(list, json_hit(doc, o, &hits[i]));
    text = yyjson_mut_write(doc, YYJSON_WRITE_PRETTY, &len);
    if (text) {
        put(str_of(text, len));
        (void)putchar('\n');
    }
    free(text);
    yyjson_mut_doc_free(doc);
}

/* --- All rows
 * ---------------------------------------------------------------------------------------------------------- */

/* A line each: the id, the status, the sentence. */
static int show_all(const struct options *o)
{
    if (o->json) {
        struct error_hit *hits = xcalloc(error_row_count, sizeof(*hits));

        for (unsigned i = 0; i < error_row_count; i++)
            hits[i] = (struct error_hit){ .row = &error_rows[i], .how = ERROR_HOW_ID };
        put_json(o, hits, error_row_count);
        free(hits);
        return 0;
    }
    for (unsigned i = 0; i < error_row_count; i++) {
        const struct error_row  *row = &error_rows[i];
        const struct error_form *f = &row->form[WORDING_REFERENCE];
        str                      text = f->text.len ? f->text : row->name;

        (void)printf("%-6.*s ", STR_ARG(row->id));
        if (f->status)
            (void)printf("%d  ", f->status);
        else
            put_blanks(5);
        put(text);
        (void)putchar('\n');
    }
    return 0;
}

/* --- The command ------------------------------------------------------------------------------------------------- */

/* How many of the hits are as good as the first. */
static size_t equally_good(const struct error_hit *hits, size_t count)
{
    enum { MARGIN = 6 }; /* sentences that share all but a word or a period */
    size_t n = 0;

    while (n < count && hits[n].how == hits[0].how &&
           (hits[0].how >= ERROR_HOW_CODE || hits[n].score + MARGIN >= hits[0].score))
        n++;
    return n;
}

static int show(struct arena *a, const struct options *o, const struct error_hit *hits, size_t count)
{
    size_t good = equally_good(hits, count), shown = o->all || good < SHOWN_MAX ? good : SHOWN_MAX;
    bool   found = count && hits[0].how != ERROR_HOW_NEAR;

    if (o->json) {
        put_json(o, hits, shown);
        return found ? 0 : 1;
    }
    if (!found) {
        (void)fputs(o->words->nothing, stderr);
        if (shown)
            (void)fputs(o->words->near, stdout);
        for (size_t i = 0; i < shown; i++)
            put_suggestion(o, hits[i].row);
        return 1;
    }
    for (size_t i = 0; i < shown; i++) {
        if (i)
            (void)putchar('\n');
        put_hit(a, o, &hits[i]);
    }
    if (good > shown) {
        (void)putchar('\n');
        (void)printf(o->words->more, good - shown);
    }
    return 0;
}

static void usage(FILE *to)
{
    (void)fputs(
        "usage: dashbox explain [--lang en|zh] [--json] [--all] [TEXT...]\n"
        "\n"
        "TEXT is an error sentence, a code, an id such as E010a, a reply body, a few words, or - for standard input.\n"
        "  --lang en|zh   language of the explanation (from LC_ALL, LC_MESSAGES, LANG)\n"
        "  --json         an array of objects\n"
        "  --all          every row that fits, not only the best; without TEXT every row there is\n",
        to);
}

static bool wants_chinese(void)
{
    static const char *const names[] = { "LC_ALL", "LC_MESSAGES", "LANG" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *value = getenv(names[i]);

        if (value && *value)
            return str_starts(str_from_cstr(value), S("zh"));
    }
    return false;
}

static bool set_lang(struct options *o, const char *lang)
{
    if (!lang || (strcmp(lang, "en") != 0 && strcmp(lang, "zh") != 0)) {
        (void)fputs("dashbox explain: --lang is en or zh\n", stderr);
        return false;
    }
    o->zh = lang[0] == 'z';
    return true;
}

static str read_all(struct arena *a, FILE *from)
{
    char  *text = arena_bytes(a, INPUT_MAX);
    size_t len = fread(text, 1, INPUT_MAX, from);

    return str_of(text, len);
}

/* Options first or last; everything else is the text, joined by blanks. False, and said why, when there is something
 * wrong. */
static bool read_arguments(struct arena *a, struct options *o, int argc, char **argv, str *ret_text)
{
    str  text = { 0 };
    bool only_text = false;

    for (int i = 1; i < argc; i++) {
        str arg = str_from_cstr(argv[i]);

        if (only_text || arg.len < 2 || arg.ptr[0] != '-') {
            str piece = !only_text && str_eq(arg, S("-")) ? read_all(a, stdin) : arg;

            text = text.len ? arena_printf(a, "%.*s %.*s", STR_ARG(text), STR_ARG(piece)) : piece;
        } else if (str_eq(arg, S("--"))) {
            only_text = true;
        } else if (str_eq(arg, S("--json"))) {
            o->json = true;
        } else if (str_eq(arg, S("--all"))) {
            o->all = true;
        } else if (str_eq(arg, S("--help")) || str_eq(arg, S("-h"))) {
            o->help = true;
        } else if (str_eq(arg, S("--lang"))) {
            if (!set_lang(o, i + 1 < argc ? argv[++i] : NULL))
                return false;
        } else if (str_starts(arg, S("--lang="))) {
            if (!set_lang(o, argv[i] + strlen("--lang=")))
                return false;
        } else if (arg.ptr[1] >= '0' && arg.ptr[1] <= '9') {
            text = arg; /* "-1 is lesser than …" in quotes */
        } else {
            (void)fprintf(stderr, "dashbox explain: there is no option %s\n", argv[i]);
            return false;
        }
    }
    *ret_text = str_trim(text);
    if (ret_text->len || o->help || o->all)
        return true;
    (void)fputs("dashbox explain: nothing to explain\n", stderr);
    return false;
}

static void look_at_terminal(struct options *o)
{
    enum { WIDTH_MAX = 100, WIDTH_MIN = 40 };
    const char    *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    struct winsize size;

    o->tty = isatty(STDOUT_FILENO);
    if (!o->tty)
        return;
    o->bold = !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
    o->width = WIDTH_MAX;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= WIDTH_MIN && size.ws_col < WIDTH_MAX)
        o->width = size.ws_col;
}

int cli_explain(int argc, char **argv)
{
    struct options    o = { .zh = wants_chinese() };
    struct arena      arena;
    struct error_hit *hits;
    str               text;
    int               status;

    arena_init(&arena, 64u << 10);
    if (!read_arguments(&arena, &o, argc, argv, &text)) {
        usage(stderr);
        arena_free(&arena);
        return 2;
    }
    if (o.help) {
        usage(stdout);
        arena_free(&arena);
        return 0;
    }
    o.words = o.zh ? &chinese : &english;
    look_at_terminal(&o);
    hits = arena_array(&arena, struct error_hit, HITS_MAX);
    status = o.all && !text.len ? show_all(&o) : show(&arena, &o, hits, error_search(&arena, text, hits, HITS_MAX));
    arena_free(&arena);
    return fflush(stdout) == 0 ? status : 1;
}
