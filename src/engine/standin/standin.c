/* standin.c - answers from the scenario or by fixed rules.
 *
 * A choice is planned whole when it begins, as parts (reasoning, text, tool calls) already cut at every limit; next()
 * then hands the parts out in pieces.
 *
 *   open --> [first_token delay] --> choice_begin --> pieces of part 0, 1, … --> (usage) --> finish --> next choice
 *                                                            |
 *                                                            +--> the scenario's error, after so many tokens
 */
#include "engine/standin/standin.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/num.h"
#include "base/rand.h"
#include "base/utf8.h"
#include "contract/chat_params.gen.h"
#include "contract/errors.gen.h"
#include "contract/chat_content.h"
#include "contract/json.h"
#include "contract/model.h"
#include "engine/lexical/lexical.h"
#include "engine/standin/logprobs.h"
#include "engine/standin/prefixes.h"
#include "engine/standin/scenario.h"
#include "engine/standin/schema.h"
#include "engine/standin/seen.h"
#include "engine/standin/special.h"
#include "engine/standin/sql.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "tokens/chat_template.h"

#include <pthread.h>

#define PIECES_SINGLE    3 /* events of one token each at the beginning of a choice */
#define PIECE_TOKENS     8 /* and of those after them */
#define CHOICES_MAX      128
#define AUDIO_PIECE      8192 /* Base64: a multiple of 4 */
#define UNLIMITED        INT64_MAX
#define REMEMBER_AT_ONCE 16384 /* tokens */

enum part_kind { PART_REASONING, PART_TEXT, PART_CALL, PART_SEARCH, PART_IMAGES, PART_CODE, PART_AUDIO, PART_STEP };

struct part {
    enum part_kind          kind;
    unsigned                index; /* of a call among the calls */
    str                     text;  /* of a call: its arguments */
    str                     id, name;
    str                     output; /* PART_CODE */
    const struct chat_step *step;   /* PART_STEP */
};

struct standin {
    struct engine           base;
    const struct tokenizer *tokenizer;
    struct scenario        *scenario; /* NULL: none */
    struct prefixes        *prefixes;
    uint64_t                seed;
    str (*header)(void *arg, str name);
    enum err (*see)(struct request *rq, const struct chat_part *p, bool text_alone, struct picture *ret);
    enum err (*recall)(struct request *rq, const struct chat_input *in, str question,
                       struct chat_passage ret[CHAT_PASSAGES_MAX], size_t *ret_count);
    pthread_mutex_t lock; /* of `lane` */
    struct lane    *lane; /* NULL until needed */
};

struct standin_stream {
    struct engine_stream     base;
    struct standin          *engine;
    struct request          *rq;
    const struct chat_input *in;

    const struct scenario_answer *answer; /* NULL: the fixed rules */
    struct scenario_question      question;
    int64_t                       call;
    str                           prefix; /* partial mode: what the client has already */
    bool                          looked;
    str                           seen; /* behind the text: what the media of the question show */
    const struct picture         *read; /* the first picture that was read; NULL: none */

    unsigned          choice, choice_count;
    int64_t           tokens; /* handed out, as far as they were counted */
    int64_t           due_us; /* loop time of the next event; 0 before the first */
    struct chat_usage counted;

    uint64_t         dice;
    struct part     *parts;
    struct part      own_parts[5]; /* enough without tool calls and code */
    size_t           part_count, part;
    bool             begun;     /* the choice is planned */
    bool             announced; /* the current call's name is out */
    bool             usage_sent;
    unsigned         pieces;
    uint64_t         said; /* tokens of text so far, for the dice of logprobs */
    enum chat_finish finish;
    str              stop; /* the text that ended the choice */
};

/* --- What is said ------------------------------------------------------------------------------------------------ */

static const struct chat_message *message_last(const struct chat_input *in, enum chat_role role)
{
    for (size_t i = in->message_count; i > 0; i--) {
        if (in->messages[i - 1].role == role)
            return &in->messages[i - 1];
    }
    return NULL;
}

static bool is_tool_result(const struct chat_message *m)
{
    return m->role == CHAT_TOOL || m->role == CHAT_FUNCTION;
}

/* "dashbox stand-in: ", `label`, and the message or the words for an empty one, in one copy. */
static str echo_compose(const struct standin_stream *st, str label, str message, bool bare)
{
    str    head = S("dashbox stand-in: "), tail = S("");
    char   numbered[48], *text;
    size_t len;

    if (st->choice)
        head = str_of(numbered,
                      (size_t)snprintf(numbered, sizeof(numbered), "dashbox stand-in (answer %u): ", st->choice + 1));
    if (bare)
        head = S("");
    if (message.len > STANDIN_ECHO_MAX) {
        message = str_first(message, utf8_cut(message, STANDIN_ECHO_MAX));
        tail = S(" […]");
    } else if (message.len == 0) {
        message = S("(no text)");
    }
    len = head.len + label.len + message.len + tail.len;
    text = arena_bytes(st->rq->arena, len);
    memcpy(text, head.ptr, head.len);
    memcpy(text + head.len, label.ptr, label.len);
    memcpy(text + head.len + label.len, message.ptr, message.len);
    memcpy(text + len - tail.len, tail.ptr, tail.len);
    return str_of(text, len);
}

/* `bare`: without "dashbox stand-in: ". */
static str echo_text(const struct standin_stream *st, bool bare)
{
    if (st->question.has_tool_result)
        return echo_compose(st, S("tool result: "), st->question.tool_result, bare);
    return echo_compose(st, S(""), st->question.message, bare);
}

