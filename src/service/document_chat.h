/* document_chat.h - the documents that a chat names: fileid:// in system messages, doc_url in the user's. Spec: platform.md §1.7; chat.md
 * §5.7, §5.8.
 *
 *     document_chat_look ---> (the prompt is counted) ---> document_chat_load ---> (moderation) ---> document_chat_inline ---> an engine
 *
 * What is uploaded has been read before (service/documents.h); what stands at an address is downloaded and read here. Their texts stay
 * on the disk: an engine behind is given no more of them than `documents.inline_max` bytes.
 */
#ifndef DASHBOX_SERVICE_DOCUMENT_CHAT_H
#define DASHBOX_SERVICE_DOCUMENT_CHAT_H

#include "contract/request.h"

/* Finds them, and sets the documents of messages and parts. Refuses the first that cannot be talked about, in the order in which they are
 * named: X055, X056, E158, X058, E275, X059, X060, X061; and behind those E034, what has not been read yet. `cloud`: the engine has files
 * of its own, and what is unknown here is left to it; addresses too. What stands at an address that cannot be reached from here is taken
 * on trust, as media are. */
SUSPENDS enum err document_chat_look(struct request *rq, struct chat_input *in, bool cloud);

/* Of all documents that the message names. */
int64_t document_chat_tokens(const struct chat_message *m);

/* The beginnings of the texts, into chat_document.given. */
SUSPENDS enum err document_chat_load(struct request *rq, struct chat_input *in);

/* For an engine that knows no files of ours: each becomes a system message with its text, an address's a text of the user's message. */
void document_chat_inline(struct request *rq, struct chat_input *in);

/* ---- document_recall.c ---- */

/* The sentences of the documents that have most in common with the question, the nearest first: by their words (engine/lexical). The same
 * question has the same. Looks at the first 4 MiB of the texts. */
SUSPENDS enum err document_recall(struct request *rq, const struct chat_input *in, str question,
                                  struct chat_passage ret[CHAT_PASSAGES_MAX], size_t *ret_count);

#endif
