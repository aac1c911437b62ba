/* realtime.c - GET /api-ws/v1/realtime?model=…: the session around what a model does. Spec: speech.md §2.1. */
#include "api/ws/realtime.h"

#include "access/admission.h"
#include "access/faults.h"
#include "api/ws/upgrade.h"
#include "api/ws/ws.h"
#include "base/rand.h"
#include "contract/errors.gen.h"
#include "contract/model.h"
#include "contract/socket_params.gen.h"
#include "loop/loop.h"
#include "net/http_server.h"
#include "service/services.h"

/* ---- events ---- */

void realtime_id(char ret[REALTIME_ID_LEN + 1])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

    for (size_t i = 0; i < REALTIME_ID_LEN; i++)
        ret[i] = letters[rand_u64() % (sizeof(letters) - 1)];
    ret[REALTIME_ID_LEN] = 0;
}

struct buf realtime_begin(struct realtime *s, const char *type)
{
    struct buf b;
    char       id[REALTIME_ID_LEN + 1];

    realtime_id(id);
    buf_init(&b, &s->scratch, SIZE_MAX / 2);
    buf_addf(&b, "{\"event_id\":\"event_%s\",\"type\":\"%s\"", id, type);
    return b;
}

enum err realtime_send(struct realtime *s, struct buf *b)
{
    might_suspend();
    if (s->part && s->part->plan) { /* what went before is out when it fails, stalls or is slow on purpose */
        enum err e = ws_session_flush(&s->ws);

        if (!e)
            e = faults_step(s->part);
        if (e)
            return e;
    }
    buf_add_char(b, '}');
    ws_session_add(&s->ws, WS_TEXT, buf_str(b));
    return s->ws.out.len > HTTP_STREAM_MARK ? ws_session_flush(&s->ws) : OK;
}

enum err realtime_say(struct realtime *s, const char *type)
{
    struct buf b = realtime_begin(s, type);

    return realtime_send(s, &b);
}

enum err realtime_session(struct realtime *s, const char *type)
{
    struct buf b = realtime_begin(s, type);

    buf_addf(&b, ",\"session\":{\"id\":\"sess_%s\",\"object\":\"realtime.session\"", s->id);
    realtime_add_str(&b, "model", s->model->id);
    s->kind->add_session(s, &b);
    buf_add_char(&b, '}');
    return realtime_send(s, &b);
}

enum err realtime_error(struct realtime *s, const char *code, str message, const char *param)
{
    struct buf b = realtime_begin(s, "error");

    buf_add(&b, S(",\"error\":{\"type\":\"invalid_request_error\""));
    if (code)
        realtime_add_str(&b, "code", str_from_cstr(code));
    realtime_add_str(&b, "message", message);
    buf_add(&b, S(",\"param\":"));
    if (param)
        json_add_str(&b, str_from_cstr(param));
    else
        buf_add(&b, S("null"));
    buf_add(&b, S(",\"event_id\":"));
    if (s->event_id.len)
        json_add_str(&b, s->event_id);
    else
        buf_add(&b, S("null"));
    buf_add_char(&b, '}');
    return realtime_send(s, &b);
}

enum err realtime_invalid(struct realtime *s, str value, const char *supported, const char *param)
{
    return realtime_error(
        s, "invalid_value",
        arena_printf(&s->scratch, "Invalid value: '%.*s'. Supported values are: %s.", STR_ARG(value), supported),
        param);
}

enum err realtime_fatal(struct realtime *s, const char *code, str message)
{
    enum err e = realtime_error(s, code, message, NULL);

    if (!e)
        ws_session_end(&s->ws, WS_CLOSE_NORMAL, S(""));
    s->over = true;
    return e;
}

/* ---- parts ---- */

SUSPENDS static void part_close(struct realtime *s, int status, enum err e)
{
    if (!s->part)
        return;
    s->rq->hooks->ended(s->part, status, e);
    s->part = NULL;
    arena_free(&s->part_arena);
}

/* The session cannot go on. */
SUSPENDS static enum err refuse(struct realtime *s)
{
    struct fault_view v;
    enum err          e;

    fault_render(&s->part->fault, &s->rq->settings->wording, &s->scratch, &v);
    e = realtime_fatal(s,
                       str_to_cstr(&s->scratch, v.compat_code.len && str_eq(v.compat_code, S("data_inspection_failed"))
                                                    ? v.compat_code
                                                    : v.code),
                       v.message);
    part_close(s, v.status ? v.status : 400, ERR_FAULT);
    return e;
}

enum err realtime_part_begin(struct realtime *s)
{
    enum err e;

    might_suspend();
    ASSERT(!s->part);
    arena_init(&s->part_arena, ARENA_REQUEST);
    s->part = request_part(s->rq, &s->part_arena);
    s->part->model_name = s->model->id;
    s->part->engine = S("speech");
    faults_part(s->rq, s->part);
    e = admit(s->part, s->model);
    if (!e && !s->rq->services->speech)
        e = fail_speech_not_here(&s->part->fault);
    return e;
}

