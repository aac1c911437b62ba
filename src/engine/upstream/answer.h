/* answer.h - what an upstream answers, as chat_events: JSON in, events out, no sockets.
 *
 * A whole answer is given with answer_whole(), a stream event by event with answer_event() and answer_end(). Each call
 * queues the events that follow from it; answer_take() hands them out. Servers differ; all of these are understood:
 * reasoning under "reasoning_content" or "reasoning"; content as text or as parts; tool calls with the id in each piece or
 * only in the first, without an index, or whole in one piece, arguments as text or as an object; usage in the last chunk,
 * in each, or in one without choices; a stream that ends without [DONE].
 *
 * Memory: the arena. The texts of events are in one of two scratches that take turns, so that the events of one chunk
 * stay valid while the next chunk is read. An ordinary chunk costs no allocation, and no parsing when it differs from the
 * one before it in its text alone.
 * Limits: ANSWER_CHOICES_MAX, ANSWER_CALLS_MAX a choice; the size of what it is given is the caller's business.
 */
#ifndef DASHBOX_ENGINE_UPSTREAM_ANSWER_H
#define DASHBOX_ENGINE_UPSTREAM_ANSWER_H

#include "base/buf.h"
#include "contract/chat.h"
#include "contract/fault.h"
#include "net/sse_parser.h"

#define ANSWER_CHOICES_MAX 128
#define ANSWER_CALLS_MAX   256

struct answer_call {
    int64_t wire_index; /* as the server numbers it; -1: it does not */
    str     id, name;
    bool    begun; /* its CHAT_EV_TOOL_CALL has been queued */
};

struct answer_choice {
    struct answer_call *calls;
    unsigned            call_count, call_cap;
    bool                begun, finished;
    struct buf          text; /* of a cumulative answer: all so far */
};

/* Memory for one parsed chunk. */
struct scratch {
    char               *mem;
    size_t              size, used, wanted;
    struct scratch_big *big; /* what did not fit, until the next chunk */
    struct arena       *arena;
};

/* The last event that was nothing but a piece of text, as it came. The next one mostly differs in that piece alone, and
 * need
 * not be parsed then. */
struct answer_like {
    struct buf           raw;
    size_t               before, after; /* bytes in front of the piece, and behind it; before == 0: there is none */
    unsigned             choice;
    enum chat_event_kind kind;
};

struct answer {
    struct arena         *arena;
    struct fault         *fault;
    struct answer_choice *choices;
    unsigned              choice_count; /* that the client asked for */
    bool                  cloud;        /* refusals are passed on */
    int64_t               input_max;    /* tokens of a prompt, for a refusal that leaves them out */
    bool                  forced;       /* tool_choice named a function: "stop" is how such an answer ends */
    bool                  streamed;
    bool                  cumulative; /* each piece of a stream repeats the text so far: the cloud's Qwen-MT */
    bool                  logprobs;   /* the client asked for them */

    struct chat_event *queue;
    unsigned           queue_next, queue_count, queue_cap;
    struct scratch     scratch[2];
    unsigned           turn;
    struct answer_like like;
    struct chat_usage  usage;
    bool               has_usage, usage_said;
    bool               over; /* nothing follows what is queued */
};

void answer_init(struct answer *an, struct arena *a, struct fault *f, const struct chat_input *in, bool cloud);

/* `json` may be changed in place and has HTTP_CLIENT_PADDING bytes behind it. ERR_FAULT: refused, or not the protocol. */
enum err answer_whole(struct answer *an, char *json, size_t len);

/* One event of the stream. Sets `over` at [DONE]. */
enum err answer_event(struct answer *an, const struct sse_event *ev);
/* The stream has ended: well, when everything that began has finished. */
enum err answer_end(struct answer *an);

/* The next queued event; its texts are valid until the second-next answer_event(). */
bool answer_take(struct answer *an, struct chat_event *ret);

static inline bool answer_has_event(const struct answer *an)
{
    return an->queue_next < an->queue_count;
}

#endif
