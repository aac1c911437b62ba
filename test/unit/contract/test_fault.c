/* test_fault.c - every row of the catalogue, in every wording and edition, against the reference. */
#include "contract/fault.c"

#include "contract/errors.gen.h"
#include "reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct wording_options reference = { .wording = WORDING_REFERENCE };
static const struct wording_options wire = { .wording = WORDING_WIRE };
static const struct wording_options linked = { .wording = WORDING_WIRE,
                                               .help_links = true,
                                               .help_base = { "https://help.example/error-code", 31 } };

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

static void assert_str(str got, const char *want)
{
    if (!str_eq(got, str_from_cstr(want)))
        fail_msg("got \"%.*s\", wanted \"%s\"", STR_ARG(got), want);
}

static struct fault_view render(const struct fault *f, const struct wording_options *w)
{
    struct fault_view v;

    fault_render(f, w, &arena, &v);
    return v;
}

/* Fits `text` from its beginning to its end to a template, {…} standing for at least one byte. The shortest fit of each
 * place is tried first. ret_args[i] is the i-th place met. */
static bool sentence_fits(str template, str text, str *ret_args)
{
    size_t open = str_find(template, '{');
    str    literal, rest, next;

    if (open == STR_NONE)
        return str_eq(template, text);
    literal = str_first(template, open);
    if (!str_starts(text, literal))
        return false;
    text = str_from(text, open);
    rest = str_from(template, open + 1);
    (void)str_cut(&rest, '}');
    next = str_first(rest, str_find(rest, '{'));
    for (size_t len = 1; len <= text.len; len++) {
        str after = str_from(text, len);

        if (str_starts(after, next) && sentence_fits(rest, after, ret_args + 1)) {
            *ret_args = str_first(text, len);
            return true;
        }
    }
    return false;
}

/* Whether `message` is this row's sentence of the reference; ret_args become views of what stands in the places of the
 * arguments. */
static bool sentence_match(const struct error_row *row, str message, str *ret_args)
{
    str places[2 * FAULT_ARGS_MAX], rest = row->form[WORDING_REFERENCE].text;

    if (!sentence_fits(rest, message, places))
        return false;
    for (unsigned place = 0; str_find(rest, '{') != STR_NONE; place++) {
        str name;

        (void)str_cut(&rest, '{');
        name = str_cut(&rest, '}');
        for (unsigned i = 0; i < row->arg_count; i++) {
            if (str_eq(row->args[i].name, name))
                ret_args[i] = places[place];
        }
    }
    return true;
}

/* The row with the words of the reference in the places of its arguments. */
static struct fault raise_like(const struct error_row *row, str message)
{
    struct fault     f = { 0 };
    struct fault_arg args[FAULT_ARGS_MAX];
    str              words[FAULT_ARGS_MAX] = { 0 };

    if (!sentence_match(row, message, words))
        fail_msg("%.*s: \"%.*s\" is not the row's sentence", STR_ARG(row->id), STR_ARG(message));
    for (unsigned i = 0; i < row->arg_count; i++)
        args[i] = (struct fault_arg){ .kind = FAULT_ARG_STR, .s = words[i] };
    assert_int_equal(fault_raise(&f, row, args, row->arg_count), ERR_FAULT);
    return f;
}

static void every_row_says_what_the_reference_says(void **state)
{
    struct reference *rows = arena_array(&arena, struct reference, REFERENCE_MAX);
    size_t            n = reference_read(&arena, rows);

    (void)state;
    assert_int_equal(n, 316);
    for (size_t i = 0; i < n; i++) {
        const struct error_row *row = error_find(rows[i].id);
        struct fault            f;
        struct fault_view       v;
        int64_t                 status = 0;

        assert_non_null(row);
        assert_true(str_eq(row->form[WORDING_REFERENCE].native, rows[i].code));
        if (str_eq(rows[i].status, S("500/503")))
            status = 503;
        else if (rows[i].status.len)
            assert_true(str_to_i64(rows[i].status, &status));
        if (!status && row->form[WORDING_REFERENCE].status) /* it says none, of an answer all the same: E247 */
            status = 400;
        assert_int_equal(row->form[WORDING_REFERENCE].status, status);
        if (rows[i].message.len == 0)
            continue;
        f = raise_like(row, rows[i].message);
        v = render(&f, &reference);
        if (!str_eq(v.message, rows[i].message))
            fail_msg("%.*s: \"%.*s\"", STR_ARG(row->id), STR_ARG(v.message));
        assert_true(str_eq(v.id, row->id));
    }
}

static void compatible_codes_are_those_of_the_reference(void **state)
{
    struct reference *rows = arena_array(&arena, struct reference, REFERENCE_MAX);
    size_t            n = reference_read(&arena, rows);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        const struct error_form *form = &error_find(rows[i].id)->form[WORDING_REFERENCE];
        str                      rest = rows[i].compat;
        bool                     met = rest.len == 0;

        /* "LimitRequests / limit_requests", "invalid_request_error / invalid_value" */
        while (rest.len) {
            str word = str_trim(str_cut(&rest, '/'));

            met |= str_eq(word, form->compat_code) || str_eq(word, form->compat_type);
        }
        if (!met)
            fail_msg("%.*s: %.*s", STR_ARG(rows[i].id), STR_ARG(rows[i].compat));
    }
}

