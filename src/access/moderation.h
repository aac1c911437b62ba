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
 * Of what is found the match that ends first counts, and among those that end together the first rule. So a text means the
 * same in one piece and in pieces, however cut. The verdict names the rule, for the log, and never the text.
 *
 * Nothing here suspends. Checking is linear in the text, whatever the rules, and needs little stack: it is for fibers.
 * Compiling takes long and needs stack: it is for a lane.
 */
#ifndef DASHBOX_ACCESS_MODERATION_H
#define DASHBOX_ACCESS_MODERATION_H

#include "base/arena.h"
#include "base/err.h"

/* The answers: rows E100b and E100c (by side), E179, E174, E177. */
enum moderation_kind { MODERATION_BLOCK, MODERATION_CUSTOM, MODERATION_FAQ, MODERATION_IP };

/* Sides, as bits of a set. */
#define MODERATION_INPUT 1u
#define MODERATION_OUTPUT 2u
#define MODERATION_BOTH 3u

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

/* The rules are copied. `base` may be NULL; the new set holds it. The set is counted and begins with one holder.
 * ERR_INVALID: ret_problem is "id: why", in the arena `a`. ERR_LIMIT: too many or too long, likewise. On a lane. */
enum err moderation_compile(const struct moderation_rule *rules, size_t count, struct moderation_set *base,
                            struct arena *a, struct moderation_set **ret, str *ret_problem);
/* From any thread. NULL is accepted by both. */
struct moderation_set *moderation_hold(struct moderation_set *s);
void                   moderation_release(struct moderation_set *s);

/* Whether the set (NULL: none) has rules for the side at all. */
bool moderation_looks_at(const struct moderation_set *s, unsigned side);

/* True: something was found, and ret says what. */
bool moderation_check(const struct moderation_set *s, unsigned side, str text, struct moderation_verdict *ret);

/* A text that comes piece after piece, cut anywhere. The stream is the arena's, which releases it; it holds the set. */
struct moderation_stream;

struct moderation_stream *moderation_stream_open(struct moderation_set *s, unsigned side, struct arena *a);
/* True as soon as a match is complete, and from then on at every call. */
bool moderation_stream_feed(struct moderation_stream *st, str piece, struct moderation_verdict *ret);

/* ---- the sets of all workspaces ---- */

/* A row of the table `policies`. */
struct moderation_policy {
    str  workspace, id, kind, pattern;
    bool is_regex;
};

/* workspace → set, for one state of the table; never changed and counted, as a set is. */
struct moderation_book;

/* Makes the book of these policies on top of `global` (may be NULL). A workspace whose policies are those of `old` (may be
 * NULL) keeps its set. A policy that cannot be compiled was refused when it was made (moderation_policy_check()); if there
 * is one nevertheless it is logged and left out. On a lane. */
struct moderation_book *moderation_book_make(struct moderation_set *global, const struct moderation_policy *policies,
                                             size_t count, const struct moderation_book *old);
struct moderation_book *moderation_book_hold(struct moderation_book *b);
void                    moderation_book_release(struct moderation_book *b);
/* The workspace's set, the global one where it has no policies, NULL where there is neither. Valid while the book is. */
struct moderation_set *moderation_book_find(const struct moderation_book *b, str workspace);

/* Whether a policy may be stored: ERR_INVALID with the reason in ret_problem, in the arena. On a lane. */
enum err moderation_policy_check(const struct moderation_policy *p, struct arena *a, str *ret_problem);

/* ---- X-DashScope-DataInspection ---- */

/* The sides for which the extra service (the guard model) is asked: "enable" for both; {"input":"cip","output":"cip"} for
 * those that say "cip". Anything else asks for nothing: the header adds a service and is no parameter that could be
 * refused, and no row of the error reference speaks of it. The rules hold whatever it says. */
unsigned moderation_header_sides(str value);

#endif
