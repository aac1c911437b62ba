/* recognition.h - the parameters of a task that listens. Where they come from: data/params/recognition.txt. */
#ifndef DASHBOX_CONTRACT_RECOGNITION_H
#define DASHBOX_CONTRACT_RECOGNITION_H

#include "contract/json.h"
#include "contract/optional.h"

enum recognition_format {
    RECOGNITION_FORMAT_UNSET,
    RECOGNITION_PCM,
    RECOGNITION_WAV,
    RECOGNITION_MP3,
    RECOGNITION_OPUS,
    RECOGNITION_SPEEX,
    RECOGNITION_AAC,
    RECOGNITION_AMR,
};

struct recognition_input {
    int         format; /* enum recognition_format */
    opt_int     sample_rate, max_sentence_silence, max_end_silence;
    opt_num     speech_noise_threshold;
    str         vocabulary_id;
    yyjson_val *vocabulary, *language_hints, *special_word_filter, *translation_target_languages; /* as sent */
    opt_bool    disfluency_removal_enabled, semantic_punctuation_enabled, multi_threshold_mode_enabled;
    opt_bool    punctuation_prediction_enabled, heartbeat, inverse_text_normalization_enabled;
    opt_bool    transcription_enabled, translation_enabled;
    int         source_language; /* the position in the choices */
};

#endif
