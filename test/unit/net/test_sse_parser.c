/* test_sse_parser.c - events in all forms and cut at every place. */
#include "net/sse_parser.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MAX 64

/* All events as text, "event|data|id|comment;" each, and "!" for a limit. */
static void read_in_pieces(const char *text, size_t len, size_t piece, bool with_end, char *out, size_t size)
{
    struct arena      a;
    struct buf        b;
    struct sse_parser p;
    struct sse_event  ev;

    arena_init(&a, 0);
    buf_init(&b, &a, size - 1);
    sse_init(&p, &a, MAX);
    for (size_t at = 0; at < len || at == 0; at += piece) {
        size_t n = at + piece < len ? piece : len - at;
        char  *copy = malloc(n ? n : 1); /* a read past the piece, or after it has gone, is seen by the sanitizer */

        memcpy(copy, text + at, n);
        sse_feed(&p, str_of(copy, n));
        while (sse_next(&p, &ev))
            buf_addf(&b, "%.*s|%.*s|%.*s|%.*s;", STR_ARG(ev.event), STR_ARG(ev.data), STR_ARG(ev.id),
                     STR_ARG(ev.comment));
        free(copy);
    }
    if (with_end && sse_end(&p, &ev))
        buf_addf(&b, "%.*s|%.*s|%.*s|%.*s.", STR_ARG(ev.event), STR_ARG(ev.data), STR_ARG(ev.id), STR_ARG(ev.comment));
    if (p.problem)
        buf_add_char(&b, '!');
    memcpy(out, b.ptr ? b.ptr : "", b.len);
    out[b.len] = 0;
    arena_free(&a);
}

static void expect(const char *text, const char *want)
{
    size_t len = strlen(text);
    char   got[1024];

    for (size_t piece = len ? len : 1; piece > 0; piece--) {
        read_in_pieces(text, len, piece, true, got, sizeof(got));
        if (strcmp(got, want))
            fail_msg("in pieces of %zu: got \"%s\", wanted \"%s\"", piece, got, want);
    }
}

static void events_are_read_whatever_the_line_ends(void **state)
{
    (void)state;
    expect("data: a\n\ndata: b\n\n", "|a||;|b||;");
    expect("data: a\r\n\r\ndata: b\r\n\r\n", "|a||;|b||;");
    expect("data: a\r\rdata: b\r\r", "|a||;|b||;");
    expect("data: a\r\n\ndata: b\n\r\n", "|a||;|b||;");
    expect("\n\n\r\n\rdata: a\n\n\n\n", "|a||;");
}

static void blanks_behind_the_colon(void **state)
{
    (void)state;
    expect("data:a\n\ndata:  b \n\ndata\n\ndata:\n\n", "|a||;| b ||;|||;|||;");
    expect("data:{\"a\": 1}\n\n", "|{\"a\": 1}||;");
}

static void lines_of_data_are_joined(void **state)
{
    (void)state;
    expect("data: a\ndata: b\n\n", "|a\nb||;");
    expect("data\ndata\ndata: c\n\n", "|\n\nc||;");
}

static void all_fields_are_told(void **state)
{
    (void)state;
    expect("id:1\nevent:error\n:HTTP_STATUS/429\ndata:{}\n\ndata:x\n\n", "error|{}|1|HTTP_STATUS/429;|x||;");
    expect("event: a\nevent: b\nid: x\nretry: 10\nsomething: else\ndata: 1\n\n", "b|1|x|;");
}

static void an_id_with_a_nul_is_passed_over(void **state)
{
    static const char text[] = "id: a\0b\ndata: 1\n\n";
    char              got[64];

    (void)state;
    read_in_pieces(text, sizeof(text) - 1, sizeof(text), true, got, sizeof(got));
    assert_string_equal(got, "|1||;");
}

static void comments_and_empty_events_are_no_events(void **state)
{
    (void)state;
    expect(": ping\n\n:\n\nevent: x\n\ndata: a\n\n", "|a||;");
}

static void a_byte_order_mark_is_taken_off_once(void **state)
{
    (void)state;
    expect("\xef\xbb\xbf"
           "data: a\n\n\xef\xbb\xbf"
           "data: b\n\n",
           "|a||;");
    expect("\xef\xbb\xbf"
           "data: a",
           "|a||.");
}

static void the_end_gives_out_what_is_there(void **state)
{
    (void)state;
    expect("data: [DONE]", "|[DONE]||.");
    expect("data: [DONE]\n", "|[DONE]||.");
    expect("data: a\n\nevent: b\n", "|a||;");
    expect("", "");
}

static void what_is_too_long_is_a_limit(void **state)
{
    (void)state;
    expect("data: 0123456789012345678901234567890123456789012345678901234567\n\n", /* 64 bytes */
           "|0123456789012345678901234567890123456789012345678901234567||;");
    expect("data: 01234567890123456789012345678901234567890123456789012345678\n\n", "!");
    expect("data: 01234567890123456789012345678901234567890123456789012345678", "!");
    expect(
        "data: a\n\ndata: 0123456789012345678901234567890123456789\ndata: 0123456789012345678901234567890123456789\n\n",
        "|a||;!");
}

static void a_whole_event_is_not_copied(void **state)
{
    static const char text[] = "event: x\ndata: abc\n\n";
    struct arena      a;
    struct sse_parser p;
    struct sse_event  ev;

    (void)state;
    arena_init(&a, 0);
    sse_init(&p, &a, MAX);
    sse_feed(&p, str_of(text, sizeof(text) - 1));
    assert_true(sse_next(&p, &ev));
    assert_ptr_equal(ev.data.ptr, text + 15);
    assert_false(sse_next(&p, &ev));
    assert_int_equal(arena_size(&a), 0);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_read_whatever_the_line_ends),
        cmocka_unit_test(blanks_behind_the_colon),
        cmocka_unit_test(lines_of_data_are_joined),
        cmocka_unit_test(all_fields_are_told),
        cmocka_unit_test(an_id_with_a_nul_is_passed_over),
        cmocka_unit_test(comments_and_empty_events_are_no_events),
        cmocka_unit_test(a_byte_order_mark_is_taken_off_once),
        cmocka_unit_test(the_end_gives_out_what_is_there),
        cmocka_unit_test(what_is_too_long_is_a_limit),
        cmocka_unit_test(a_whole_event_is_not_copied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
