/* test_speech.c - dashbox-speech itself (SPEECH_ENGINE): what is said can be heard, formats are what they are called, voices differ and
 * stay, many streams share a child, and a child that dies costs the streams that it had.
 */
#include "engine/speech/speech_private.h"

#include "../loop/run.h"

#include <math.h>
#include <signal.h>
#include <sys/mman.h>

#define RATE 16000

static const char *program;

static struct speech *start(struct speech_options o)
{
    struct speech *s = NULL;

    o.program = program;
    CHECK(speech_open(loop, &o, &s) == OK);
    return s;
}

static struct speaker_options man(void)
{
    return (struct speaker_options){ .voice = { .languages = S("zh+en"), .gender = 'M', .timbre = 2 },
                                     .format = SOUND_PCM,
                                     .sample_rate = RATE,
                                     .rate = 1,
                                     .pitch = 1,
                                     .volume = 50,
                                     .words = true };
}

/* All that the voice makes of the text. */
static str say(struct speech *s, const struct speaker_options *o, str text, struct arena *a, struct spoken *ret)
{
    struct speaker *k;
    struct spoken   rest;
    struct buf      b;

    CHECK(speaker_open(s, o, a, &k) == OK);
    CHECK(speaker_say(k, text, a, ret) == OK);
    CHECK(speaker_end(k, a, &rest) == OK);
    speaker_close(k);
    buf_init(&b, a, SIZE_MAX / 2);
    buf_add(&b, ret->sound);
    buf_add(&b, rest.sound);
    return buf_str(&b);
}

/* What is heard of it, in pieces of so many bytes. */
static str hear(struct speech *s, enum sound_format format, str bytes, size_t piece, struct arena *a,
                struct heard_piece *ret)
{
    struct recogniser_options o = { .format = format, .sample_rate = RATE, .silence_ms = 500, .partial = true };
    struct recogniser        *r;
    struct buf                text;
    size_t                    partials = 0;

    buf_init(&text, a, SIZE_MAX / 2);
    CHECK(recogniser_open(s, &o, a, &r) == OK);
    for (bool end = false; !end;) {
        str now = str_first(bytes, piece);

        end = !now.len;
        CHECK((end ? recogniser_end(r, a, ret) : recogniser_hear(r, now, a, ret)) == OK);
        for (size_t i = 0; i < ret->count; i++) {
            const struct heard *h = &ret->events[i];

            partials += h->kind == HEARD_PARTIAL;
            if (h->kind != HEARD_SENTENCE)
                continue;
            buf_add(&text, h->text);
            for (size_t k = 0; k < h->word_count; k++)
                CHECK(h->words[k].begin_ms < h->words[k].end_ms &&
                      (!k || h->words[k].begin_ms >= h->words[k - 1].end_ms));
        }
        bytes = str_from(bytes, now.len);
    }
    recogniser_close(r);
    CHECK(!text.len || piece > 10000 || partials > 0);
    return buf_str(&text);
}

static void said_and_heard(void *arg)
{
    static const enum sound_format formats[] = { SOUND_PCM, SOUND_WAV, SOUND_MP3, SOUND_OPUS, SOUND_AAC, SOUND_FLAC };
    struct speech                 *s = start((struct speech_options){ 0 });
    struct arena                   a;

    (void)arg;
    arena_init(&a, 0);
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        struct speaker_options o = man();
        struct spoken          spoken;
        struct heard_piece     heard;
        str                    sound;

        o.format = formats[i];
        o.bit_rate = o.format == SOUND_MP3 || o.format == SOUND_AAC ? 64000 : 0;
        sound = say(s, &o, S("The weather is beautiful today."), &a, &spoken);
        CHECK(spoken.word_count == 5 && str_eq(spoken.words[3].text, S("beautiful")));
        CHECK(spoken.words[3].begin_index == 15 && spoken.words[3].end_index == 24);
        for (size_t k = 0; k < spoken.word_count; k++)
            CHECK(spoken.words[k].begin_ms < spoken.words[k].end_ms && spoken.words[k].end_ms <= spoken.end_ms &&
                  (!k || spoken.words[k].begin_ms >= spoken.words[k - 1].end_ms));
        CHECK(str_find_str(hear(s, formats[i], sound, 1600, &a, &heard), S("weather")) != STR_NONE);
        CHECK(!heard.undecodable && llabs(heard.audio_ms - spoken.end_ms) < 150);
        CHECK(heard.speech_ms > heard.audio_ms / 2);
    }
    arena_free(&a);
    speech_close(s);
}

