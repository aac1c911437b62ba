/* pages.c - lists that come in pages. Spec: platform.md §6. */
#include "api/native/pages.h"

#include "contract/errors.gen.h"
#include "contract/json.h"
#include "net/http_server.h"

static enum err read_number(struct request *rq, str name, int64_t max, int64_t *ret)
{
    str text;

    if (!http_query_get(rq->x, name, &text))
        return OK;
    return str_to_i64(text, ret) && *ret >= 1 && *ret <= max ? OK : fail_parameter_missing_named(&rq->fault, name);
}

enum err page_read(struct request *rq, int64_t size_max, struct page *p)
{
    enum err e = read_number(rq, S("page_no"), INT32_MAX, &p->number);

    return e ? e : read_number(rq, S("page_size"), size_max, &p->size);
}

void page_add(struct buf *b, const struct page *p, int64_t total)
{
    json_add_count(b, S("{\"page_no\":"), p->number);
    json_add_count(b, S(",\"page_size\":"), p->size);
    json_add_count(b, S(",\"total\":"), total);
}
