/* markdown.h - Markdown without its marks, by md4c: headings and paragraphs with a line between, items with a dash or their number, the
 * cells of a table with tabs, code as it stands, links as their text and address.
 */
#ifndef DASHBOX_DOCUMENT_MARKDOWN_H
#define DASHBOX_DOCUMENT_MARKDOWN_H

#include "base/arena.h"
#include "engines/document/out.h"

void markdown_to_text(str markdown, struct arena *a, struct out *out);

#endif