static str json_object_text(const struct standin_stream *st)
{
    struct buf out;

    buf_init(&out, st->rq->arena, STANDIN_ECHO_MAX * 6 + 200); /* every byte may become \u00xx */
    buf_add(&out, S("{\"engine\": \"dashbox stand-in\", \"message\": "));
    json_add_str(&out, echo_text(st, true));
    if (st->choice) {
        buf_add(&out, S(", \"answer\": "));
        buf_add_i64(&out, (int64_t)st->choice + 1);
    }
    buf_add_char(&out, '}');
    return buf_str(&out);
}

/* Tells of the documents of the conversation, and looks into them. */
SUSPENDS static enum err recall(struct standin_stream *st, struct buf *b)
{
    const struct chat_input *in = st->in;
    struct chat_passage      passages[CHAT_PASSAGES_MAX];
    struct seen_documents    seen = { 0 };
    size_t                   count = 0;
    enum err                 e;

    for (size_t i = 0; i < in->message_count; i++) {
        const struct chat_message *m = &in->messages[i];

        seen_add_documents(b, &seen, m->documents, m->document_count);
        for (size_t k = 0; k < m->part_count; k++)
            seen_add_documents(b, &seen, m->parts[k].documents, m->parts[k].document_count);
    }
    if (!seen.count || !st->engine->recall)
        return OK;
    e = st->engine->recall(st->rq, in, st->question.message, passages, &count);
    if (e == ERR_CANCELLED)
        return e;
    if (!e) /* else its text has gone meanwhile */
        seen_add_passages(b, &seen, passages, count);
    return OK;
}

/* Looks at the media of the question and at documents, once. */
SUSPENDS static enum err look(struct standin_stream *st)
{
    const struct chat_message *user = message_last(st->in, CHAT_USER);
    bool                       text_alone = st->in->model && st->in->model->task == MODEL_TASK_OCR_VISION;
    unsigned                   number = 0;
    struct buf                 b;
    enum err                   e;

    if (st->looked)
        return OK;
    st->looked = true;
    buf_init(&b, st->rq->arena, SIZE_MAX / 2);
    e = recall(st, &b);
    if (e)
        return e;
    seen_add_found(&b, st->in->found, st->in->found_count, st->in->cites);
    for (size_t i = 0; st->engine->see && user && i < user->part_count; i++) {
        struct picture *p;

        if (user->parts[i].kind == CHAT_PART_TEXT || user->parts[i].kind == CHAT_PART_FILE)
            continue;
        number++;
        p = arena_new(st->rq->arena, struct picture);
        e = st->engine->see(st->rq, &user->parts[i], text_alone, p);
        if (e == ERR_CANCELLED)
            return e;
        if (e)
            continue;
        seen_add(&b, number, p);
        if (!st->read && p->read)
            st->read = p;
    }
    st->seen = buf_str(&b);
    return OK;
}

static str with_seen(const struct standin_stream *st, str text)
{
    return st->seen.len ? arena_printf(st->rq->arena, "%.*s%.*s", STR_ARG(text), STR_ARG(st->seen)) : text;
}

/* A thread of its own, begun with the first value that is made up: hostile schemas need more time and stack than a loop
 * and its fibers can give. NULL when there cannot be one. */
static struct lane *lane_get(struct standin *engine)
{
    struct lane *lane;

    pthread_mutex_lock(&engine->lock);
    if (!engine->lane)
        engine->lane = lane_open("standin");
    lane = engine->lane;
    pthread_mutex_unlock(&engine->lock);
    return lane;
}

struct making {
    struct arena      *arena;
    struct yyjson_val *schema;
    uint64_t           seed;
    str                text;
    const char        *why;
    enum err           e;
};

static void make(void *arg)
{
    struct making *m = arg;

    m->e = schema_instance(m->arena, m->schema, m->seed, &m->text, &m->why);
}

SUSPENDS static enum err instance_make(struct standin_stream *st, struct yyjson_val *schema, str *ret)
{
    struct making m = { .arena = st->rq->arena, .schema = schema, .seed = rand_next(&st->dice) };
    struct lane  *lane = schema ? lane_get(st->engine) : NULL;

    if (lane)
        lane_run(lane, make, &m);
    else
        make(&m);
    if (m.e) {
        fail_engine_rejected(&st->rq->fault); /* no instance: what an engine says that cannot do as it is told */
        return fault_detail(&st->rq->fault, str_from_cstr(m.why));
    }
    *ret = m.text;
    return OK;
}

struct asking {
    struct arena          *arena;
    const struct text2sql *question;
    str                    text;
};

static void ask_sql(void *arg)
{
    struct asking *q = arg;

    q->text = sql_answer(q->arena, q->question);
}

SUSPENDS static str statement_make(struct standin_stream *st)
{
    struct asking q = { .arena = st->rq->arena, .question = st->in->sql };
    struct lane  *lane = lane_get(st->engine);

    if (lane)
        lane_run(lane, ask_sql, &q);
    else
        ask_sql(&q);
    return q.text;
}

static struct yyjson_val *tool_schema(const struct chat_input *in, str name)
{
    for (size_t i = 0; i < in->tool_count; i++) {
        if (str_eq(in->tools[i].name, name))
            return in->tools[i].parameters;
    }
    return NULL;
}

static str call_id_make(struct standin_stream *st)
{
    bool     anthropic = st->rq->surface == SURFACE_ANTHROPIC;
    str      head = anthropic ? S("toolu_") : S("call_");
    size_t   digits = st->rq->surface == SURFACE_NATIVE ? CHAT_CALL_ID_DIGITS_NATIVE : CHAT_CALL_ID_DIGITS;
    char    *text = arena_bytes(st->rq->arena, head.len + digits);
    uint64_t bits[2];

    memcpy(text, head.ptr, head.len);
    if (st->in->seed.set) {
        bits[0] = rand_next(&st->dice);
        bits[1] = rand_next(&st->dice);
        num_hex(text + head.len, bits, digits / 2);
    } else {
        rand_hex(text + head.len, digits);
    }
    return str_of(text, head.len + digits);
}

