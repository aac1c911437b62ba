/* test_rand.c - randomness that can be held still, and the form of ids. */
#include "base/rand.c"

#include "check.h"

#include <pthread.h>

TEST(a_fixed_seed_gives_the_same_ids_again)
{
    char a[UUID_LEN + 1], b[UUID_LEN + 1], c[UUID_LEN + 1];

    rand_fix(42);
    rand_uuid(a, '9');
    rand_uuid(c, '9');
    rand_fix(42);
    rand_uuid(b, '9');
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
    rand_fix(43);
    rand_uuid(b, '9');
    assert_string_not_equal(a, b);
}

TEST(a_uuid_has_its_form_version_and_variant)
{
    for (unsigned i = 0; i < 1000; i++) {
        char text[UUID_LEN + 2];
        char version = i & 1 ? '4' : '9';

        text[UUID_LEN + 1] = '#';
        rand_uuid(text, version);
        assert_int_equal(text[UUID_LEN], 0);
        assert_int_equal(text[UUID_LEN + 1], '#');
        for (size_t k = 0; k < UUID_LEN; k++) {
            if (k == 8 || k == 13 || k == 18 || k == 23)
                assert_int_equal(text[k], '-');
            else
                assert_non_null(strchr("0123456789abcdef", text[k]));
        }
        assert_int_equal(text[14], version);
        assert_non_null(strchr("89ab", text[19]));
    }
}

TEST(hexadecimal_text_is_as_long_as_asked_and_no_longer)
{
    for (size_t n = 0; n <= 40; n++) {
        char text[48];

        memset(text, '#', sizeof(text));
        rand_hex(text, n);
        assert_int_equal(strspn(str_of(text, n).ptr, "0123456789abcdef"), n);
        assert_int_equal(text[n], '#');
    }
}

/* The first numbers of splitmix64 from 0, as its author published them. */
TEST(the_dice_follow_from_the_seed_alone)
{
    uint64_t seed = 0;

    assert_true(rand_next(&seed) == 0xE220A8397B1DCDAFu);
    assert_true(rand_next(&seed) == 0x6E789E6AA1B965F4u);
    assert_true(rand_next(&seed) == 0x06C45D188009454Fu);
}

TEST(numbers_use_all_their_bits)
{
    uint64_t ones = 0, zeros = 0;

    rand_fix(1);
    for (int i = 0; i < 200; i++) {
        uint64_t v = rand_u64();

        ones |= v;
        zeros |= ~v;
    }
    assert_true(ones == UINT64_MAX);
    assert_true(zeros == UINT64_MAX);
}

TEST(secrets_fill_all_that_was_asked_for)
{
    unsigned char a[1000] = { 0 }, b[1000] = { 0 };
    size_t        zeros = 0;

    rand_secret(a, sizeof(a));
    rand_fix(1); /* secrets do not follow from any seed */
    rand_secret(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    for (size_t i = 0; i < sizeof(a); i++)
        zeros += a[i] == 0;
    assert_true(zeros < 50);
    rand_secret(a, 0);
}

static void *first_number(void *arg)
{
    *(uint64_t *)arg = rand_u64();
    return NULL;
}

TEST(every_thread_has_a_sequence_of_its_own)
{
    uint64_t  first[4];
    pthread_t threads[4];

    rand_fix(7); /* of this thread only */
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, first_number, &first[i]), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < i; k++)
            assert_true(first[i] != first[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fixed_seed_gives_the_same_ids_again),
        cmocka_unit_test(a_uuid_has_its_form_version_and_variant),
        cmocka_unit_test(hexadecimal_text_is_as_long_as_asked_and_no_longer),
        cmocka_unit_test(the_dice_follow_from_the_seed_alone),
        cmocka_unit_test(numbers_use_all_their_bits),
        cmocka_unit_test(secrets_fill_all_that_was_asked_for),
        cmocka_unit_test(every_thread_has_a_sequence_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
