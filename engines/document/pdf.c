/* pdf.c - poppler: the text of each page in reading order.
 *
 * Scanned is a document of which nine of ten pages are pictures: there is an image on the page and fewer than PICTURE_LETTERS
 * characters, which a stamp or a page number may have. The same pages with a layer of recognised text are not.
 */
#include "engines/document/reading.h"

#include "base/utf8.h"

#include <poppler.h>

#define PICTURE_LETTERS 32

static PopplerDocument *open_bytes(str bytes, GError **error)
{
    GBytes          *g = g_bytes_new_static(bytes.ptr, bytes.len);
    PopplerDocument *d = poppler_document_new_from_bytes(g, NULL, error);

    g_bytes_unref(g);
    return d;
}

/* The letters that the page has added. */
static int64_t page_text(struct reading *r, PopplerPage *page)
{
    int64_t before = r->out->letters;
    char   *text = poppler_page_get_text(page);

    out_gap(r->out);
    out_add(r->out, str_from_cstr(text));
    out_line(r->out);
    g_free(text);
    return r->out->letters - before;
}

static bool has_image(PopplerPage *page)
{
    GList *images = poppler_page_get_image_mapping(page);
    bool   has = images;

    poppler_page_free_image_mapping(images);
    return has;
}

static enum document_verdict pages_read(struct reading *r, PopplerDocument *d)
{
    int     count = poppler_document_get_n_pages(d);
    int64_t pictures = 0, lost = 0;

    r->pages = count > 0 ? count : 0;
    if (r->pages > r->page_max)
        return DOCUMENT_PAGES;
    for (int i = 0; i < count && !r->out->full && !r->out->failed; i++) {
        PopplerPage *page = poppler_document_get_page(d, i);

        if (!page) {
            lost++;
            continue;
        }
        if (page_text(r, page) < PICTURE_LETTERS && has_image(page))
            pictures++;
        g_object_unref(page);
    }
    if (lost == r->pages)
        return reading_fails(r, DOCUMENT_BROKEN, "a PDF of which no page can be read");
    return pictures * 10 >= r->pages * 9 && pictures ? DOCUMENT_SCANNED : DOCUMENT_OK;
}

enum document_verdict pdf_read(struct reading *r)
{
    GError               *error = NULL;
    PopplerDocument      *d = open_bytes(r->bytes, &error);
    enum document_verdict v;

    r->format = DOCUMENT_FORMAT_PDF;
    if (!d) {
        r->error = arena_printf(r->arena, "poppler: %.200s", error ? error->message : "it cannot be opened").ptr;
        g_clear_error(&error);
        return DOCUMENT_BROKEN;
    }
    v = pages_read(r, d);
    g_object_unref(d);
    return v;
}

/* A page of nothing makes the library read its tables and register its types, of which some open files. */
void pdf_begin(void)
{
    static const char nothing[] = "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
                                  "2 0 obj<</Type/Pages/Count 1/Kids[3 0 R]>>endobj\n"
                                  "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\n"
                                  "trailer<</Root 1 0 R>>\n";
    PopplerDocument  *d = open_bytes(str_of(nothing, sizeof(nothing) - 1), NULL);
    PopplerPage      *page = d ? poppler_document_get_page(d, 0) : NULL;

    if (page) {
        g_free(poppler_page_get_text(page));
        (void)has_image(page);
        g_object_unref(page);
    }
    if (d)
        g_object_unref(d);
}