/* --- Planning a choice ------------------------------------------------------------------------------------------- */

static struct part *part_add(struct standin_stream *st, enum part_kind kind, str text)
{
    struct part *p = &st->parts[st->part_count++];

    *p = (struct part){ .kind = kind, .text = text };
    return p;
}

static bool is_forced(const struct chat_input *in)
{
    return in->tool_choice == CHAT_TOOLS_NAMED || (in->tool_choice == CHAT_TOOLS_REQUIRED && in->tool_count > 0);
}

SUSPENDS static enum err plan_forced_call(struct standin_stream *st)
{
    const struct chat_input *in = st->in;
    struct part             *p;

    p = part_add(st, PART_CALL, S(""));
    p->name = in->tool_choice == CHAT_TOOLS_NAMED ? in->tool_choice_name : in->tools[0].name;
    p->id = call_id_make(st);
    st->finish = CHAT_FINISH_STOP;
    return instance_make(st, tool_schema(in, p->name), &p->text);
}

SUSPENDS static enum err plan_by_rules(struct standin_stream *st)
{
    const struct chat_input *in = st->in;
    str                      text;
    enum err                 e;

    if (is_forced(in))
        return plan_forced_call(st);
    if (in->format == CHAT_FORMAT_JSON_SCHEMA && in->format_schema) {
        e = instance_make(st, in->format_schema, &text);
        if (e)
            return e;
    } else if (in->format != CHAT_FORMAT_TEXT) {
        text = json_object_text(st);
    } else if (st->in->sql) {
        text = statement_make(st);
    } else {
        e = look(st);
        if (e)
            return e;
        if (!special_ocr_text(st->rq->arena, in, st->read, echo_text(st, true), &text))
            text = with_seen(st, echo_text(st, false));
    }
    part_add(st, PART_TEXT, text);
    return OK;
}

/* A research is told in steps: its plan is the scenario's reasoning, its report the text. */
static void plan_research(struct standin_stream *st)
{
    const struct scenario_answer *a = st->answer;
    str                           plan = S(""), report = S("");
    struct special_step          *steps;
    size_t                        count;

    if (!st->in->model || st->in->model->task != MODEL_TASK_DEEP_RESEARCH)
        return;
    if (a && a->reasoning.given)
        plan = scenario_fill(st->rq->arena, &a->reasoning, false, &st->question, st->call);
    for (size_t i = 0; i < st->part_count; i++)
        report = st->parts[i].kind == PART_TEXT ? st->parts[i].text : report;
    steps = special_research(st->rq->arena, st->in, plan, report, &count);
    st->parts = arena_array(st->rq->arena, struct part, count);
    st->part_count = 0;
    for (size_t i = 0; i < count; i++)
        part_add(st, PART_STEP, steps[i].text)->step = &steps[i].step;
}

SUSPENDS static enum err plan_scenario_calls(struct standin_stream *st)
{
    const struct scenario_answer *a = st->answer;

    for (size_t i = 0; i < a->call_count; i++) {
        const struct scenario_call *call = &a->calls[i];
        struct part                *p = part_add(st, PART_CALL, S(""));
        enum err                    e;

        p->name = call->name;
        p->id = call->id.len ? call->id : call_id_make(st);
        p->index = (unsigned)i;
        if (call->arguments.given) {
            p->text = scenario_fill(st->rq->arena, &call->arguments, call->is_json, &st->question, st->call);
            continue;
        }
        e = instance_make(st, tool_schema(st->in, call->name), &p->text);
        if (e)
            return e;
    }
    if (a->call_count && !is_forced(st->in))
        st->finish = CHAT_FINISH_TOOL_CALLS;
    return OK;
}

/* What was searched for and run comes from the scenario alone; a search that the client forces finds nothing without it. */
static bool searches(const struct standin_stream *st)
{
    const struct scenario_answer *a = st->answer;

    return st->in->enable_search.v && ((a && (a->source_count || a->found_count)) || st->in->search.forced);
}

static bool runs_code(const struct standin_stream *st)
{
    return st->in->code_interpreter.v && st->in->model && st->in->model->can_code && st->answer;
}

static void plan_code(struct standin_stream *st)
{
    for (size_t i = 0; runs_code(st) && i < st->answer->code_count; i++)
        part_add(st, PART_CODE, st->answer->code[i].code)->output = st->answer->code[i].output;
}

static bool shows_images(const struct standin_stream *st)
{
    return st->in->text_image_mixed.v && st->in->model && st->in->model->can_mixed && st->answer &&
           st->answer->image_count;
}

static void add_html(struct buf *b, str text)
{
    for (size_t i = 0; i < text.len; i++) {
        switch (text.ptr[i]) {
        case '&':
            buf_add(b, S("&amp;"));
            break;
        case '<':
            buf_add(b, S("&lt;"));
            break;
        case '"':
            buf_add(b, S("&quot;"));
            break;
        default:
            buf_add_char(b, text.ptr[i]);
        }
    }
}

/* A picture behind each paragraph, as long as there are any; the others at the end. */
static str mix_images(const struct standin_stream *st, str text)
{
    const struct scenario_answer *a = st->answer;
    struct buf                    b;

    buf_init(&b, st->rq->arena, SIZE_MAX / 2);
    for (size_t i = 0; i < a->image_count || text.len; i++) {
        size_t end = str_find_str(text, S("\n\n"));
        str    paragraph = str_first(text, end);

        text = str_from(text, paragraph.len + (end == STR_NONE ? 0 : 2));
        if (b.len)
            buf_add(&b, S("\n\n"));
        buf_add(&b, paragraph);
        if (i >= a->image_count)
            continue;
        buf_add(&b,
                paragraph.len ? S("\n\n<p align=\"center\">\n<img src=\"") : S("<p align=\"center\">\n<img src=\""));
        add_html(&b, a->images[i].url);
        buf_add(&b, S("\" alt=\""));
        add_html(&b, a->images[i].title);
        buf_add(&b, S("\" width=\"400\" height=\"auto\">\n</p>"));
    }
    return buf_str(&b);
}

