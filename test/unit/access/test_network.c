/* test_network.c - addresses and blocks. */
#include "access/network.c"

#include "../base/check.h"

TEST(an_address_is_in_a_block_or_not)
{
    static const struct {
        const char *block, *address;
        bool        in;
    } cases[] = {
        { "10.0.0.0/8", "10.255.1.2:80", true },
        { "10.0.0.0/8", "11.0.0.1:80", false },
        { "10.0.0.0/8", "10.1.2.3", true },
        { "192.168.1.128/25", "192.168.1.128:1", true },
        { "192.168.1.128/25", "192.168.1.127:1", false },
        { "192.168.1.7", "192.168.1.7:1", true },
        { "192.168.1.7", "192.168.1.8:1", false },
        { "0.0.0.0/0", "8.8.8.8:53", true },
        { "0.0.0.0/0", "[2001:db8::1]:53", false },
        { "::/0", "[2001:db8::1]:53", true },
        { "::/0", "8.8.8.8:53", true }, /* its form in IPv6 is in all of IPv6 */
        { "::1", "[::1]:8420", true },
        { "::1", "::1", true },
        { "::1", "[::2]:8420", false },
        { "2001:db8::/33", "[2001:db8:7fff::1]:1", true },
        { "2001:db8::/33", "[2001:db8:8000::1]:1", false },
        { "127.0.0.1", "[::ffff:127.0.0.1]:8420", true }, /* a socket of both families */
        { "127.0.0.1", "::ffff:127.0.0.1", true },
        { "::/0", "unix:/run/x.sock", false },
        { "::/0", "", false },
        { "::/0", "(unknown)", false },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct network n;

        assert_true(network_parse(str_from_cstr(cases[i].block), &n));
        if (network_has(&n, 1, str_from_cstr(cases[i].address)) != cases[i].in)
            fail_msg("%s in %s", cases[i].address, cases[i].block);
    }
    assert_false(network_has(NULL, 0, S("127.0.0.1:1")));
}

TEST(what_is_no_block_is_not_read)
{
    const char    *bad[] = { "",        "/",   "10.0.0.0/", "10.0.0.0/33",  "10.0.0.0/-1", "10.0.0/8", "10.0.0.0.0",
                             "::1/129", "::g", "localhost", "10.0.0.0/8/8", "10.0.0.0 ",   "[::1]",    "10.0.0.1:80" };
    struct network n = { .bits = 7 };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (network_parse(str_from_cstr(bad[i]), &n))
            fail_msg("\"%s\" was read", bad[i]);
    }
    assert_int_equal(n.bits, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_in_a_block_or_not),
        cmocka_unit_test(what_is_no_block_is_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