static void what_is_said_is_heard(void **state)
{
    (void)state;
    run_fiber(said_and_heard);
}

static void voices(void *arg)
{
    struct speech         *s = start((struct speech_options){ 0 });
    struct speaker_options o = man(), other = man(), loud = man(), fast = man();
    struct spoken          spoken;
    struct arena           a;
    str                    first, again;

    (void)arg;
    arena_init(&a, 0);
    first = say(s, &o, S("One voice."), &a, &spoken);
    again = say(s, &o, S("One voice."), &a, &spoken);
    CHECK(str_eq(first, again));
    other.voice.timbre = 0x12346;
    CHECK(!str_eq(first, say(s, &other, S("One voice."), &a, &spoken)));
    loud.volume = 100;
    CHECK(!str_eq(first, say(s, &loud, S("One voice."), &a, &spoken)));
    fast.rate = 2;
    CHECK(say(s, &fast, S("One voice."), &a, &spoken).len < first.len * 7 / 10);
    o.ssml = true;
    CHECK(say(s, &o, S("<speak>One <break time=\"1s\"/>voice.</speak>"), &a, &spoken).len > first.len + RATE);
    arena_free(&a);
    speech_close(s);
}

static void voices_differ_and_stay(void **state)
{
    (void)state;
    run_fiber(voices);
}

static void broken(void *arg)
{
    struct speech         *s = start((struct speech_options){ 0 });
    struct speaker_options o = man();
    struct spoken          spoken;
    struct heard_piece     heard;
    struct speaker        *k;
    struct arena           a;
    static char            noise[60000]; /* a fiber has a small stack */

    (void)arg;
    arena_init(&a, 0);
    o.ssml = true;
    CHECK(speaker_open(s, &o, &a, &k) == OK);
    CHECK(speaker_say(k, S("<speak>no end"), &a, &spoken) == ERR_INVALID);
    CHECK(speaker_say(k, S("It lives on."), &a, &spoken) == OK && spoken.sound.len > RATE);
    speaker_close(k);
    o.format = SOUND_AMR;
    CHECK(speaker_open(s, &o, &a, &k) == ERR_INVALID); /* nothing here codes it */
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (char)(i * 7919 >> 3);
    for (enum sound_format f = SOUND_WAV; f <= SOUND_FLAC; f++) {
        CHECK(hear(s, f, str_of(noise, sizeof(noise)), 7000, &a, &heard).len == 0);
        CHECK(heard.undecodable);
    }
    arena_free(&a);
    speech_close(s);
}

static void what_is_broken_is_said(void **state)
{
    (void)state;
    run_fiber(broken);
}

static void killed(void *arg)
{
    struct speech         *s = start((struct speech_options){ .speaker_max = 1, .backoff_ms = 1 });
    struct speaker_options o = man();
    struct speaker        *one, *two, *three;
    struct spoken          spoken;
    struct arena           a;
    int                    pid;

    (void)arg;
    arena_init(&a, 0);
    CHECK(speaker_open(s, &o, &a, &one) == OK && speaker_open(s, &o, &a, &two) == OK);
    CHECK(speaker_say(one, S("Hello."), &a, &spoken) == OK);
    CHECK(speech_pids(s, &pid, 1) == 1);
    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(speaker_say(two, S("Hello."), &a, &spoken) == ERR_IO);
    CHECK(speaker_say(one, S("Hello."), &a, &spoken) == ERR_IO);
    CHECK(speaker_open(s, &o, &a, &three) == OK && speaker_say(three, S("Hello."), &a, &spoken) == OK);
    speaker_close(one);
    speaker_close(two);
    speaker_close(three);
    arena_free(&a);
    speech_close(s);
}

