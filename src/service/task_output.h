/* task_output.h - a task as JSON: what a query answers, and what the event of its end carries. Spec: media.md §1.3, §1.6. */
#ifndef DASHBOX_SERVICE_TASK_OUTPUT_H
#define DASHBOX_SERVICE_TASK_OUTPUT_H

#include "contract/request.h"
#include "store/tasks.h"

#define TASK_ZONE_MS (INT64_C(8) * 3600000) /* the times of the wire are those of UTC+8 */

/* {"task_id":…,"task_status":…, times, results, code and message, task_metrics} */
void task_output_add(struct buf *b, const struct task_row *t);

/* "2024-11-25 13:55:46", and with `ms` ".536", in quotes. */
void task_time_add(struct buf *b, int64_t unix_ms, bool ms);

/* "apikey:v1:aigc:image2video:video-synthesis:wanx2.1-kf2v-plus", in quotes. */
void task_unique_key_add(struct buf *b, const struct task_row *t);

/* Where all tasks are. */
str task_region(const struct request_settings *s);

#endif
