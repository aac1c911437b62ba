/* knowledge.h - the middle form of a question to knowledge bases: how it is searched for, and which documents count.
 *
 * A base has a way of its own, which is what its owner has said of the same members; what a call says stands above it, and
 * data/params/knowledge.txt below both. Texts are views into what was read. Spec: platform.md §4.3, §4.8.
 */
#ifndef DASHBOX_CONTRACT_KNOWLEDGE_H
#define DASHBOX_CONTRACT_KNOWLEDGE_H

#include "contract/json.h"
#include "contract/optional.h"

struct request;

/* As read. */
struct knowledge_input {
    str         query;
    opt_int     dense_top, sparse_top, top;
    opt_bool    rewrite, rerank;
    opt_num     score_min;
    yyjson_val *rewriters, *rerankers, *filters;
};

/* As decided. */
struct knowledge_way {
    int64_t dense_top, sparse_top; /* so many by vectors, by words */
    int64_t top;
    bool    rewrite, rerank;
    double  score_min;          /* of the rerank; without one it is not looked at */
    str     rewriter, reranker; /* models, as named */
};

/* The members of an object; NULL has none. REF: E039. */
enum err knowledge_read(struct request *rq, yyjson_val *object, struct knowledge_input *ret);
/* What the base's own way, JSON, makes of it: only members that `in` leaves open. A text that is no object says nothing. */
void knowledge_read_own(struct arena *a, str json, struct knowledge_input *in);
void knowledge_decide(const struct knowledge_input *in, struct knowledge_way *ret);

/* Which documents count: all conditions must hold. */
enum knowledge_by { KNOWLEDGE_BY_FILE, KNOWLEDGE_BY_TAG, KNOWLEDGE_BY_DETAIL };

struct knowledge_condition {
    enum knowledge_by by;
    str               name;  /* of the detail */
    yyjson_val       *value; /* one value, or an array of which any will do */
};

struct knowledge_filter {
    struct knowledge_condition *all;
    size_t                      count;
};

/* Adds those of an object {"name": value}; "tags" is of the tags. False: it is none, a value is an object, or there are too many. */
bool knowledge_filter_add(struct arena *a, struct knowledge_filter *f, yyjson_val *object);
/* Adds that of a list of texts. False likewise. */
bool knowledge_filter_add_list(struct arena *a, struct knowledge_filter *f, enum knowledge_by by, yyjson_val *list);
/* search_filters: a list of objects. */
bool knowledge_filter_add_all(struct arena *a, struct knowledge_filter *f, yyjson_val *list);

/* `tags` is a JSON array of texts, `details` an object. Texts that are broken hold nothing. */
bool knowledge_filter_holds(const struct knowledge_filter *f, struct arena *a, str file, str tags, str details);

#endif
