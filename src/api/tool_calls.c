/* tool_calls.c - the tool calls of an answer as JSON. */
#include "api/tool_calls.h"

#include "contract/json.h"

static void add_function(struct buf *b, str name, str arguments)
{
    buf_add(b, S("\"function\":{"));
    if (name.len) {
        buf_add(b, S("\"name\":"));
        json_add_str(b, name);
        buf_add_char(b, ',');
    }
    buf_add(b, S("\"arguments\":"));
    json_add_str(b, arguments);
    buf_add_char(b, '}');
}

void tool_call_add_piece(struct buf *b, size_t index, str id, str name, str arguments)
{
    json_add_count(b, S("{\"index\":"), (int64_t)index);
    buf_add(b, S(",\"id\":"));
    json_add_str(b, id);
    buf_add(b, S(",\"type\":\"function\","));
    add_function(b, name, arguments);
    buf_add_char(b, '}');
}

void tool_calls_add(struct buf *b, const struct gathered *g)
{
    for (size_t i = 0; i < g->call_count; i++) {
        if (i)
            buf_add_char(b, ',');
        buf_add_char(b, '{');
        add_function(b, g->calls[i].name, buf_str(&g->calls[i].arguments));
        json_add_count(b, S(",\"index\":"), (int64_t)i);
        buf_add(b, S(",\"id\":"));
        json_add_str(b, g->calls[i].id);
        buf_add(b, S(",\"type\":\"function\"}"));
    }
}

void tool_calls_add_member(struct buf *b, const struct gathered *g)
{
    if (g->call_count == 0)
        return;
    buf_add(b, S(",\"tool_calls\":["));
    tool_calls_add(b, g);
    buf_add_char(b, ']');
}
