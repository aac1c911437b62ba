/* html.h - the text of HTML, as books have it: tags are left out, blanks run together, blocks begin lines.
 *
 * It is no HTML parser: no tree is built, nothing has to be closed, and whatever the bytes are, they are walked through once.
 */
#ifndef DASHBOX_DOCUMENT_HTML_H
#define DASHBOX_DOCUMENT_HTML_H

#include "engines/document/out.h"

/* `html` is UTF-8. */
void html_to_text(str html, struct out *out);

/* The character of "&amp;" or "&#x4e2d;", with & and ;. 0: none that is known. */
uint32_t html_entity(str entity);

#endif
