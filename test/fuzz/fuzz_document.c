/* fuzz_document.c - a document of any kind, through the readers of engines/document, without their sandbox. The first byte says what its name
 * ends with.
 */
#include "base/utf8.h"
#include "engines/document/reading.h"

#include <sys/mman.h>
#include <unistd.h>

#define TEXT_MAX 100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const extensions[] = { "-", "txt", "md", "pdf", "docx", "xlsx", "pptx", "epub", "mobi" };
    static struct out        out;
    static char              text[TEXT_MAX];
    static int               fd = -1;
    struct arena             a;
    struct reading           r = { .arena = &a, .out = &out, .page_max = 100 };
    enum document_verdict    v;

    if (!size)
        return 0;
    if (fd < 0) {
        reading_begin();
        fd = memfd_create("text", MFD_CLOEXEC);
        ASSERT(fd >= 0);
    }
    arena_init(&a, 0);
    out_init(&out, fd, TEXT_MAX);
    r.bytes = str_of((const char *)data + 1, size - 1);
    r.extension = str_from_cstr(extensions[data[0] % ARRAY_LEN(extensions)]);
    v = reading_run(&r);
    out_flush(&out);
    ASSERT(!out.failed && out.len <= TEXT_MAX && out.letters <= out.len);
    ASSERT(document_verdict_name(v) && document_format_name(r.format));
    ASSERT(pread(fd, text, sizeof(text), 0) >= out.len);
    ASSERT(utf8_valid(str_of(text, (size_t)out.len)));
    arena_free(&a);
    return 0;
}
