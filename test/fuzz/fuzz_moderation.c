/* fuzz_moderation.c - rules and a text: whatever they are, a text means the same in one piece and cut anywhere, and what the
 * words find is what a slow search finds.
 *
 * The first byte says how long the pieces are; lines of rules follow, as in a file; what comes after an empty line is the text.
 */
#include "access/moderation.h"
#include "access/moderation_fold.h"
#include "access/moderation_rules.h"
#include "base/buf.h"

#include <stdlib.h>

#define TEXT_MAX 2000

static str found_in_pieces(struct moderation_set *s, unsigned side, str text, size_t piece, struct arena *a)
{
    struct moderation_stream *st = moderation_stream_open(s, side, a);
    struct moderation_verdict v = { 0 };

    for (size_t at = 0; at < text.len; at += piece) {
        str   part = str_first(str_from(text, at), piece);
        char *copy = malloc(part.len); /* the sanitizer sees who looks at it later */

        memcpy(copy, part.ptr, part.len);
        moderation_stream_feed(st, str_of(copy, part.len), &v);
        free(copy);
    }
    return moderation_stream_end(st, &v) ? v.rule : S("");
}

static str fold_all(str text, struct arena *a)
{
    struct fold f = { 0 };
    struct buf  b;
    char        run[FOLD_RUN];
    size_t      n;

    buf_init(&b, a, SIZE_MAX / 2);
    while ((n = fold_run(&f, &text, run)))
        buf_add_bytes(&b, run, n);
    buf_add_bytes(&b, run, fold_end(&f, run));
    return buf_str(&b);
}

/* Whether a word of the rules is in the text. */
static bool has_word(const struct moderation_rules *r, unsigned side, str text, struct arena *a)
{
    str folded = fold_all(text, a);

    for (size_t i = 0; i < r->len; i++)
        if (!r->ptr[i].is_regex && (r->ptr[i].sides & side) &&
            str_find_str(folded, fold_all(r->ptr[i].pattern, a)) != STR_NONE)
            return true;
    return false;
}

/* Reads lines up to an empty one; what remains is the text. Lines that are no rules are passed over. */
static str read_rules(str input, struct moderation_rules *r, struct arena *a)
{
    while (input.len) {
        str line = str_cut(&input, '\n'), problem;

        if (line.len == 0)
            break;
        (void)moderation_rules_add(r, arena_printf(a, "%zu", r->len), line, a, &problem);
    }
    return str_first(input, TEXT_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct moderation_rules   rules = { 0 };
    struct moderation_set    *s = NULL;
    struct moderation_problem problem;
    struct arena              a;
    str                       text;

    if (size < 2)
        return 0;
    arena_init(&a, 0);
    text = read_rules(str_of((const char *)data + 1, size - 1), &rules, &a);
    while (moderation_compile(rules.ptr, rules.len, NULL, &a, &s, &problem) && problem.rule != SIZE_MAX) {
        rules.len--;
        memmove(rules.ptr + problem.rule, rules.ptr + problem.rule + 1,
                (rules.len - problem.rule) * sizeof(*rules.ptr));
    }
    for (unsigned side = MODERATION_INPUT; s && side <= MODERATION_OUTPUT; side++) {
        struct moderation_verdict v = { .rule = S("") };

        moderation_check(s, side, text, &v);
        ASSERT(str_eq(v.rule, found_in_pieces(s, side, text, (size_t)data[0] % 17 + 1, &a)));
        ASSERT(v.rule.len || !has_word(&rules, side, text, &a));
    }
    arena_free(&a);
    moderation_release(s);
    return 0;
}
