/* files.h - what the commands share that upload and download the account's files. */
#ifndef DASHBOX_CLI_FILES_H
#define DASHBOX_CLI_FILES_H

#include "cli/client.h"
#include "contract/json.h"

/* Each returns the status, having complained. */

/* Into the client's arena; the answer is freed. */
str cli_file_answer(struct cli_client *c, struct dashscope_answer *answer);

/* With a bar. The answer is a file object. */
int cli_file_upload(struct cli_client *c, const char *file, const char *purpose, const char *what, str *ret);

/* A call of the compatible API. The answer's text is in the client's arena. */
int cli_file_ask(struct cli_client *c, const char *method, str path, const char *body, str *ret);

/* The content of what a batch has made, into a file, or at its end; "-" is standard output. */
int cli_file_save(struct cli_client *c, const char *id, const char *file, bool append);

#endif
