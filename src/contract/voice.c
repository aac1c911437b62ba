/* voice.c - looking a voice up. Thread: any. */
#include "contract/voice.h"

#include "base/hash.h"

#define SAMBERT S("sambert-")

static bool fits(str patterns, str model)
{
    while (patterns.len) {
        if (str_glob(str_cut(&patterns, ' '), model))
            return true;
    }
    return false;
}

/* "zhichu" of sambert-zhichu-v1. */
static str sambert_voice(str model)
{
    str name = str_from(model, SAMBERT.len);

    if (str_ends(name, S("-v1")))
        name.len -= 3;
    return name;
}

const struct voice *voice_next(str model, const struct voice *before)
{
    str own = str_starts(model, SAMBERT) ? sambert_voice(model) : (str){ 0 };

    for (const struct voice *v = before ? before + 1 : voice_rows; v < voice_rows + voice_count; v++) {
        if (fits(v->models, model) && (!own.len || str_eq(v->name, own)))
            return v;
    }
    return NULL;
}

const struct voice *voice_find(str model, str name)
{
    const struct voice *v = NULL;

    if (str_starts(model, SAMBERT))
        return voice_next(model, NULL);
    while ((v = voice_next(model, v))) {
        if (str_eq(v->name, name))
            return v;
    }
    return NULL;
}

uint32_t voice_timbre(str name)
{
    return (uint32_t)hash_bytes(name, 0x766f696365); /* "voice" */
}

char voice_gender(const struct voice *v)
{
    return v->gender != '?' ? v->gender : voice_timbre(v->name) & 1 ? 'M' : 'F';
}
