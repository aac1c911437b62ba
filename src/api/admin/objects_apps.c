/* objects_apps.c - applications and plug-ins as JSON. */
#include "api/admin/objects_apps.h"

#include "api/admin/objects.h"
#include "contract/json.h"

void object_app(struct buf *b, const struct app_row *a)
{
    buf_add_char(b, '{');
    object_text(b, "id", a->id);
    object_text(b, "workspace", a->workspace);
    object_text(b, "kind", a->kind);
    object_text(b, "name", a->name);
    object_int(b, "version", a->version);
    object_bool(b, "changed", a->changed);
    object_time(b, "created", a->created_ms);
    object_time(b, "modified", a->modified_ms);
    object_time(b, "published", a->published_ms);
    object_text(b, "definition", a->draft);
    buf_add_char(b, '}');
}

void object_app_run(struct buf *b, const struct app_run_row *r, bool steps)
{
    buf_add_char(b, '{');
    object_text(b, "run", r->id);
    object_text(b, "app", r->app);
    object_int(b, "version", r->version);
    object_time(b, "started", r->started_ms);
    object_int(b, "ms", r->ms);
    object_text(b, "error", r->code);
    if (steps) {
        buf_add(b, S(",\"steps\":"));
        buf_add(b, r->steps);
    }
    buf_add_char(b, '}');
}

void object_plugin(struct buf *b, const struct plugin_row *p)
{
    buf_add_char(b, '{');
    object_text(b, "id", p->id);
    object_text(b, "workspace", p->workspace);
    object_text(b, "name", p->name);
    buf_add(b, S(",\"tools\":["));
    for (size_t i = 0; i < p->tool_count; i++) {
        if (i)
            buf_add_char(b, ',');
        json_add_str(b, p->tools[i]);
    }
    buf_add_char(b, ']');
    object_bool(b, "has_secret", p->has_secret);
    object_time(b, "created", p->created_ms);
    object_time(b, "modified", p->modified_ms);
    object_text(b, "description", p->source);
    buf_add_char(b, '}');
}
