/* inference.c - GET /api-ws/v1/inference: tasks over a WebSocket, one after the other.
 *
 *      IDLE -- run-task --> RUNNING -- finish-task --> FINISHING -- all is sent: task-finished --> IDLE
 *        |                                                                                          |
 *        +-- 60 s: closed                    any refusal: task-failed, closed                       60 s: closed
 *
 * The fiber of the exchange does all of it: it takes what the client says while there is something, does a step of the
 * task's work, and looks again. So a cancellation is heard between two sentences, and a client that sends more than is worked
 * off is held up by its own connection.
 *
 * Spec: speech.md §1, §4.1, §4.2.
 */
#include "access/admission.h"
#include "access/faults.h"
#include "api/body_model.h"
#include "api/reply.h"
#include "api/ws/task.h"
#include "api/ws/upgrade.h"
#include "api/ws/ws.h"
#include "base/hash.h"
#include "contract/errors.gen.h"
#include "contract/model.h"
#include "contract/socket_params.gen.h"
#include "loop/loop.h"
#include "net/http_server.h"

struct session {
    struct request   *rq;
    struct ws_session ws;
    struct task      *task;    /* NULL: none runs */
    struct arena      scratch; /* for one instruction while no task runs */
    uint64_t         *ids;     /* of the tasks that were, hashed: none may come again */
    size_t            id_count, id_cap;
    bool              over;
};

/* ---- what tasks use ---- */

void task_is_active(struct task *t)
{
    t->active_us = loop_now_us(fiber_loop());
}

/* Before each message of the task. What went before is out when it fails, stalls or is slow on purpose. */
SUSPENDS static enum err step(struct task *t)
{
    enum err e = t->rq->plan ? ws_session_flush(t->ws) : OK;

    return e ? e : faults_step(t->rq);
}

/* Several frames leave in one write, as long as they are small. */
SUSPENDS static enum err flush_much(struct ws_session *ws)
{
    return ws->out.len > HTTP_STREAM_MARK ? ws_session_flush(ws) : OK;
}

SUSPENDS static enum err send_event(struct ws_session *ws, str id, str event, str attributes, str payload)
{
    struct arena a;
    struct buf   b;

    arena_init(&a, 0);
    buf_init(&b, &a, SIZE_MAX / 2);
    task_event(&b, id, event, attributes, payload);
    ws_session_add(ws, WS_TEXT, buf_str(&b));
    arena_free(&a);
    return flush_much(ws);
}

enum err task_result(struct task *t, str payload)
{
    enum err e = step(t);

    return e ? e : send_event(t->ws, t->id, S("result-generated"), S("{}"), payload);
}

enum err task_sound(struct task *t, str bytes)
{
    enum err e = step(t);

    if (e)
        return e;
    task_is_active(t);
    ws_session_add(t->ws, WS_BINARY, bytes);
    return flush_much(t->ws);
}

enum err task_finished(struct task *t, str payload)
{
    enum err e = t->rq->plan ? ws_session_flush(t->ws) : OK;

    if (!e)
        e = faults_last(t->rq);
    if (!e)
        e = admit_charge(t->rq);
    t->over = true;
    if (!e)
        e = send_event(t->ws, t->id, S("task-finished"),
                       arena_printf(&t->arena, "{\"request_uuid\":\"%s\"}", t->rq->id), payload);
    return e ? e : ws_session_flush(t->ws);
}

enum err task_close_invalid(struct task *t)
{
    ws_session_end(t->ws, WS_CLOSE_INVALID, SOCKET_INVALID_PAYLOAD);
    return ERR_PROTOCOL;
}

/* REF: E225a. */
enum err task_engine_failed(struct task *t, enum err e)
{
    if (!e || e == ERR_CANCELLED || e == ERR_FAULT || t->ws->over)
        return e;
    (void)fail_algorithm_internal(&t->rq->fault);
    return fault_detail(&t->rq->fault, str_from_cstr(err_text(e)));
}

/* ---- a task's life ---- */

static void task_free(struct session *s)
{
    struct task *t = s->task;
    struct arena arena = t->arena;

    t->ops->close(t);
    arena_free(&t->scratch);
    s->task = NULL;
    arena_free(&arena);
}

/* `status` as HTTP has it; 0: the client has gone. */
SUSPENDS static void task_end(struct session *s, int status, enum err e)
{
    s->rq->hooks->ended(s->task->rq, status, e);
    task_free(s);
}