/* The stand-in's citations: the marks of all pages, at the end of the text. */
static str cite(const struct standin_stream *st, str text)
{
    struct buf b;

    buf_init(&b, st->rq->arena, SIZE_MAX / 2);
    buf_add(&b, text);
    for (size_t i = 0; i < st->answer->source_count; i++) {
        buf_add(&b, st->in->search.citation_ref ? S("[ref_") : S("["));
        buf_add_i64(&b, st->answer->sources[i].index);
        buf_add_char(&b, ']');
    }
    return buf_str(&b);
}

SUSPENDS static enum err plan_by_scenario(struct standin_stream *st)
{
    const struct scenario_answer *a = st->answer;

    if (!a->text.given && a->call_count == 0)
        return plan_by_rules(st);
    if (a->text.given) {
        str text = scenario_fill(st->rq->arena, &a->text, false, &st->question, st->call);

        if (searches(st) && st->in->search.source && st->in->search.citation)
            text = cite(st, text);
        if (shows_images(st))
            text = mix_images(st, text);
        part_add(st, PART_TEXT, text);
    }
    return plan_scenario_calls(st);
}

static void plan_reasoning(struct standin_stream *st)
{
    const struct scenario_answer *a = st->answer;
    str                           text = S(STANDIN_REASONING);

    if (!st->in->thinking)
        return;
    if (a && a->reasoning.given)
        text = scenario_fill(st->rq->arena, &a->reasoning, false, &st->question, st->call);
    if (text.len)
        part_add(st, PART_REASONING, text);
}

/* The part that the choice ends with; what comes after it is dropped. */
static void plan_end(struct standin_stream *st, size_t part, enum chat_finish finish)
{
    st->part_count = part + 1;
    st->finish = finish;
}

static size_t stop_text_find(const struct chat_input *in, str text, str *ret_stop)
{
    size_t first = STR_NONE;

    for (size_t i = 0; i < in->stop_count; i++) {
        size_t at = in->stop[i].len ? str_find_str(text, in->stop[i]) : STR_NONE;

        if (at < first) {
            first = at;
            *ret_stop = in->stop[i];
        }
    }
    return first;
}

/* Where the row of ids begins in the text, in bytes. */
static size_t stop_row_find(const struct standin_stream *st, const uint32_t *ids, size_t count,
                            struct chat_stop_ids row)
{
    size_t at = 0;

    for (size_t i = 0; row.count && i + row.count <= count; i++) {
        if (memcmp(ids + i, row.ids, row.count * sizeof(*ids)) == 0)
            return at;
        at += tokenizer_decode(st->engine->tokenizer, ids[i]).len;
    }
    return STR_NONE;
}

static size_t stop_ids_find(const struct standin_stream *st, str text)
{
    uint32_t *ids;
    size_t    count, least = STR_NONE;

    if (!st->in->stop_ids_count)
        return STR_NONE;
    count = tokenizer_encode(st->engine->tokenizer, text, NULL, 0);
    ids = arena_array(st->rq->arena, uint32_t, count);
    tokenizer_encode(st->engine->tokenizer, text, ids, count);
    for (size_t i = 0; i < st->in->stop_ids_count; i++)
        least = min_size(least, stop_row_find(st, ids, count, st->in->stop_ids[i]));
    return least <= text.len ? utf8_cut(text, least) : STR_NONE;
}

static void plan_stops(struct standin_stream *st)
{
    if (st->in->stop_count == 0 && st->in->stop_ids_count == 0)
        return;
    for (size_t i = 0; i < st->part_count; i++) {
        struct part *p = &st->parts[i];
        str          stop = { 0 };
        size_t       at, id_at;

        if (p->kind != PART_TEXT)
            continue;
        at = stop_text_find(st->in, p->text, &stop);
        id_at = stop_ids_find(st, p->text);
        st->stop = at <= id_at ? stop : (str){ 0 };
        at = min_size(at, id_at);
        if (at == STR_NONE)
            continue;
        p->text = str_first(p->text, at);
        plan_end(st, i, CHAT_FINISH_STOP);
        return;
    }
}

/* What a call costs beside its arguments. */
SUSPENDS static int64_t frame_tokens(const struct standin_stream *st, const struct part *p)
{
    const struct chat_template_call call = { .name = p->name };
    const struct chat_template_turn turn = { .calls = &call, .call_count = 1 };

    return p->kind == PART_CALL ? (int64_t)chat_template_answer(NULL, st->engine->tokenizer, &turn) : 0;
}

/* Cuts the part to `limit` tokens and counts what it has left. True when something was cut. */
static bool part_limit(const struct standin_stream *st, struct part *p, int64_t limit, int64_t *ret_used)
{
    size_t len = tokenizer_prefix(st->engine->tokenizer, p->text, (size_t)max_i64(limit, 0));
    bool   cut = len < p->text.len;

    p->text = str_first(p->text, len);
    *ret_used = (int64_t)tokenizer_count(st->engine->tokenizer, p->text);
    return cut;
}

/* A byte is at most one token, or three outside ASCII: what cannot reach a limit is not tokenised. */
static int64_t tokens_most(str text)
{
    return (int64_t)(text.len * (utf8_is_ascii(text) ? 1 : 3));
}

