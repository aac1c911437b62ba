/* chat.h - the middle form of text chat.
 *
 * A surface (api/…) turns a body into a chat_input; an engine turns that into chat_events; the surface turns those into
 * frames. All texts are views into the request's arena or the JSON document it holds: they live as long as the request.
 */
#ifndef DASHBOX_CONTRACT_CHAT_H
#define DASHBOX_CONTRACT_CHAT_H

#include "contract/media.h"

struct media_file;
struct model;
struct text2sql;
struct yyjson_val;

#define CHAT_ROLES(X)              \
    X(CHAT_SYSTEM, "system")       \
    X(CHAT_USER, "user")           \
    X(CHAT_ASSISTANT, "assistant") \
    X(CHAT_TOOL, "tool")           \
    X(CHAT_FUNCTION, "function")   \
    X(CHAT_PLUGIN, "plugin")

#define CHAT_ROLE_ENUM(name, text) name,
enum chat_role { CHAT_ROLES(CHAT_ROLE_ENUM) CHAT_ROLE_COUNT };
#undef CHAT_ROLE_ENUM

str chat_role_name(enum chat_role role);

/* The name → role of the wire; false when it is none. "developer" is the OpenAI spelling of system. */
bool chat_role_parse(str name, enum chat_role *ret);

enum chat_part_kind { CHAT_PART_TEXT, CHAT_PART_IMAGE, CHAT_PART_VIDEO, CHAT_PART_AUDIO, CHAT_PART_FILE };

/* A document that a message names, once its text is known (service/document_chat.h). */
struct chat_document {
    str     id;     /* as the client wrote it: a file's, or an address */
    str     name;   /* of the file */
    str     format; /* "pdf" */
    int64_t pages;  /* 0: it has none */
    int64_t tokens, text_bytes;
    str     hash; /* of a text that is kept (store/blobs.h); empty: it lies in `fd` */
    int     fd;
    str     given; /* of the text, its beginning, when somebody needs it here */
};

#define CHAT_PASSAGES_MAX 3

/* A sentence of a document. */
struct chat_passage {
    const struct chat_document *document;
    str                         text;
};

/* One item of a message whose content is an array. */
struct chat_part {
    enum chat_part_kind   kind;
    str                   text;  /* the text, or the URL or data URI of the medium */
    struct yyjson_val    *urls;  /* a video given as a list of frames, or documents: the array of URLs, else NULL */
    bool                  cache; /* cache_control {"type": "ephemeral"}: the prefix up to here is to be kept */
    struct media_input    options;
    str                   file_parsing_strategy; /* CHAT_PART_FILE */
    struct media_file    *file;          /* what is there (service/media.h), once it has been looked at; else NULL */
    int64_t               height, width; /* of an image, as the model sees it; 0: it has not been looked at */
    struct chat_document *documents;     /* CHAT_PART_FILE: likewise */
    size_t                document_count;
};

struct chat_tool_call {
    str id, name;
    str arguments; /* JSON text, as sent */
};

struct chat_message {
    enum chat_role         role;
    str                    content; /* all text of the message; the text parts joined when it was an array */
    bool                   content_is_array;
    bool                   partial; /* last assistant turn: a prefix to be continued */
    struct chat_part      *parts;   /* only when content_is_array */
    size_t                 part_count;
    str                    reasoning; /* reasoning_content of an earlier assistant turn */
    struct chat_tool_call *tool_calls;
    size_t                 tool_call_count;
    str                    tool_call_id; /* role tool */
    str                    name;
    bool                   cache;     /* cache_control on the message itself */
    struct chat_document  *documents; /* of a system message that is nothing but file ids */
    size_t                 document_count;
};

struct chat_tool {
    str                name, description;
    struct yyjson_val *parameters; /* JSON Schema object, or NULL */
    struct yyjson_val *raw;        /* the whole element as sent */
    str                text;       /* the same as minified JSON: what the prompt template holds */
    bool               cache;      /* cache_control on the tool */
};

/* A row of token ids at which the answer ends, as `stop` may name it. */
struct chat_stop_ids {
    const uint32_t *ids;
    size_t          count;
};

/* search_options (chat.md §3.10). */
struct chat_search {
    bool forced, source, citation, extension, prepend;
    bool citation_ref; /* citation_format "[ref_<number>]" instead of "[<number>]" */
    str  strategy;     /* empty: not given */
};

enum chat_tool_choice { CHAT_TOOLS_AUTO, CHAT_TOOLS_NONE, CHAT_TOOLS_REQUIRED, CHAT_TOOLS_NAMED };
enum chat_format { CHAT_FORMAT_TEXT, CHAT_FORMAT_JSON_OBJECT, CHAT_FORMAT_JSON_SCHEMA };
enum chat_result_format { CHAT_RESULT_UNSET, CHAT_RESULT_TEXT, CHAT_RESULT_MESSAGE };

