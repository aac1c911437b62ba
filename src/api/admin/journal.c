/* journal.c - the admin API's list of the requests received lately. */
#include "access/journal.h"

#include "api/admin/admin.gen.h"

#define ENTRIES_DEFAULT 100

/* "name: value" lines as an object; of a name that comes twice the values stand in one, parted by commas. */
static void add_headers(struct buf *b, str lines)
{
    bool first = true;

    buf_add(b, S(",\"headers\":{"));
    while (lines.len) {
        str line = str_cut(&lines, '\n'), name = str_cut(&line, ':');

        if (!first)
            buf_add_char(b, ',');
        first = false;
        json_add_str(b, name);
        buf_add_char(b, ':');
        json_add_str(b, str_trim(line));
    }
    buf_add_char(b, '}');
}

static void add_entry(struct buf *b, const struct journal_entry *e)
{
    buf_add_char(b, '{');
    object_int(b, "number", e->number);
    object_text(b, "request_id", e->request_id);
    object_time(b, "time", e->time_ms);
    object_text(b, "method", e->method);
    object_text(b, "path", e->path);
    object_text(b, "query", e->query);
    add_headers(b, e->headers);
    object_text(b, "body", e->body);
    object_int(b, "status", e->status);
    object_text(b, "error", e->error);
    object_text(b, "model", e->model);
    object_text(b, "key", e->key);
    object_text(b, "workspace", e->workspace);
    object_text(b, "fault", e->fault);
    object_bool(b, "stream", e->stream);
    object_int(b, "prompt_tokens", e->prompt_tokens);
    object_int(b, "completion_tokens", e->completion_tokens);
    buf_add_char(b, '}');
}

static struct journal *journal_of(struct admin_call *c)
{
    if (!c->rq->journal)
        (void)admin_refuse(c, ERR_NOT_FOUND, "the journal is off, by the option journal");
    return c->rq->journal;
}

enum err admin_handle_journal(struct admin_call *c)
{
    struct journal       *j = journal_of(c);
    struct journal_filter f = {
        .model = admin_text(c, "model"),
        .path = admin_text(c, "path"),
        .key = admin_text(c, "key"),
        .error = admin_text(c, "error"),
        .status = admin_int(c, "status", -1),
        .after = admin_int(c, "after", 0),
        .limit = (size_t)admin_int(c, "limit", ENTRIES_DEFAULT),
    };
    struct journal_entry *all;
    size_t                count;

    if (!j)
        return ERR_FAULT;
    journal_list(j, &f, c->rq->arena, &all, &count);
    buf_add(&c->out, S("{\"data\":["));
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_char(&c->out, ',');
        add_entry(&c->out, &all[i]);
    }
    buf_add(&c->out, S("]}"));
    return OK;
}

enum err admin_handle_journal_clear(struct admin_call *c)
{
    struct journal *j = journal_of(c);

    if (!j)
        return ERR_FAULT;
    journal_clear(j);
    return OK;
}
