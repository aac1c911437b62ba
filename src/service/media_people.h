/* media_people.h - the people in the files of a media service (contract/media_service.h, contract/people.h).
 *
 * Thread: the request's loop.
 */
#ifndef DASHBOX_SERVICE_MEDIA_PEOPLE_H
#define DASHBOX_SERVICE_MEDIA_PEOPLE_H

#include "contract/media_service.h"
#include "service/people.h"

/* Looks at the picture, or at the video's first frame, and asks the rules of the member. `word` is the value that some rules are only
 * for. What was seen is in *ret also when it is refused, which *ret_judged tells from an engine that failed. */
SUSPENDS enum err media_people_check(struct request *rq, const struct media_member *m, const struct media_file *f,
                                     str word, struct people_picture *ret, bool *ret_judged);

/* Whether somebody in the video has the face, in the frames at some times of it; `threshold` as query_face_threshold. Refuses with
 * m->mismatch. */
SUSPENDS enum err media_people_match(struct request *rq, const struct media_member *m,
                                     const struct people_picture *wanted, const struct media_file *video,
                                     double threshold);

/* Adds the value of a template of data/media; false when it has no such name: face_bbox, ext_bbox (`area` times the face, of the
 * shape "3:4" that `ratio` says), humanoid, bodystyle. */
bool media_people_value(struct buf *b, const struct people_picture *p, double area, str ratio, str name);

/* A template of somebody's movements: its id, "AACT.xxx.xxx-xxx.xxx", is that of the task which made it. */
str media_template_id(struct arena *a, str task_id);

/* How long it is; ERR_NOT_FOUND: the workspace has none of that id, or no more: it lives as long as its task. */
SUSPENDS enum err media_template_find(struct request *rq, str template_id, int64_t *ret_duration_ms);

#endif
