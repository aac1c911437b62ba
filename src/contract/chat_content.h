/* chat_content.h - what a chat message holds: one text, or texts and media in either spelling.
 *
 * Only form is checked, and what the model's row says of modalities: of a medium the URL or data URI (media are not fetched
 * here), its options against data/params/media.txt, and which role may hold it. Nothing is copied but joined texts.
 */
#ifndef DASHBOX_CONTRACT_CHAT_CONTENT_H
#define DASHBOX_CONTRACT_CHAT_CONTENT_H

#include "contract/chat_body.h"

/* Reads the content of `m`, whose role is known; `where` and `at` name it in refusals ("input.messages", 2). */
enum err chat_read_content(struct request *rq, yyjson_val *content, enum chat_content_form form, str where, size_t at,
                           const struct chat_input *in, struct chat_message *m);

/* What all messages hold together: how many media, which ones beside each other, and how file ids are written. */
enum err chat_check_content(struct request *rq, const struct chat_input *in);

/* The file ids of a system message that is nothing but those, "fileid://a,fileid://b", in the arena; 0: it is another. */
size_t chat_file_ids(struct arena *a, const struct chat_message *m, str **ret);

/* The first file id of which a document model has not been given the text (chat.md §5.7); false when there is none. */
bool chat_file_id(const struct chat_input *in, str *ret);

/* Whether the message, item or tool has cache_control {"type": "ephemeral"} (chat.md §10.6). */
bool chat_is_cache_mark(yyjson_val *item);

/* ---- what other bodies of chat have in common with these ---- */

/* Whether oss:// URLs, of temporary uploads, may stand in the request. */
bool chat_resolves_uploads(const struct request *rq);

/* E041, E045a: what is no URL of a medium, or a data URI that is too large. */
enum err chat_check_media_url(struct request *rq, str url);

/* The texts among the parts, put together. */
str chat_parts_text(struct arena *a, const struct chat_part *parts, size_t count);

/* A text model was given an array with media. */
enum err chat_refuse_array(struct request *rq, const struct chat_input *in);

#endif
