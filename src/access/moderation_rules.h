/* moderation_rules.h - moderation rules as people write them.
 *
 * UTF-8 text, a rule a line:
 *
 *     # a comment, when that is the first character of the line
 *     word, or words with blanks between them
 *     /regular expression/
 *     ip: mickey mouse
 *     output: custom: /case \d+/
 *
 * Before the rule can stand, each with a colon and in either order, a kind (block, custom, faq, ip; block where none is
 * said) and a side (input, output; both where none is said, but ip looks at input alone, as row E177 says). Any other word
 * with a colon is part of the rule. What must begin with "#", "/" or such a word is written as a regular expression.
 */
#ifndef DASHBOX_ACCESS_MODERATION_RULES_H
#define DASHBOX_ACCESS_MODERATION_RULES_H

#include "access/moderation.h"

#define MODERATION_FILE_MAX ((size_t)16 * 1024 * 1024)

struct moderation_rules {
    struct moderation_rule *ptr;
    size_t                  len, cap;
};

/* Adds the rule of a line, as an item of a list in the configuration; nothing for an empty line or a comment. `line` and
 * `id` must live as long as `r`. ERR_INVALID: ret_problem is "id: why", in the arena. What the rule's pattern must be is
 * for moderation_compile() to say. */
enum err moderation_rules_add(struct moderation_rules *r, str id, str line, struct arena *a, str *ret_problem);

/* Adds those of a file, which get the ids "name:line", name being the path's last part. Blocks: at the start, or on a lane.
 * ERR_INVALID: as above, with the path. ERR_IO: cannot be read; ERR_LIMIT: larger than MODERATION_FILE_MAX. */
enum err moderation_rules_read(struct moderation_rules *r, str path, struct arena *a, str *ret_problem);

#endif
