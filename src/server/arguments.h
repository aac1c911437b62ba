/* arguments.h - the words of a command line: "--name value", "--name=value", switches, and plain words
 * (also negative numbers). Behind "--" all are plain words.
 *
 * What is wrong is said on standard error, with the nearest name where there is one.
 */
#ifndef DASHBOX_SERVER_ARGUMENTS_H
#define DASHBOX_SERVER_ARGUMENTS_H

#include "base/str.h"

struct argument {
    str  name; /* "--listen" */
    bool takes_value;
};

struct arguments {
    const char            *command; /* "dashbox serve": what messages begin with */
    const struct argument *known;
    size_t                 known_count;
    char                 **words;      /* those that are left, up to a NULL */
    const char            *value;      /* of the last option, or the plain word */
    bool                   only_words; /* "--" has been read */
};

/* What arguments_next() gives besides an index into `known`. */
enum { ARGUMENT_END = -1, ARGUMENT_WORD = -2, ARGUMENT_WRONG = -3 };

int arguments_next(struct arguments *a);

/* The name that is meant by a misspelt one; empty when none is near. */
str name_nearest(str name, const str *names, size_t count);

#endif
