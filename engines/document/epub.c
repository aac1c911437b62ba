/* epub.c - EPUB: the documents of the spine, in its order. EPUB 3.3, 4.2.6.3 (OCF) and 5 (package document). */
#include "base/map.h"
#include "base/num.h"
#include "engines/document/encoding.h"
#include "engines/document/html.h"
#include "engines/document/package.h"
#include "engines/document/reading.h"
#include "engines/document/xml.h"

#define ITEMS_MAX 100000
#define TEXT_MAX  (4 * PACKAGE_PART_MAX) /* of a chapter as UTF-8 */

struct book {
    struct arena *arena;
    const char   *package; /* the part that describes the book */
    struct map    items;   /* parts by id */
    const char  **spine;
    size_t        spine_count, spine_cap;
};

static void container_begins(void *arg, str name, const char **attributes)
{
    struct book *b = arg;
    str          path = xml_attribute(attributes, "full-path");

    if (str_eq(name, S("rootfile")) && path.len && !b->package)
        b->package = package_resolve(b->arena, S(""), path, true);
}

static void book_begins(void *arg, str name, const char **attributes)
{
    struct book *b = arg;
    str          id = xml_attribute(attributes, "id"), href = xml_attribute(attributes, "href");
    char        *part;

    if (str_eq(name, S("item")) && id.len && b->items.count < ITEMS_MAX)
        map_put(&b->items, arena_str(b->arena, id),
                (void *)package_resolve(b->arena, str_from_cstr(b->package), href, true));
    if (!str_eq(name, S("itemref")))
        return;
    part = map_get(&b->items, xml_attribute(attributes, "idref"));
    if (!part || b->spine_count == ITEMS_MAX)
        return;
    if (b->spine_count == b->spine_cap) {
        size_t cap = max_size(2 * b->spine_cap, 64);

        b->spine = arena_realloc(b->arena, b->spine, b->spine_cap * sizeof(*b->spine), cap * sizeof(*b->spine));
        b->spine_cap = cap;
    }
    b->spine[b->spine_count++] = part;
}

/* What is locked or no text counts as missing. */
static enum document_verdict chapter_read(struct reading *r, struct package *p, const char *part)
{
    struct arena          a;
    struct buf            b;
    str                   bytes, text;
    enum document_verdict v;

    arena_init(&a, 0);
    buf_init(&b, &a, TEXT_MAX);
    v = package_part(p, part, &a, &bytes);
    if (!v && !encoding_to_utf8(bytes, &b, &text))
        v = DOCUMENT_BROKEN;
    if (!v && b.full)
        v = DOCUMENT_LARGE;
    if (!v) {
        out_gap(r->out);
        html_to_text(text, r->out);
    }
    arena_free(&a);
    return v;
}

static enum document_verdict chapters_read(struct reading *r, struct package *p, const struct book *b)
{
    enum document_verdict v = DOCUMENT_OK;
    size_t                found = 0;

    for (size_t i = 0; i < b->spine_count && v != DOCUMENT_LARGE && !r->out->full; i++) {
        v = chapter_read(r, p, b->spine[i]);
        found += v == DOCUMENT_OK;
    }
    if (v == DOCUMENT_LARGE)
        return reading_fails(r, v, "a book that unpacks to too much");
    return found ? DOCUMENT_OK : reading_fails(r, DOCUMENT_BROKEN, "a book of which no chapter can be read");
}

enum document_verdict epub_read(struct reading *r, struct package *p)
{
    static const struct xml_events container_events = { .begins = container_begins },
                                   book_events = { .begins = book_begins };
    struct book           b = { .arena = r->arena };
    enum document_verdict v;

    r->format = DOCUMENT_FORMAT_EPUB;
    map_init(&b.items);
    v = xml_read(p, "META-INF/container.xml", &container_events, &b);
    if (!v)
        v = b.package ? xml_read(p, b.package, &book_events, &b) : DOCUMENT_BROKEN;
    r->pages = (int64_t)b.spine_count;
    if (!v)
        v = chapters_read(r, p, &b);
    map_free(&b.items);
    return v ? reading_fails(r, v, "a book whose contents cannot be read") : v;
}