/* The connection cannot be used after a refusal. */
SUSPENDS static void refuse(struct session *s, struct request *part, str id, struct arena *a)
{
    struct fault_view v;
    struct buf        b;

    fault_render(&part->fault, &part->settings->wording, a, &v);
    buf_init(&b, a, SIZE_MAX / 2);
    task_event_failed(&b, id, v.code, v.message);
    ws_session_add(&s->ws, WS_TEXT, buf_str(&b));
    ws_session_end(&s->ws, WS_CLOSE_NORMAL, S(""));
    s->over = true;
}

static int fault_status(const struct request *part)
{
    struct arena      a;
    struct fault_view v;

    arena_init(&a, 0);
    fault_render(&part->fault, &part->settings->wording, &a, &v);
    arena_free(&a);
    return v.status ? v.status : 400;
}

/* What a task's function came to. */
SUSPENDS static void task_went(struct session *s, enum err e)
{
    struct task *t = s->task;

    if (!e && !t->over)
        return;
    if (!e) {
        task_end(s, 200, OK);
        return;
    }
    e = task_engine_failed(t, e);
    if (e == ERR_FAULT) {
        refuse(s, t->rq, t->id, &t->arena);
        task_end(s, fault_status(t->rq), e);
        return;
    }
    s->over = true;
    if (faults_cut(t->rq))
        task_end(s, 0, e);
    /* else the client has gone: the session's end says so */
}

/* ---- run-task ---- */

static bool id_is_known(const struct session *s, uint64_t hash)
{
    for (size_t i = 0; i < s->id_count; i++) {
        if (s->ids[i] == hash)
            return true;
    }
    return false;
}

static void id_remember(struct session *s, uint64_t hash)
{
    if (s->id_count == s->id_cap) {
        size_t cap = s->id_cap ? 2 * s->id_cap : 8;

        s->ids = arena_realloc(s->rq->arena, s->ids, s->id_cap * sizeof(*s->ids), cap * sizeof(*s->ids));
        s->id_cap = cap;
    }
    s->ids[s->id_count++] = hash;
}

static const struct task_ops *ops_of(const struct model *m)
{
    return m->out & BIT(MODEL_AUDIO) ? &synthesis_task_ops : &recognition_task_ops;
}

/* Everything about a task that has nothing to do with its kind. REF: E085, E272, E031, W442. */
SUSPENDS static enum err check_run(struct session *s, struct request *part, const struct task_instruction *in,
                                   const struct model **ret)
{
    static const char *const fields[] = { "task_group", "task", "function" };
    enum err                 e;

    if (!in->task_id.len)
        return fail_ws_field_missing(&part->fault, S("header.task_id"));
    if (!json_str(json_get(in->payload, "model")).len)
        return fail_ws_field_missing(&part->fault, S("payload.model"));
    if (!in->input)
        return fail_ws_task_input_missing(&part->fault);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (!json_str(json_get(in->payload, fields[i])).len)
            return fail_ws_field_missing(&part->fault, arena_printf(part->arena, "payload.%s", fields[i]));
    }
    if (id_is_known(s, hash_bytes(in->task_id, 0)))
        return fail_task_id_unknown(&part->fault, in->task_id);
    e = body_model_socket(part, json_str(json_get(in->payload, "model")), MODEL_PATH_INFERENCE_WS, ret);
    return e ? e : admit(part, *ret);
}

/* The struct of a task of that kind, in its own arena, with what came to the request until now. */
static struct task *task_new(struct session *s, struct arena *arena, struct request *part, const struct model *m,
                             str id)
{
    const struct task_ops *ops = ops_of(m);
    struct task           *t = arena_alloc_zero(arena, ops->size);

    t->ops = ops;
    t->rq = part;
    t->ws = &s->ws;
    t->model = m;
    t->id = arena_str(arena, id);
    arena_init(&t->scratch, 0);
    return t;
}

SUSPENDS static void run_task(struct session *s, str text)
{
    struct arena            arena;
    struct task_instruction own, *in = &own; /* read once more: its texts live as long as the task */
    struct request         *part;
    const struct model     *m = NULL;
    enum err                e;

    if (s->task) /* it is dropped without a word (speech.md §1.4) */
        task_end(s, 200, OK);
    e = s->id_count ? s->rq->hooks->renew(s->rq) : OK; /* the first task's caller has just been asked */
    arena_init(&arena, ARENA_REQUEST);
    (void)task_instruction_read(&arena, text, in);
    part = request_part(s->rq, &arena);
    faults_part(s->rq, part);
    request_keep_body(part, text);
    if (e)
        part->fault = s->rq->fault;
    else
        e = check_run(s, part, in, &m);
    if (e) {
        if (e == ERR_FAULT)
            refuse(s, part, in->task_id, &arena);
        s->over = true;
        s->rq->hooks->ended(part, e == ERR_FAULT ? fault_status(part) : 0, e);
        arena_free(&arena);
        return;
    }
    id_remember(s, hash_bytes(in->task_id, 0));
    s->task = task_new(s, &arena, part, m, in->task_id);
    s->task->arena = arena; /* from here on it is there, and nothing points to the other */
    part->arena = &s->task->arena;
    e = s->task->ops->begin(s->task, in);
    task_is_active(s->task);
    if (!e)
        e = send_event(&s->ws, s->task->id, S("task-started"), S("{}"), S("{}"));
    if (!e)
        e = ws_session_flush(&s->ws);
    task_went(s, e);
}

