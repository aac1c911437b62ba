/* test_record_tape.c - a recording as text, and back. */
#include "engine/record/tape.c"

#include "../base/check.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct http_field asked[] = { { S("accept"), S("text/event-stream") } };
static struct http_field fields[] = { { S("content-type"), S("text/event-stream; charset=utf-8") },
                                      { S("retry-after"), S("1") } };

static struct tape tape_of(struct tape_piece *pieces, size_t count)
{
    return (struct tape){
        .engine = S("cloud"),
        .model = S("qwen-plus"),
        .cloud = true,
        .method = S("POST"),
        .path = S("/chat/completions"),
        .asked = asked,
        .asked_count = 1,
        .body = S("{\n  \"model\": \"m\"\n}\n"),
        .status = 200,
        .head_ms = 12,
        .fields = fields,
        .field_count = 2,
        .pieces = pieces,
        .piece_count = count,
        .end = TAPE_CUT,
    };
}

TEST(it_reads_like_this)
{
    struct tape_piece pieces[] = {
        { 15, S("data: {\"a\":1}\n\ndata: {\"a\":2}\n\n") },
        { 40, S("data: [DONE]") },
        { 41, S("a\r\nb\u2028") },
        { 42, S("\x89PNG\xff") },
    };
    struct tape t = tape_of(pieces, ARRAY_LEN(pieces));

    CHECK_STR(tape_write(&arena, &t), "version: 1\n"
                                      "engine: cloud\n"
                                      "cloud: true\n"
                                      "model: qwen-plus\n"
                                      "request:\n"
                                      "  method: POST\n"
                                      "  path: /chat/completions\n"
                                      "  headers:\n"
                                      "    accept: text/event-stream\n"
                                      "  body: |\n"
                                      "    {\n"
                                      "      \"model\": \"m\"\n"
                                      "    }\n"
                                      "answer:\n"
                                      "  status: 200\n"
                                      "  at: 12\n"
                                      "  headers:\n"
                                      "    content-type: \"text/event-stream; charset=utf-8\"\n"
                                      "    retry-after: \"1\"\n"
                                      "  body:\n"
                                      "    - at: 15\n"
                                      "      text: |+\n"
                                      "        data: {\"a\":1}\n"
                                      "\n"
                                      "        data: {\"a\":2}\n"
                                      "\n"
                                      "    - at: 40\n"
                                      "      text: |-\n"
                                      "        data: [DONE]\n"
                                      "    - at: 41\n"
                                      "      text: \"a\\r\\nb\\u2028\"\n"
                                      "    - at: 42\n"
                                      "      base64: |\n"
                                      "        iVBOR/8=\n"
                                      "  end: cut\n");
}

static void same_bytes(str got, str want)
{
    if (!str_eq(got, want))
        fail_msg("%zu bytes \"%.*s\" became %zu bytes \"%.*s\"", want.len, STR_ARG(want), got.len, STR_ARG(got));
}

static void there_and_back(const struct tape *t)
{
    struct tape back;
    str         problem;

    if (tape_read(&arena, tape_write(&arena, t), &back, &problem))
        fail_msg("%.*s in:\n%.*s", STR_ARG(problem), STR_ARG(tape_write(&arena, t)));
    same_bytes(back.engine, t->engine);
    same_bytes(back.model, t->model);
    same_bytes(back.method, t->method);
    same_bytes(back.path, t->path);
    same_bytes(back.body, t->body);
    assert_int_equal(back.cloud, t->cloud);
    assert_int_equal(back.status, t->status);
    assert_int_equal(back.head_ms, t->head_ms);
    assert_int_equal(back.end, t->end);
    assert_int_equal(back.field_count, t->field_count);
    for (size_t i = 0; i < t->field_count; i++) {
        same_bytes(back.fields[i].name, t->fields[i].name);
        same_bytes(back.fields[i].value, t->fields[i].value);
    }
    assert_int_equal(back.piece_count, t->piece_count);
    for (size_t i = 0; i < t->piece_count; i++) {
        assert_int_equal(back.pieces[i].at_ms, t->pieces[i].at_ms);
        same_bytes(back.pieces[i].bytes, t->pieces[i].bytes);
    }
}

