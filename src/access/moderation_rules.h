/* moderation_rules.h - files of moderation rules.
 *
 * UTF-8 text, a rule a line:
 *
 *     # a comment, when it is the first character of the line that is not a blank
 *     word, or words with blanks between them
 *     /regular expression/
 *     ip: mickey mouse
 *     output: custom: /case \d+/
 *
 * Before the rule a kind (block, custom, faq, ip; block when none is said) and a side (input, output; both when none is
 * said, but ip is for input alone) can stand, in either order, each with a colon. Any other word with a colon is part of
 * the rule. To begin a word with "#", "/" or such a name write it as a regular expression.
 */
#ifndef DASHBOX_ACCESS_MODERATION_RULES_H
#define DASHBOX_ACCESS_MODERATION_RULES_H

#include "access/moderation.h"

struct moderation_rules {
    struct moderation_rule *ptr;
    size_t                  len;
};

/* Adds the rules of a text, which must live as long as `r`. `name` is the file's, or the option's: rule ids and problems
 * begin with "name:line". ERR_INVALID, ERR_LIMIT: ret_problem says what, as "name:line: why". `kind` is that of lines that
 * say none. */
enum err moderation_rules_read(str name, str text, enum moderation_kind kind, struct arena *a,
                               struct moderation_rules *r, str *ret_problem);
/* The same for a file. Blocks: at the start, or on a lane. ERR_IO: cannot be read; ERR_LIMIT: over 16 MiB. */
enum err moderation_rules_read_file(str path, enum moderation_kind kind, struct arena *a, struct moderation_rules *r,
                                    str *ret_problem);

#endif
