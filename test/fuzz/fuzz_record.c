/* fuzz_record.c - recordings: what is written is read back, scrubbing twice is scrubbing once, and foreign files and bodies do no
 * harm.
 *
 * The input is a file of somebody's, a request's body, and the bytes of an answer.
 */
#include "engine/record/normal.h"
#include "engine/record/scrub.h"
#include "engine/record/tape.h"

static str scrubbed(struct arena *a, str s)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    scrub(&b, s, NULL);
    return buf_str(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena      a;
    str               in = str_of((const char *)data, size), problem, once;
    struct tape_piece piece = { .bytes = in };
    struct tape       t = { .method = S("POST"), .path = S("/x"), .body = S("b"), .status = 200, .pieces = &piece };
    struct tape       back;
    struct normal     n;

    arena_init(&a, 0);
    t.piece_count = size ? 1 : 0;
    ASSERT(tape_read(&a, tape_write(&a, &t), &back, &problem) == OK);
    ASSERT(back.piece_count == t.piece_count);
    ASSERT(!size || str_eq(back.pieces[0].bytes, in));
    (void)tape_read(&a, in, &back, &problem);
    once = scrubbed(&a, in);
    ASSERT(str_eq(scrubbed(&a, once), once));
    normal_of(&a, S("POST"), S("/x"), in, &n);
    (void)normal_difference(&a, n.body, in);
    arena_free(&a);
    return 0;
}
