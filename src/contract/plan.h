/* plan.h - subscription plans: which keys, at which paths, for which models, how much (access.md §4).
 *
 * The rows come from data/plans.txt and are static.
 */
#ifndef DASHBOX_CONTRACT_PLAN_H
#define DASHBOX_CONTRACT_PLAN_H

#include "base/str.h"

/* How often the plan may be called in a span of time. */
struct plan_window {
    str     name; /* the word of the refusal: "hour", "week", "month" */
    int64_t requests;
    int64_t seconds; /* of a window that slides; 0: of the calendar, in the plan's time zone */
};

struct plan {
    str                       id;      /* "coding-plan" */
    str                       prefix;  /* of its keys: "sk-sp-" */
    str                       base;    /* of its paths: "/coding" */
    str                       host;    /* what the Host header begins with when the base is left out: "coding" */
    int64_t                   zone_s;  /* of its calendar, east of UTC */
    const struct plan_window *windows; /* the first one slides */
    unsigned                  window_count;
    const str                *models;
    unsigned                  model_count;
};

extern const struct plan plan_rows[];
extern const unsigned    plan_count;

/* NULL when there is none of that id. */
const struct plan *plan_find(str id);
bool               plan_has_model(const struct plan *p, str model);
/* The plan whose hosts are named like this one ("coding.example.com", "coding-intl.example.com:8420"); NULL: none. */
const struct plan *plan_of_host(str host);

#endif
