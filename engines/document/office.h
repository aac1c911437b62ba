/* office.h - what the formats of Office have in common: relations between parts. */
#ifndef DASHBOX_DOCUMENT_OFFICE_H
#define DASHBOX_DOCUMENT_OFFICE_H

#include "engines/document/package.h"
#include "engines/document/reading.h"

#define RELATIONS_MAX 100000

struct relation {
    str         id;
    str         type;   /* the last word of it: "worksheet" */
    const char *target; /* a part */
};

struct map;
struct relations {
    struct relation *at;
    size_t           count, cap;
    struct map      *ids; /* targets; of the arena */
    struct arena    *arena;
    str              from;
};

/* What the part points to; nothing when there is no such list. */
enum document_verdict relations_read(struct package *p, struct arena *a, const char *part, struct relations *ret);
/* NULL: there is none. */
const char *relation_target(const struct relations *r, str id);
const char *relation_of_type(const struct relations *r, str type);

enum document_verdict sheets_read(struct reading *r, struct package *p, const char *workbook);

#endif
