/* moderation_regex.h - finds any of many regular expressions in a text, in one pass and without ever going back.
 *
 * Expressions and texts are UTF-8, texts folded before and valid. The machine of all expressions is never changed once
 * it is
 * finished. What it learns on the way (the states of its deterministic form) is kept in a cache, which belongs to one
 * thread
 * at a time; where a text has got to is a small list, so a text can come in pieces and on any cache.
 *
 * Understood are: literals, ".", classes with ranges and [:names:], (…), (?:…), |, * + ? {m} {m,} {m,n}, also with a "?"
 * behind
 * them, ^ and \A, $ and \z (the beginning and the end of the whole text), \b \B \d \D \w \W \s \S (which mean ASCII),
 * \t \n \r \f \v \xHH \x{H…}. Letters match in either case. "." is any character but a newline. Not understood, and
 * refused:
 * what looks around or back, \p{…}, flags.
 *
 * Limits: a step costs at most as much as the machine has nodes, and mostly one look into a table. Caches are at most 12
 * MB.
 * When a text needs more states than a cache holds, all are forgotten and made again: then a byte takes some 0.3 us.
 * That is
 * what many expressions with gaps after frequent beginnings do, as /the.{0,20}x/.
 */
#ifndef DASHBOX_ACCESS_MODERATION_REGEX_H
#define DASHBOX_ACCESS_MODERATION_REGEX_H

#include "access/moderation.h"

#define REGEX_NODES_MAX   10000  /* of one expression, its repeats written out */
#define REGEXES_NODES_MAX 100000 /* of a machine */

struct regexes;
struct regex_cache;

struct regexes *regexes_new(struct arena *a);
/* ERR_INVALID, ERR_LIMIT: ret_problem says why; the machine is to be thrown away. Needs stack: on a lane. */
enum err regexes_add(struct regexes *r, str pattern, uint32_t rule, unsigned sides, const char **ret_problem);
/* After the last one, before the first scan. */
void regexes_finish(struct regexes *r);

struct regex_cache *regex_cache_open(const struct regexes *r);
void                regex_cache_close(struct regex_cache *c);

/* Where a text has got to. All zero at its beginning. */
struct regex_place {
    uint32_t *nodes;
    uint32_t  count, cap;
    bool      begun, after_word;
};

void regex_place_free(struct regex_place *p);

/* Goes on in the text. True as soon as a match for `side` is known, after *ret_end bytes of `run`; of several the lowest
 * rule.
 * Nothing is fed to the place after that. */
bool regexes_scan(struct regex_cache *c, struct regex_place *p, str run, unsigned side, size_t *ret_end,
                  uint32_t *ret_rule);
/* The end of the text. */
bool regexes_end(struct regex_cache *c, const struct regex_place *p, unsigned side, uint32_t *ret_rule);

#endif
