/* fuzz_app.c - any bytes as the definition of an application or a plug-in: refused with a sentence, or read, its texts filled in, and
 * each of its operations called. */
#include "contract/app.h"
#include "contract/plugin.h"
#include "contract/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static yyjson_val *find(void *values, str name)
{
    return yyjson_obj_getn(values, name.ptr, name.len);
}

static void use_text(struct arena *a, const struct app_text *t, const struct app_values *v)
{
    str text = { 0 }, missing = { 0 };

    if (app_text_fill(a, t, v, 1000, &text, &missing) == OK)
        ASSERT(text.len <= 1000);
    (void)app_text_value(t, v);
}

static void use_nodes(struct arena *a, const struct app_nodes *list, const struct app_values *v)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct app_node *n = &list->at[i];

        ASSERT(n->next > i && n->next <= list->count);
        use_text(a, &n->text, v);
        use_text(a, &n->prompt, v);
        use_text(a, &n->over, v);
        for (size_t k = 0; k < n->case_count; k++) {
            bool holds = false;
            str  missing;

            ASSERT(n->cases[k].next > i && n->cases[k].next < list->count);
            (void)app_case_holds(a, &n->cases[k], v, &holds, &missing);
        }
        use_nodes(a, &n->body, v);
    }
}

static void use_plugin(struct arena *a, const struct plugin *p, yyjson_val *values)
{
    for (size_t i = 0; i < p->tool_count; i++) {
        struct plugin_request q;
        str                   problem = { 0 };

        ASSERT(json_parse_copy(a, p->tools[i].schema));
        if (plugin_request(a, p, &p->tools[i], values, S("secret"), &q, &problem) == OK) {
            ASSERT(str_starts(q.url, p->server) && q.field_count <= PLUGIN_FIELDS_MAX);
            ASSERT(!q.has_body || json_parse_copy(a, q.body));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena      arena;
    struct app        app;
    struct plugin     plugin;
    struct app_values v = { .find = find };
    yyjson_val       *root = NULL;
    str               problem = { 0 };

    arena_init(&arena, 0);
    v.arg = json_parse_copy(&arena,
                            S("{\"sys\":{\"query\":\"q\"},\"start\":{\"city\":\"Paris\",\"n\":[1,{\"a\":null}]},"
                              "\"ask\":{\"result\":\"r\"},\"city\":\"/../x\",\"n\":[1,\"a b\"],\"text\":\"t\\r\\n\"}"));
    if (yaml_read(&arena, str_of((const char *)data, size), &root, &problem)) {
        ASSERT(problem.len);
    } else {
        if (app_read(&arena, root, &app, &problem) == OK)
            use_nodes(&arena, &app.nodes, &v);
        else
            ASSERT(problem.len);
        if (plugin_read(&arena, root, &plugin, &problem) == OK)
            use_plugin(&arena, &plugin, v.arg);
        else
            ASSERT(problem.len);
    }
    arena_free(&arena);
    return 0;
}
