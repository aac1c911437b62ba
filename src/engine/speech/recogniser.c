/* recogniser.c - a stream that a child of the speech engine listens to. */
#include "engine/speech/speech_private.h"

#include "loop/loop.h"

#define BUSY_MS 20 /* until a child whose decoders are all lent is asked again */

struct recogniser {
    struct speech_stream stream;
};

enum err recogniser_open(struct speech *s, const struct recogniser_options *o, struct arena *a, struct recogniser **ret)
{
    struct recogniser *r = arena_new(a, struct recogniser);
    struct buf         b;
    enum err           e;

    might_suspend();
    buf_init(&b, a, SIZE_MAX / 2);
    buf_addf(&b, "{\"format\":%d,\"sample_rate\":%d,\"silence_ms\":%d,\"whole\":%s,\"partial\":%s,\"threshold\":",
             o->format, o->sample_rate, o->silence_ms, o->whole ? "true" : "false", o->partial ? "true" : "false");
    json_add_num(&b, o->threshold);
    buf_add(&b, S(",\"words\":["));
    for (size_t i = 0; i < o->word_count; i++) {
        buf_add(&b, i ? S(",[") : S("["));
        json_add_str(&b, o->words[i].text);
        buf_addf(&b, ",%d]", o->words[i].weight);
    }
    buf_add_char(&b, ']');
    e = speech_stream_open(s, s->listeners, "listen", &b, a, &r->stream);
    if (!e)
        *ret = r;
    return e;
}

/* ---- what was heard ---- */

static enum heard_kind kind_of(str name)
{
    return str_eq(name, S("begin"))     ? HEARD_BEGIN
           : str_eq(name, S("partial")) ? HEARD_PARTIAL
           : str_eq(name, S("stop"))    ? HEARD_STOP
                                        : HEARD_SENTENCE;
}

static void read_event(struct arena *a, yyjson_val *v, struct heard *h)
{
    yyjson_val *words = json_get(v, "words"), *w;
    size_t      i, n;

    *h = (struct heard){ .kind = kind_of(json_str(json_get(v, "kind"))),
                         .begin_ms = yyjson_get_sint(json_get(v, "begin")),
                         .end_ms = yyjson_get_sint(json_get(v, "end")),
                         .text = json_str(json_get(v, "text")),
                         .words = arena_array(a, struct heard_word, yyjson_arr_size(words)) };
    (void)json_to_num(json_get(v, "confidence"), &h->confidence);
    yyjson_arr_foreach(words, i, n, w)
    {
        struct heard_word *to = &h->words[h->word_count++];

        to->text = json_str(yyjson_arr_get(w, 0));
        to->begin_ms = yyjson_get_sint(yyjson_arr_get(w, 1));
        to->end_ms = yyjson_get_sint(yyjson_arr_get(w, 2));
        (void)json_to_num(yyjson_arr_get(w, 3), &to->confidence);
    }
}

static void add_answer(struct arena *a, const struct speech_answer *answer, struct heard_piece *ret)
{
    yyjson_val *events = json_get(answer->json, "events"), *v;
    size_t      count = ret->count + yyjson_arr_size(events), i, n;

    ret->events = arena_realloc(a, ret->events, ret->count * sizeof(*ret->events), count * sizeof(*ret->events));
    yyjson_arr_foreach(events, i, n, v) read_event(a, v, &ret->events[ret->count++]);
    ret->audio_ms = yyjson_get_sint(json_get(answer->json, "audio_ms"));
    ret->speech_ms = yyjson_get_sint(json_get(answer->json, "speech_ms"));
    ret->undecodable = yyjson_is_true(json_get(answer->json, "undecodable"));
    ret->cpu_us += answer->cpu_us;
}

/* Until the child has got through with it: `verb` again, with nothing new, as long as it has no decoder free. */
static SUSPENDS enum err ask(struct recogniser *r, const char *verb, str bytes, struct arena *a,
                             struct heard_piece *ret)
{
    struct speech *s = r->stream.speech;
    bool           busy = true;
    enum err       e = OK;

    *ret = (struct heard_piece){ 0 };
    while (!e && busy) {
        struct speech_answer answer;
        struct buf           b;

        buf_init(&b, a, SIZE_MAX / 2);
        buf_add_char(&b, '{');
        e = speech_stream_ask(&r->stream, verb, &b, bytes, s->hear_ms, a, &answer);
        if (e)
            break;
        add_answer(a, &answer, ret);
        busy = yyjson_is_true(json_get(answer.json, "busy"));
        bytes = (str){ 0 };
        if (busy)
            e = fiber_sleep_until(loop_now_us(s->loop) + BUSY_MS * 1000);
    }
    return e;
}

enum err recogniser_hear(struct recogniser *r, str bytes, struct arena *a, struct heard_piece *ret)
{
    might_suspend();
    return ask(r, "hear", bytes, a, ret);
}

enum err recogniser_commit(struct recogniser *r, struct arena *a, struct heard_piece *ret)
{
    might_suspend();
    return ask(r, "commit", (str){ 0 }, a, ret);
}

enum err recogniser_end(struct recogniser *r, struct arena *a, struct heard_piece *ret)
{
    might_suspend();
    return ask(r, "hear_end", (str){ 0 }, a, ret);
}

void recogniser_close(struct recogniser *r)
{
    speech_stream_close(&r->stream);
}
