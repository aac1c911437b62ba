/* test_multipart.c - forms mean the same in one piece and cut anywhere. */
#include "net/multipart.c"

#include "../base/check.h"

static struct arena arena;

/* "[name]bytes[name]bytes." for a good form, "!" at the end for a bad one, "~" for one that goes on. */
static str read_all(str type, str body, size_t piece)
{
    struct multipart     m;
    struct buf           b;
    enum multipart_event ev = MULTIPART_MORE;

    buf_init(&b, &arena, SIZE_MAX / 2);
    if (!multipart_init(&m, type, &arena))
        return S("no form");
    while (body.len && ev != MULTIPART_END && ev != MULTIPART_BAD) {
        str bytes = str_first(body, piece), what;

        body = str_from(body, bytes.len);
        while ((ev = multipart_next(&m, &bytes, &what)) == MULTIPART_PART || ev == MULTIPART_DATA) {
            if (ev == MULTIPART_PART)
                buf_addf(&b, "[%.*s]", STR_ARG(what));
            else
                buf_add(&b, what);
        }
    }
    buf_add_char(&b, ev == MULTIPART_END ? '.' : ev == MULTIPART_BAD ? '!' : '~');
    return buf_str(&b);
}

static void check(str type, str body, const char *want)
{
    arena_init(&arena, 0);
    for (size_t piece = 1; piece <= body.len; piece++) {
        str got = read_all(type, body, piece);

        assert_int_equal(got.len, strlen(want));
        assert_memory_equal(got.ptr, want, got.len);
    }
    arena_free(&arena);
}

#define TYPE          S("multipart/form-data; boundary=XX")
#define HEAD_OF(name) "Content-Disposition: form-data; name=\"" name "\"\r\n\r\n"

TEST(parts_and_their_bytes)
{
    check(TYPE, S("--XX\r\n" HEAD_OF("a") "1\r\n--XX\r\n" HEAD_OF("b") "\r\n--XX--\r\n"), "[a]1[b].");
    check(TYPE, S("preamble\r\n--XX\r\n" HEAD_OF("a") "1\r\n--XX--epilogue"), "[a]1.");
    check(S("Multipart/Form-Data;charset=utf-8; Boundary=\"X X\""), S("--X X\r\n" HEAD_OF("a") "1\r\n--X X--"),
          "[a]1.");
    check(
        TYPE,
        S("--XX\r\nContent-Type: text/plain\r\ncontent-disposition: form-data; filename=\"name=b; c\"; name=d\r\n\r\n1\r\n--XX--"),
        "[d]1.");
}

static void check_file(str disposition, const char *want)
{
    struct multipart m;
    str              body, what;

    arena_init(&arena, 0);
    body =
        arena_printf(&arena, "--XX\r\nContent-Disposition: form-data; name=f%.*s\r\n\r\nbytes", STR_ARG(disposition));
    assert_true(multipart_init(&m, TYPE, &arena));
    assert_int_equal(MULTIPART_PART, multipart_next(&m, &body, &what));
    what = multipart_file(&m, &arena);
    assert_int_equal(want != NULL, what.ptr != NULL);
    if (want) {
        assert_int_equal(strlen(want), what.len);
        assert_memory_equal(want, what.ptr, what.len);
    }
    arena_free(&arena);
}

TEST(what_the_file_is_called)
{
    check_file(S(""), NULL);
    check_file(S("; filename=\"\""), "");
    check_file(S("; filename=\"a;b c.txt\""), "a;b c.txt");
    check_file(S("; filename=a.txt; x=y"), "a.txt");
    check_file(S("; filename*=utf-8''%E4%BD%A0.txt"), "\xe4\xbd\xa0.txt");
    check_file(S("; filename*=UTF-8'en'%41; filename=b"), "A");
    check_file(S("; filename*=latin1''%E4; filename=b"), "b");
    check_file(S("; filename*=utf-8'"), "");
}

TEST(what_only_looks_like_a_delimiter_is_data)
{
    check(TYPE, S("--XX\r\n" HEAD_OF("a") "\r\r\n\r\n-\r\n--\r\n--X\r\r\n--X--XX\r\n--XX--"),
          "[a]\r\r\n\r\n-\r\n--\r\n--X\r\r\n--X--XX.");
}

TEST(what_is_no_form)
{
    check(TYPE, S("--XX\r\n" HEAD_OF("a") "1\r\n--XX"), "[a]1~");
    check(TYPE, S("--XX\r\n" HEAD_OF("a") "1\r\n--XXX\r\n"), "[a]1!");
    check(TYPE, S("--XX\r\nContent-Disposition: form-data\r\n\r\n1\r\n--XX--"), "!");
    check(TYPE, S("--XX\r\n\r\n1\r\n--XX--"), "~"); /* that line is the end of no head */
    check(TYPE, S("no delimiter"), "~");
    check(S("multipart/form-data"), S("--XX--"), "no form");
    check(S("multipart/mixed; boundary=XX"), S("--XX--"), "no form");
    check(S("multipart/form-data; boundary=\"\""), S("--XX--"), "no form");
}

TEST(a_head_has_a_ceiling)
{
    struct multipart m;
    str              bytes, what;
    char             text[MULTIPART_HEAD_MAX + 64];

    arena_init(&arena, 0);
    memset(text, 'a', sizeof(text));
    memcpy(text, "--XX\r\n", 6);
    bytes = str_of(text, sizeof(text));
    assert_true(multipart_init(&m, TYPE, &arena));
    assert_int_equal(multipart_next(&m, &bytes, &what), MULTIPART_BAD);
    assert_int_equal(multipart_next(&m, &bytes, &what), MULTIPART_BAD);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_and_their_bytes),
        cmocka_unit_test(what_the_file_is_called),
        cmocka_unit_test(what_only_looks_like_a_delimiter_is_data),
        cmocka_unit_test(what_is_no_form),
        cmocka_unit_test(a_head_has_a_ceiling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
