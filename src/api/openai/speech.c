/* speech.c - OpenAI's POST /v1/audio/speech and /v1/audio/transcriptions, with the models of the catalogue: the service has neither, and
 * its users' programs do.
 */
#include "access/admission.h"
#include "api/openai/openai.h"
#include "api/body_model.h"
#include "api/reply.h"
#include "contract/errors.gen.h"
#include "contract/json.h"
#include "contract/model.h"
#include "contract/synthesis_params.gen.h"
#include "net/http_server.h"
#include "service/reading.h"
#include "service/services.h"
#include "service/voices.h"

/* The body names a model of synthesis that speaks when it is asked by whole texts. */
static enum err read_model(struct request *rq, yyjson_val *root, const struct model **ret)
{
    str name = json_str(json_get(root, "model"));

    if (!name.len)
        return fail_model_missing_compat(&rq->fault);
    rq->model_name = name;
    *ret = request_model(rq, name);
    if (!*ret || !((*ret)->out & BIT(MODEL_AUDIO)) || ((*ret)->task != MODEL_TASK_TTS && (*ret)->task != MODEL_TASK_TTS_REALTIME))
        return fail_model_not_found_or_no_access(&rq->fault, name);
    return OK;
}

struct format {
    str               name, type;
    enum sound_format format;
    int               rate;
};

static const struct format *format_find(str name)
{
    static const struct format formats[] = {
        { S("mp3"), S("audio/mpeg"), SOUND_MP3, 24000 }, { S("opus"), S("audio/ogg"), SOUND_OPUS, 48000 },
        { S("aac"), S("audio/aac"), SOUND_AAC, 24000 },  { S("flac"), S("audio/flac"), SOUND_FLAC, 24000 },
        { S("wav"), S("audio/wav"), SOUND_WAV, 24000 },  { S("pcm"), S("audio/pcm"), SOUND_PCM, 24000 },
    };

    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (!name.len || str_eq(formats[i].name, name))
            return &formats[i];
    }
    return NULL;
}

SUSPENDS static enum err send_all(struct request *rq, struct reading *r, const struct format *f)
{
    struct http_field fields[] = { { S("content-type"), f->type }, { S("x-request-id"), str_of(rq->id, UUID_LEN) } };
    str               sentence;
    struct spoken     spoken;
    enum err          e = reading_next(r, &sentence, &spoken);

    if (e)
        return e;
    request_phase(rq, PHASE_STREAM);
    http_stream_begin(rq->x, 200, fields, ARRAY_LEN(fields));
    while (!e) {
        buf_add(http_stream_buf(rq->x), spoken.sound);
        e = http_stream_flush(rq->x);
        if (!e)
            e = reading_next(r, &sentence, &spoken);
    }
    if (e != ERR_EOF)
        return e; /* broken off: there is no place for words in sound */
    rq->usage.characters = r->characters;
    e = admit_charge(rq);
    return e ? e : http_stream_end(rq->x);
}

/* REF: E096, E198c, E098. */
enum err handle_openai_speech(struct request *rq)
{
    struct synthesis_plan plan = { .count = SPEECH_COUNT_HAN_2, .speaker = { .rate = 1, .pitch = 1, .volume = 50 } };
    struct reading       *r = arena_new(rq->arena, struct reading);
    const struct format  *f;
    const struct model   *m = NULL;
    yyjson_val           *root;
    double                speed = 1;
    str                   voice;
    enum err              e = request_json(rq, &root);

    if (!e)
        e = read_model(rq, root, &m);
    if (!e)
        e = admit(rq, m);
    if (e)
        return e;
    voice = json_str(json_get(root, "voice"));
    f = format_find(json_str(json_get(root, "response_format")));
    if (!f)
        return fail_parameter_missing_named(&rq->fault, S("response_format"));
    if (json_get(root, "speed") && (!json_to_num(json_get(root, "speed"), &speed) || speed < 0.25 || speed > 4))
        return fail_parameter_missing_named(&rq->fault, S("speed"));
    e = voices_find(rq, m->id, voice, &plan.speaker.voice);
    if (e == ERR_NOT_FOUND)
        return fail_voice_unsupported(&rq->fault, voice);
    plan.speaker.format = f->format;
    plan.speaker.sample_rate = f->rate;
    plan.speaker.rate = speed;
    if (!e)
        e = reading_begin(rq, &plan, json_str(json_get(root, "input")), r);
    return e ? e : send_all(rq, r, f);
}