/* translation_options of Qwen-MT. */
struct translation_input {
    str                source_lang, target_lang, domains;
    struct yyjson_val *terms, *tm_list; /* arrays of {"source", "target"}, or NULL */
};

enum ocr_task {
    OCR_NONE,
    OCR_TEXT_RECOGNITION,
    OCR_KEY_INFORMATION_EXTRACTION,
    OCR_DOCUMENT_PARSING,
    OCR_TABLE_PARSING,
    OCR_FORMULA_RECOGNITION,
    OCR_MULTI_LAN,
    OCR_ADVANCED_RECOGNITION,
};

/* ocr_options of Qwen-OCR. */
struct ocr_input {
    int                task; /* enum ocr_task */
    struct yyjson_val *task_config;
};

enum chat_research_format { RESEARCH_UNSET, RESEARCH_DETAILED, RESEARCH_SUMMARY };

/* A piece of a document that an application's knowledge base has found; its number is its place, from 1. */
struct chat_excerpt {
    str name, text; /* of the file */
};

struct chat_input {
    const struct model *model;
    str                 model_name; /* as the client spelt it; repeated in the answer */

    struct chat_message *messages;
    size_t               message_count;
    str raw_prompt; /* legacy completions: goes on without a template; `messages` then holds the same as a user's turn */

    struct chat_tool     *tools;
    size_t                tool_count;
    enum chat_tool_choice tool_choice;
    str                   tool_choice_name; /* CHAT_TOOLS_NAMED */
    opt_bool              parallel_tool_calls;

    enum chat_format   format;
    struct yyjson_val *format_schema; /* CHAT_FORMAT_JSON_SCHEMA: the schema, may be NULL */
    struct yyjson_val *format_raw;    /* response_format as sent, or NULL */

    opt_num  temperature, top_p, repetition_penalty, presence_penalty, frequency_penalty;
    opt_int  top_k, seed, n, max_tokens, max_completion_tokens, thinking_budget, top_logprobs;
    opt_bool enable_thinking, enable_search, logprobs, preserve_thinking, vl_high_resolution_images, image_hw;
    str      reasoning_effort;

    str                  *stop; /* texts at which the answer ends; not part of it */
    size_t                stop_count;
    struct chat_stop_ids *stop_ids; /* the same given as ids */
    size_t                stop_ids_count;
    struct yyjson_val    *stop_raw; /* as sent (token ids too), or NULL */

    struct yyjson_val *logit_bias;       /* object of token id → [-100, 100], or NULL */
    struct yyjson_val *search_options;   /* as sent, or NULL */
    struct chat_search search;           /* what it says */
    opt_bool           code_interpreter; /* enable_code_interpreter */
    bool               code_whole;       /* … whose answer need not be a stream (a tool of the Responses API) */
    opt_bool           tool_stream;
    opt_bool           text_image_mixed; /* enable_text_image_mixed: pictures between the texts */

    bool                    stream;        /* the answer goes out piece by piece */
    bool                    include_usage; /* stream_options.include_usage */
    opt_bool                incremental;   /* native incremental_output */
    enum chat_result_format result_format; /* native */

    struct yyjson_val         *translation;     /* translation_options, or NULL */
    struct translation_input   translate;       /* the same, read by contract/translation.c */
    struct yyjson_val         *ocr_options;     /* or NULL */
    struct ocr_input           ocr;             /* the same, read by contract/ocr.c */
    struct yyjson_val         *skill;           /* of a document model, or NULL */
    int                        research_format; /* enum chat_research_format */
    const struct chat_excerpt *found; /* what knowledge bases said of the question: it stands in the system message */
    size_t                     found_count;
    bool                       cites; /* the answer shall have marks of it: <ref>[1]</ref> */
    struct text2sql           *sql;   /* the answer is a statement that fits these tables; or NULL */

    bool audio_out;    /* modalities asks for speech */
    str  voice;        /* audio.voice */
    int  audio_format; /* audio.format: 1 is wav, 0 not said */

    bool    thinking;     /* decided by service/chat.c: what enable_thinking and the model come to */
    int64_t thinking_max; /* the same of thinking_budget and reasoning_effort: tokens; 0: no limit is known */
    bool    multimodal;   /* native multimodal endpoint: content of answers is an array */

    int64_t
        window_percent;   /* a longer prompt loses its oldest turns (Responses); 0: it is taken as it is, or refused */
    unsigned cache_marks; /* how many cache_control a prompt has that is long enough for the cache */
    int64_t  prompt_tokens;                            /* of the rendered prompt, set by service/chat.c */
    int64_t  image_tokens, video_tokens, audio_tokens; /* parts of it: media that were looked at (service/vision.c) */
    int64_t
        *prompt_ends; /* how many of them [i] messages come to, and [0] tools before them; NULL: nobody needs them */
};

