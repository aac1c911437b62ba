/* xml.h - a part of a package as XML: elements and text, in their order.
 *
 * Names come without their prefix: a document may call its namespaces what it wants. No external entity is read, and a document that
 * declares an entity of its own is none of ours: no format that is read here needs one.
 */
#ifndef DASHBOX_DOCUMENT_XML_H
#define DASHBOX_DOCUMENT_XML_H

#include "engines/document/package.h"

#define XML_DEPTH_MAX 1000
#define XML_TOKEN_MAX \
    (INT64_C(4) * 1024 * 1024) /* bytes of a tag, a comment: it is gone through again with each piece */

struct xml_events {
    /* `attributes` are names and values in turn, ending with NULL. */
    void (*begins)(void *arg, str name, const char **attributes);
    void (*ends)(void *arg, str name); /* may be NULL */
    void (*text)(void *arg, str text); /* may be NULL; a text may come in pieces */
    bool (*enough)(void *arg);         /* asked between pieces; may be NULL */
};

/* The verdicts of package_pieces(); DOCUMENT_BROKEN also for what is not well-formed. */
enum document_verdict xml_read(struct package *p, const char *part, const struct xml_events *events, void *arg);

/* The value of the attribute of that name, whatever its prefix; empty when there is none. */
str xml_attribute(const char **attributes, const char *name);

#endif