/* ---- what comes ---- */

/* An instruction that belongs to no task. REF: E085, W441, W442. */
SUSPENDS static void refuse_stray(struct session *s, const struct task_instruction *in)
{
    struct request *part = request_part(s->rq, &s->scratch);

    if (!in->action)
        (void)fail_task_action_unknown(&part->fault, in->action_name);
    else if (s->task)
        (void)fail_task_id_unknown(&part->fault, in->task_id);
    else
        (void)fail_ws_field_missing(&part->fault,
                                    S("payload.task_group")); /* X069: outside a task it is taken for a run-task */
    refuse(s, part, in->task_id, &s->scratch);
    s->rq->hooks->ended(part, fault_status(part), ERR_FAULT);
}

SUSPENDS static void close_invalid(struct session *s)
{
    ws_session_end(&s->ws, WS_CLOSE_INVALID, SOCKET_INVALID_PAYLOAD);
    s->over = true;
}

/* REF: E272. */
SUSPENDS static enum err finish_task(struct task *t, const struct task_instruction *in)
{
    if (!in->input)
        return fail_ws_task_input_missing(&t->rq->fault);
    t->finishing = true;
    return t->ops->finish(t, in);
}

SUSPENDS static void on_text(struct session *s, str text)
{
    struct task_instruction in;

    arena_reset(&s->scratch);
    if (!task_instruction_read(&s->scratch, text, &in)) {
        close_invalid(s);
        return;
    }
    if (in.action == TASK_RUN) {
        run_task(s, text);
        return;
    }
    if (!in.action || !s->task || !str_eq(in.task_id, s->task->id)) {
        refuse_stray(s, &in);
        return;
    }
    task_is_active(s->task);
    task_went(s, in.action == TASK_CONTINUE ? s->task->ops->text(s->task, &in) : finish_task(s->task, &in));
}

SUSPENDS static void on_sound(struct session *s, str bytes)
{
    if (!s->task) /* nobody's: some clients send on until they have read task-finished */
        return;
    task_is_active(s->task);
    task_went(s, s->task->ops->sound(s->task, bytes));
}

/* ---- the session ---- */

static int64_t deadline(const struct session *s, int64_t idle_us)
{
    if (!s->task)
        return idle_us + (int64_t)SOCKET_IDLE_MS * 1000;
    return s->task->ops->busy(s->task) ? 0 : s->task->active_us + (int64_t)SOCKET_TASK_SILENCE_MS * 1000;
}

/* Nothing has come by the deadline. REF: E083. */
SUSPENDS static void on_silence(struct session *s)
{
    if (!s->task) {
        ws_session_end(&s->ws, WS_CLOSE_NORMAL, S(""));
        s->over = true;
        return;
    }
    task_went(s, s->task->ops->busy(s->task) ? s->task->ops->step(s->task) : fail_ws_idle_timeout(&s->task->rq->fault));
}

SUSPENDS static enum err serve(struct session *s)
{
    int64_t  idle_us = loop_now_us(fiber_loop());
    enum err e = OK;

    while (!s->over && !e) {
        struct ws_message m;
        bool              had_task = s->task;

        e = ws_session_receive(&s->ws, deadline(s, idle_us), &m);
        if (e == ERR_TIMEOUT) {
            on_silence(s);
            e = OK;
        } else if (!e && m.opcode == WS_TEXT) {
            on_text(s, m.payload);
        } else if (!e) {
            on_sound(s, m.payload);
        }
        if (had_task || s->task)
            idle_us = loop_now_us(fiber_loop());
    }
    return e;
}

enum err handle_ws_inference(struct request *rq)
{
    struct session s = { .rq = rq };
    enum err       e = upgrade_check(rq);

    if (e)
        return e;
    rq->action = "serving a connection's tasks";
    e = upgrade(rq, &s.ws, SOCKET_MESSAGE_MAX);
    if (e)
        return e;
    arena_init(&s.scratch, 0);
    e = serve(&s);
    if (s.task) { /* REF: E175 */
        (void)fail_client_disconnected(&s.task->rq->fault);
        task_end(&s, 0, ERR_CANCELLED);
    }
    arena_free(&s.scratch);
    return OK;
}
