/* tool_calls.c - the tool calls of an answer as JSON. */
#include "api/tool_calls.h"

#include "contract/json.h"

void tool_call_add(struct buf *b, size_t index, str id, str name, str arguments)
{
    buf_add(b, S("{\"function\":{"));
    if (name.len) {
        buf_add(b, S("\"name\":"));
        json_add_str(b, name);
        buf_add_char(b, ',');
    }
    buf_add(b, S("\"arguments\":"));
    json_add_str(b, arguments);
    buf_add(b, S("},\"index\":"));
    buf_add_i64(b, (int64_t)index);
    buf_add(b, S(",\"id\":"));
    json_add_str(b, id);
    buf_add(b, S(",\"type\":\"function\"}"));
}

void tool_calls_add(struct buf *b, const struct gathered *g)
{
    for (size_t i = 0; i < g->call_count; i++) {
        if (i)
            buf_add_char(b, ',');
        tool_call_add(b, i, g->calls[i].id, g->calls[i].name, buf_str(&g->calls[i].arguments));
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
