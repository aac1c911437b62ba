/* transcription.h - asynchronous recognition of files: the kind of task "transcription". Spec: speech.md §3.1, §3.3, §4.3. */
#ifndef DASHBOX_SERVICE_TRANSCRIPTION_H
#define DASHBOX_SERVICE_TRANSCRIPTION_H

#include "contract/json.h"
#include "service/tasks.h"

struct transcription {
    yyjson_val *urls; /* an array of strings; NULL: one file alone (`url`), as Qwen3-ASR's filetrans has it */
    str         url;
    yyjson_val *parameters; /* or NULL */
    bool        misspelt;   /* there is a member that nobody knows */
};

/* What can be checked without the files. REF: E040, E159, E162. */
enum err transcription_read(struct request *rq, yyjson_val *body, const struct model *m, struct transcription *ret);

SUSPENDS enum err transcription_run(struct task *t);

#endif
