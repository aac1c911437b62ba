/* synthesis.h - the parameters of a task that speaks. Where they come from: data/params/synthesis.txt. */
#ifndef DASHBOX_CONTRACT_SYNTHESIS_H
#define DASHBOX_CONTRACT_SYNTHESIS_H

#include "contract/json.h"
#include "contract/optional.h"

enum synthesis_text_type { SYNTHESIS_TEXT_UNSET, SYNTHESIS_PLAIN_TEXT, SYNTHESIS_SSML };

enum synthesis_format {
    SYNTHESIS_FORMAT_UNSET,
    SYNTHESIS_PCM,
    SYNTHESIS_WAV,
    SYNTHESIS_MP3,
    SYNTHESIS_OPUS,
    SYNTHESIS_FORMAT_DEFAULT, /* said to be unset */
};

struct synthesis_input {
    int         text_type; /* enum synthesis_text_type */
    str         voice;
    int         format;      /* enum synthesis_format */
    opt_int     sample_rate; /* of the documented ones; 0 is unset */
    opt_int     volume, bit_rate, seed;
    opt_num     rate, pitch;
    opt_bool    enable_ssml, word_timestamp_enabled, phoneme_timestamp_enabled;
    yyjson_val *language_hints, *hot_fix; /* as sent */
    str         instruction;
};

#endif
