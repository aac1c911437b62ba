/* test_http1.c - HTTP/1.1 messages: what is understood, however it is cut, and what is refused because two readers could
 * understand it differently. */
#include "net/http1.c"

#include "../base/check.h"
#include "record.h"

/* What the parser says of `input`, cut into pieces of `step` bytes. Valid until the next call. */
static struct record recorded;

static str read_in_steps(enum http1_kind kind, str input, size_t step)
{
    record_free(&recorded);
    record_init(&recorded, kind);
    for (size_t at = 0; at < input.len; at += step) {
        size_t n = min_size(step, input.len - at);
        char  *piece = xmalloc(n); /* exactly as long: a sanitizer sees a step beyond */

        memcpy(piece, input.ptr + at, n);
        record_feed(&recorded, str_of(piece, n));
        free(piece);
    }
    return buf_str(&recorded.text);
}

static str read_whole(enum http1_kind kind, str input)
{
    return read_in_steps(kind, input, input.len ? input.len : 1);
}

static int teardown(void **state)
{
    (void)state;
    record_free(&recorded);
    recorded = (struct record){ 0 };
    return 0;
}

static void assert_reads(enum http1_kind kind, const char *input, const char *want)
{
    str got = read_whole(kind, str_from_cstr(input));

    if (recorded.e)
        fail_msg("refused: %s", recorded.parser.problem);
    assert_str(got, want);
}

/* Refused, and never with a message that had ended before: what an attacker put behind the trick is not a request. */
static void assert_refused_bytes(enum http1_kind kind, str input, enum err want)
{
    static const size_t steps[] = { SIZE_MAX, 1, 2, 7 };

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        read_in_steps(kind, input, min_size(steps[i], input.len));
        if (recorded.e != want || recorded.messages)
            fail_msg("steps of %zu: \"%.*s\" gives %s with %zu messages: %.*s", steps[i], STR_ARG(input),
                     err_text(recorded.e), recorded.messages, STR_ARG(buf_str(&recorded.text)));
        assert_true(want == ERR_LIMIT || strlen(recorded.parser.problem) > 0);
    }
}

#define assert_refused(input) assert_refused_bytes(HTTP1_REQUESTS, S(input), ERR_PROTOCOL)

/* ---- what is understood ---- */

TEST(a_request_without_a_body_is_a_head_and_an_end)
{
    assert_reads(HTTP1_REQUESTS, "GET /a/b?c=d%20e HTTP/1.1\r\nHost: h\r\n\r\n",
                 "GET /a/b?c=d%20e 1.1 length=-1 keep\nHost: h\n[] 0\n");
    assert_false(http1_busy(&recorded.parser));
}

TEST(values_come_without_the_blanks_around_them_and_may_be_empty)
{
    assert_reads(
        HTTP1_REQUESTS,
        "POST / HTTP/1.1\r\nHost: \t h \t \r\nX-Empty:\r\nX-Blank:   \r\nx-last: a  b\r\nContent-Length: 0\r\n\r\n",
        "POST / 1.1 length=0 keep\nHost: h\nX-Empty: \nX-Blank: \nx-last: a  b\nContent-Length: 0\n[] 0\n");
}

TEST(a_body_of_stated_length_ends_there)
{
    assert_reads(HTTP1_REQUESTS, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
                 "POST / 1.1 length=5 keep\nHost: h\nContent-Length: 5\n[hello] 5\n");
}

TEST(a_chunked_body_is_put_together)
{
    assert_reads(HTTP1_REQUESTS,
                 "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
                 "5\r\nhello\r\n00A;x=\"y\";z\r\n, world 01\r\n0\r\nTrailer: ignored\r\n\r\n",
                 "POST / 1.1 length=-1 chunked keep\nHost: h\nTransfer-Encoding: Chunked\n[hello, world 01] 15\n");
}

TEST(keep_alive_follows_version_and_connection)
{
    assert_reads(HTTP1_REQUESTS, "GET / HTTP/1.0\r\n\r\n", "GET / 1.0 length=-1\n[] 0\n");
    assert_reads(HTTP1_REQUESTS, "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
                 "GET / 1.0 length=-1 keep\nConnection: Keep-Alive\n[] 0\n");
    assert_reads(HTTP1_REQUESTS, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
                 "GET / 1.1 length=-1\nHost: h\nConnection: close\n[] 0\n");
}

