/* files.h - what the commands share that upload and download the account's files. */
#ifndef DASHBOX_CLI_FILES_H
#define DASHBOX_CLI_FILES_H

#include "cli/client.h"
#include "contract/json.h"

/* Each returns the status, having complained. */

/* With a bar. The answer, a file object, is the caller's to free. */
int cli_file_upload(struct cli_client *c, const char *file, const char *purpose, const char *what,
                    struct dashscope_answer **ret);

/* A call of the compatible API. */
int cli_file_ask(struct cli_client *c, const char *method, str path, const char *body, struct dashscope_answer **ret);

/* The content of what a batch has made, into a file, or at its end; "-" is standard output. */
int cli_file_save(struct cli_client *c, const char *id, const char *file, bool append);

#endif
