/* standin.h - the engine that answers without a model.
 *
 * It says what it is and never pretends to be a model. A scenario (scenario.h) says what is answered to what; where it
 * says nothing, these rules do:
 *
 *   text          "dashbox stand-in: " and the last user message; after a tool's result, "dashbox stand-in: tool result: "
 *                 and that. Messages longer than STANDIN_ECHO_MAX bytes are cut and end in " […]".
 *   media         of the last user message: behind the text, what can be told of them without a model (seen.h). OCR models answer with the
 *                 text that was read.
 *   documents     behind the text: what they are, and the sentences in them that have most in common with the question
 *   text-to-SQL   a statement made of names and values in the question (sql.h)
 *   n             choice 0 as above; choice i begins "dashbox stand-in (answer i+1): ", and rolls dice of its own.
 *   json_object   {"engine": "dashbox stand-in", "message": the same text without its beginning, "answer": i+1 (i > 0)}
 *   json_schema   a made-up instance (schema.h); E219 when none is found.
 *   tool_choice   required or a name: one call with made-up arguments, that of the first tool for "required"; it ends
 *                 with "stop", as the service's forced calls do. Otherwise no call, but for the scenario's.
 *   thinking      STANDIN_REASONING first. A scenario's reasoning is given only when the request has thinking on.
 *   partial       what follows the prefix when the answer begins with it, else the whole answer.
 *   limits        reasoning ends at thinking_max; text and tool arguments at max_tokens, with "length"; all of it at
 *                 max_completion_tokens, and at max_tokens where the model says so. What just fits ends with "stop". stop texts and ids end the text, and are not
 *                 in it.
 *   seed          the same request with the same seed has the same answer, ids of calls included. Without one, ids are
 *                 new each time and made-up values follow the seed of the configuration.
 *
 *   logit_bias    a token with the least bias is left out; others change nothing
 *   logprobs      logprobs.h
 *   search        what the scenario says that was found; a search that the client forces finds nothing without one.
 *                 Citations are the marks of all pages, at the end of the text.
 *   code          what the scenario says that was run
 *   cache         prefixes.h
 *
 * Embeddings and rerank are lexical.h's, and no scenario's.
 *
 * Not streamed, each text is one event and its tokens are counted by the caller, unless a limit or a delay needs them;
 * with a delay between its tokens it comes in pieces as in a stream, so that a call's time can end within it.
 * Streamed, three events of one token come first, then up to eight tokens each.
 *
 * Thread: shared by all loops: read-only but for the scenario's atomic counters, the prefixes behind their lock, and a lane of its own that makes up
 *         values from schemas and statements, begun when first needed. Streams are the request's.
 * Memory: the engine is in the arena given, which must outlive all its streams and ends the lane;
 *         streams are in the request's.
 * Limits: scenario.h, schema.h. Spec: chat.md §3.6-3.9, 4.3-4.8.
 */
#ifndef DASHBOX_ENGINE_STANDIN_STANDIN_H
#define DASHBOX_ENGINE_STANDIN_STANDIN_H

#include "engine/engine.h"

#define STANDIN_ECHO_MAX ((size_t)1000)
#define STANDIN_REASONING \
    "This is the stand-in of dashbox: no model is thinking here. These words stand where its thoughts would be."

struct arena;
struct chat_part;
struct chat_passage;
struct error_row;
struct picture;
struct tokenizer;

struct standin_options {
    str                     name;          /* of the configuration */
    const struct tokenizer *tokenizer;     /* for limits and for streaming */
    const char             *scenario_path; /* NULL: the fixed rules only */
    uint64_t                seed;          /* made-up values follow from it */
    /* The catalogue's look-up by name or E-number: error_find() of contract/catalog.h. */
    const struct error_row *(*error_find)(str name);
    /* A header of the request, empty when it has none; `arg` is its struct request. NULL: there are no headers. */
    str (*header)(void *arg, str name);
    /* What the part of a message shows, or its text alone, in the request's memory; ERR_NOT_FOUND: nobody has looked at it;
     * ERR_CANCELLED. NULL: nobody can. */
    enum err (*see)(struct request *rq, const struct chat_part *p, bool text_alone, struct picture *ret);
    /* The sentences of the documents that are nearest to the question, in the request's memory. NULL: nobody has documents. */
    enum err (*recall)(struct request *rq, const struct chat_input *in, str question,
                       struct chat_passage ret[CHAT_PASSAGES_MAX], size_t *ret_count);
};

/* NULL when the scenario cannot be used; *why is then a line for the operator. Loading a scenario reads a file and needs
 * half a MiB of stack: not on a fiber. */
struct engine *standin_new(struct arena *a, const struct standin_options *o, str *why);

/* The scenario's rules count their calls from 1 again. From any thread. */
void standin_reset(struct engine *e);

#endif