enum err realtime_part_last(struct realtime *s)
{
    enum err e = s->part && s->part->plan ? ws_session_flush(&s->ws) : OK;

    might_suspend();
    return e || !s->part ? e : faults_last(s->part);
}

enum err realtime_part_end(struct realtime *s)
{
    enum err e = s->part ? admit_charge(s->part) : OK;

    if (!e)
        part_close(s, 200, OK);
    return e;
}

/* ---- the session ---- */

/* What an event or a step came to. */
SUSPENDS static enum err went(struct realtime *s, enum err e)
{
    if (!e || e == ERR_CANCELLED || e == ERR_EOF || s->ws.over)
        return e;
    if (!s->part)
        return realtime_fatal(s, "InternalError",
                              S("An internal error has occured, try again later or contact service support."));
    if (e != ERR_FAULT) {
        (void)fail_algorithm_internal(&s->part->fault);
        (void)fault_detail(&s->part->fault, str_from_cstr(err_text(e)));
    }
    return refuse(s);
}

SUSPENDS static enum err on_event(struct realtime *s, str text)
{
    yyjson_val *event;
    str         type;

    arena_reset(&s->scratch);
    event = json_parse_copy(&s->scratch, text);
    if (!yyjson_is_obj(event)) {
        ws_session_end(&s->ws, WS_CLOSE_INVALID, SOCKET_INVALID_PAYLOAD);
        s->over = true;
        return OK;
    }
    type = json_str(json_get(event, "type"));
    s->event_id = json_str(json_get(event, "event_id"));
    for (const struct realtime_event *e = s->kind->events; e->type.len; e++) {
        if (str_eq(e->type, type))
            return went(s, e->run(s, event));
    }
    return realtime_error(s, "invalid_value", arena_printf(&s->scratch, "Invalid event type: '%.*s'.", STR_ARG(type)),
                          "type");
}

SUSPENDS static enum err serve(struct realtime *s)
{
    enum err e = realtime_session(s, "session.created");

    while (!e && !s->over) {
        struct ws_message m;
        bool              busy = s->kind->busy(s);

        e = ws_session_receive(&s->ws, busy ? 0 : DEADLINE_NONE, &m);
        s->event_id = (str){ 0 };
        if (e == ERR_TIMEOUT) {
            arena_reset(&s->scratch);
            e = went(s, s->kind->step(s));
        } else if (!e && m.opcode == WS_TEXT) {
            e = on_event(s, m.payload);
        } else if (!e) {
            arena_reset(&s->scratch);
            e = realtime_error(s, "invalid_value",
                               S("Binary frames are not supported: send audio as base64 in events."), NULL);
        }
        if (!e && !s->over)
            e = ws_session_flush(&s->ws);
    }
    return e;
}

/* A model that is not there is told after the handshake (speech.md §2.1). */
SUSPENDS static enum err refuse_model(struct request *rq, str reason)
{
    struct ws_session ws;
    enum err          e = upgrade(rq, &ws, SOCKET_MESSAGE_MAX);

    if (!e)
        ws_session_end(&ws, WS_CLOSE_INVALID, reason);
    return OK;
}

static const struct realtime_kind *kind_of(const struct model *m)
{
    if (!(m->in & BIT(MODEL_AUDIO)))
        return &realtime_tts;
    return m->out & BIT(MODEL_AUDIO) ? &realtime_omni : &realtime_asr;
}

enum err handle_ws_realtime(struct request *rq)
{
    const struct model *m;
    struct realtime    *s;
    str                 name;
    enum err            e = upgrade_check(rq);

    if (e)
        return e;
    if (!http_query_get(rq->x, S("model"), &name) || !name.len)
        return refuse_model(rq, S("Missing required parameter 'model'"));
    e = faults_suffix(rq, "the model", &name);
    if (e)
        return e;
    m = request_model(rq, name);
    if (!m || !model_on_path(m, MODEL_PATH_REALTIME_WS))
        return refuse_model(rq, S("Model not found."));
    rq->action = "serving a realtime session";
    s = arena_alloc_zero(rq->arena, kind_of(m)->size);
    s->kind = kind_of(m);
    s->rq = rq;
    s->model = m;
    realtime_id(s->id);
    arena_init(&s->scratch, 0);
    e = upgrade(rq, &s->ws, SOCKET_REALTIME_MESSAGE_MAX);
    if (!e)
        e = s->kind->begin(s);
    if (!e)
        e = serve(s);
    s->kind->close(s);
    if (s->part) {
        if (!faults_cut(s->part))
            (void)fail_client_disconnected(&s->part->fault); /* REF: E175 */
        part_close(s, 0, ERR_CANCELLED);
    }
    arena_free(&s->scratch);
    return OK;
}
