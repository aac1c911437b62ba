/* test_ws.c - WebSocket frames, cut at every place; what RFC 6455 forbids; the handshake. */
#include "net/ws.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MAX 70000

/* All that comes out, as text: "text:…;" "binary:N;" "ping:…;" "pong:…;" "close CODE:…;" and "! CODE" for a refusal. */
static void read_in_pieces(enum ws_role role, str bytes, size_t piece, struct buf *out)
{
    struct arena      a;
    struct ws         w;
    struct ws_message m;
    enum err          e = OK;

    arena_init(&a, 0);
    ws_init(&w, role, &a, MAX);
    for (size_t at = 0; at < bytes.len && !e; at += piece) {
        size_t n = min_size(piece, bytes.len - at), used;
        char  *copy = malloc(n); /* a read past the piece, or after it has gone, is seen by the sanitizer */
        str    rest = str_of(copy, n);

        memcpy(copy, bytes.ptr + at, n);
        while (rest.len && !e) {
            e = ws_feed(&w, rest, &used, &m);
            rest = str_from(rest, used);
            if (e || m.opcode == WS_NONE)
                continue;
            if (m.opcode == WS_BINARY)
                buf_addf(out, "binary:%zu;", m.payload.len);
            else if (m.opcode == WS_CLOSE)
                buf_addf(out, "close %d:%.*s;", m.code, STR_ARG(m.payload));
            else
                buf_addf(out, "%s:%.*s;",
                         m.opcode == WS_TEXT   ? "text"
                         : m.opcode == WS_PING ? "ping"
                                               : "pong",
                         STR_ARG(m.payload));
        }
        free(copy);
    }
    if (e) {
        assert_int_equal(e, ERR_PROTOCOL);
        assert_non_null(w.reason);
        buf_addf(out, "! %d", (int)w.problem);
    }
    arena_free(&a);
}

static void expect_role(enum ws_role role, str bytes, const char *want)
{
    for (size_t piece = 1; piece <= bytes.len; piece = piece < 40 ? piece + 1 : piece * 3) {
        struct arena a;
        struct buf   got;

        arena_init(&a, 0);
        buf_init(&got, &a, SIZE_MAX / 2);
        read_in_pieces(role, bytes, piece, &got);
        if (!str_eq(buf_str(&got), str_from_cstr(want)))
            fail_msg("in pieces of %zu: got \"%.*s\", wanted \"%s\"", piece, STR_ARG(buf_str(&got)), want);
        arena_free(&a);
    }
}

static void expect(str bytes, const char *want)
{
    expect_role(WS_SERVER, bytes, want);
}

/* A client's frames one behind another. */
struct frames {
    struct arena arena;
    struct buf   b;
};

static struct frames *begin(void **state)
{
    struct frames *f = *state;

    buf_reset(&f->b);
    return f;
}

static void add(struct frames *f, enum ws_opcode o, bool fin, str payload)
{
    ws_add_frame(&f->b, WS_CLIENT, o, fin, payload);
}

/* The same with a first byte of its own. */
static void add_raw(struct frames *f, unsigned first, str payload)
{
    size_t at = f->b.len;

    add(f, WS_TEXT, true, payload);
    f->b.ptr[at] = (char)first;
}

static int setup(void **state)
{
    struct frames *f = calloc(1, sizeof(*f));

    arena_init(&f->arena, 0);
    buf_init(&f->b, &f->arena, SIZE_MAX / 2);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct frames *f = *state;

    arena_free(&f->arena);
    free(f);
    return 0;
}

static void messages_of_every_length(void **state)
{
    static const size_t lengths[] = { 0, 1, 7, 8, 9, 125, 126, 127, 65535, 65536, MAX };
    static char         zeros[MAX];

    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct frames *f = begin(state);
        char           want[32];

        add(f, WS_BINARY, true, str_of(zeros, lengths[i]));
        snprintf(want, sizeof(want), "binary:%zu;", lengths[i]);
        expect(buf_str(&f->b), want);
    }
}

