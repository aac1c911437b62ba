/* instruct.c - what a plain model is told so that it does the work of a special one.
 *
 * A translation becomes a system message before the text. The task of a text recognition becomes the question that stands
 * behind the image. Spec: chat.md §5.2, §5.6.
 */
#include "engine/upstream/instruct.h"

#include "contract/model.h"
#include "contract/ocr.h"
#include "contract/translation.h"

static void tell_translator(struct arena *a, struct chat_input *in)
{
    struct chat_message *messages = arena_array(a, struct chat_message, in->message_count + 1);

    messages[0] = (struct chat_message){ .role = CHAT_SYSTEM, .content = translation_instruction(a, &in->translate) };
    memcpy(messages + 1, in->messages, in->message_count * sizeof(*messages));
    in->messages = messages;
    in->message_count++;
}

static void ask_reader(struct arena *a, struct chat_input *in)
{
    struct chat_message *messages = arena_array(a, struct chat_message, in->message_count);
    struct chat_message *last = &messages[in->message_count - 1];
    struct chat_part    *parts;

    memcpy(messages, in->messages, in->message_count * sizeof(*messages));
    in->messages = messages;
    parts = arena_array(a, struct chat_part, last->part_count + 1);
    if (last->part_count)
        memcpy(parts, last->parts, last->part_count * sizeof(*parts));
    parts[last->part_count++] = (struct chat_part){ .kind = CHAT_PART_TEXT, .text = ocr_instruction(a, &in->ocr) };
    last->parts = parts;
}

const struct chat_input *instruct(struct arena *a, const struct chat_input *in)
{
    bool               translates = in->translate.target_lang.len > 0;
    struct chat_input *told;

    if (in->message_count == 0 ||
        !(translates || (in->ocr.task && in->messages[in->message_count - 1].content_is_array)))
        return in;
    told = arena_new(a, struct chat_input);
    *told = *in;
    if (translates)
        tell_translator(a, told);
    else
        ask_reader(a, told);
    return told;
}
