/* speech.h - speaks and listens: dashbox-speech (engines/speech), programs that synthesise, recognise and code sound.
 *
 * There are two pools of them: speakers, whose questions take milliseconds, and listeners, who work as long as the sound lasts.
 * What has state (an encoder, a recogniser's utterance) lives in one child and is gone with it; the child serves others
 * between two questions, so that many streams share few processes.
 *
 *      speaker_open ── speaker_say* ── speaker_end ── speaker_close
 *      recogniser_open ── recogniser_hear* / recogniser_commit* ── recogniser_end ── recogniser_close
 *
 * Errors, of all that suspends:
 *   ERR_IO           the engine has crashed over it, or cannot be started
 *   ERR_TIMEOUT      it has not answered in time
 *   ERR_PROTOCOL     it has answered nonsense
 *   ERR_LIMIT        too many wait already
 *   ERR_CANCELLED    the fiber was
 * The reason is in the log. After any of them a speaker or recogniser can only be closed.
 *
 * Thread: one loop for life. Sound inside is PCM, 16 bits, little endian, one channel.
 */
#ifndef DASHBOX_ENGINE_SPEECH_SPEECH_H
#define DASHBOX_ENGINE_SPEECH_SPEECH_H

#include "base/arena.h"
#include "loop/fiber.h"

struct speech;

/* Zero stands for the value in brackets. */
struct speech_options {
    const char *program;      /* path of dashbox-speech [speech_program()] */
    size_t      speaker_max;  /* children that speak [2] */
    size_t      listener_max; /* children that listen [2] */
    size_t      queue_max;    /* questions that wait [4096] */
    int64_t     say_ms;       /* for one sentence, from when a child has it [20 s] */
    int64_t     hear_ms;      /* for one piece of sound [60 s] */
    int64_t     start_ms;     /* until a child is ready [10 s] */
    int64_t     backoff_ms;   /* after one that was not, doubled each time up to a minute [1 s] */
    int64_t     idle_ms;      /* after which a child without streams is ended [5 min] */
};

/* ERR_NOT_FOUND: this dashbox was built without. */
enum err speech_program(struct arena *a, const char **ret);
/* ERR_NOT_FOUND: there is no such program. Nothing is started yet. */
enum err speech_open(struct loop *l, const struct speech_options *o, struct speech **ret);
/* Process ids of the children that are there, for tests and metrics; at most `max`. Returns how many. */
size_t speech_pids(const struct speech *s, int *ret, size_t max);
/* Nobody speaks or listens. Ends the children. */
void speech_close(struct speech *s);

enum sound_format {
    SOUND_PCM,
    SOUND_WAV, /* PCM inside */
    SOUND_MP3,
    SOUND_OPUS,  /* in Ogg */
    SOUND_SPEEX, /* in Ogg */
    SOUND_AAC,   /* ADTS */
    SOUND_AMR,   /* narrow band */
    SOUND_FLAC,
};

/* ---- speaking ---- */

/* How a voice sounds (contract/voice.h makes one of a catalogue's name, cloning one of a sample). */
struct voice_sound {
    str      languages;  /* "zh+en", "en-GB", "ja": as in voices.csv; the first is its own */
    char     gender;     /* 'F', 'M', 'C' (child), 'N' */
    uint32_t timbre;     /* tells voices of one language and gender apart, the same for ever */
    double   pitch_hz;   /* median; 0: its gender's, moved by the timbre */
    double   tempo;      /* 1 is ordinary; 0: as 1 */
    double   brightness; /* −1 dark … 1 bright */
};

struct speaker_options {
    struct voice_sound voice;
    enum sound_format  format;          /* PCM, WAV, MP3, OPUS, FLAC, AAC */
    int                sample_rate;     /* 8000 … 48000, of what comes out */
    int                bit_rate;        /* bits a second; 0: the format's usual */
    double             rate, pitch;     /* 1 is ordinary, 0.5 … 2 */
    int                volume;          /* 50 is ordinary, 0 … 100 */
    bool               ssml;            /* texts are marked up */
    bool               words, phonemes; /* their times are wanted */
    str                language;        /* "en": that is what texts are in; empty: seen by their letters */
};

struct spoken_phoneme {
    str     text;
    int     tone;
    int64_t begin_ms, end_ms;
};

struct spoken_word {
    str                    text;
    int64_t                begin_index, end_index; /* characters of the text that was said; end is behind it */
    int64_t                begin_ms, end_ms;       /* since the speaker's first sound */
    struct spoken_phoneme *phonemes;
    size_t                 phoneme_count;
};

