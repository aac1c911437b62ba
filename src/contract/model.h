/* model.h - what is known of each model: where it is called, what it can do, its limits.
 *
 * The rows come from data/models (tools/gen_models.py) and are static: never freed, valid for ever. Every id of the
 * catalogue is here, the retired ones too; see `status`. Token counts are 0 where nobody tells them.
 */
#ifndef DASHBOX_CONTRACT_MODEL_H
#define DASHBOX_CONTRACT_MODEL_H

#include "base/str.h"
#include "contract/models.gen.h" /* enum model_task, enum model_path */
#include "contract/price.h"

enum model_status {
    MODEL_ACTIVE,
    MODEL_RETIRING, /* has an offline date, and is served until then */
    MODEL_NAMED,    /* only other sources than the catalogue name it; served */
    MODEL_RETIRED,  /* gone: E198a, E198b */
};

enum model_thinking {
    MODEL_THINKING_NONE,
    MODEL_THINKING_HYBRID, /* enable_thinking decides; without it, `thinking_default` */
    MODEL_THINKING_ONLY,
};

enum model_stream_only {
    MODEL_STREAM_FREE,
    MODEL_STREAM_THINKING, /* whole answers are refused while it thinks (E001) */
    MODEL_STREAM_ONLY,     /* always (E003) */
    MODEL_STREAM_BREAKS,   /* always, with an internal error (E212) */
};

/* incremental_output of native streams. */
enum model_incremental {
    MODEL_INCREMENTAL_OFF,   /* each event repeats the whole text, unless asked otherwise */
    MODEL_INCREMENTAL_ON,    /* each event holds what is new, unless asked otherwise */
    MODEL_INCREMENTAL_ONLY,  /* the same, and false is refused (E007) */
    MODEL_INCREMENTAL_NEVER, /* each event repeats the whole text whatever is asked, on every protocol */
};

/* result_format of native answers, when absent. */
enum model_result {
    MODEL_RESULT_TEXT,
    MODEL_RESULT_MESSAGE,
    MODEL_RESULT_ALWAYS, /* message whatever is asked */
};

/* Message content given as an array. */
enum model_content {
    MODEL_CONTENT_PARTS,      /* is taken */
    MODEL_CONTENT_STRING,     /* is refused (E020) */
    MODEL_CONTENT_PREPROCESS, /* is refused in other words (E090) */
};

/* The languages of translation_options. */
enum model_languages { MODEL_LANGUAGES_ALL, MODEL_LANGUAGES_LITE };

/* What a message may hold beside text. */
enum model_media {
    MODEL_MEDIA_MIXED,
    MODEL_MEDIA_SINGLE,    /* one kind of medium */
    MODEL_MEDIA_ONE_AUDIO, /* nothing: the whole conversation is one audio */
};

/* How a voice is refused that the model has not. */
enum model_voice_refusal { MODEL_VOICE_LISTED /* E046 */, MODEL_VOICE_OTHER /* E098 */ };

/* How an engine's failure without a word is told. */
enum model_failure {
    MODEL_FAILURE_EXECUTION,   /* E225a */
    MODEL_FAILURE_COMPUTATION, /* E225d */
};

/* Whether max_tokens, which limits the answer, counts the thinking as well. */
enum model_max_tokens {
    MODEL_MAX_TOKENS_ANSWER,
    MODEL_MAX_TOKENS_ALL,
    MODEL_MAX_TOKENS_UNBUDGETED, /* unless a budget limits the thinking */
    MODEL_MAX_TOKENS_ABOVE,      /* no, but over Anthropic's protocol it is above the budget all the same */
};

/* How what is wrong with the texts of an embedding is told. */
enum model_contents {
    MODEL_CONTENTS_INPUT,   /* E036, E043 */
    MODEL_CONTENTS_PAYLOAD, /* as the older models tell it: W201, W202 */
};

/* What usage counts. */
enum model_usage {
    MODEL_USAGE_TOKENS, /* tokens, by kind */
    MODEL_USAGE_MEDIA,  /* of an embedding: input tokens, images, seconds */
    MODEL_USAGE_FLAT,   /* of chat on the native multimodal endpoint: no details, no total (chat.md §4.2) */
};

/* What a multimodal embedding gives for a request's contents. */
enum model_vectors {
    MODEL_VECTORS_EACH,   /* one for each medium */
    MODEL_VECTORS_FUSED,  /* one for all */
    MODEL_VECTORS_EITHER, /* enable_fusion decides */
    MODEL_VECTORS_OBJECT, /* one for each object: several keys in one are fused */
};

/* Bits of model.calls. */
enum model_call { MODEL_CALL_SYNC, MODEL_CALL_SSE, MODEL_CALL_ASYNC, MODEL_CALL_RUN_TASK, MODEL_CALL_REALTIME };

/* Bits of model.in and model.out. */
enum model_modality {
    MODEL_TEXT,
    MODEL_IMAGE,
    MODEL_VIDEO,
    MODEL_AUDIO,
    MODEL_VECTOR,
    MODEL_SCORES,
    MODEL_JSON,
    MODEL_3D,
    MODEL_TEMPLATE,
    MODEL_RESOURCE,
};

/* Bits of model.regions and model.batch. */
enum model_region { MODEL_CN, MODEL_GLOBAL, MODEL_INTL, MODEL_US, MODEL_EU };