static bool is_clean(str s)
{
    return str_find(s, '{') == STR_NONE && str_find(s, '}') == STR_NONE;
}

static void every_row_renders_in_every_wording_and_edition(void **state)
{
    const struct wording_options *const wordings[] = { &reference, &wire, &linked };

    (void)state;
    for (unsigned i = 0; i < error_row_count; i++) {
        const struct error_row *row = &error_rows[i];

        for (size_t w = 0; w < ARRAY_LEN(wordings); w++) {
            for (int edition = EDITION_CURRENT; edition <= EDITION_2024; edition++) {
                struct wording_options o = *wordings[w];
                struct fault           f = { 0 };
                struct fault_arg       args[FAULT_ARGS_MAX];
                struct fault_view      v;

                o.edition = (enum edition)edition;
                for (unsigned k = 0; k < row->arg_count; k++) {
                    args[k].kind = row->args[k].kind;
                    if (args[k].kind == FAULT_ARG_STR)
                        args[k].s = S("word");
                    else if (args[k].kind == FAULT_ARG_INT)
                        args[k].i = 42;
                    else
                        args[k].n = 0.5;
                }
                fault_raise(&f, row, args, row->arg_count);
                v = render(&f, &o);
                assert_true(is_clean(v.message));
                assert_true(v.message.len > 0 || row->form[0].text.len == 0);
                assert_in_range(v.status, 200, 599);
                assert_true(v.code.len > 0);
                assert_true(v.compat_type.len > 0 || row->form[0].native.len == 0);
                if (o.wording == WORDING_REFERENCE)
                    assert_false(str_starts(v.message, S("<")));
                else if (v.engine)
                    assert_true(str_starts(v.message, S("<4")) || str_starts(v.message, S("<5")));
                if (o.help_links && row->anchor.len && row->older < 0)
                    assert_true(str_find_str(v.message, S(" For details, see: https://")) != STR_NONE);
            }
        }
    }
}

static void the_engine_has_a_prefix_on_the_wire_only(void **state)
{
    struct fault      f = { 0 };
    struct fault_view v;

    (void)state;
    assert_int_equal(fail_max_tokens_range(&f, 8192), ERR_FAULT);
    assert_str(render(&f, &reference).message, "Range of max_tokens should be [1, 8192]");
    v = render(&f, &wire);
    assert_str(v.message, "<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 8192]");
    assert_str(v.code, "InvalidParameter");
    assert_str(v.compat_code, "invalid_parameter_error");
    assert_str(v.compat_type, "invalid_request_error");
    assert_str(v.id, "E009");
    assert_int_equal(v.status, 400);
    assert_true(v.engine);

    fail_last_message_not_user(&f);
    v = render(&f, &wire);
    assert_str(v.message, "<500> InternalError.Algo: list index out of range");
    assert_str(v.compat_code, "internal_server_error");

    fail_moderation_input_modality(&f, S("text"));
    v = render(&f, &wire);
    assert_str(v.message,
               "<400> InternalError.Algo.DataInspectionFailed: Input text data may contain inappropriate content.");
    assert_str(v.compat_type, "data_inspection_failed");

    fail_stream_only_model(&f);
    v = render(&f, &wire);
    assert_str(v.message,
               "This model only support stream mode, please enable the stream parameter to access the model. ");
    assert_false(v.engine);
}

static void help_links_join_the_sentence(void **state)
{
    struct fault f = { 0 };

    (void)state;
    fail_key_invalid_openai(&f);
    assert_str(render(&f, &wire).message, "Incorrect API key provided. ");
    assert_str(render(&f, &linked).message,
               "Incorrect API key provided. For details, see: https://help.example/error-code#apikey-error");
    fail_request_rate_openai(&f);
    assert_str(
        render(&f, &linked).message,
        "You have exceeded your current request limit. For details, see: https://help.example/error-code#rate-limit");
    fail_url_model_mismatch(&f);
    assert_str(render(&f, &linked).message,
               "url error, please check url！ For details, see: https://help.example/error-code#error-url");
    fail_temperature_range(&f);
    assert_str(render(&f, &linked).message,
               "<400> InternalError.Algo.InvalidParameter: Temperature should be in [0.0, 2.0)");
}

