/* ocr.h - text recognition: ocr_options of Qwen-OCR, and what its answers hold besides text. Specification: chat.md §5.2. */
#ifndef DASHBOX_CONTRACT_OCR_H
#define DASHBOX_CONTRACT_OCR_H

#include "base/buf.h"
#include "contract/request.h"

/* For an OCR model: reads in->ocr_options into in->ocr (refusals W034, W035), and completes a question that says nothing:
 * the default prompt, and the longest answer. */
enum err ocr_read(struct request *rq, struct chat_input *in);

/* The schema that the answer of a key information extraction fills, or NULL. */
struct yyjson_val *ocr_schema(const struct chat_input *in);

/* The task in words, for an engine that knows no ocr_options; empty without a task. */
str ocr_instruction(struct arena *a, const struct ocr_input *o);

/* The member "ocr_result" with a comma behind it, made from what the engine answered: of an extraction its JSON object, of
 * an advanced recognition its array of words. Nothing for other tasks, and when the text holds no such JSON. */
void ocr_add_result(struct buf *b, const struct chat_input *in, str text);

#endif
