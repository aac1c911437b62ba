/* embed.h - the middle form of embeddings.
 *
 * A surface (api/…) turns a body into an input, a service checks it, an engine answers it whole. All texts and arrays are
 * in the request's arena, or in the JSON document that it holds.
 */
#ifndef DASHBOX_CONTRACT_EMBED_H
#define DASHBOX_CONTRACT_EMBED_H

#include "contract/chat.h" /* opt_int, opt_bool */

/* The words of the wire, in the order of data/params/embedding.txt, from 1; 0: not said. */
enum embed_output { EMBED_DENSE = 1, EMBED_SPARSE, EMBED_DENSE_AND_SPARSE };
enum embed_text_type { EMBED_DOCUMENT = 1, EMBED_QUERY };
enum embed_encoding { EMBED_FLOAT = 1, EMBED_BASE64 };

struct embed_input {
    const struct model *model;
    str                 model_name; /* as the client spelt it */

    const str *texts;
    size_t     text_count;

    opt_int dimension; /* .v is decided by service/embed.c (0: nobody knows); .set: the client has asked for it */
    int     output;    /* enum embed_output; decided likewise */
    int     text_type; /* enum embed_text_type */
    int     encoding;  /* enum embed_encoding, OpenAI-compatible: what the client gets */
    str     instruct;  /* the task that queries are for, in words; may be empty */

    /* Of multimodal models. Their media are only counted: no engine sees them yet. */
    size_t   images, videos, audios;
    opt_num  fps;
    opt_int  res_level, max_video_frames;
    opt_bool fusion;

    int64_t tokens; /* of all texts, set by service/embed.c */
};

/* One member of a sparse vector. */
struct embed_weight {
    int64_t index; /* of the token in the vocabulary */
    double  value;
    str     token;
};

/* The vector of one text: what was asked for of the two, the other empty. */
struct embed_vector {
    const double              *dense; /* of unit length; embed_answer.dimension numbers */
    const struct embed_weight *sparse;
    size_t                     sparse_count;
};

struct embed_answer {
    struct embed_vector *vectors; /* one a text, in their order */
    size_t               count, dimension;
    int64_t              tokens; /* as the engine counted them; -1: it did not say */
};

#endif
