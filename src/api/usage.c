/* usage.c - what both protocols of chat say alike of what an answer has used. */
#include "api/usage.h"

#include "base/num.h"
#include "contract/chat_params.gen.h"
#include "contract/json.h"
#include "contract/model.h"

void usage_add_cached(struct buf *b, const struct chat_usage *u)
{
    json_add_count(b, S("\"cached_tokens\":"), u->cached_tokens);
    if (LIKELY(!u->cache_explicit))
        return;
    json_add_count(b, S(",\"cache_creation_input_tokens\":"), u->cache_created_tokens);
    buf_add(b, S(",\"cache_type\":\"ephemeral\",\"cache_creation\":{"));
    json_add_count(b, S("\"ephemeral_5m_input_tokens\":"), u->cache_created_tokens);
    buf_add_char(b, '}');
}

static bool add_kind(struct buf *b, str member, int64_t tokens)
{
    if (!tokens)
        return false;
    json_add_count(b, member, tokens);
    buf_add_char(b, ',');
    return true;
}

bool usage_add_media(struct buf *b, const struct chat_usage *u)
{
    bool any = add_kind(b, S("\"image_tokens\":"), u->image_tokens);

    any |= add_kind(b, S("\"video_tokens\":"), u->video_tokens);
    any |= add_kind(b, S("\"audio_tokens\":"), u->audio_tokens);
    return any;
}

int64_t usage_text_tokens(const struct chat_usage *u)
{
    return max_i64(u->prompt_tokens - u->image_tokens - u->video_tokens - u->audio_tokens, 0);
}

/* `tail`: what follows the count. False, and nothing is added, when it was not used. */
static bool add_plugin(struct buf *b, bool *any, str head, int64_t count, str tail)
{
    if (!count)
        return false;
    if (*any)
        buf_add_char(b, ',');
    *any = true;
    json_add_count(b, head, count);
    buf_add(b, tail);
    return true;
}

void usage_add_plugins(struct buf *b, const struct chat_input *in, const struct chat_usage *u)
{
    bool any = false;

    if (LIKELY(!u->searches && !u->image_searches && !u->code_runs))
        return;
    buf_add(b, S(",\"plugins\":{"));
    add_plugin(b, &any, S("\"code_interpreter\":{\"count\":"), u->code_runs, S("}"));
    add_plugin(b, &any, S("\"image_search\":{\"count\":"), u->image_searches, S("}"));
    if (add_plugin(b, &any, S("\"search\":{\"count\":"), u->searches, S(",\"strategy\":"))) {
        json_add_str(b, in->search.strategy.len ? in->search.strategy : CHAT_SEARCH_STRATEGY);
        buf_add_char(b, '}');
    }
    buf_add_char(b, '}');
}
