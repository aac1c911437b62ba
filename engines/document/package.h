/* package.h - a document that is a ZIP archive: its parts by name, unpacked with a ceiling. Names are compared and never used as paths.
 *
 * Limits: PACKAGE_PARTS_MAX parts; PACKAGE_BYTES_MAX bytes unpacked in all, and of more than PACKAGE_FREE at most
 * PACKAGE_RATIO times as many as the archive has. Only parts that are stored or deflated, and not encrypted.
 */
#ifndef DASHBOX_DOCUMENT_PACKAGE_H
#define DASHBOX_DOCUMENT_PACKAGE_H

#include "base/arena.h"
#include "engine/document/facts.h"

#define PACKAGE_PARTS_MAX 20000
#define PACKAGE_BYTES_MAX (INT64_C(1024) * 1024 * 1024)
#define PACKAGE_FREE      (INT64_C(32) * 1024 * 1024)
#define PACKAGE_RATIO     200
#define PACKAGE_PART_MAX  ((size_t)64 * 1024 * 1024) /* of package_part() */

struct package;

/* DOCUMENT_BROKEN when it is no archive that can be read, DOCUMENT_LARGE when it has too many parts. `bytes` stay. */
enum document_verdict package_open(str bytes, struct package **ret);
void                  package_close(struct package *p);

bool package_has(struct package *p, const char *name);

/* Hands the part over in pieces, as long as `take` returns true.
 * DOCUMENT_BROKEN      there is no such part, or it cannot be unpacked
 * DOCUMENT_LARGE       a ceiling was in the way */
enum document_verdict package_pieces(struct package *p, const char *name, bool (*take)(void *arg, str piece, bool last),
                                     void *arg);

/* The whole part, into the arena. */
enum document_verdict package_part(struct package *p, const char *name, struct arena *a, str *ret);

/* The name of the part that `target` means in the part `from`: "word/document.xml" and "../media/a.png" are "media/a.png". What it
 * has behind a # is left out, and with `escaped` %20 is a blank. */
const char *package_resolve(struct arena *a, str from, str target, bool escaped);

#endif
