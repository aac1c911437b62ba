/* task_kinds.c - who runs what. */
#include "service/embed_task.h"
#include "service/media_run.h"
#include "service/transcription.h"

const struct task_kind task_kinds[] = {
    { S("text-embedding"), embed_task_run },
    { S("media"), media_task_run },
    { S("transcription"), transcription_run },
};
const size_t task_kind_count = ARRAY_LEN(task_kinds);
