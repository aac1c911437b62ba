/* test_hash.c - hashes are spread evenly and depend on every byte. */
#include "base/hash.c"

#include "check.h"

static unsigned bits_changed(uint64_t a, uint64_t b)
{
    return (unsigned)__builtin_popcountll(a ^ b);
}

TEST(the_same_text_and_seed_give_the_same_hash)
{
    char text[200], copy[201];

    for (size_t i = 0; i < sizeof(text); i++)
        copy[i + 1] = text[i] = (char)(i * 7);
    for (size_t n = 0; n <= sizeof(text); n++) /* also where it is not aligned */
        assert_true(hash_bytes(str_of(text, n), 42) == hash_bytes(str_of(copy + 1, n), 42));
    assert_true(hash_bytes((str){ 0 }, 1) == hash_bytes(S(""), 1));
}

TEST(every_bit_of_text_and_seed_changes_about_half_of_the_hash)
{
    static const size_t lengths[] = { 1, 3, 7, 8, 9, 15, 16, 17, 31, 47, 48, 49, 96, 97, 150 };
    char                text[150];

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 31 + 5);
    for (size_t k = 0; k < ARRAY_LEN(lengths); k++) {
        str      s = str_of(text, lengths[k]);
        uint64_t whole = hash_bytes(s, 42);
        unsigned changed = 0;

        for (size_t bit = 0; bit < s.len * 8; bit++) {
            unsigned n;

            text[bit / 8] ^= (char)(1 << bit % 8);
            n = bits_changed(whole, hash_bytes(s, 42));
            text[bit / 8] ^= (char)(1 << bit % 8);
            assert_true(n >= 8); /* of 64: by chance once in 10^9 */
            changed += n;
        }
        assert_in_range(changed / (s.len * 8), 28, 36);
        for (unsigned bit = 0; bit < 64; bit++)
            assert_true(bits_changed(whole, hash_bytes(s, 42 ^ UINT64_C(1) << bit)) >= 8);
    }
}

TEST(the_length_counts)
{
    char     zeros[64] = { 0 };
    uint64_t seen[65];

    for (size_t n = 0; n <= 64; n++) {
        seen[n] = hash_bytes(str_of(zeros, n), 3);
        for (size_t m = 0; m < n; m++)
            assert_true(seen[m] != seen[n]);
    }
}

TEST(low_bits_fill_a_table_evenly)
{
    enum { SLOTS = 1024, KEYS = SLOTS * 64 };
    static unsigned slots[SLOTS];
    double          chi = 0;

    for (unsigned i = 0; i < KEYS; i++) {
        char text[32];
        int  n = snprintf(text, sizeof(text), "key-%08x", i);

        slots[hash_bytes(str_of(text, (size_t)n), 99) & (SLOTS - 1)]++;
    }
    for (size_t i = 0; i < SLOTS; i++)
        chi += ((double)slots[i] - 64) * ((double)slots[i] - 64) / 64;
    /* 1023 degrees of freedom: mean 1023, deviation 45. Five deviations either way. */
    assert_true(chi > 800 && chi < 1250);
}

TEST(a_hash_of_secrets_depends_on_every_bit_and_its_place)
{
    static const uint64_t secrets[3] = { 0x0123456789ABCDEFu, 0x5DEECE66D1CE4E5Bu, 0xA0761D6478BD642Fu };
    char                  text[100], other[100];

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + i % 26);
    for (size_t len = 1; len <= sizeof(text); len++) {
        uint64_t h = hash_secret(secrets, str_of(text, len), 7);
        int      changed = 0;

        for (size_t bit = 0; bit < 8 * len; bit++) {
            memcpy(other, text, len);
            other[bit / 8] = (char)(other[bit / 8] ^ (1 << bit % 8));
            changed += __builtin_popcountll(h ^ hash_secret(secrets, str_of(other, len), 7));
        }
        assert_in_range(changed, 20 * 8 * len, 44 * 8 * len);
        assert_true(h != hash_secret(secrets, str_of(text, len - 1), 7));
        assert_true(h != hash_secret(secrets, str_of(text, len), 8));
    }
    for (size_t i = 0; i + 32 <= 96; i += 16) { /* blocks change places */
        memcpy(other, text, sizeof(text));
        memcpy(other + i, text + i + 16, 16);
        memcpy(other + i + 16, text + i, 16);
        assert_true(hash_secret(secrets, str_of(text, 96), 0) != hash_secret(secrets, str_of(other, 96), 0));
    }
}

TEST(numbers_are_mixed_into_a_hash_in_order)
{
    assert_true(hash_u64(hash_u64(1, 2), 3) != hash_u64(hash_u64(1, 3), 2));
    assert_true(hash_u64(1, 2) != hash_u64(2, 1));
    for (unsigned bit = 0; bit < 64; bit++)
        assert_true(bits_changed(hash_u64(7, 0), hash_u64(7, UINT64_C(1) << bit)) >= 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_text_and_seed_give_the_same_hash),
        cmocka_unit_test(every_bit_of_text_and_seed_changes_about_half_of_the_hash),
        cmocka_unit_test(the_length_counts),
        cmocka_unit_test(low_bits_fill_a_table_evenly),
        cmocka_unit_test(a_hash_of_secrets_depends_on_every_bit_and_its_place),
        cmocka_unit_test(numbers_are_mixed_into_a_hash_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