static void a_child_that_dies_costs_its_streams(void **state)
{
    (void)state;
    run_fiber(killed);
}

static void shared(void *arg)
{
    struct speech         *s = start((struct speech_options){ .speaker_max = 1 });
    struct speaker_options o = man();
    struct speaker        *many[200];
    struct spoken          spoken;
    struct arena           a;
    int                    pids[8];

    (void)arg;
    arena_init(&a, 0);
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        CHECK(speaker_open(s, &o, &a, &many[i]) == OK);
    CHECK(speech_pids(s, pids, 8) == 1);
    for (size_t i = 0; i < ARRAY_LEN(many); i += 2) /* those between them keep their places */
        speaker_close(many[i]);
    for (size_t i = 1; i < ARRAY_LEN(many); i += 2) {
        CHECK(speaker_say(many[i], S("Yes."), &a, &spoken) == OK && spoken.begin_ms == 0 && spoken.sound.len > 0);
        speaker_close(many[i]);
    }
    arena_free(&a);
    speech_close(s);
}

static void many_streams_share_a_child(void **state)
{
    (void)state;
    run_fiber(shared);
}

static void measured(void *arg)
{
    struct speech         *s = start((struct speech_options){ 0 });
    struct speaker_options o = man();
    struct spoken          spoken;
    struct voice_measure   m;
    struct arena           a;
    str                    sound;
    int                    fd = memfd_create("wav", MFD_CLOEXEC), out = memfd_create("pcm", MFD_CLOEXEC);
    int64_t                ms;

    (void)arg;
    arena_init(&a, 0);
    o.format = SOUND_WAV;
    o.sample_rate = 24000;
    sound = say(s, &o, S("The quick brown fox jumps over the lazy dog."), &a, &spoken);
    CHECK(write(fd, sound.ptr, sound.len) == (ssize_t)sound.len);
    CHECK(speech_measure(s, fd, &a, &m) == OK);
    CHECK(m.sample_rate == 24000 && m.channels == 1 && llabs(m.duration_ms - spoken.end_ms) < 50);
    CHECK(m.pitch_hz > 80 && m.pitch_hz < 160 && m.speech_ms > 1000 && m.longest_ms >= m.speech_ms / 2 &&
          m.level_db > -40);
    CHECK(speech_decode(s, fd, 0, out, &a, &ms) == OK && llabs(ms - m.duration_ms) < 20);
    CHECK(lseek(out, 0, SEEK_END) == ms * 32 || llabs(lseek(out, 0, SEEK_END) - ms * 32) < 64);
    CHECK(speech_decode(s, fd, 1, out, &a, &ms) == ERR_INVALID); /* there is one channel */
    CHECK(ftruncate(fd, 0) == 0 && write(fd, "no sound", 8) == 8);
    CHECK(speech_measure(s, fd, &a, &m) == ERR_INVALID);
    close(fd);
    close(out);
    arena_free(&a);
    speech_close(s);
}

static void a_sample_is_measured(void **state)
{
    (void)state;
    run_fiber(measured);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        loop_test(what_is_said_is_heard),      loop_test(voices_differ_and_stay),
        loop_test(what_is_broken_is_said),     loop_test(a_child_that_dies_costs_its_streams),
        loop_test(many_streams_share_a_child), loop_test(a_sample_is_measured),
    };

    program = getenv("SPEECH_ENGINE");
    if (!program) { /* the libraries of speech are not here: nothing was built to be tried */
        fputs("test_speech: dashbox-speech has not been built\n", stderr);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
