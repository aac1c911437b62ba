/* rendered.h - a rendered prompt as ids: what the counts of chat_template.c are held against.
 *
 * The markup that structures a prompt (<|im_start|>, <tool_call>, <think>…) is one token each; the texts between go through
 * the tokenizer.
 */
#ifndef DASHBOX_TEST_RENDERED_H
#define DASHBOX_TEST_RENDERED_H

#include "base/num.h"
#include "tokens/tokenizer.h"

#define TOKEN_ENDOFTEXT 151643u /* the first; markup has the ids from here on */
#define TOKEN_IM_START  151644u
#define TOKEN_IM_END    151645u

/* The markup with which the text begins, 0 for none; the longest where one begins another. */
static inline uint32_t markup_at(const struct tokenizer *t, str text)
{
    uint32_t best = 0;
    size_t   best_len = 0;

    for (uint32_t id = TOKEN_ENDOFTEXT; tokenizer_decode(t, id).len; id++) {
        str markup = tokenizer_decode(t, id);

        if (markup.len > best_len && str_starts(text, markup)) {
            best = id;
            best_len = markup.len;
        }
    }
    return best;
}

/* As tokenizer_encode(). */
static inline size_t rendered_encode(const struct tokenizer *t, str text, uint32_t *ids, size_t cap)
{
    size_t count = 0;

    for (size_t at = 0; at <= text.len;) {
        uint32_t id = at < text.len && text.ptr[at] == '<' ? markup_at(t, str_from(text, at)) : 0;

        if (id == 0 && at < text.len) {
            at++;
            continue;
        }
        count += tokenizer_encode(t, str_first(text, at), ids ? ids + min_size(count, cap) : NULL,
                                  count < cap ? cap - count : 0);
        if (id == 0)
            break;
        if (count < cap)
            ids[count] = id;
        count++;
        text = str_from(text, at + tokenizer_decode(t, id).len);
        at = 0;
    }
    return count;
}

#endif
