/* people_tables.h - what tools/gen_tables.py makes of data/people.txt, for people.c. */
#ifndef DASHBOX_CONTRACT_PEOPLE_TABLES_H
#define DASHBOX_CONTRACT_PEOPLE_TABLES_H

#include "contract/people.h"

/* The least score of what counts as seen. */
struct people_seen {
    double face, body, joint;
    double distance; /* by which people_distance() becomes a query_face_threshold */
};

extern const struct people_seen  people_seen;
extern const struct people_rules people_rules_rows[];
extern const size_t              people_rules_count;

#endif
