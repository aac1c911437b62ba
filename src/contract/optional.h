/* optional.h - values that a client may have left out. */
#ifndef DASHBOX_CONTRACT_OPTIONAL_H
#define DASHBOX_CONTRACT_OPTIONAL_H

#include "base/str.h"

typedef struct {
    double v;
    bool   set;
} opt_num;

typedef struct {
    int64_t v;
    bool    set;
} opt_int;

typedef struct {
    bool v, set;
} opt_bool;

#endif
