/* pages.h - lists that come in pages: page_no, page_size, total. */
#ifndef DASHBOX_API_NATIVE_PAGES_H
#define DASHBOX_API_NATIVE_PAGES_H

#include "base/buf.h"
#include "contract/request.h"

struct page {
    int64_t number, size; /* as they are when the call does not say: number from 1 */
};

/* REF: E039: not a number from 1, or a size above the maximum. */
enum err page_read(struct request *rq, int64_t size_max, struct page *p);
/* {"page_no":…,"page_size":…,"total":… without the closing brace. */
void page_add(struct buf *b, const struct page *p, int64_t total);

#endif