struct model_window {
    int64_t limit, span_ms; /* { 50, 6000 }: 50 in 6 seconds */
};

struct model {
    str id, family, provider;
    str equals;    /* the dated snapshot that the id stands for now; may be empty */
    str offline;   /* "2026-07-13", when retiring or retired */
    str served;    /* what its engine is told it is; empty: `id`. Of deployments, never of the catalogue */
    str workspace; /* the only one that may call it; empty: all may (of the configuration, never of the catalogue) */
    enum model_task   task;
    enum model_status status;

    /* Tokens. The thinking ones equal the others where the catalogue makes no difference. */
    int64_t context, input_max, input_max_thinking, output_max, output_max_thinking;
    int64_t budget_max; /* of thinking_budget; 0: unknown, or no thinking */

    enum model_thinking      thinking;
    bool                     thinking_default; /* what an absent enable_thinking comes to */
    enum model_stream_only   stream_only;
    enum model_incremental   incremental;
    enum model_result        result;
    enum model_content       content;
    enum model_languages     languages;
    enum model_failure       failure;
    enum model_max_tokens    max_tokens;
    enum model_media         media;
    enum model_voice_refusal voice_refusal;

    str     effort;                             /* what reasoning_effort may be; see model_takes_effort() */
    int64_t effort_budgets[8];                  /* tokens of thinking that each of its words means; 0: not known */
    str     audio_voices;                       /* what audio.voice may be, parted by ", "; empty: not known */
    int64_t speech_mtokens;                     /* thousandths of a token that a second of speech counts */
    int64_t image_pixels_min, image_pixels_max; /* of min_pixels and max_pixels; 0: not known */
    int64_t video_pixels_min, video_pixels_max, video_total_pixels_max;
    int64_t frames_min, frames_max; /* of a video given as a list of images; 0: not known */
    bool    frames_narrow;          /* what else is sent is E044b, not E044a */

    /* Of embeddings and rerank. */
    str     dimensions; /* that a vector may have, parted by blanks, the default first; empty: not known */
    int64_t dimension;  /* the default */
    int64_t rows_max;   /* texts or documents of one request; 0: not known, as all below */
    int64_t tokens_max; /* of one request; rerank: of the query, once a document, and the documents together */
    int64_t images_max, videos_max;
    enum model_vectors  vectors;
    enum model_contents contents;
    enum model_usage    usage;

    bool can_tools, can_search, can_json, can_partial, can_cache, can_logprobs, can_sparse, can_terms;
    bool can_required;      /* tool_choice "required" (else E030) */
    bool can_logit_bias;    /* (else it is ignored) */
    bool can_code;          /* enable_code_interpreter */
    bool can_mixed;         /* enable_text_image_mixed (else it is ignored) */
    bool can_tool_stream;   /* the arguments of calls are streamed only with tool_stream */
    bool can_json_thinking; /* response_format json_… while it thinks (else E025) */
    bool partial_answer;    /* a whole answer is given as far as it is when the call's time is over (else E230a) */
    bool openai;            /* some path of the OpenAI-compatible protocol takes it (else E199) */

    unsigned calls, in, out, regions, batch;
    uint64_t paths; /* bits of enum model_path */

    /* Limits of one main account; 0: none published. */
    int64_t rpm, tpm, rps, rpm_intl, tpm_intl, rps_intl;

    /* The same limits as the mainland really counts them; span 0: not published. Tokens are what the model's usage counts:
     * for a few speech models characters. */
    struct model_window window_requests, window_tokens;
    int64_t             tasks_running_max, tasks_queued_max; /* of asynchronous tasks: surplus ones wait; 0: unknown */

    const struct price *prices[PRICE_REGION_COUNT]; /* NULL: none published */
    int                 cached_permille;            /* of the input price, for what an implicit cache had */
    struct price_free   free;                       /* published for the mainland */

    str facts; /* everything else that is published, as "key value" lines; see model_fact() */
};

extern const struct model models[]; /* in the order of their ids */
extern const unsigned     model_count;

/* By the id exactly as sent: case and blanks count. NULL when unknown. */
const struct model *model_find(str id);

/* What the OpenAI-compatible list says of every model. */
extern const struct model_listing {
    int64_t created;
    str     owned_by;
} model_listing;

static inline bool model_on_path(const struct model *m, enum model_path path)
{
    return m->paths >> path & 1;
}

/* Whether requests for it are answered at all. */
static inline bool model_is_served(const struct model *m)
{
    return m->status != MODEL_RETIRED;
}

static inline int64_t model_input_max(const struct model *m, bool thinking)
{
    return thinking ? m->input_max_thinking : m->input_max;
}

/* A published fact that no code needs to compute with: "price.cn", "free", "window", "notes"… Empty when there is none. */
str model_fact(const struct model *m, str key);

/* The word of data/models, "vision-chat". */
str model_task_name(enum model_task task);

/* Whether `word` is one of the words, which blanks part. */
bool words_have(str words, str word);

/* Whether the word is one of reasoning_effort's; a list that ends in "..." takes every other word as its nearest. */
bool model_takes_effort(const struct model *m, str word);

/* The tokens of thinking that the word means to the model; 0 when nobody tells. */
int64_t model_effort_budget(const struct model *m, str word);

#endif
