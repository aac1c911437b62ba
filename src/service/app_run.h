/* app_run.h - one run of an application: what service/app*.c share. */
#ifndef DASHBOX_SERVICE_APP_RUN_H
#define DASHBOX_SERVICE_APP_RUN_H

#include "access/rates.h"
#include "contract/apps_params.gen.h"
#include "service/app.h"
#include "service/services.h"
#include "store/apps.h"

/* What a node has given, the newest first. */
struct app_value {
    struct app_value *before;
    str               node;
    yyjson_val       *value;
};

struct app_plugin;

struct app_run {
    struct request        *rq;
    struct apps_input     *in;
    struct app             app;
    int64_t                version;
    const struct app_sink *sink;
    struct app_answer      answer;
    str                    query; /* what the user says last */
    struct app_turn       *turns; /* of the session */
    size_t                 turn_count;
    bool                   keeps_session;
    struct rate_ticket     ticket;
    int64_t                deadline_us, started_us, started_ms;

    struct app_value *values;
    size_t            values_size; /* bytes */

    struct buf trace; /* JSON: the elements of an array */
    size_t     step_count;
    str        loop; /* the trace's: the loop that is run, and its round */
    int64_t    round;

    struct app_plugin *plugins; /* as they are looked up */
};

/* ---- service/app.c: what runners do with a run ---- */

/* A run of nothing that is stored, for what has no definition: its deadline is set, its application empty. */
struct app_run *app_run_bare(struct request *rq, struct apps_input *in);

/* The next piece of the answer: adds it, looks for the rules of the application in it (E174), tells the sink. */
SUSPENDS enum err app_say(struct app_run *r, const struct app_event *ev);
SUSPENDS enum err app_tell(struct app_run *r, const struct app_event *ev);
/* A new thought, for its reader to fill before it is told. */
struct app_thought *app_thought_add(struct app_run *r);

/* A step that is over: `code` is the reference's number of its refusal, empty when it went well; `input` and `output` are JSON. */
struct app_step {
    str     node, type, name;
    int64_t started_us;
    str     input, output, code, detail;
};
void app_trace(struct app_run *r, const struct app_step *step);
/* What the request's fault is, for the trace. */
void app_step_fault(struct app_run *r, struct app_step *step);

/* The times of a step's own call do not end the run's. */
void app_rearm(const struct app_run *r);

/* E232, and why for the log and the trace. */
enum err app_fail(struct app_run *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* "sys": query, session_id, time. */
yyjson_val *app_system_values(struct app_run *r);

/* ---- service/app_model.c ---- */

struct app_call {
    str        id, name;
    struct buf arguments; /* JSON text */
};

struct app_said {
    struct buf       text, reasoning;
    struct app_call *calls;
    size_t           call_count;
};

/* Where the pieces of a model's answer go. */
struct app_listener {
    SUSPENDS enum err (*piece)(void *arg, bool reasoning, str text);
    void *arg;
};

/* Asks the model of the step: `in` has messages and tools, the rest is filled in here. REF: E229. */
SUSPENDS enum err app_model_step(struct app_run *r, const struct app_model *m, struct chat_input *in,
                                 const struct app_listener *to, struct app_said *ret);
/* The same of a step of the server's own: what the call says of the application's model (model_id, temperature …) is not for it. */
SUSPENDS enum err app_model_ask(struct app_run *r, const struct app_model *m, struct chat_input *in,
                                const struct app_listener *to, struct app_said *ret);
/* The turns of the session that the model sees, then what is said now, behind `head` messages that the caller fills. */
struct chat_message *app_messages(struct app_run *r, const struct app_model *m, size_t head, size_t *ret_count);

/* ---- service/app_plugin.c. REF: E231 ---- */

/* The operations of the application's plug-ins, as tools of the model. */
SUSPENDS enum err app_tools(struct app_run *r, struct chat_input *in);
/* Whose tool that is, by id and name. */
enum err app_tool_owner(struct app_run *r, str tool, str *ret_plugin, str *ret_name);
/* `arguments` is JSON. *ret is the body of the answer. */
SUSPENDS enum err app_plugin_call(struct app_run *r, str plugin, str tool, str arguments, str *ret);

/* ---- the two kinds ---- */

SUSPENDS enum err app_run_agent(struct app_run *r);
SUSPENDS enum err app_run_flow(struct app_run *r);

#endif
