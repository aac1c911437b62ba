/* moderation.h - whether a text may go in or come out (access.md §8).
 *
 * A rule is a word (or words: any text) or a regular expression. A set is many of them compiled into one matcher, never
 * changed and shared by all workers. A set can stand on another: a workspace's policies on the rules of the configuration,
 * which so are compiled once.
 *
 * What is looked for and what is looked at are folded first: full-width forms to ordinary ones, letters to small ones. So
 * "ＢＡＤ" and "Bad" are found by the word "bad". Words are found anywhere, inside of others too: languages without blanks
 * know no other way.
 *
 * Of what is found the match that is known first counts, and of several the first rule. So a text means the same in one
 * piece
 * and in pieces, however cut. A match is known at its last byte, and where an expression ends in "\b" or "$", at the
 * next byte
 * or the end. The verdict names the rule, for the log, and never the text.
 *
 * moderation_regex.h says which expressions there are. They see a text as a whole, "^" is its beginning, and one that
 * would match
 * the empty text is refused.
 *
 * Nothing here suspends. Checking never goes back in the text, whatever the rules, keeps none of it (but a hash of texts in
 * which nothing was found, by which they are known again), and needs 10 KiB of stack: it is for fibers. Compiling takes long and needs stack: it is for a lane.
 */
#ifndef DASHBOX_ACCESS_MODERATION_H
#define DASHBOX_ACCESS_MODERATION_H

#include "base/arena.h"
#include "base/err.h"

/* The answers: rows E100b and E100c (by side), E179, E174, E177. */
enum moderation_kind { MODERATION_BLOCK, MODERATION_CUSTOM, MODERATION_FAQ, MODERATION_IP };

/* The words of the table `policies` and of files of rules: block, custom, faq, ip. False: not one of them. */
bool moderation_kind_read(str word, enum moderation_kind *ret);
str  moderation_kind_word(enum moderation_kind kind);

/* Sides, as bits of a set. */
#define MODERATION_INPUT  1u
#define MODERATION_OUTPUT 2u
#define MODERATION_BOTH   3u

struct moderation_rule {
    str                  id; /* for the log: "words.txt:17", "policy-3f9a01c2" */
    str                  pattern;
    bool                 is_regex;
    enum moderation_kind kind;
    unsigned             sides;
};

struct moderation_verdict {
    enum moderation_kind kind;
    unsigned             side; /* the one that was looked at */
    str                  rule; /* the rule's id; lives as long as the set */
};

struct moderation_set;

#define MODERATION_RULES_MAX   100000  /* in a set */
#define MODERATION_PATTERN_MAX 1000    /* bytes */
#define MODERATION_WORDS_MAX   4000000 /* bytes of all words of a set */

/* Why rules could not be compiled. */
struct moderation_problem {
    size_t rule; /* which, as an index; SIZE_MAX: none alone */
    str    text; /* "words.txt:17: why"; in the arena */
};

/* The rules are copied. `base` may be NULL; the new set holds it. The set is counted and begins with one holder.
 * ERR_INVALID, ERR_LIMIT: the problem says what. On a lane. */
enum err moderation_compile(const struct moderation_rule *rules, size_t count, struct moderation_set *base,
                            struct arena *a, struct moderation_set **ret, struct moderation_problem *ret_problem);
/* From any thread. NULL is accepted by both. */
struct moderation_set *moderation_hold(struct moderation_set *s);
void                   moderation_release(struct moderation_set *s);

/* Whether the set (NULL: none) has rules for the side at all. */
bool moderation_looks_at(const struct moderation_set *s, unsigned side);

/* True: something was found, and ret says what. */
bool moderation_check(struct moderation_set *s, unsigned side, str text, struct moderation_verdict *ret);

/* A text that comes piece after piece, cut anywhere. The stream is the arena's, which releases it; it holds the set. */
struct moderation_stream;

struct moderation_stream *moderation_stream_open(struct moderation_set *s, unsigned side, struct arena *a);
/* True as soon as a match is complete, and from then on at every call. */
bool moderation_stream_feed(struct moderation_stream *st, str piece, struct moderation_verdict *ret);
/* The text is complete: what "$" waits for. Nothing is fed afterwards. */
bool moderation_stream_end(struct moderation_stream *st, struct moderation_verdict *ret);

/* X-DashScope-DataInspection: the sides for which the extra service (the guard model) is asked. "enable" is for both,
 * {"input":"cip","output":"cip"} for those that say "cip". Anything else asks for nothing: the header adds a service, no
 * row
 * of the error reference refuses it, and the rules hold whatever it says. */
unsigned moderation_header_sides(str value);

#endif
