/* speech_task.c - frames as JSON. Thread: any. Spec: speech.md §1.2, §1.3. */
#include "contract/speech_task.h"

static yyjson_val *object_of(yyjson_val *parent, const char *name)
{
    yyjson_val *v = json_get(parent, name);

    return yyjson_is_obj(v) ? v : NULL;
}

bool task_instruction_read(struct arena *a, str text, struct task_instruction *ret)
{
    static const struct {
        str              name;
        enum task_action action;
    } actions[] = { { S("run-task"), TASK_RUN },
                    { S("continue-task"), TASK_CONTINUE },
                    { S("finish-task"), TASK_FINISH } };
    yyjson_val *root = json_parse_copy(a, text), *header = object_of(root, "header");

    if (!header)
        return false;
    *ret = (struct task_instruction){ .action_name = json_str(json_get(header, "action")),
                                      .task_id = json_str(json_get(header, "task_id")),
                                      .streaming = json_str(json_get(header, "streaming")),
                                      .payload = object_of(root, "payload") };
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (str_eq(ret->action_name, actions[i].name))
            ret->action = actions[i].action;
    }
    ret->input = object_of(ret->payload, "input");
    ret->parameters = object_of(ret->payload, "parameters");
    return true;
}

static void event_head(struct buf *b, str task_id, str event)
{
    buf_add(b, S("{\"header\":{\"task_id\":"));
    json_add_str(b, task_id);
    buf_add(b, S(",\"event\":\""));
    buf_add(b, event);
    buf_add_char(b, '"');
}

void task_event(struct buf *b, str task_id, str event, str attributes, str payload)
{
    event_head(b, task_id, event);
    buf_add(b, S(",\"attributes\":"));
    buf_add(b, attributes);
    buf_add(b, S("},\"payload\":"));
    buf_add(b, payload);
    buf_add_char(b, '}');
}

void task_event_failed(struct buf *b, str task_id, str code, str message)
{
    event_head(b, task_id, S("task-failed"));
    buf_add(b, S(",\"error_code\":"));
    json_add_str(b, code);
    buf_add(b, S(",\"error_message\":"));
    json_add_str(b, message);
    buf_add(b, S(",\"attributes\":{}},\"payload\":{}}"));
}