/* Whether max_tokens is a limit of the thinking too (chat.md §3.4). */
static bool counts_thinking(const struct chat_input *in)
{
    switch (in->model ? in->model->max_tokens : MODEL_MAX_TOKENS_ANSWER) {
    case MODEL_MAX_TOKENS_ALL:
        return true;
    case MODEL_MAX_TOKENS_UNBUDGETED:
        return !in->thinking_budget.set;
    case MODEL_MAX_TOKENS_ANSWER:
    case MODEL_MAX_TOKENS_ABOVE:
        break;
    }
    return false;
}

SUSPENDS static void plan_limits(struct standin_stream *st)
{
    const struct chat_input *in = st->in;
    int64_t                  all = in->max_completion_tokens.set ? in->max_completion_tokens.v : UNLIMITED;
    int64_t                  answer = in->max_tokens.set ? in->max_tokens.v : UNLIMITED;
    int64_t                  most = 0;

    if (counts_thinking(in))
        all = min_i64(all, answer);
    for (size_t i = 0; i < st->part_count && in->thinking_max; i++) {
        struct part *p = &st->parts[i];
        int64_t      used;

        if (p->kind == PART_REASONING && tokens_most(p->text) > in->thinking_max)
            part_limit(st, p, in->thinking_max, &used);
    }
    if (all == UNLIMITED && answer == UNLIMITED)
        return;
    for (size_t i = 0; i < st->part_count; i++)
        most += frame_tokens(st, &st->parts[i]) + tokens_most(st->parts[i].text);
    if (most <= min_i64(all, answer))
        return;
    for (size_t i = 0; i < st->part_count; i++) {
        bool    counts = st->parts[i].kind == PART_TEXT || st->parts[i].kind == PART_CALL;
        int64_t limit = counts ? min_i64(all, answer) : all, used, frame;

        if (limit == UNLIMITED)
            continue;
        frame = frame_tokens(st, &st->parts[i]);
        if (frame > limit) { /* not even its name can be written */
            st->part_count = i;
            st->finish = CHAT_FINISH_LENGTH;
            return;
        }
        if (part_limit(st, &st->parts[i], limit - frame, &used)) {
            plan_end(st, i, CHAT_FINISH_LENGTH);
            return;
        }
        used += frame;
        if (all != UNLIMITED)
            all -= used;
        if (counts && answer != UNLIMITED)
            answer -= used;
    }
}

/* A token whose bias is the least there is is never said. */
static bool is_banned(const struct chat_input *in, uint32_t id)
{
    char        key[24];
    yyjson_val *bias = yyjson_obj_getn(in->logit_bias, key, (size_t)snprintf(key, sizeof(key), "%u", id));

    return bias && yyjson_get_num(bias) <= -CHAT_LOGIT_BIAS_MAX;
}

static void plan_bias(struct standin_stream *st)
{
    const struct tokenizer *t = st->engine->tokenizer;

    for (size_t i = 0; i < st->part_count && st->in->logit_bias; i++) {
        str        rest = st->parts[i].text;
        struct buf kept;

        if (st->parts[i].kind != PART_TEXT)
            continue;
        buf_init(&kept, st->rq->arena, SIZE_MAX / 2);
        while (rest.len) {
            str      piece = tokenizer_next(t, &rest);
            uint32_t ids[8];
            size_t   count = min_size(tokenizer_encode(t, piece, ids, ARRAY_LEN(ids)), ARRAY_LEN(ids));
            bool     banned = false;

            for (size_t k = 0; k < count; k++)
                banned = banned || is_banned(st->in, ids[k]);
            if (!banned)
                buf_add(&kept, piece);
        }
        st->parts[i].text = buf_str(&kept);
    }
}

/* For the scenario's `usage`, when it does not give all of them. */
SUSPENDS static void plan_count(struct standin_stream *st)
{
    for (size_t i = 0; i < st->part_count; i++) {
        struct part *p = &st->parts[i];
        int64_t      n = (int64_t)tokenizer_count(st->engine->tokenizer, p->text);

        st->counted.searches += p->kind == PART_SEARCH;
        st->counted.image_searches += p->kind == PART_IMAGES;
        st->counted.code_runs += p->kind == PART_CODE;
        n += frame_tokens(st, p);
        if (p->kind == PART_REASONING)
            st->counted.reasoning_tokens += n;
        st->counted.completion_tokens += n;
    }
}

/* A client that gave the beginning of the answer gets only what follows. */
static void plan_partial(struct standin_stream *st)
{
    for (size_t i = 0; i < st->part_count && st->prefix.len; i++) {
        struct part *p = &st->parts[i];

        if (p->kind == PART_TEXT && str_starts(p->text, st->prefix))
            p->text = str_from(p->text, st->prefix.len);
    }
}

static uint64_t dice_take(const struct standin_stream *st)
{
    uint64_t dice = st->engine->seed;

    dice = rand_next(&dice) ^ (st->in->seed.set ? (uint64_t)st->in->seed.v : 0);
    dice = rand_next(&dice) ^ st->in->message_count; /* so that the calls of one conversation have different ids */
    return rand_next(&dice) ^ st->choice;
}

