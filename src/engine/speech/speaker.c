/* speaker.c - a voice in a child of the speech engine. */
#include "engine/speech/speech_private.h"

struct speaker {
    struct speech_stream stream;
};

static void add_bool(struct buf *b, const char *name, bool v)
{
    if (v)
        buf_addf(b, ",\"%s\":true", name);
}

static void add_number(struct buf *b, const char *name, double v)
{
    buf_addf(b, ",\"%s\":", name);
    json_add_num(b, v);
}

enum err speaker_open(struct speech *s, const struct speaker_options *o, struct arena *a, struct speaker **ret)
{
    struct speaker *k = arena_new(a, struct speaker);
    struct buf      b;
    enum err        e;

    might_suspend();
    buf_init(&b, a, SIZE_MAX / 2);
    buf_addf(&b, "{\"format\":%d,\"sample_rate\":%d,\"bit_rate\":%d,\"volume\":%d,\"gender\":\"%c\",\"timbre\":%u",
             o->format, o->sample_rate, o->bit_rate, o->volume, o->voice.gender ? o->voice.gender : 'N',
             o->voice.timbre);
    add_number(&b, "rate", o->rate);
    add_number(&b, "pitch", o->pitch);
    add_number(&b, "pitch_hz", o->voice.pitch_hz);
    add_number(&b, "tempo", o->voice.tempo);
    add_number(&b, "brightness", o->voice.brightness);
    add_bool(&b, "ssml", o->ssml);
    add_bool(&b, "words", o->words);
    add_bool(&b, "phonemes", o->phonemes);
    buf_add(&b, S(",\"languages\":"));
    json_add_str(&b, o->voice.languages);
    buf_add(&b, S(",\"language\":"));
    json_add_str(&b, o->language);
    e = speech_stream_open(s, s->speakers, "speak", &b, a, &k->stream);
    if (!e)
        *ret = k;
    return e;
}

/* [text, begin_index, end_index, begin, end, [[text, begin, end, tone], …]] */
static void read_word(struct arena *a, yyjson_val *v, struct spoken_word *w)
{
    yyjson_val *phonemes = yyjson_arr_get(v, 5), *p;
    size_t      i, n;

    w->text = json_str(yyjson_arr_get(v, 0));
    w->begin_index = yyjson_get_sint(yyjson_arr_get(v, 1));
    w->end_index = yyjson_get_sint(yyjson_arr_get(v, 2));
    w->begin_ms = yyjson_get_sint(yyjson_arr_get(v, 3));
    w->end_ms = yyjson_get_sint(yyjson_arr_get(v, 4));
    w->phonemes = arena_array(a, struct spoken_phoneme, yyjson_arr_size(phonemes));
    yyjson_arr_foreach(phonemes, i, n, p)
    {
        w->phonemes[w->phoneme_count++] = (struct spoken_phoneme){
            .text = json_str(yyjson_arr_get(p, 0)),
            .begin_ms = yyjson_get_sint(yyjson_arr_get(p, 1)),
            .end_ms = yyjson_get_sint(yyjson_arr_get(p, 2)),
            .tone = (int)yyjson_get_sint(yyjson_arr_get(p, 3)),
        };
    }
}

static SUSPENDS enum err ask(struct speaker *k, const char *verb, struct buf *question, struct arena *a,
                             struct spoken *ret)
{
    struct speech_answer answer;
    yyjson_val          *words, *v;
    size_t               i, n;
    enum err e = speech_stream_ask(&k->stream, verb, question, (str){ 0 }, k->stream.speech->say_ms, a, &answer);

    *ret = (struct spoken){ .cpu_us = answer.cpu_us };
    if (e)
        return e;
    words = json_get(answer.json, "words");
    ret->sound = answer.sound;
    ret->begin_ms = yyjson_get_sint(json_get(answer.json, "begin"));
    ret->end_ms = yyjson_get_sint(json_get(answer.json, "end"));
    ret->words = arena_array(a, struct spoken_word, yyjson_arr_size(words));
    yyjson_arr_foreach(words, i, n, v) read_word(a, v, &ret->words[ret->word_count++]);
    return OK;
}

enum err speaker_say(struct speaker *k, str text, struct arena *a, struct spoken *ret)
{
    struct buf b;

    might_suspend();
    ASSERT(text.len <= SPEAKER_TEXT_MAX);
    buf_init(&b, a, SIZE_MAX / 2);
    buf_add(&b, S("{\"text\":"));
    json_add_str(&b, text);
    return ask(k, "say", &b, a, ret);
}

enum err speaker_end(struct speaker *k, struct arena *a, struct spoken *ret)
{
    struct buf b;

    might_suspend();
    buf_init(&b, a, SIZE_MAX / 2);
    buf_add_char(&b, '{');
    return ask(k, "say_end", &b, a, ret);
}

void speaker_close(struct speaker *k)
{
    speech_stream_close(&k->stream);
}
