/* fuzz_media_answer.c - what a media engine says that has been taken over by the file it looks at, and one that reads by its pixels. */
#include "engine/document/facts.h"
#include "engine/media/facts.h"
#include "engine/ocr/ocr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct document_facts d;
    struct media_facts    f;
    struct arena          a;
    struct picture_lines  lines = { 0 };
    int64_t               cpu_us = 0;
    bool                  done;

    arena_init(&a, 0);
    if (!ocr_hear(&a, str_of((const char *)data, size), &lines, &done, &cpu_us)) {
        ASSERT(done ? cpu_us >= 0 && !lines.count : lines.count == 1);
        for (size_t i = 0; i < lines.count; i++)
            ASSERT(lines.at[i].text.len && lines.at[i].x >= 0 && lines.at[i].y >= 0 && lines.at[i].width >= 0 &&
                   lines.at[i].height >= 0);
    }
    if (!media_facts_read(&a, str_of((const char *)data, size), &f)) {
        ASSERT(media_kind_name(f.kind));
        ASSERT(f.bytes >= 0 && f.width >= 0 && f.height >= 0 && f.frames >= 0 && f.duration_ms >= 0 && f.cpu_us >= 0);
        ASSERT(f.sample_rate >= 0 && f.channels >= 0);
        ASSERT(f.fps >= 0 && f.brightness <= 255);
        ASSERT(!str_has_break(f.format) && !str_has_break(f.video_codec) && !str_has_break(f.audio_codec));
    }
    if (!document_facts_read(&a, str_of((const char *)data, size), &d)) {
        ASSERT(document_verdict_name(d.verdict) && document_format_name(d.format));
        ASSERT(d.pages >= 0 && d.cpu_us >= 0);
        ASSERT((d.verdict == DOCUMENT_OK) == (d.text_bytes > 0));
    }
    arena_free(&a);
    return 0;
}