SUSPENDS static enum err choice_begin(struct standin_stream *st)
{
    enum err e;

    st->parts = st->own_parts;
    if (st->answer && st->answer->call_count + st->answer->code_count)
        st->parts = arena_array(st->rq->arena, struct part,
                                st->answer->call_count + st->answer->code_count + ARRAY_LEN(st->own_parts));
    st->dice = dice_take(st);
    st->part_count = st->part = 0;
    st->pieces = 0;
    st->finish = CHAT_FINISH_STOP;
    st->announced = false;
    st->stop = S("");
    st->begun = true;
    st->said = 0;
    if (UNLIKELY(st->in->enable_search.v) && st->choice == 0 && searches(st))
        part_add(st, PART_SEARCH, S(""));
    if (st->choice == 0 && shows_images(st) && st->answer->text.given)
        part_add(st, PART_IMAGES, S(""));
    plan_reasoning(st);
    plan_code(st);
    e = st->answer ? plan_by_scenario(st) : plan_by_rules(st);
    if (e)
        return e;
    if (st->answer && st->answer->finish != CHAT_FINISH_NONE)
        st->finish = st->answer->finish;
    plan_research(st);
    plan_partial(st);
    plan_bias(st);
    plan_stops(st);
    plan_limits(st);
    if (st->answer && st->answer->has_usage)
        plan_count(st);
    if (st->in->audio_out) /* behind the text that it speaks */
        part_add(st, PART_AUDIO, scenario_fill(st->rq->arena, &st->answer->audio, false, &st->question, st->call));
    return OK;
}

/* --- Opening ----------------------------------------------------------------------------------------------------- */

static void question_ask(struct standin_stream *st)
{
    const struct chat_input   *in = st->in;
    const struct chat_message *user = message_last(in, CHAT_USER);
    const struct chat_message *last = in->message_count ? &in->messages[in->message_count - 1] : NULL;

    if (user)
        st->question.message = user->content;
    if (last && is_tool_result(last)) {
        st->question.has_tool_result = true;
        st->question.tool_result = last->content;
    }
    if (last && last->role == CHAT_ASSISTANT && last->partial)
        st->prefix = last->content;
}

static void scenario_ask(struct standin_stream *st)
{
    const struct chat_input  *in = st->in;
    struct scenario_question *q = &st->question;
    struct scenario_hit       hit;

    for (size_t i = 0; i < in->message_count; i++) {
        if (in->messages[i].role != CHAT_SYSTEM)
            continue;
        q->system = in->messages[i].content;
        break;
    }
    q->model = in->model_name;
    q->tools = in->tools;
    q->tool_count = in->tool_count;
    q->stream = in->stream;
    q->header = st->engine->header;
    q->header_arg = st->rq;
    if (!scenario_match(st->engine->scenario, q, &hit))
        return;
    st->answer = hit.answer;
    st->call = hit.call;
    log_debug("stand-in: %s answers by \"%.*s\", call %lld", st->rq->id, STR_ARG(hit.rule), (long long)hit.call);
}

static enum err error_raise(struct standin_stream *st)
{
    const struct scenario_error *error = &st->answer->error;

    if (error->row)
        return fault_raise(&st->rq->fault, error->row, error->args, error->arg_count);
    return fault_raise_foreign(&st->rq->fault, error->foreign.status, error->foreign.code, error->foreign.type,
                               error->foreign.message);
}

/* Lets `us` pass since the last event, as the scenario asks. */
SUSPENDS static enum err delay(struct standin_stream *st, int64_t us)
{
    int64_t now;

    if (us == 0)
        return OK;
    now = loop_now_us(fiber_loop());
    st->due_us = (st->due_us ? st->due_us : now) + us;
    st->rq->action = "waiting as the scenario says";
    return fiber_sleep_until(st->due_us);
}

static void remember_run(void *arg)
{
    struct standin_stream *st = arg;

    st->base.cached_tokens = prefixes_use(st->engine->prefixes, st->rq->arena, st->engine->tokenizer, st->rq->workspace,
                                          st->in, &st->base.cache_created_tokens);
}

/* Looks the prompt up in the cache; a long one on the lane, as others would have to wait. */
SUSPENDS static void remember(struct standin_stream *st)
{
    struct lane *lane = st->in->prompt_tokens > REMEMBER_AT_ONCE ? lane_get(st->engine) : NULL;

    if (lane)
        lane_run(lane, remember_run, st);
    else
        remember_run(st);
}

/* What only an engine with speech or files can answer. */
static enum err refuse_unheld(struct standin_stream *st)
{
    str file_id;

    if (st->in->audio_out && !(st->answer && st->answer->audio.given))
        return fail_speech_unavailable(&st->rq->fault);
    if (chat_file_id(st->in, &file_id)) /* REF: X055: a fallback of an engine that was to know it */
        return fail_document_file_invalid(&st->rq->fault, file_id);
    return OK;
}

SUSPENDS static enum err standin_open(struct engine *base, struct request *rq, const struct chat_input *in,
                                      struct engine_stream **ret)
{
    struct standin        *engine = CONTAINER_OF(base, struct standin, base);
    struct standin_stream *st = arena_new(rq->arena, struct standin_stream);
    enum err               e;

    might_suspend();
    st->base.ops = base->ops;
    st->engine = engine;
    st->rq = rq;
    st->in = in;
    st->choice_count = in->n.set ? (unsigned)max_i64(1, min_i64(in->n.v, CHOICES_MAX)) : 1;
    question_ask(st);
    if (engine->scenario)
        scenario_ask(st);
    if (st->answer) {
        e = delay(st, st->answer->first_token_us);
        if (e)
            return e;
        if (st->answer->error.given && st->answer->error.after_tokens == 0)
            return error_raise(st);
    }
    e = refuse_unheld(st);
    if (e)
        return e;
    if (UNLIKELY(in->prompt_ends != NULL))
        remember(st);
    e = choice_begin(st); /* what cannot be made up is refused before the answer begins */
    if (e)
        return e;
    *ret = &st->base;
    return OK;
}

/* --- Handing out ------------------------------------------------------------------------------------------------- */

/* Whether the answer breaks off here: the scenario's error, after so many tokens or at the end. */
static bool breaks_off(const struct standin_stream *st, bool at_end)
{
    return st->answer && st->answer->error.given && (at_end || st->tokens >= st->answer->error.after_tokens);
}

