/* fuzz_media_answer.c - what a media engine says that has been taken over by the file it looks at. */
#include "engine/media/facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct media_facts f;
    struct arena       a;

    arena_init(&a, 0);
    if (!media_facts_read(&a, str_of((const char *)data, size), &f)) {
        ASSERT(media_kind_name(f.kind));
        ASSERT(f.bytes >= 0 && f.width >= 0 && f.height >= 0 && f.frames >= 0 && f.duration_ms >= 0 && f.cpu_us >= 0);
        ASSERT(f.sample_rate >= 0 && f.channels >= 0);
        ASSERT(f.fps >= 0 && f.brightness <= 255);
        ASSERT(!str_has_break(f.format) && !str_has_break(f.video_codec) && !str_has_break(f.audio_codec));
    }
    arena_free(&a);
    return 0;
}
