/* replay.c - what the option `replay` makes of a configuration. */
#include "server/replay.h"

#include "contract/json.h"
#include "engine/record/tapes.h"

/* An address for those that have none; nobody connects to it. */
#define NOWHERE S("http://replay/v1")

static void endpoint_set(struct config *c, struct config_engine *e)
{
    e->endpoint_count = 1;
    e->endpoints = arena_new(&c->arena, struct config_endpoint);
    e->endpoints->url = NOWHERE;
}

/* The engine of that name, made when it is missing. */
static struct config_engine *engine_get(struct config *c, const struct tape *t)
{
    struct config_engine *e;
    size_t                n = c->engine_count;

    for (size_t i = 0; i < n; i++) {
        if (str_eq(c->engines[i].name, t->engine))
            return &c->engines[i];
    }
    c->engines = arena_realloc(&c->arena, c->engines, n * sizeof(*e), (n + 1) * sizeof(*e));
    e = &c->engines[c->engine_count++];
    *e = (struct config_engine){ .name = arena_str(&c->arena, t->engine), .cloud = t->cloud };
    endpoint_set(c, e);
    return e;
}

static bool is_routed(const struct config *c, str model)
{
    for (size_t i = 0; i < c->route_count; i++) {
        if (str_eq(c->routes[i].model, model))
            return true;
    }
    return false;
}

static void route_add(struct config *c, str model, str engine)
{
    size_t n = c->route_count;

    c->routes = arena_realloc(&c->arena, c->routes, n * sizeof(*c->routes), (n + 1) * sizeof(*c->routes));
    c->routes[c->route_count++] = (struct config_route){ .model = model, .engine = engine };
}

static void on_tape(void *arg, const struct tape *t)
{
    struct config        *c = arg;
    struct config_engine *e = engine_get(c, t);
    str                   model = arena_str(&c->arena, t->model);
    size_t                n = e->model_count;

    if (is_routed(c, model))
        return;
    route_add(c, model, e->name);
    e->models = arena_realloc(&c->arena, e->models, n * sizeof(*e->models), (n + 1) * sizeof(*e->models));
    e->models[e->model_count++] = (struct config_pair){
        .from = model,
        .to = arena_str(&c->arena, json_str(json_get(json_parse_copy(&c->arena, t->body), "model"))),
    };
}

enum err replay_engines(struct config *c, str *ret_problem)
{
    struct arena a;
    str          problem;
    enum err     e;

    for (size_t i = 0; i < c->engine_count; i++) {
        struct config_engine *engine = &c->engines[i];

        if (engine->command.len)
            endpoint_set(c, engine);
        engine->command = engine->health_path = (str){ 0 };
    }
    if (c->engine_count)
        return OK;
    c->route_count = 0;
    arena_init(&a, 0);
    e = tapes_list(c->options.replay, &a, on_tape, c, &problem);
    if (e)
        *ret_problem = arena_printf(&c->arena, "replay: %.*s", STR_ARG(problem));
    arena_free(&a);
    if (!e && !c->engine_count)
        (void)engine_get(c, &(struct tape){ .engine = S("replay") });
    if (!e)
        route_add(c, S("*"), c->engines[0].name);
    return e;
}
