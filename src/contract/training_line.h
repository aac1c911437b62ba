/* training_line.h - one line of a training file: whether it is what its kind of training wants, and what it trains on.
 *
 *   SFT  {"messages":[…, {"role":"assistant","content":"…"}]}, with "tools" where its answers call them
 *   DPO  {"messages":[…, {"role":"user","content":"…"}],"chosen":{"role":"assistant",…},"rejected":{…}}
 *   CPT  {"text":"…"}
 *
 * An answer may have "reasoning_content", "tool_calls", and a "loss_weight" from 0 to 1. Content is a text, or a list of parts: {"text":…},
 * {"image":…} and so on, each with a "type" or without.
 *
 * Thread: any; nothing is shared. Memory: the arena's. Limits: the caller's, on the line. Spec: platform.md §6.2.
 */
#ifndef DASHBOX_CONTRACT_TRAINING_LINE_H
#define DASHBOX_CONTRACT_TRAINING_LINE_H

#include "base/arena.h"

enum training_kind { TRAINING_SFT, TRAINING_DPO, TRAINING_CPT };

struct training_line {
    str    reason; /* what is wrong, for people: "messages[2].role is \"robot\", …"; empty: nothing */
    str   *texts;  /* all that is trained on, in order */
    size_t text_count;
    size_t message_count;
    str   *files; /* that its parts name */
    size_t file_count;
};

void training_line_read(struct arena *a, enum training_kind kind, str line, struct training_line *ret);

#endif
