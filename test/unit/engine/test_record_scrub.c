/* test_record_scrub.c - what is taken out of a text before it is kept, and what stays. */
#include "engine/record/scrub.c"

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

static str scrubbed(str text, const struct scrub_known *known)
{
    struct buf b;

    buf_init(&b, &arena, SIZE_MAX / 2);
    scrub(&b, text, known);
    return buf_str(&b);
}

static void becomes(const char *text, const char *want)
{
    str got = scrubbed(str_from_cstr(text), NULL);

    CHECK_STR(got, want);
    CHECK_STR(scrubbed(got, NULL), want);
}

static void stays(const char *text)
{
    becomes(text, text);
}

TEST(keys_are_taken_out)
{
    becomes("sk-0123456789abcdef", "sk-REMOVED");
    becomes("key: sk-proj-Ab_9-0123456789abcdef.", "key: sk-REMOVED.");
    becomes("'sk-sp-0123456789abcdef' and sk-ffffffffffffffff0", "'sk-REMOVED' and sk-REMOVED");
    becomes("Authorization: Bearer eyJhbGciOi.J9/+=~1 x", "Authorization: Bearer REMOVED x");
    becomes("bearer 12345678", "bearer REMOVED");
}

TEST(words_that_look_a_little_like_keys_stay)
{
    stays("sk-short1");
    stays("sk-loading-indicator-of-a-page");
    stays("risk-0123456789abcdef0123");
    stays("a bearer certificate; Bearer of bad news");
    stays("sk-");
    stays("");
}

TEST(parameters_of_a_query_are_taken_out)
{
    becomes("https://x/y?api_key=abc&z=1", "https://x/y?api_key=REMOVED&z=1");
    becomes("?a=1&access_token=t%20t#end", "?a=1&access_token=REMOVED#end");
    becomes("https://b.oss/o?Expires=17&OSSAccessKeyId=LTAI&Signature=a%2Bb \"",
            "https://b.oss/o?Expires=REMOVED&OSSAccessKeyId=REMOVED&Signature=REMOVED \"");
    becomes("(/p?key=v)", "(/p?key=REMOVED)");
    stays("?monkey=1&keyboard=2&tokens=3&key=");
    stays("why?token");
}

TEST(members_are_taken_out_of_json_and_of_json_in_a_string)
{
    becomes("{\"api_key\": \"a\\\"b\", \"x\": \"y\"}", "{\"api_key\": \"REMOVED\", \"x\": \"y\"}");
    becomes("{\"X-API-Key\":\"v\"}", "{\"X-API-Key\":\"REMOVED\"}");
    becomes("\"arguments\":\"{\\\"password\\\": \\\"a\\\\\\\"b\\\\\\\\\\\", \\\"user\\\": \\\"u\\\"}\"",
            "\"arguments\":\"{\\\"password\\\": \\\"REMOVED\\\", \\\"user\\\": \\\"u\\\"}\"");
    becomes("{\"Set-Cookie\":\"cut off", "{\"Set-Cookie\":\"REMOVED");
    stays("{\"token\":\"Hello\",\"password\":{\"type\":\"string\"},\"secret\":\"\"}");
}

TEST(known_secrets_are_taken_out_wherever_they_stand)
{
    const str          secrets[] = { S("correct horse"), S("short") };
    struct scrub_known known = { secrets, ARRAY_LEN(secrets) };

    CHECK_STR(scrubbed(S("xcorrect horsecorrect horse, short"), &known), "xREMOVEDREMOVED, short");
}

TEST(names_of_secrets_are_known)
{
    static const char *const yes[] = { "Authorization", "proxy-authorization", "X-Api-Key",     "api_key",
                                       "cookie",        "Set-Cookie",          "client_secret", "DASHSCOPE_API_KEY" };
    static const char *const no[] = { "", "content-type", "x-request-id", "token", "max_tokens", "keyword" };

    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        assert_true(scrub_is_secret_name(str_from_cstr(yes[i])));
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        assert_false(scrub_is_secret_name(str_from_cstr(no[i])));
}

/* Texts of the pieces that the forms are made of. */
TEST(scrubbing_twice_is_scrubbing_once)
{
    static const char *const pieces[] = {
        "sk-", "Bearer ", "0123456789abcdef", "\"", "\\\"", "\\", "api_key", "?", "&", "=", ":",
        " ",   "key",     "REMOVED",          "\n", "x"
    };
    uint64_t seed = 7;

    for (unsigned round = 0; round < 20000; round++) {
        struct buf b;
        str        once;

        arena_reset(&arena);
        buf_init(&b, &arena, 4096);
        for (unsigned i = 0; i < 24; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            buf_add(&b, str_from_cstr(pieces[seed >> 60]));
        }
        once = scrubbed(buf_str(&b), NULL);
        assert_true(str_eq(scrubbed(once, NULL), once));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_taken_out),
        cmocka_unit_test(words_that_look_a_little_like_keys_stay),
        cmocka_unit_test(parameters_of_a_query_are_taken_out),
        cmocka_unit_test(members_are_taken_out_of_json_and_of_json_in_a_string),
        cmocka_unit_test(known_secrets_are_taken_out_wherever_they_stand),
        cmocka_unit_test(names_of_secrets_are_known),
        cmocka_unit_test(scrubbing_twice_is_scrubbing_once),
    };

    return cmocka_run_group_tests_name("record_scrub", tests, setup, teardown);
}
