/* send_file.h - a file as an answer, piece by piece. */
#ifndef DASHBOX_API_SEND_FILE_H
#define DASHBOX_API_SEND_FILE_H

#include "contract/request.h"
#include "loop/fiber.h"

/* Answers 200 with the file, to a HEAD without it, and closes it when the request has ended. ERR_EOF: it was cut meanwhile, and the
 * connection breaks off. */
SUSPENDS enum err send_file(struct request *rq, int fd, int64_t size, str type);

#endif