TEST(pipelined_requests_come_one_after_the_other)
{
    assert_reads(HTTP1_REQUESTS,
                 "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
                 "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n"
                 "\r\n" /* RFC 9112 §2.2: an empty line before a request is ignored */
                 "POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                 "POST /1 1.1 length=2 keep\nHost: h\nContent-Length: 2\n[hi] 2\n"
                 "GET /2 1.1 length=-1 keep\nHost: h\n[] 0\n"
                 "POST /3 1.1 length=-1 chunked keep\nHost: h\nTransfer-Encoding: chunked\n[] 0\n");
}

TEST(a_feed_stops_behind_the_end_of_a_message)
{
    str    two = S("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    size_t used = 0;

    record_init(&recorded, HTTP1_REQUESTS);
    assert_int_equal(http1_feed(&recorded.parser, two, &used), OK);
    assert_int_equal(used, two.len / 2);
    assert_int_equal(recorded.messages, 1);
    assert_int_equal(http1_feed(&recorded.parser, str_first(str_from(two, used), 3), &used), OK);
    assert_true(http1_busy(&recorded.parser));
}

TEST(an_upgrade_that_nobody_takes_is_an_ordinary_request)
{
    assert_reads(
        HTTP1_REQUESTS,
        "GET /1 HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
        "POST /2 HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc"
        "GET /3 HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /1 1.1 length=-1 keep upgrade\nHost: h\nConnection: upgrade\nUpgrade: h2c\n[] 0\n"
        "POST /2 1.1 length=3 keep upgrade\nHost: h\nConnection: upgrade\nUpgrade: h2c\nContent-Length: 3\n[abc] 3\n"
        "GET /3 1.1 length=-1 keep\nHost: h\n[] 0\n");
}

static const char *const good[] = {
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    ("POST /api/v1/services/aigc/text-generation/generation HTTP/1.1\r\nHost: 127.0.0.1:8420\r\nUser-Agent: x/1 (y)\r\n"
     "Authorization: Bearer sk-0123456789abcdef\r\nContent-Type: application/json\r\nX-Empty:\r\nX-DashScope-SSE:  enable \r\n"
     "Content-Length: 27\r\n\r\n{\"model\":\"qwen-plus\",\"a\":1}"),
    ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n1F\r\n"
     "0123456789012345678901234567890\r\n0\r\nA: b\r\nC: d\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n"),
    "DELETE /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\nHEAD /y HTTP/1.0\r\n\r\n",
};

TEST(a_message_may_be_cut_anywhere)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        str   input = str_from_cstr(good[i]);
        str   whole = read_whole(HTTP1_REQUESTS, input);
        char *want = xmalloc(whole.len + 1);

        assert_int_equal(recorded.e, OK);
        assert_true(recorded.messages > 0);
        memcpy(want, whole.ptr, whole.len);
        want[whole.len] = 0;
        for (size_t step = 1; step < input.len; step++) {
            assert_str(read_in_steps(HTTP1_REQUESTS, input, step), want);
            assert_int_equal(recorded.e, OK);
        }
        for (size_t cut = 1; cut < input.len; cut++) { /* and in two at every byte */
            record_free(&recorded);
            record_init(&recorded, HTTP1_REQUESTS);
            record_feed(&recorded, str_first(input, cut));
            assert_int_equal(recorded.e, OK);
            record_feed(&recorded, str_from(input, cut));
            assert_int_equal(recorded.e, OK);
            assert_str(buf_str(&recorded.text), want);
        }
        free(want);
    }
}

/* ---- what is refused: RFC 9112 §6.3, §11.2 ---- */

#define POST     "POST / HTTP/1.1\r\nHost: h\r\n"
#define SMUGGLED "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"

