/* training_archive.h - a ZIP of samples with pictures: data.jsonl at its root, and the files that its lines name.
 *
 * Only the directory is kept in memory; data.jsonl is unpacked as it is read. The other files are not looked into: what a line names must
 * be there, that is all.
 *
 * Limits: ARCHIVE_FILES_MAX files, a directory of ARCHIVE_DIRECTORY_MAX bytes, ARCHIVE_DATA_MAX bytes of data.jsonl. Stored and deflated
 * files; no ZIP64, nothing encrypted. Thread: work for a lane. Spec: platform.md §6.2; APPNOTE.TXT of PKWARE.
 */
#ifndef DASHBOX_SERVICE_TRAINING_ARCHIVE_H
#define DASHBOX_SERVICE_TRAINING_ARCHIVE_H

#include "base/err.h"
#include "base/str.h"

#include <sys/types.h>

#define ARCHIVE_FILES_MAX     100000
#define ARCHIVE_DIRECTORY_MAX ((size_t)32 << 20)
#define ARCHIVE_DATA_MAX      (INT64_C(1) << 32)

struct training_archive;

/* The descriptor stays the caller's, as long as this is open. ERR_INVALID: *ret_problem, a literal, says what is wrong. */
enum err training_archive_open(int fd, struct training_archive **ret, str *ret_problem);
/* The next bytes of data.jsonl, 0 at its end; -1: it is broken, or larger than it may be. */
ssize_t training_archive_read(struct training_archive *a, char *bytes, size_t max);
bool    training_archive_has(const struct training_archive *a, str name);
void    training_archive_close(struct training_archive *a);

#endif
