/* moderation.c - what looking at a text costs: words found nowhere, alone and with expressions, in English and in Chinese.
 *
 *   moderation [ROUNDS]
 *
 * Words and texts are made up from syllables, always the same. Printed are the fastest round of each kind, the time to
 * compile, and what a set and a stream of it hold.
 */
#include "access/moderation.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/num.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT = 400 * 1024 };

static const char *const english[] = { "an", "ber", "con", "der", "ed",  "for", "ing", "ion", "ly",  "ment",
                                       "no", "out", "per", "re",  "ser", "the", "to",  "up",  "ver", "wi" };
static const char *const chinese[] = { "一", "上", "中", "为", "人", "以", "体", "作", "你", "国",
                                       "在", "大", "学", "将", "工", "对", "形", "我", "文", "时",
                                       "来", "的", "程", "系", "统", "要", "设", "过" };
/* With "q" or "口", which are not in the texts, so that all of a text is looked at. */
static const char *const expressions[] = { "\\b\\d{3}-\\d{4}-\\d{4}\\b",
                                           "[a-z]+@q[a-z]+\\.(com|cn)",
                                           "(the|for).{0,20}q",
                                           "https?://[^ ]{3,99}q",
                                           "中.{1,9}口",
                                           "^conq.*q$",
                                           "(an|ber)+qu",
                                           "\\bq\\w+ing\\b" };

static uint64_t dice = 3;

static size_t roll(size_t sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (size_t)(dice % sides);
}

static void add_syllables(struct buf *b, bool is_chinese, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_add(b, str_from_cstr(is_chinese ? chinese[roll(ARRAY_LEN(chinese))] : english[roll(ARRAY_LEN(english))]));
}

static str make_text(bool is_chinese, struct arena *a)
{
    struct buf b;

    buf_init(&b, a, 2 * TEXT);
    while (b.len < TEXT) {
        add_syllables(&b, is_chinese, 1 + roll(4));
        buf_add(&b, is_chinese ? S("，") : S(" "));
    }
    return buf_str(&b);
}

/* Half of the words of each language, all of them with a character that no text has, mostly near their ends. */
static str make_word(size_t number, struct arena *a)
{
    struct buf b;
    bool       is_chinese = number % 2;

    buf_init(&b, a, 1000);
    add_syllables(&b, is_chinese, 1 + roll(is_chinese ? 2 : 3));
    buf_add(&b, is_chinese ? S("口") : S("q"));
    add_syllables(&b, is_chinese, 1 + roll(2));
    return buf_str(&b);
}

/* Beyond those written out: more that begin as the texts do. */
static str make_expression(size_t number, struct arena *a)
{
    if (number < ARRAY_LEN(expressions))
        return str_from_cstr(expressions[number]);
    return arena_printf(a, "\\b%s[a-z]{1,8}q%zu", english[number % ARRAY_LEN(english)], number);
}

static double seconds(void)
{
    return (double)clock_mono_us() / 1e6;
}

/* Nanoseconds to look at `len` bytes, in pieces of `piece`. */
static double measure(struct moderation_set *s, str text, size_t len, size_t piece, int rounds)
{
    double best = 1e9;
    size_t times = 400000 / len + 1, at = 0;

    for (int round = 0; round < rounds; round++) {
        double begin = seconds();

        for (size_t i = 0; i < times; i++) {
            struct moderation_verdict v;
            struct arena              a;
            struct moderation_stream *st;
            bool                      found = false;

            at = (at + len) % (text.len - len);
            /* As a stream, since a whole text is known again when it comes twice. */
            arena_init(&a, 0);
            st = moderation_stream_open(s, MODERATION_INPUT, &a);
            for (size_t j = 0; j < len && !found; j += piece)
                found = moderation_stream_feed(st, str_first(str_of(text.ptr + at + j, len - j), piece), &v);
            arena_free(&a);
            if (found) {
                fprintf(stderr, "moderation: a rule was found that is not in the text: %.*s\n", STR_ARG(v.rule));
                exit(1);
            }
        }
        best = (seconds() - begin) / (double)times < best ? (seconds() - begin) / (double)times : best;
    }
    return best * 1e9;
}

static size_t memory_held(void)
{
    struct mallinfo2 m = mallinfo2();

    return m.uordblks + m.hblkhd;
}

static void run(size_t words, size_t regexes, const str texts[2], int rounds)
{
    struct arena              a;
    struct moderation_rule   *rules;
    struct moderation_set    *s;
    struct moderation_problem problem;
    size_t                    held = memory_held();
    double                    begin;

    arena_init(&a, 0);
    rules = arena_array(&a, struct moderation_rule, words + regexes);
    for (size_t i = 0; i < words + regexes; i++) {
        rules[i].sides = MODERATION_BOTH;
        rules[i].is_regex = i >= words;
        rules[i].pattern = i < words ? make_word(i, &a) : make_expression(i - words, &a);
        rules[i].id = rules[i].pattern;
    }
    begin = seconds();
    if (moderation_compile(rules, words + regexes, NULL, &a, &s, &problem)) {
        fprintf(stderr, "moderation: %.*s\n", STR_ARG(problem.text));
        exit(1);
    }
    begin = seconds() - begin;
    arena_free(&a);
    held = memory_held() - held;
    printf("%6zu words %3zu expressions: compiled in %7.2f ms, %8.1f KB\n", words, regexes, begin * 1e3,
           (double)held / 1024);
    for (size_t i = 0; i < 2; i++) {
        double small = measure(s, texts[i], 2048, 2048, rounds), large = measure(s, texts[i], 102400, 102400, rounds);
        double pieces = measure(s, texts[i], 2048, 6, rounds);

        printf("    %s  2 KB %7.2f us (%5.0f MB/s)   100 KB %8.1f us (%5.0f MB/s)   a piece of 6 bytes %5.0f ns\n",
               i ? "Chinese" : "English", small / 1e3, 2048e3 / small, large / 1e3, 102400e3 / large,
               pieces * 6 / 2048);
    }
    moderation_release(s);
}

int main(int argc, char **argv)
{
    struct arena a;
    str          texts[2];
    int64_t      rounds = 20;

    if (argc > 1 && (!str_to_i64(str_from_cstr(argv[1]), &rounds) || rounds < 1 || rounds > 10000)) {
        fprintf(stderr, "usage: moderation [ROUNDS]\n");
        return 2;
    }
    arena_init(&a, 0);
    texts[0] = make_text(false, &a);
    texts[1] = make_text(true, &a);
    run(10, 0, texts, (int)rounds);
    run(1000, 0, texts, (int)rounds);
    run(10000, 0, texts, (int)rounds);
    run(0, 8, texts, (int)rounds);
    run(1000, 8, texts, (int)rounds);
    run(10000, 100, texts, (int)rounds);
    arena_free(&a);
    return 0;
}