/* Speech goes out in pieces of whole bytes; its tokens are counted by its length. */
static str audio_cut(struct part *p)
{
    str piece = str_first(p->text, AUDIO_PIECE);

    p->text = str_from(p->text, AUDIO_PIECE);
    return piece;
}

/* Not streamed, a text is one piece, unless time passes over it. So are the arguments of models that need tool_stream. */
static bool comes_whole(const struct standin_stream *st, const struct part *p)
{
    if (!st->in->stream)
        return !st->answer || st->answer->between_tokens_us == 0;
    return p->kind == PART_CALL && st->in->model && st->in->model->can_tool_stream && !st->in->tool_stream.v;
}

/* The next piece of the part's text, and its tokens; -1 when nobody needed to count them. */
static str piece_cut(struct standin_stream *st, struct part *p, int64_t *ret_tokens)
{
    const struct tokenizer *t = st->engine->tokenizer;
    int64_t                 most = st->pieces < PIECES_SINGLE ? 1 : PIECE_TOKENS, n = 0;
    str                     piece = p->text;

    if (comes_whole(st, p)) {
        bool counted = st->answer && st->answer->error.given;

        p->text = (str){ 0 };
        *ret_tokens = counted ? (int64_t)tokenizer_count(t, piece) : -1;
        return piece;
    }
    if (st->answer && st->answer->error.given)
        most = min_i64(most, st->answer->error.after_tokens - st->tokens);
    while (n < most && p->text.len)
        n += (int64_t)tokenizer_count(t, tokenizer_next(t, &p->text));
    piece.len -= p->text.len;
    *ret_tokens = n;
    return piece;
}

SUSPENDS static enum err piece_next(struct standin_stream *st, struct part *p, struct chat_event *ret)
{
    static const enum chat_event_kind kinds[] = {
        [PART_REASONING] = CHAT_EV_REASONING, [PART_TEXT] = CHAT_EV_TEXT, [PART_CALL] = CHAT_EV_TOOL_ARGS,
        [PART_AUDIO] = CHAT_EV_AUDIO,         [PART_STEP] = CHAT_EV_STEP,
    };
    int64_t  tokens, waits;
    str      text;
    enum err e;

    if (breaks_off(st, false))
        return error_raise(st);
    tokens = 0;
    text = p->kind == PART_AUDIO ? audio_cut(p) : piece_cut(st, p, &tokens);
    if (st->answer && st->answer->between_tokens_us) {
        waits = st->tokens ? tokens : tokens - 1; /* the very first token has been waited for in open() */
        e = delay(st, max_i64(waits, 0) * st->answer->between_tokens_us);
        if (e)
            return e;
    }
    st->pieces++;
    st->tokens += max_i64(tokens, 0);
    if (!st->in->stream && breaks_off(st, false))
        return error_raise(st);
    *ret = (struct chat_event){ .kind = kinds[p->kind],
                                .choice = st->choice,
                                .text = text,
                                .tokens = tokens,
                                .tool_index = p->index,
                                .step = p->step };
    if (UNLIKELY(st->in->logprobs.v) && p->kind == PART_TEXT) {
        struct logprobs_question q = { .seed = st->dice + st->said, .top = (unsigned)st->in->top_logprobs.v };

        ret->logprobs = logprobs_make(st->rq->arena, st->engine->tokenizer, text, &q, &ret->logprob_count);
        st->said += ret->logprob_count;
    }
    return OK;
}

static void search_event(struct standin_stream *st, struct chat_event *ret)
{
    const struct scenario_answer *a = st->answer;

    *ret = (struct chat_event){ .kind = CHAT_EV_SEARCH, .choice = st->choice };
    if (!a)
        return;
    ret->text = scenario_fill(st->rq->arena, &a->query, false, &st->question, st->call);
    ret->sources = a->sources;
    ret->source_count = a->source_count;
    if (st->in->search.extension) {
        ret->found = a->found;
        ret->found_count = a->found_count;
    }
}

static void usage_event(struct standin_stream *st, struct chat_event *ret)
{
    struct chat_usage u = st->answer->usage;

    if (u.prompt_tokens < 0)
        u.prompt_tokens = st->in->prompt_tokens;
    if (u.completion_tokens < 0)
        u.completion_tokens = max_i64(st->counted.completion_tokens, u.reasoning_tokens);
    if (u.reasoning_tokens < 0)
        u.reasoning_tokens = min_i64(st->counted.reasoning_tokens, u.completion_tokens);
    if (u.cached_tokens < 0)
        u.cached_tokens = st->base.cached_tokens;
    if (u.cache_created_tokens < 0)
        u.cache_created_tokens = st->base.cache_created_tokens;
    if (u.searches < 0)
        u.searches = st->counted.searches;
    if (u.image_searches < 0)
        u.image_searches = st->counted.image_searches;
    if (u.code_runs < 0)
        u.code_runs = st->counted.code_runs;
    if (u.image_tokens < 0)
        u.image_tokens = st->in->image_tokens;
    if (u.video_tokens < 0)
        u.video_tokens = st->in->video_tokens;
    if (u.audio_tokens < 0)
        u.audio_tokens = st->in->audio_tokens;
    u.audio_out_tokens = max_i64(u.audio_out_tokens, 0);
    st->usage_sent = true;
    *ret = (struct chat_event){ .kind = CHAT_EV_USAGE, .choice = st->choice, .usage = u };
}

