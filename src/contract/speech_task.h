/* speech_task.h - the frames of /api-ws/v1/inference: instructions of the client, events of the server.
 *
 *      {"header":{"action":"run-task","task_id":"T","streaming":"duplex"},"payload":{"model":…,"parameters":{},"input":{}}}
 *      {"header":{"task_id":"T","event":"result-generated","attributes":{}},"payload":{"output":{…},"usage":null}}
 *
 * Spec: speech.md §1.2, §1.3.
 */
#ifndef DASHBOX_CONTRACT_SPEECH_TASK_H
#define DASHBOX_CONTRACT_SPEECH_TASK_H

#include "contract/json.h"

enum task_action { TASK_ACTION_OTHER, TASK_RUN, TASK_CONTINUE, TASK_FINISH };

struct task_instruction {
    enum task_action action;
    str              action_name, task_id, streaming;
    yyjson_val      *payload;            /* NULL where there is none, or no object */
    yyjson_val      *input, *parameters; /* of it, objects */
};

/* False: it is no JSON object with a header, and nobody can say whose it is. Everything lives in the arena. */
bool task_instruction_read(struct arena *a, str text, struct task_instruction *ret);

/* A whole event; attributes and payload are JSON. */
void task_event(struct buf *b, str task_id, str event, str attributes, str payload);
void task_event_failed(struct buf *b, str task_id, str code, str message);

#endif