static void codes_follow_the_wording(void **state)
{
    struct fault f = { 0 };

    (void)state;
    fail_internal_error(&f);
    assert_str(render(&f, &reference).compat_code, "internal_error");
    assert_str(render(&f, &wire).compat_code, "internal_server_error");
    assert_str(render(&f, &wire).code, "InternalError");
    fail_account_arrears(&f);
    assert_str(render(&f, &reference).compat_code, "Arrearage");
    assert_str(render(&f, &reference).compat_type, "Arrearage");
    fail_model_missing_compat(&f);
    assert_str(render(&f, &reference).compat_code, "");
    assert_str(render(&f, &reference).compat_type, "invalid_request_error");
    assert_str(render(&f, &reference).code, "InvalidParameter");
    fail_media_no_content_length(&f);
    assert_int_equal(render(&f, &reference).status, 500);
    assert_int_equal(render(&f, &wire).status, 400);
    fail_not_served_yet(&f, S("GET"), S("/x"));
    assert_int_equal(render(&f, &reference).status, 501);
    assert_str(render(&f, &reference).code, "NotServedByDashbox");
    assert_str(render(&f, &reference).compat_code, "not_served_by_dashbox");
    assert_str(render(&f, &wire).message, "dashbox does not serve GET /x yet.");
}

static void the_older_edition_has_its_own_rows(void **state)
{
    struct wording_options o = { .edition = EDITION_2024 };
    struct fault           f = { 0 };
    struct fault_view      v;

    (void)state;
    fail_input_download_failed_detail(&f, S("HTTP 404"));
    v = render(&f, &o);
    assert_int_equal(v.status, 415);
    assert_str(v.message, "Failed to download the input file: HTTP 404.");
    assert_str(v.id, "E281");
    fail_parameter_missing_named(&f, S("top_k"));
    assert_str(render(&f, &o).message,
               "Required parameter(s) missing or invalid, please check the request parameters.");
    fail_request_timeout(&f);
    v = render(&f, &o);
    assert_int_equal(v.status, 408);
    assert_str(v.message, "Request timed out, try again later.");
}

static void numbers_are_written_as_the_engines_write_them(void **state)
{
    static const struct {
        double      v;
        const char *text;
    } cases[] = {
        { 2.0, "2.0" },           { 0.0, "0.0" },
        { 0.1, "0.1" },           { -1.5, "-1.5" },
        { 1e-7, "1e-07" },        { 100000.0, "100000.0" },
        { 301008.0, "301008.0" }, { 0.30000000000000004, "0.30000000000000004" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b;

        buf_init(&b, &arena, 64);
        add_num(&b, cases[i].v);
        assert_str(buf_str(&b), cases[i].text);
    }
}

static void a_long_argument_is_cut_between_characters(void **state)
{
    char             *text = arena_bytes(&arena, 3u << 20);
    struct fault      f = { 0 };
    struct fault_view v;

    (void)state;
    for (size_t i = 0; i < 3u << 20; i += 3)
        memcpy(text + i, "€", 3);
    fail_model_not_found_or_no_access(&f, str_of(text, 3u << 20));
    v = render(&f, &wire);
    assert_true(v.message.len < 4096);
    assert_true(utf8_valid(v.message));
    assert_true(str_ends(v.message, S("` does not exist or you do not have access to it.")));
}

static void an_upstreams_refusal_is_passed_on(void **state)
{
    struct fault      f = { 0 };
    struct fault_view v;

    (void)state;
    fault_raise_foreign(&f, 429, S("limit_requests"), S("limit_requests"), S("slow down"));
    v = render(&f, &reference);
    assert_int_equal(v.status, 429);
    assert_str(v.code, "Throttling.RateQuota");
    assert_str(v.compat_code, "limit_requests");
    assert_str(v.message, "slow down");
    assert_str(v.id, "");
    fault_raise_foreign(&f, 400, S("InvalidParameter"), S(""), S("no"));
    v = render(&f, &reference);
    assert_str(v.code, "InvalidParameter");
    assert_str(v.compat_code, "invalid_parameter_error");
    assert_str(v.compat_type, "invalid_request_error");
    fault_raise_foreign(&f, 500, S("odd"), S(""), S("no"));
    v = render(&f, &reference);
    assert_str(v.code, "odd");
    assert_str(v.compat_type, "odd");
}

static void a_fault_keeps_its_detail_until_the_next(void **state)
{
    struct fault f = { 0 };

    (void)state;
    assert_false(fault_is_set(&f));
    fail_internal_error(&f);
    assert_int_equal(fault_detail(&f, S("disk full")), ERR_FAULT);
    assert_true(fault_is_set(&f));
    assert_str(f.detail, "disk full");
    fail_system_error(&f);
    assert_int_equal(f.detail.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_row_says_what_the_reference_says, setup, teardown),
        cmocka_unit_test_setup_teardown(compatible_codes_are_those_of_the_reference, setup, teardown),
        cmocka_unit_test_setup_teardown(every_row_renders_in_every_wording_and_edition, setup, teardown),
        cmocka_unit_test_setup_teardown(the_engine_has_a_prefix_on_the_wire_only, setup, teardown),
        cmocka_unit_test_setup_teardown(help_links_join_the_sentence, setup, teardown),
        cmocka_unit_test_setup_teardown(codes_follow_the_wording, setup, teardown),
        cmocka_unit_test_setup_teardown(the_older_edition_has_its_own_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_are_written_as_the_engines_write_them, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_argument_is_cut_between_characters, setup, teardown),
        cmocka_unit_test_setup_teardown(an_upstreams_refusal_is_passed_on, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fault_keeps_its_detail_until_the_next, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