static void the_mask_is_taken_off(void **state)
{
    /* RFC 6455 §5.7 */
    expect(S("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "text:Hello;");
    expect_role(WS_CLIENT, S("\x81\x05Hello"), "text:Hello;");
    expect_role(WS_CLIENT, S("\x01\x03Hel\x80\x02lo"), "text:Hello;");
    (void)state;
}

static void fragments_are_put_together_and_control_frames_come_between(void **state)
{
    struct frames *f = begin(state);

    add(f, WS_TEXT, false, S("a"));
    add(f, WS_PING, true, S("p"));
    add(f, WS_CONTINUATION, false, (str){ 0 });
    add(f, WS_PONG, true, (str){ 0 });
    add(f, WS_CONTINUATION, true, S("b"));
    add(f, WS_TEXT, true, (str){ 0 });
    expect(buf_str(&f->b), "ping:p;pong:;text:ab;text:;");
}

static void fragments_out_of_order_are_refused(void **state)
{
    struct frames *f = begin(state);

    add(f, WS_CONTINUATION, true, S("a"));
    expect(buf_str(&f->b), "! 1002");
    f = begin(state);
    add(f, WS_TEXT, false, S("a"));
    add(f, WS_TEXT, true, S("b"));
    expect(buf_str(&f->b), "! 1002");
    f = begin(state);
    add(f, WS_TEXT, true, S("a"));
    add(f, WS_CONTINUATION, true, S("b"));
    expect(buf_str(&f->b), "text:a;! 1002");
}

static void what_a_frame_may_not_be(void **state)
{
    static const unsigned firsts[] = { 0xC1, 0xA1, 0x91, 0x83, 0x87, 0x8B, 0x8F };
    static char           zeros[126];

    for (size_t i = 0; i < ARRAY_LEN(firsts); i++) {
        struct frames *f = begin(state);

        add_raw(f, firsts[i], S("x"));
        expect(buf_str(&f->b), "! 1002");
    }
    for (int o = WS_CLOSE; o <= WS_PONG; o++) {
        struct frames *f = begin(state);

        add(f, (enum ws_opcode)o, false, S("x"));
        expect(buf_str(&f->b), "! 1002");
        f = begin(state);
        add(f, (enum ws_opcode)o, true, str_of(zeros, sizeof(zeros)));
        expect(buf_str(&f->b), "! 1002");
    }
    expect(S("\x81\x05Hello"), "! 1002");                                                /* no mask */
    expect_role(WS_CLIENT, S("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "! 1002"); /* a mask */
    expect(S("\x81\xfe\0\x05\0\0\0\0Hello"), "! 1002");                                  /* a long length */
    expect(S("\x81\xff\0\0\0\0\0\0\xff\xff\0\0\0\0"), "! 1002");
    expect(S("\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0"), "! 1002");
}

static void a_message_that_is_too_large_is_refused_when_it_is_announced(void **state)
{
    static char    zeros[MAX];
    struct frames *f = begin(state);

    expect(S("\x82\xff\0\0\0\0\0\x01\x11\x71\0\0\0\0"), "! 1009"); /* 70,001 */
    expect(S("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"), "! 1009");
    add(f, WS_BINARY, false, str_of(zeros, MAX));
    add(f, WS_CONTINUATION, true, S("x"));
    expect(buf_str(&f->b), "! 1009");
}

static void text_is_utf8(void **state)
{
    struct frames *f = begin(state);

    add(f, WS_TEXT, false, S("\xe6\x98")); /* 春 and 😀 cut in their middles */
    add(f, WS_CONTINUATION, false, S("\xa5\xf0\x9f"));
    add(f, WS_CONTINUATION, true, S("\x98\x80"));
    add(f, WS_BINARY, true, S("\xff"));
    expect(buf_str(&f->b), "text:\xe6\x98\xa5\xf0\x9f\x98\x80;binary:1;");
    static const char *const bad[] = { "\xff", "a\xc3",   "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                       "\x80", "\xe6\x98" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        f = begin(state);
        add(f, WS_TEXT, true, str_from_cstr(bad[i]));
        expect(buf_str(&f->b), "! 1007");
    }
    f = begin(state); /* not only at the end of the message */
    add(f, WS_TEXT, false, S("\xffvier"));
    add(f, WS_PING, true, (str){ 0 });
    expect(buf_str(&f->b), "! 1007");
}

static void closing(void **state)
{
    static const struct {
        const char *body;
        size_t      len;
        const char *want;
    } cases[] = {
        { "", 0, "close 1005:;" },
        { "\x03\xe8", 2, "close 1000:;" },
        { "\x03\xe8"
          "bye",
          5, "close 1000:bye;" },
        { "\x0f\xa0", 2, "close 4000:;" },
        { "\x03", 1, "! 1002" },
        { "\x03\xe7", 2, "! 1002" }, /* 999 */
        { "\x03\xec", 2, "! 1002" }, /* 1004 to 1006 */
        { "\x03\xed", 2, "! 1002" },
        { "\x03\xee", 2, "! 1002" },
        { "\x03\xf7", 2, "! 1002" }, /* 1015 */
        { "\x07\xd0", 2, "! 1002" }, /* 2000 */
        { "\x13\x88", 2, "! 1002" }, /* 5000 */
        { "\x03\xe8\xff", 3, "! 1007" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct frames *f = begin(state);

        add(f, WS_CLOSE, true, str_of(cases[i].body, cases[i].len));
        expect(buf_str(&f->b), cases[i].want);
    }
    struct frames *f = begin(state);
    add(f, WS_CLOSE, true, (str){ 0 });
    add(f, WS_TEXT, true, S("still there?"));
    expect(buf_str(&f->b), "close 1005:;! 1002");
}

static void frames_that_a_server_writes(void **state)
{
    static char    zeros[65536];
    struct frames *f = begin(state);

    ws_add(&f->b, WS_SERVER, WS_TEXT, S("Hello"));
    assert_true(str_eq(buf_str(&f->b), S("\x81\x05Hello")));
    f = begin(state);
    ws_add_close(&f->b, WS_SERVER, 1007, S("no"));
    assert_true(str_eq(buf_str(&f->b), S("\x88\x04\x03\xefno")));
    f = begin(state);
    ws_add_close(&f->b, WS_SERVER, WS_CLOSE_NO_CODE, S("no"));
    assert_true(str_eq(buf_str(&f->b), S("\x88\0")));
    f = begin(state);
    ws_add_close(&f->b, WS_SERVER, 1000, str_of(zeros, 200));
    assert_int_equal(f->b.len, 2 + WS_CONTROL_MAX);
    f = begin(state);
    ws_add(&f->b, WS_SERVER, WS_BINARY, str_of(zeros, 126));
    ws_add(&f->b, WS_SERVER, WS_BINARY, str_of(zeros, 65536));
    expect_role(WS_CLIENT, buf_str(&f->b), "binary:126;binary:65536;");
}

static struct http_head head_of(struct http_field *fields, size_t count)
{
    return (struct http_head){ .method = S("GET"), .minor = 1, .fields = fields, .field_count = count };
}

static void the_handshake(void **state)
{
    struct http_field fields[] = {
        { S("Upgrade"), S("h2c, WebSocket") },
        { S("Connection"), S("keep-alive, Upgrade") },
        { S("Sec-WebSocket-Version"), S("13") },
        { S("Sec-WebSocket-Key"), S("dGhlIHNhbXBsZSBub25jZQ==") },
    };
    struct http_head h = head_of(fields, ARRAY_LEN(fields));
    char             accept[WS_ACCEPT_LEN];

    (void)state;
    assert_true(ws_wanted(&h));
    assert_null(ws_handshake_problem(&h));
    ws_accept_key(fields[3].value, accept); /* RFC 6455 §1.3 */
    assert_true(str_eq(str_of(accept, WS_ACCEPT_LEN), S("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
    static const str wrong[] = { S("plain"), S("close"), S("8"), S("short") };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        str right = fields[i].value;

        fields[i].value = wrong[i];
        assert_true(i == 0 ? !ws_wanted(&h) : ws_handshake_problem(&h) != NULL);
        fields[i].value = right;
    }
    h.method = S("POST");
    assert_non_null(ws_handshake_problem(&h));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_every_length),
        cmocka_unit_test(the_mask_is_taken_off),
        cmocka_unit_test(fragments_are_put_together_and_control_frames_come_between),
        cmocka_unit_test(fragments_out_of_order_are_refused),
        cmocka_unit_test(what_a_frame_may_not_be),
        cmocka_unit_test(a_message_that_is_too_large_is_refused_when_it_is_announced),
        cmocka_unit_test(text_is_utf8),
        cmocka_unit_test(closing),
        cmocka_unit_test(frames_that_a_server_writes),
        cmocka_unit_test(the_handshake),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
