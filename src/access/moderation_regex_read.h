/* moderation_regex_read.h - a regular expression as a tree.
 *
 * Which expressions are understood stands in moderation_regex.h. Letters in the tree are folded, and classes have what
 * their
 * letters fold to: folded texts are what it is for.
 */
#ifndef DASHBOX_ACCESS_MODERATION_REGEX_READ_H
#define DASHBOX_ACCESS_MODERATION_REGEX_READ_H

#include "base/arena.h"
#include "base/err.h"

#define REGEX_REPEAT_MAX  1000
#define REGEX_REPEAT_OPEN (REGEX_REPEAT_MAX + 1)
#define REGEX_NEST_MAX    50

struct range {
    uint32_t first, last;
};

struct ranges {
    struct range *ptr;
    size_t        len, cap;
};

enum tree_kind { TREE_CLASS, TREE_CAT, TREE_OR, TREE_REPEAT, TREE_CHECK };
enum check { CHECK_BEGIN, CHECK_END, CHECK_BOUND, CHECK_NO_BOUND };

struct tree {
    enum tree_kind kind;
    struct tree   *kids;        /* of a CAT the last one first, which is how nodes are written */
    struct tree   *next;        /* among the kids of a parent */
    unsigned       least, most; /* REPEAT; most can be REGEX_REPEAT_OPEN */
    enum check     check;
    struct ranges  ranges; /* CLASS: sorted, apart */
};

/* ERR_INVALID, ERR_LIMIT: ret_problem says why. The pattern is valid UTF-8. */
enum err regex_read(str pattern, struct arena *a, struct tree **ret, const char **ret_problem);

#endif