struct spoken {
    str                 sound;            /* what the encoder has let out by now: may lag behind the time */
    int64_t             begin_ms, end_ms; /* since the speaker's first sound */
    struct spoken_word *words;
    size_t              word_count;
    int64_t             cpu_us;
};

struct speaker;

#define SPEAKER_TEXT_MAX ((size_t)16384) /* bytes of one speaker_say() */

SUSPENDS enum err speaker_open(struct speech *s, const struct speaker_options *o, struct arena *a,
                               struct speaker **ret);
/* One sentence or piece of one, spoken to its end. ERR_INVALID: the markup cannot be read (the speaker lives on). */
SUSPENDS enum err speaker_say(struct speaker *k, str text, struct arena *a, struct spoken *ret);
/* What the encoder still has. */
SUSPENDS enum err speaker_end(struct speaker *k, struct arena *a, struct spoken *ret);
/* From anywhere, also in the middle. */
void speaker_close(struct speaker *k);

/* ---- listening ---- */

struct boosted_word {
    str text;
    int weight; /* 1 … 5; negative: less likely */
};

struct recogniser_options {
    enum sound_format          format;
    int                        sample_rate; /* of PCM and AMR; the others say theirs */
    bool                       whole;       /* no voice activity: one utterance until recogniser_commit() */
    int                        silence_ms;  /* that ends a sentence */
    double                     threshold;   /* of voice activity, −1 (everything is speech) … 1; 0 is ordinary */
    str                        language;    /* hint; empty: none */
    const struct boosted_word *words;
    size_t                     word_count;
    bool                       partial; /* HEARD_PARTIAL is wanted */
};

enum heard_kind {
    HEARD_BEGIN,    /* speech begins at begin_ms */
    HEARD_PARTIAL,  /* what the sentence is so far: text, words */
    HEARD_STOP,     /* speech has stopped at end_ms */
    HEARD_SENTENCE, /* the sentence: final; its text may be empty */
};

struct heard_word {
    str     text;
    int64_t begin_ms, end_ms; /* since the recogniser's first sound */
    double  confidence;       /* 0 … 1 */
};

struct heard {
    enum heard_kind    kind;
    int64_t            begin_ms, end_ms;
    str                text; /* lower case words with blanks between */
    struct heard_word *words;
    size_t             word_count;
    double             confidence;
};

struct heard_piece {
    struct heard *events;
    size_t        count;
    int64_t       audio_ms;    /* decoded since the beginning */
    int64_t       speech_ms;   /* of it, speech */
    bool          undecodable; /* what has come cannot be of that format */
    int64_t       cpu_us;
};

struct recogniser;

SUSPENDS enum err recogniser_open(struct speech *s, const struct recogniser_options *o, struct arena *a,
                                  struct recogniser **ret);
/* Sound as it comes, in pieces of any size; they need not hold whole samples. */
SUSPENDS enum err recogniser_hear(struct recogniser *l, str bytes, struct arena *a, struct heard_piece *ret);
/* The sentence ends here. */
SUSPENDS enum err recogniser_commit(struct recogniser *l, struct arena *a, struct heard_piece *ret);
/* No more will come: whatever is under way is finished. */
SUSPENDS enum err recogniser_end(struct recogniser *l, struct arena *a, struct heard_piece *ret);
/* From anywhere, also in the middle. */
void recogniser_close(struct recogniser *l);

/* ---- files ---- */

/* Decodes one channel (from 0) of a file of any kind into 16 kHz PCM, written to `out`. *ret_ms: how long it is.
 * ERR_INVALID: there is no sound in it that can be decoded, or no such channel. */
SUSPENDS enum err speech_decode(struct speech *s, int fd, int channel, int out, struct arena *a, int64_t *ret_ms);

/* A sample of somebody's voice. */
struct voice_measure {
    int64_t duration_ms, speech_ms, longest_ms; /* longest: of its stretches of speech */
    int     sample_rate, channels;
    double  level_db; /* of the speech, RMS, full scale is 0 */
    double  pitch_hz; /* median of what is voiced; 0: nothing is */
    double  syllables_s;
    double  brightness_hz; /* centre of the spectrum of speech */
};

/* ERR_INVALID: it cannot be decoded. */
SUSPENDS enum err speech_measure(struct speech *s, int fd, struct arena *a, struct voice_measure *ret);

#endif