TEST(a_length_that_is_said_twice_is_refused)
{
    assert_refused(POST "Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello" SMUGGLED);
    assert_refused(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello");
    assert_refused(POST "Content-Length: 5\r\ncontent-LENGTH: 6\r\n\r\nhello!");
    assert_refused(POST "Content-Length: 5, 5\r\n\r\nhello");
    assert_refused(POST "Content-Length: 5,\r\n\r\nhello");
    assert_refused(POST "Content-Length: 0\r\nX: y\r\nContent-Length: 36\r\n\r\n" SMUGGLED);
}

TEST(a_length_that_is_not_one_plain_number_is_refused)
{
    assert_refused(POST "Content-Length: +5\r\n\r\nhello");
    assert_refused(POST "Content-Length: -5\r\n\r\nhello");
    assert_refused(POST "Content-Length: -0\r\n\r\n");
    assert_refused(POST "Content-Length: 5 5\r\n\r\nhello");
    assert_refused(POST "Content-Length: 5.0\r\n\r\nhello");
    assert_refused(POST "Content-Length: 0x5\r\n\r\nhello");
    assert_refused(POST "Content-Length: 5a\r\n\r\nhello");
    assert_refused(POST "Content-Length: a\r\n\r\nhello");
    assert_refused(POST "Content-Length:\r\n\r\nhello");
    assert_refused(POST "Content-Length: \r\n\r\nhello");
    assert_refused(POST "Content-Length: \"5\"\r\n\r\nhello");
    assert_refused(POST "Content-Length: 5;\r\n\r\nhello");
    assert_refused(POST "Content-Length: \v5\r\n\r\nhello");
    assert_refused(POST "Content-Length: 9223372036854775808\r\n\r\nhello");
    assert_refused(POST "Content-Length: 18446744073709551616\r\n\r\nhello"); /* 2^64: some read 0 */
    assert_refused(POST "Content-Length: 18446744073709551621\r\n\r\nhello"); /* some read 5 */
    assert_refused(POST "Content-Length: 99999999999999999999999999\r\n\r\nhello");
}

TEST(length_and_coding_together_are_refused)
{
    assert_refused(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED);
    assert_refused(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" SMUGGLED);
    assert_refused(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n");
    assert_refused(POST "Content-Length: 5\r\nTransfer-Encoding: identity\r\n\r\nhello");
}

TEST(a_coding_other_than_chunked_alone_is_refused)
{
    assert_refused(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_refused(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n");
    assert_refused(POST "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_refused(POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n");
    assert_refused(POST "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n");
    assert_refused(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n");
    assert_refused(POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n");
    assert_refused(POST "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n");
    assert_refused(POST "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n");
    assert_refused(POST "Transfer-Encoding: identity\r\n\r\nhello");
    assert_refused(POST "Transfer-Encoding: gzip\r\n\r\nhello");
    assert_refused(POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n");
    assert_refused(POST "Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n");
    assert_refused(POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n");
    assert_refused(POST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n");
    assert_refused(POST "Transfer-Encoding: \x0b"
                        "chunked\r\n\r\n0\r\n\r\n");
    assert_refused(POST "Transfer-Encoding:\r\n\r\nhello");
    assert_refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
}

TEST(lines_end_in_cr_lf_and_nothing_else)
{
    assert_refused("GET / HTTP/1.1\nHost: h\r\n\r\n");
    assert_refused("GET / HTTP/1.1\r\nHost: h\n\r\n");
    assert_refused("GET / HTTP/1.1\r\nHost: h\r\n\n");
    assert_refused("GET / HTTP/1.1\r\nHost: h\n\n");
    assert_refused("GET / HTTP/1.1\nHost: h\n\n");
    assert_refused("GET / HTTP/1.1\rHost: h\r\n\r\n");
    assert_refused("GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n");
    assert_refused("GET / HTTP/1.1\r\nHost: h\r\r\n\r\n");
    assert_refused("GET / HTTP/1.1\r\r\nHost: h\r\n\r\n");
    assert_refused(POST "X: a\nContent-Length: 5\r\n\r\nhello");
    assert_refused(POST "X: a\rContent-Length: 5\r\n\r\nhello");
}

TEST(folded_lines_and_blanks_around_names_are_refused)
{
    assert_refused(POST "X: a\r\n b\r\nContent-Length: 0\r\n\r\n");
    assert_refused(POST "X: a\r\n\tb\r\nContent-Length: 0\r\n\r\n");
    assert_refused(POST "Content-Length: 0\r\n 5\r\n\r\nhello");
    assert_refused(POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n");
    assert_refused(POST "Transfer-Encoding: chunked\r\n , identity\r\n\r\n0\r\n\r\n");
    assert_refused("GET / HTTP/1.1\r\n Host: h\r\n\r\n");
    assert_refused(POST "Content-Length : 5\r\n\r\nhello");
    assert_refused(POST "Content-Length\t: 5\r\n\r\nhello");
    assert_refused(POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n");
    assert_refused(POST " Content-Length: 5\r\n\r\nhello");
    assert_refused(POST "X Y: z\r\nContent-Length: 0\r\n\r\n");
    assert_refused(POST ": no name\r\nContent-Length: 0\r\n\r\n");
    assert_refused(POST "no colon\r\nContent-Length: 0\r\n\r\n");
    assert_refused(POST "X(Y): z\r\nContent-Length: 0\r\n\r\n");
    assert_refused(POST "X\x80: z\r\nContent-Length: 0\r\n\r\n");
}

TEST(control_characters_in_a_head_are_refused)
{
    assert_refused(POST "X: a\0b\r\nContent-Length: 0\r\n\r\n");
    assert_refused(POST "X\0: b\r\nContent-Length: 0\r\n\r\n");
    assert_refused("GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_refused("GET / HTTP/1.1\r\nHost: h\0\r\n\r\n");
    assert_refused("\0GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_refused(POST "Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n");
    assert_refused(POST "Content-Length: 5\0\r\n\r\nhello");
}

TEST(a_request_line_that_is_not_one_is_refused)
{
    assert_refused("GET / HTTP/1.1 \r\nHost: h\r\n\r\n");
    assert_refused("GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_refused(" GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_refused("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_refused("GET / HTTP/1.1x\r\nHost: h\r\n\r\n");
    assert_refused("GET / HTTP/1.2\r\nHost: h\r\n\r\n");
    assert_refused("GET / HTTP/2.0\r\nHost: h\r\n\r\n");
    assert_refused("GET / HTTP/0.9\r\nHost: h\r\n\r\n");
    assert_refused("GET / HTTP/11\r\nHost: h\r\n\r\n");
    assert_refused("GET / http/1.1\r\nHost: h\r\n\r\n");
    assert_refused("GET / ICE/1.0\r\nHost: h\r\n\r\n");
    assert_refused("GET /\r\n\r\n"); /* HTTP/0.9 */
    assert_refused("get / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_refused("BREW / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_refused("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}

TEST(several_blanks_around_the_target_are_taken_as_one)
{
    /* Allowed by RFC 9112 §3; nothing that follows is read differently. */
    assert_reads(HTTP1_REQUESTS, "GET   /   HTTP/1.1\r\nHost: h\r\n\r\n", "GET / 1.1 length=-1 keep\nHost: h\n[] 0\n");
}

TEST(a_target_with_a_scheme_names_the_same_as_without)
{
    assert_reads(HTTP1_REQUESTS, "GET http://h/a?b HTTP/1.1\r\nHost: h\r\n\r\n",
                 "GET /a?b 1.1 length=-1 keep\nHost: h\n[] 0\n");
    assert_reads(HTTP1_REQUESTS, "GET HTTPS://h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
                 "GET / 1.1 length=-1 keep\nHost: h\n[] 0\n");
    assert_reads(HTTP1_REQUESTS, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
                 "OPTIONS * 1.1 length=-1 keep\nHost: h\n[] 0\n");
}

TEST(escapes_are_undone_and_what_is_none_stays)
{
    static const char *const cases[][2] = {
        { "", "" },       { "a%41%2fb", "aA/b" }, { "%4", "%4" },           { "%", "%" },     { "%%41", "%A" },
        { "%zz", "%zz" }, { "%4z", "%4z" },       { "%c3%A4", "\xC3\xA4" }, { "a+b", "a+b" }, { "%25%34%31", "%41" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_str(http_unescape(&recorded.arena, str_from_cstr(cases[i][0])), cases[i][1]);
    assert_true(str_eq(http_unescape(&recorded.arena, S("%00")), str_of("\0", 1)));
}

TEST(a_host_is_there_exactly_once)
{
    assert_refused("GET / HTTP/1.1\r\n\r\n");
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n");
    assert_refused("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n");
    assert_reads(HTTP1_REQUESTS, "GET / HTTP/1.0\r\n\r\n", "GET / 1.0 length=-1\n[] 0\n");
}

TEST(a_connect_with_a_body_is_refused)
{
    /* A reader that knows CONNECT sees no body; one that does not sees the second request as one. */
    assert_refused("CONNECT h:80 HTTP/1.1\r\nHost: h\r\nContent-Length: 36\r\n\r\n" SMUGGLED);
    assert_refused("CONNECT h:80 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
}

/* The head is good, so that its event came; the body is not, and no end must come. */
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

TEST(bad_chunks_are_refused)
{
    assert_refused(CHUNKED "\r\nhello\r\n0\r\n\r\n");
    assert_refused(CHUNKED "g\r\nhello\r\n0\r\n\r\n");
    assert_refused(CHUNKED "-5\r\nhello\r\n0\r\n\r\n");
    assert_refused(CHUNKED "+5\r\nhello\r\n0\r\n\r\n");
    assert_refused(CHUNKED " 5\r\nhello\r\n0\r\n\r\n");
    assert_refused(CHUNKED "0x5\r\nhello\r\n0\r\n\r\n");
    assert_refused(CHUNKED "5 \r\nhello\r\n0\r\n\r\n");
    assert_refused(CHUNKED "5\t\r\nhello\r\n0\r\n\r\n");
    assert_refused(CHUNKED "5\nhello\r\n0\r\n\r\n");
    assert_refused(CHUNKED "5\rhello\r\n0\r\n\r\n");
    assert_refused(CHUNKED "5\r\nhello0\r\n\r\n"); /* no CR LF behind the data */
    assert_refused(CHUNKED "5\r\nhello\n0\r\n\r\n");
    assert_refused(CHUNKED "5\r\nhello\r0\r\n\r\n");
    assert_refused(CHUNKED "5\r\nhello!\r\n0\r\n\r\n");        /* longer than said */
    assert_refused(CHUNKED "5\r\nhell\r\n0\r\n\r\n" SMUGGLED); /* shorter */
    assert_refused(CHUNKED "0\n\n");
    assert_refused(CHUNKED "0\r\n\n");
    assert_refused(CHUNKED "0\r\nA: b\n\r\n");
    assert_refused(CHUNKED "0\r\nno colon\r\n\r\n");
    assert_refused(CHUNKED "0\r\n A: b\r\n\r\n");
    assert_refused(CHUNKED "5;\nhello\r\n0\r\n\r\n");
    assert_refused(CHUNKED "5;a\nhello\r\n0\r\n\r\n");
    assert_refused(CHUNKED "5;a=b\nhello\r\n0\r\n\r\n");
    assert_refused(CHUNKED "5;a=\"b\nc\"\r\nhello\r\n0\r\n\r\n");
    assert_refused(CHUNKED "5;\0\r\nhello\r\n0\r\n\r\n");
}

TEST(a_chunk_size_that_overflows_is_refused)
{
    assert_refused(CHUNKED "10000000000000000\r\nx\r\n0\r\n\r\n"); /* 2^64 */
    assert_refused(CHUNKED "10000000000000005\r\nhello\r\n0\r\n\r\n");
    assert_refused(CHUNKED "fffffffffffffffff\r\nx\r\n0\r\n\r\n");
    assert_refused(CHUNKED "100000000000000000000000000000005\r\nhello\r\n0\r\n\r\n");
}

TEST(nothing_is_read_after_a_refusal)
{
    str    more = S(SMUGGLED);
    size_t used = 99;

    read_whole(HTTP1_REQUESTS, S("GET / HTTP/1.1\nHost: h\r\n\r\n"));
    assert_int_equal(recorded.e, ERR_PROTOCOL);
    assert_int_equal(http1_feed(&recorded.parser, more, &used), ERR_PROTOCOL);
    assert_int_equal(recorded.messages, 0);
}

/* ---- limits ---- */

static struct arena big;

static str request_with(size_t fields, size_t value_len)
{
    struct buf b;

    arena_reset(&big);
    buf_init(&b, &big, (size_t)1 << 20);
    buf_add(&b, S("GET / HTTP/1.1\r\nHost: h\r\n"));
    for (size_t i = 0; i < fields; i++) {
        char *value = arena_bytes(&big, value_len);

        memset(value, 'v', value_len);
        buf_addf(&b, "n%04zu: ", i);
        buf_add_bytes(&b, value, value_len);
        buf_add(&b, S("\r\n"));
    }
    buf_add(&b, S("\r\n"));
    assert_false(b.full);
    return buf_str(&b);
}

TEST(a_head_has_a_hundred_fields_and_no_more)
{
    read_whole(HTTP1_REQUESTS, request_with(HTTP_FIELDS_MAX - 1, 3)); /* and Host */
    assert_int_equal(recorded.e, OK);
    assert_int_equal(recorded.messages, 1);
    assert_int_equal(recorded.parser.head.field_count, HTTP_FIELDS_MAX);
    assert_str(http_head_field(&recorded.parser.head, S("N0098")), "vvv");
    assert_refused_bytes(HTTP1_REQUESTS, request_with(HTTP_FIELDS_MAX, 3), ERR_LIMIT);
    arena_reset(&big);
}

TEST(a_head_has_a_greatest_size)
{
    /* "GET" "/" "Host" "h" and "n0000" are 14 bytes of the names and values that count. */
    read_whole(HTTP1_REQUESTS, request_with(1, HTTP_HEAD_MAX - 14));
    assert_int_equal(recorded.e, OK);
    assert_int_equal(recorded.messages, 1);
    assert_refused_bytes(HTTP1_REQUESTS, request_with(1, HTTP_HEAD_MAX - 13), ERR_LIMIT);
    assert_refused_bytes(HTTP1_REQUESTS, request_with(40, 1000), ERR_LIMIT);
    arena_reset(&big);
}

TEST(an_endless_target_name_or_trailer_does_not_grow_for_ever)
{
    size_t size = 4 * HTTP_HEAD_MAX;
    char  *a = xmalloc(size);
    size_t used;

    memset(a, 'a', size);
    record_init(&recorded, HTTP1_REQUESTS);
    record_feed(&recorded, S("GET /"));
    record_feed(&recorded, str_of(a, size));
    assert_int_equal(recorded.e, ERR_LIMIT);
    record_free(&recorded);

    record_init(&recorded, HTTP1_REQUESTS);
    record_feed(&recorded, S("GET / HTTP/1.1\r\n"));
    record_feed(&recorded, str_of(a, size));
    assert_int_equal(recorded.e, ERR_LIMIT);
    record_free(&recorded);

    record_init(&recorded, HTTP1_REQUESTS);
    record_feed(&recorded, S(CHUNKED "0\r\n"));
    for (int i = 0; i < 4 && !recorded.e; i++)
        recorded.e = http1_feed(&recorded.parser, str_of(a, size), &used);
    assert_int_equal(recorded.e, ERR_LIMIT);
    assert_true(arena_size(&recorded.message) < 4 * HTTP_HEAD_MAX);
    record_free(&recorded);

    /* Trailers count with the head. */
    record_init(&recorded, HTTP1_REQUESTS);
    record_feed(&recorded, S(CHUNKED "0\r\n"));
    for (int i = 0; i < 200 && !recorded.e; i++)
        record_feed(&recorded, S("a: b\r\n"));
    assert_int_equal(recorded.e, ERR_LIMIT);
    free(a);
}

/* ---- answers ---- */

TEST(answers_are_read_too)
{
    assert_reads(HTTP1_ANSWERS, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
                 "200  1.1 length=2 keep\nContent-Length: 2\n[hi] 2\n");
    assert_reads(HTTP1_ANSWERS, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
                 "200  1.1 length=-1 chunked keep\nTransfer-Encoding: chunked\n[hi] 2\n");
    assert_reads(HTTP1_ANSWERS, "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
                 "204  1.1 length=-1 keep\n[] 0\n304  1.1 length=9 keep\nContent-Length: 9\n[] 0\n");
    assert_reads(HTTP1_ANSWERS, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                 "100  1.1 length=-1 keep\n[] 0\n200  1.1 length=0 keep\nContent-Length: 0\n[] 0\n");
}

TEST(an_answer_to_head_has_no_body_whatever_it_says)
{
    record_init(&recorded, HTTP1_ANSWERS);
    recorded.no_body = true;
    record_feed(&recorded, S("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"));
    assert_int_equal(recorded.messages, 1);
    record_feed(&recorded, S("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
    assert_int_equal(recorded.messages, 2);
    assert_int_equal(recorded.e, OK);
}

TEST(an_answer_of_unknown_length_ends_with_the_connection)
{
    record_init(&recorded, HTTP1_ANSWERS);
    record_feed(&recorded, S("HTTP/1.1 200 OK\r\n\r\nall of it"));
    assert_int_equal(recorded.messages, 0);
    assert_true(http1_busy(&recorded.parser));
    assert_int_equal(http1_eof(&recorded.parser), OK);
    assert_int_equal(recorded.messages, 1);
    assert_str(buf_str(&recorded.text), "200  1.1 length=-1\n[all of it] 9\n");
}

TEST(an_end_in_the_middle_is_too_early)
{
    static const char *const cut[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(cut); i++) {
        read_whole(HTTP1_ANSWERS, str_from_cstr(cut[i]));
        assert_int_equal(recorded.e, OK);
        assert_int_equal(http1_eof(&recorded.parser), ERR_EOF);
        assert_int_equal(recorded.messages, 0);
    }
    read_whole(HTTP1_ANSWERS, S("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"));
    assert_int_equal(http1_eof(&recorded.parser), OK); /* between two messages */
}

TEST(answers_with_two_meanings_are_refused)
{
    static const char *const bad[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nhi",
        "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "garbage",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_refused_bytes(HTTP1_ANSWERS, str_from_cstr(bad[i]), ERR_PROTOCOL);
}

/* ---- small things ---- */

TEST(fields_are_found_whatever_their_case)
{
    read_whole(HTTP1_REQUESTS, S("GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\nX-Empty:\r\n\r\n"));
    assert_str(http_head_field(&recorded.parser.head, S("x-A")), "1");     /* the first */
    assert_true(http_head_field(&recorded.parser.head, S("x-empty")).ptr); /* there, and empty */
    assert_int_equal(http_head_field(&recorded.parser.head, S("x-empty")).len, 0);
    assert_null(http_head_field(&recorded.parser.head, S("x-b")).ptr);
}

TEST(every_status_has_words)
{
    assert_str(http_reason(200), "OK");
    assert_str(http_reason(404), "Not Found");
    assert_str(http_reason(429), "Too Many Requests");
    assert_str(http_reason(431), "Request Header Fields Too Large");
    assert_str(http_reason(999), "Unknown");
    for (int status = 100; status < 600; status++)
        assert_true(http_reason(status).len > 0);
}

#define http1_test(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        http1_test(a_request_without_a_body_is_a_head_and_an_end),
        http1_test(values_come_without_the_blanks_around_them_and_may_be_empty),
        http1_test(a_body_of_stated_length_ends_there),
        http1_test(a_chunked_body_is_put_together),
        http1_test(keep_alive_follows_version_and_connection),
        http1_test(pipelined_requests_come_one_after_the_other),
        http1_test(a_feed_stops_behind_the_end_of_a_message),
        http1_test(an_upgrade_that_nobody_takes_is_an_ordinary_request),
        http1_test(a_message_may_be_cut_anywhere),
        http1_test(a_length_that_is_said_twice_is_refused),
        http1_test(a_length_that_is_not_one_plain_number_is_refused),
        http1_test(length_and_coding_together_are_refused),
        http1_test(a_coding_other_than_chunked_alone_is_refused),
        http1_test(lines_end_in_cr_lf_and_nothing_else),
        http1_test(folded_lines_and_blanks_around_names_are_refused),
        http1_test(control_characters_in_a_head_are_refused),
        http1_test(a_request_line_that_is_not_one_is_refused),
        http1_test(several_blanks_around_the_target_are_taken_as_one),
        http1_test(a_target_with_a_scheme_names_the_same_as_without),
        http1_test(escapes_are_undone_and_what_is_none_stays),
        http1_test(a_host_is_there_exactly_once),
        http1_test(a_connect_with_a_body_is_refused),
        http1_test(bad_chunks_are_refused),
        http1_test(a_chunk_size_that_overflows_is_refused),
        http1_test(nothing_is_read_after_a_refusal),
        http1_test(a_head_has_a_hundred_fields_and_no_more),
        http1_test(a_head_has_a_greatest_size),
        http1_test(an_endless_target_name_or_trailer_does_not_grow_for_ever),
        http1_test(answers_are_read_too),
        http1_test(an_answer_to_head_has_no_body_whatever_it_says),
        http1_test(an_answer_of_unknown_length_ends_with_the_connection),
        http1_test(an_end_in_the_middle_is_too_early),
        http1_test(answers_with_two_meanings_are_refused),
        http1_test(fields_are_found_whatever_their_case),
        http1_test(every_status_has_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