/* Texts of the characters that YAML has a meaning for. */
TEST(whatever_is_written_is_read_back_to_the_byte)
{
    static const char *const pieces[] = { "\n",
                                          "\n",
                                          " ",
                                          "  ",
                                          "\t",
                                          "\r",
                                          "a",
                                          ":",
                                          "- ",
                                          "#",
                                          "\"",
                                          "'",
                                          "\\",
                                          "|",
                                          "%",
                                          "---",
                                          "...",
                                          "\xc3\xa9",
                                          "\xe2\x80\xa8",
                                          "\xc2\x85",
                                          "\xef\xbb\xbf",
                                          "\xf0\x9f\x98\x80",
                                          "\x01",
                                          "\x7f",
                                          "{",
                                          "*",
                                          "&a",
                                          "!",
                                          "data: x",
                                          "\n\n",
                                          "?",
                                          "\xff" };
    uint64_t                 seed = 3;

    for (unsigned round = 0; round < 20000; round++) {
        struct tape_piece piece[2] = { { .at_ms = 1 }, { .at_ms = 2, .bytes = S("end\n") } };
        struct tape       t = tape_of(piece, 2);
        struct buf        b;

        arena_reset(&arena);
        buf_init(&b, &arena, 4096);
        for (unsigned i = 0; i < 1 + round % 9; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            buf_add(&b, str_from_cstr(pieces[(seed >> 40) % (ARRAY_LEN(pieces) - (round % 8 ? 1 : 0))]));
        }
        piece[0].bytes = buf_str(&b);
        t.body = utf8_valid(buf_str(&b)) ? buf_str(&b) : t.body;
        t.model = t.body;
        t.end = (enum tape_end)(round % 4);
        there_and_back(&t);
    }
}

TEST(bytes_of_every_length_are_read_back)
{
    char bytes[200];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 89 + 128);
    for (size_t len = 1; len <= sizeof(bytes); len++) {
        struct tape_piece piece = { .at_ms = 0, .bytes = str_of(bytes, len) };
        struct tape       t = tape_of(&piece, 1);

        there_and_back(&t);
    }
}

static void refused(const char *yaml, const char *why)
{
    struct tape t;
    str         problem;

    assert_int_equal(tape_read(&arena, str_from_cstr(yaml), &t, &problem), ERR_INVALID);
    CHECK_STR(problem, why);
}

#define ANSWER "answer: { status: 200 }\n"

TEST(what_is_no_recording_is_refused_with_its_line)
{
    refused("", "1: it is empty");
    refused("version: 1\n", "1: it has no answer");
    refused("version: 2\n" ANSWER, "1: not version 1 of the format");
    refused("version: 1\nanser: {}\n", "2: unknown name anser");
    refused("version: 1\nrequest:\n  headers: { a: b }\n  headers: { c: d }\n", "4: it is there twice: headers");
    refused("version: 1\nengine: [a]\n", "2: one value belongs here: engine");
    refused("version: 1\nanswer: { status: 20 }\n", "2: an answer needs a status from 200 to 599");
    refused("version: 1\nanswer:\n  status: 200\n  body: x\n", "4: expected a list of pieces");
    refused("version: 1\nanswer:\n  body:\n    - at: 5\n      text: a\n    - at: 4\n",
            "6: a piece before the one above it");
    refused("version: 1\nanswer:\n  body:\n    - base64: '?'\n", "4: not Base64");
    refused("version: 1\nanswer: { end: soon }\n", "2: no end of an answer: soon");
    refused("version: 1\ncloud: maybe\n", "2: not true or false");
    refused("a: [\n", "2: did not find expected node content");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_reads_like_this),
        cmocka_unit_test(whatever_is_written_is_read_back_to_the_byte),
        cmocka_unit_test(bytes_of_every_length_are_read_back),
        cmocka_unit_test(what_is_no_recording_is_refused_with_its_line),
    };

    return cmocka_run_group_tests_name("record_tape", tests, setup, teardown);
}
