/* apps.h - the middle form of a call of an application: a surface (api/…) reads a body into an apps_input; service/app.c runs it, fills
 * an app_answer, and tells a sink what is new; the surface makes frames of that.
 *
 * Texts are views into the request's arena. Spec: platform.md §4.1, §4.4, §4.5.
 */
#ifndef DASHBOX_CONTRACT_APPS_H
#define DASHBOX_CONTRACT_APPS_H

#include "base/buf.h"
#include "contract/chat.h"
#include "contract/knowledge.h"
#include "loop/fiber.h"

struct app_node;

/* The order is that of the choices in data/params/apps.txt; unset is the first of them. */
enum app_stream_mode {
    APP_STREAM_UNSET,
    APP_STREAM_THOUGHTS,
    APP_STREAM_MESSAGES,
    APP_STREAM_MESSAGES_PLUS,
    APP_STREAM_AGENT,
};

/* Which sources an answer shows: none, which they were, or marks in its text too. The order is that of the choices likewise. */
enum app_references { APP_REFERENCES_NONE, APP_REFERENCES_SIMPLE, APP_REFERENCES_INDEXED };

/* What a call says of the knowledge bases that are asked (platform.md §4.3). */
struct apps_rag {
    str                    *bases; /* in place of the application's own; none: those */
    size_t                  base_count;
    struct knowledge_filter filter;
};

struct apps_input {
    str                  app; /* its id */
    str                  prompt;
    struct chat_message *messages; /* all of the conversation but instructions; NULL: the session has it */
    size_t               message_count;
    str                  session; /* its id as sent; may be empty, or of none */
    struct yyjson_val   *biz;     /* biz_params, or NULL */
    str                 *images;  /* URLs or data URIs beside the prompt */
    size_t               image_count;

    int      stream_mode; /* enum app_stream_mode */
    opt_bool incremental, has_thoughts, system_time, search, thinking;
    str      model_id;
    int      references; /* enum app_references */
    opt_int  rounds, top_k, seed;
    opt_num  temperature, top_p;

    struct apps_rag rag;
};

/* One entry of output.thoughts. Empty texts are absent. */
struct app_thought {
    struct buf thought; /* reasoning, as far as it has come */
    str        piece;   /* its last piece, for incremental frames */
    str        action_type, action_name, action;
    str        arguments;   /* JSON text */
    str        observation; /* what the plug-in gave */
    str        response;    /* of flows: a node as JSON text */
};

/* A piece of a knowledge base that the answer may rest on; its number is its place, from 1. */
struct app_reference {
    str title, document, name, text; /* document: the file's id */
};

struct app_use {
    str     model;
    int64_t input_tokens, output_tokens;
};

/* What there is of an answer so far. */
struct app_answer {
    str                   session;
    struct buf            text;
    struct app_thought   *thoughts;
    size_t                thought_count, thought_cap;
    struct app_reference *references; /* what was retrieved, in its order */
    size_t                reference_count;
    bool                  shows_references;
    struct app_use       *uses; /* by model, in the order of their first call */
    size_t                use_count, use_cap;
};

enum app_event_kind {
    APP_EV_TEXT,    /* a piece of the answer: text. Of a flow: node, the one that says it */
    APP_EV_THOUGHT, /* the last thought is new, or has grown */
    APP_EV_NODE,    /* a node of a flow: text is its content's next piece; ended: it is over */
    APP_EV_FINISH,  /* the answer is whole, and what is to be kept of it is kept */
};

struct app_event {
    enum app_event_kind    kind;
    str                    text;
    const struct app_node *node, *parent; /* parent: the loop that it is in, or NULL */
    int64_t                sequence;      /* of the node's events, from 1 */
    bool                   ended;
};

/* Where a run tells what is new. What it returns ends the run (the client has gone). */
struct app_sink {
    SUSPENDS enum err (*emit)(void *arg, const struct app_event *ev);
    void *arg;
};

#endif
