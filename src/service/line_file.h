/* line_file.h - the lines of a file, one after the other, however large it is.
 *
 * Thread: work for a lane; one at a time.
 */
#ifndef DASHBOX_SERVICE_LINE_FILE_H
#define DASHBOX_SERVICE_LINE_FILE_H

#include "base/buf.h"
#include "base/err.h"

#define LINE_FILE_BUFFER ((size_t)64 * 1024)

struct line_file {
    int     fd; /* the caller's */
    char   *buffer;
    size_t  at, len;
    int64_t number;   /* of the last line, from 1; 0: none has been read */
    size_t  line_max; /* bytes; a longer line comes cut, but longer than that */
};

void line_file_init(struct line_file *f, int fd, size_t line_max, struct arena *a);

/* The next line without its end, CR LF or LF, into *ret, in the arena, with room for a parser's sentinel behind it (HTTP_BODY_PADDING
 * bytes); a byte order mark at the start is left out. ERR_EOF: there is none. ERR_IO. */
enum err line_file_next(struct line_file *f, struct arena *a, str *ret);

#endif
