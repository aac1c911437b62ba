/* logprobs.c - the probabilities of an answer's tokens as JSON. */
#include "api/logprobs.h"

#include "base/utf8.h"
#include "contract/json.h"

static void add_token(struct buf *b, str token)
{
    if (utf8_valid(token))
        json_add_str(b, token);
    else
        json_add_str(b, S("\xEF\xBF\xBD"));
}

static void add_bytes(struct buf *b, str token)
{
    buf_add_char(b, '[');
    for (size_t i = 0; i < token.len; i++) {
        if (i)
            buf_add_char(b, ',');
        buf_add_i64(b, (unsigned char)token.ptr[i]);
    }
    buf_add_char(b, ']');
}

static void add_native(struct buf *b, const struct chat_logprob *p)
{
    buf_add(b, S("\"logprob\":"));
    json_add_num(b, p->logprob);
    buf_add(b, S(",\"bytes\":"));
    add_bytes(b, p->token);
    buf_add(b, S(",\"token\":"));
    add_token(b, p->token);
}

static void add_openai(struct buf *b, const struct chat_logprob *p)
{
    buf_add(b, S("\"token\":"));
    add_token(b, p->token);
    buf_add(b, S(",\"bytes\":"));
    add_bytes(b, p->token);
    buf_add(b, S(",\"logprob\":"));
    json_add_num(b, p->logprob);
}

static void add_top(struct buf *b, const struct chat_logprob *p, void (*add)(struct buf *, const struct chat_logprob *))
{
    buf_add(b, S("\"top_logprobs\":["));
    for (size_t i = 0; i < p->top_count; i++) {
        buf_add(b, i ? S(",{") : S("{"));
        add(b, &p->top[i]);
        buf_add_char(b, '}');
    }
    buf_add_char(b, ']');
}

void logprobs_add_native(struct buf *b, const struct chat_logprob *all, size_t count)
{
    buf_add(b, S("{\"content\":["));
    for (size_t i = 0; i < count; i++) {
        buf_add(b, i ? S(",{") : S("{"));
        add_top(b, &all[i], add_native);
        buf_add_char(b, ',');
        add_native(b, &all[i]);
        buf_add_char(b, '}');
    }
    buf_add(b, S("]}"));
}

void logprobs_add_openai(struct buf *b, const struct chat_logprob *all, size_t count)
{
    buf_add(b, S("{\"content\":["));
    for (size_t i = 0; i < count; i++) {
        buf_add(b, i ? S(",{") : S("{"));
        add_openai(b, &all[i]);
        buf_add_char(b, ',');
        add_top(b, &all[i], add_openai);
        buf_add_char(b, '}');
    }
    buf_add(b, S("]}"));
}