SUSPENDS static enum err standin_next(struct engine_stream *base, struct chat_event *ret)
{
    struct standin_stream *st = CONTAINER_OF(base, struct standin_stream, base);

    might_suspend();
    if (st->choice == st->choice_count)
        return ERR_EOF;
    if (!st->begun) {
        enum err e = choice_begin(st);

        if (e)
            return e;
    }
    for (; st->part < st->part_count; st->part++, st->announced = false) {
        struct part *p = &st->parts[st->part];

        if (p->kind == PART_CALL && !st->announced) {
            st->announced = true;
            *ret = (struct chat_event){ .kind = CHAT_EV_TOOL_CALL,
                                        .choice = st->choice,
                                        .tool_index = p->index,
                                        .tool_id = p->id,
                                        .tool_name = p->name };
            return OK;
        }
        if (p->kind == PART_STEP && !st->announced) {
            st->announced = true;
            if (!p->text.len) { /* a step without a word is an event too */
                *ret = (struct chat_event){ .kind = CHAT_EV_STEP, .choice = st->choice, .step = p->step };
                return OK;
            }
        }
        if (p->kind == PART_SEARCH && !st->announced) {
            st->announced = true;
            search_event(st, ret);
            return OK;
        }
        if (p->kind == PART_IMAGES && !st->announced) {
            st->announced = true;
            *ret = (struct chat_event){ .kind = CHAT_EV_IMAGES, .choice = st->choice };
            return OK;
        }
        if (p->kind == PART_CODE && !st->announced) {
            st->announced = true;
            *ret = (struct chat_event){
                .kind = CHAT_EV_CODE, .choice = st->choice, .text = p->text, .tokens = -1, .output = p->output
            };
            return OK;
        }
        if (p->text.len && p->kind != PART_CODE)
            return piece_next(st, p, ret);
    }
    if (breaks_off(st, true))
        return error_raise(st);
    if (st->answer && st->answer->has_usage && !st->usage_sent && st->choice + 1 == st->choice_count) {
        usage_event(st, ret);
        return OK;
    }
    *ret = (struct chat_event){ .kind = CHAT_EV_FINISH, .choice = st->choice, .finish = st->finish, .stop = st->stop };
    st->choice++;
    st->begun = false;
    return OK;
}

static bool standin_ready(const struct engine_stream *base)
{
    const struct standin_stream *st = CONTAINER_OF(base, const struct standin_stream, base);

    if (!st->begun) /* planning the next choice may take the lane */
        return st->choice == st->choice_count;
    return !st->answer || st->answer->between_tokens_us == 0;
}

/* ---- embeddings and rerank: engine/lexical ---- */

struct lexical_job {
    const struct tokenizer    *tokenizer;
    struct arena              *arena;
    const struct embed_input  *embed; /* one of the two */
    struct embed_answer       *embedded;
    const struct rerank_input *rerank;
    struct rerank_answer      *reranked;
};

static void lexical_run(void *arg)
{
    struct lexical_job *job = arg;

    if (job->embed)
        lexical_embed(job->tokenizer, job->arena, job->embed, job->embedded);
    else
        lexical_rerank(job->arena, job->rerank, job->reranked);
}

/* On the lane when it would take so long that others would have to wait. */
static SUSPENDS enum err lexical_do(struct engine *base, struct lexical_job *job, size_t bytes)
{
    struct standin *engine = CONTAINER_OF(base, struct standin, base);
    struct lane    *lane = bytes > COUNT_AT_ONCE ? lane_get(engine) : NULL;

    might_suspend();
    job->tokenizer = engine->tokenizer;
    if (lane)
        lane_run(lane, lexical_run, job);
    else
        lexical_run(job);
    return OK;
}

static size_t bytes_of(const str *texts, size_t count)
{
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++)
        bytes += texts[i].len;
    return bytes;
}

static SUSPENDS enum err standin_embed(struct engine *e, struct request *rq, const struct embed_input *in,
                                       struct embed_answer *ret)
{
    struct lexical_job job = { .arena = rq->arena, .embed = in, .embedded = ret };

    return lexical_do(e, &job, bytes_of(in->texts, in->text_count));
}

static SUSPENDS enum err standin_rerank(struct engine *e, struct request *rq, const struct rerank_input *in,
                                        struct rerank_answer *ret)
{
    struct lexical_job job = { .arena = rq->arena, .rerank = in, .reranked = ret };

    return lexical_do(e, &job, in->query.len + bytes_of(in->documents, in->document_count));
}

static const struct engine_ops standin_ops = {
    .kind = "standin",
    .here = true,
    .remembers = true,
    .open = standin_open,
    .next = standin_next,
    .ready = standin_ready,
    .embed = standin_embed,
    .rerank = standin_rerank,
};

static void standin_close(void *arg)
{
    struct standin *engine = arg;

    lane_close(engine->lane);
    prefixes_close(engine->prefixes);
    pthread_mutex_destroy(&engine->lock);
}

struct engine *standin_new(struct arena *a, const struct standin_options *o, str *why)
{
    struct standin         *engine = arena_new(a, struct standin);
    struct scenario_options scenario = { .error_find = o->error_find };

    ASSERT(o->tokenizer);
    engine->base = (struct engine){ .ops = &standin_ops, .name = o->name };
    engine->tokenizer = o->tokenizer;
    engine->seed = o->seed;
    engine->header = o->header;
    engine->see = o->see;
    engine->recall = o->recall;
    engine->prefixes = prefixes_open();
    pthread_mutex_init(&engine->lock, NULL);
    arena_defer(a, standin_close, engine);
    if (o->scenario_path && scenario_load(a, o->scenario_path, &scenario, &engine->scenario, why))
        return NULL;
    return &engine->base;
}

void standin_reset(struct engine *e)
{
    struct standin *s = CONTAINER_OF(e, struct standin, base);

    prefixes_reset(s->prefixes);
    if (s->scenario)
        scenario_reset(s->scenario);
}
