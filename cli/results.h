/* results.h - what the commands share that make tasks or ask after them: the wait with its line of progress, and what an answer
 * brought.
 */
#ifndef DASHBOX_CLI_RESULTS_H
#define DASHBOX_CLI_RESULTS_H

#include "cli/client.h"
#include "contract/json.h"

/* Until the task has ended; on a terminal with a line that says how it is. Freed by the caller with dashscope_free(). After
 * Ctrl-C it is cancelled if that is still possible and `cancels`; what becomes of it is said. The status is CLI_DONE when *ret is there,
 * whatever became of the task. */
int cli_task_wait(struct cli_client *c, const char *id, bool cancels, struct dashscope_task **ret);

/* Complains about a task that did not succeed. */
int cli_task_status(struct cli_client *c, const struct dashscope_task *t);

/* The addresses of files in an answer, in their order. */
size_t cli_result_urls(struct arena *a, yyjson_val *answer, const char ***ret);

#endif