/* How an answer ended, in the words of the wire. */
#define CHAT_FINISHES(X)            \
    X(CHAT_FINISH_NONE, "null")     \
    X(CHAT_FINISH_STOP, "stop")     \
    X(CHAT_FINISH_LENGTH, "length") \
    X(CHAT_FINISH_TOOL_CALLS, "tool_calls")

#define CHAT_FINISH_ENUM(name, text) name,
enum chat_finish { CHAT_FINISHES(CHAT_FINISH_ENUM) };
#undef CHAT_FINISH_ENUM

str  chat_finish_name(enum chat_finish f);
bool chat_finish_parse(str name, enum chat_finish *ret);

struct chat_usage {
    int64_t prompt_tokens;        /* input */
    int64_t completion_tokens;    /* output, with reasoning and the text of tool calls */
    int64_t reasoning_tokens;     /* part of completion_tokens */
    int64_t cached_tokens;        /* part of prompt_tokens */
    int64_t cache_created_tokens; /* part of prompt_tokens: put into the explicit cache by this call */
    bool    cache_explicit;       /* … which cached_tokens are of as well; decided by service/chat.c */
    int64_t image_tokens, video_tokens, audio_tokens; /* parts of prompt_tokens */
    int64_t audio_out_tokens;                         /* part of completion_tokens: speech */
    int64_t searches;                                 /* how often the web was searched */
    int64_t image_searches;                           /* … for pictures that stand in the text */
    int64_t code_runs;                                /* how often the code interpreter ran */
    int64_t images, play_ms; /* not chat: pictures made, video made or sound heard, of the size `size` ("720P") */
    int64_t characters;      /* spoken, as its family counts them */
    str     size;
};

/* One token of an answer, and the likeliest in its place. */
struct chat_logprob {
    str                        token; /* its bytes: possibly only a part of a character */
    double                     logprob;
    const struct chat_logprob *top; /* top_logprobs of them, the likeliest first; their `top` is NULL */
    size_t                     top_count;
};

/* One page that a web search found. */
struct chat_source {
    int64_t index; /* from 1: what citations name */
    str     title, url, site_name, icon;
};

/* What a vertical search found: the weather, a share's price. */
struct chat_found {
    str tool, result;
};

/* What the code interpreter ran, and what it printed. */
struct chat_code {
    str code, output;
};

/* One step of a research, in the words of the wire (chat.md §5.9). */
struct chat_step {
    str phase, status;
    str extra; /* the members of extra.deep_research as JSON text, may be empty */
};

enum chat_event_kind {
    CHAT_EV_REASONING, /* text */
    CHAT_EV_TEXT,      /* text */
    CHAT_EV_TOOL_CALL, /* a call begins: tool_index, tool_id, tool_name */
    CHAT_EV_TOOL_ARGS, /* text: a piece of the call's JSON arguments */
    CHAT_EV_SEARCH, /* sources: what a web search found; text: what was asked, may be empty; before the text that uses it */
    CHAT_EV_IMAGES, /* pictures were searched for: they stand in the text that follows, as HTML */
    CHAT_EV_CODE,   /* text: code that the code interpreter ran, whole; output: what it printed, may be empty */
    CHAT_EV_AUDIO,  /* text: a piece of base64 PCM */
    CHAT_EV_STEP,   /* step: what a research model does; text: what it says of it */
    CHAT_EV_FINISH, /* finish; last of its choice */
    CHAT_EV_USAGE,  /* usage: the engine's own count, replaces ours */
};

/* One step of an answer. Texts are valid until the next event is asked for. */
struct chat_event {
    enum chat_event_kind kind;
    unsigned             choice; /* 0 … n-1 */
    str                  text;
    int64_t              tokens; /* of `text`; -1 when the engine does not know (then they are counted) */
    unsigned             tool_index;
    str                  tool_id, tool_name;
    str                  output; /* CHAT_EV_CODE */
    enum chat_finish     finish;
    str                  stop; /* CHAT_EV_FINISH: the text of `stop` that ended the answer, when the engine tells */
    struct chat_usage    usage;

    const struct chat_logprob *logprobs; /* CHAT_EV_TEXT: of its tokens, when they were asked for */
    size_t                     logprob_count;
    const struct chat_step    *step;    /* CHAT_EV_STEP */
    const struct chat_source  *sources; /* CHAT_EV_SEARCH */
    size_t                     source_count;
    const struct chat_found   *found; /* CHAT_EV_SEARCH */
    size_t                     found_count;
};

#endif
