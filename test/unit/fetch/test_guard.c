/* test_guard.c - no URL leads to this machine or its network. */
#include "fetch/guard.c"

#include "fetch/url.h"

#include "../base/check.h"

#include <arpa/inet.h>

static struct arena arena;
static struct guard guard;

/* Where a URL with a literal address leads: true when it would be connected to. */
static bool leads_anywhere(const char *text)
{
    struct address at = { 0 };
    struct url     u;
    char           host[256];

    if (!url_parse(str_from_cstr(text), &arena, &u))
        return false;
    assert_true(u.is_address);
    snprintf(host, sizeof(host), "%s", u.host);
    if (host[0] == '[') {
        host[strlen(host) - 1] = 0;
        at.in6.sin6_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, host + 1, &at.in6.sin6_addr), 1);
    } else {
        at.in.sin_family = AF_INET;
        assert_int_equal(inet_pton(AF_INET, host, &at.in.sin_addr), 1);
    }
    return guard_allows(&guard, &at);
}

TEST(hostile_addresses_lead_nowhere)
{
    static const char *const hostile[] = {
        /* this machine */
        "http://127.0.0.1/",
        "http://127.0.0.1:8420/admin/v1/keys",
        "http://127.1.2.3/",
        "http://127.255.255.255/",
        "http://0.0.0.0/",
        "http://0.0.0.0:80/",
        "http://0.1.2.3/",
        "http://[::1]/",
        "http://[::]/",
        "https://[0:0:0:0:0:0:0:1]/",
        "http://[0000:0000:0000:0000:0000:0000:0000:0001]:22/",
        /* other notations of it */
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0x7f.1/",
        "http://017700000001/",
        "http://0177.0.0.1/",
        "http://0177.0.0.01/",
        "http://127.1/",
        "http://127.0.1/",
        "http://127.0.0.1./",
        "http://127.0.0.01/",
        "http://00127.0.0.1/",
        "http://0/",
        "http://00/",
        "http://0x0/",
        "http://127.0.0.0x1/",
        "http://1.2.3.4.5/",
        "http://256.0.0.1/",
        "http://127.0.0.1%00.example.com/",
        "http://127.0.0.1%2f/",
        "http://127%2e0%2e0%2e1/",
        "http://\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1/",
        "http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1/",
        /* inside of IPv6 */
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::127.0.0.1]/",
        "http://[::7f00:1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[64:ff9b::169.254.169.254]/",
        "http://[64:ff9b:1::a00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[2002:a9fe:a9fe::1]/",
        "http://[2002:c0a8:101::1]/",
        "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
        "http://[::ffff:0:127.0.0.1]/",
        "http://[fe80::1]/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://[fc00::1]/",
        "http://[fd00:ec2::254]/latest/meta-data/",
        "http://[fec0::1]/",
        "http://[ff02::1]/",
        "http://[ff0e::1]/",
        "http://[100::1]/",
        "http://[2001:db8::1]/",
        "http://[3fff::1]/",
        "http://[5f00::1]/",
        "http://[::1",
        "http://[]/",
        "http://[::1]x/",
        "http://[1.2.3.4]/",
        /* its network, carriers, clouds */
        "http://10.0.0.1/",
        "http://10.255.255.255/",
        "http://172.16.0.1/",
        "http://172.31.255.254/",
        "http://192.168.0.1/",
        "http://192.168.255.255/",
        "http://100.64.0.1/",
        "http://100.127.255.255/",
        "http://169.254.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://100.100.100.200/latest/meta-data/",
        "http://168.63.129.16/metadata",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/",
        "http://192.0.0.192/",
        "http://192.0.2.1/",
        "http://192.88.99.1/",
        "http://198.18.0.1/",
        "http://198.19.255.255/",
        "http://198.51.100.7/",
        "http://203.0.113.7/",
        "http://224.0.0.1/",
        "http://239.255.255.255/",
        "http://240.0.0.1/",
        "http://255.255.255.255/",
        /* written so that two readers disagree */
        "http://8.8.8.8@127.0.0.1/",
        "http://127.0.0.1@8.8.8.8/",
        "http://user:pw@8.8.8.8/",
        "http://8.8.8.8\\@127.0.0.1/",
        "http:\\\\127.0.0.1/",
        "http:127.0.0.1",
        "http:/127.0.0.1/",
        "http:///127.0.0.1/",
        "http://8.8.8.8 127.0.0.1/",
        "http://8.8.8.8\t/",
        "http://8.8.8.8\r\nHost: x/",
        "http://8.8.8.8:0/",
        "http://8.8.8.8:65536/",
        "http://8.8.8.8:80:80/",
        "http://8.8.8.8:-1/",
        "http://8.8.8.8:0x50/",
        "http://:80/",
        "http://",
        "http://?x",
        "http://#",
        "ftp://8.8.8.8/",
        "gopher://8.8.8.8/",
    };

    assert_true(ARRAY_LEN(hostile) >= 100);
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        if (leads_anywhere(hostile[i]))
            fail_msg("%s leads somewhere", hostile[i]);
    }
}

TEST(the_public_internet_can_be_reached)
{
    static const char *const good[] = {
        "http://8.8.8.8/",
        "https://1.1.1.1:8443/x?y=z",
        "http://172.15.255.255/",
        "http://172.32.0.1/",
        "http://100.63.255.255/",
        "http://100.128.0.1/",
        "http://169.253.1.1/",
        "http://192.167.1.1/",
        "http://223.255.255.255/",
        "http://11.0.0.1/",
        "http://[2606:4700:4700::1111]/",
        "http://[2001:4860:4860::8888]:80/",
        "http://[2400:3200::1]/",
        "HTTP://9.9.9.9",
    };

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        if (!leads_anywhere(good[i]))
            fail_msg("%s leads nowhere", good[i]);
    }
}

TEST(an_operator_names_networks_that_may_be_reached)
{
    str wrong = { 0 };

    assert_true(guard_init(&guard, S("127.0.0.0/8  ::1"), &arena, &wrong));
    assert_true(leads_anywhere("http://127.0.0.1/"));
    assert_true(leads_anywhere("http://[::1]/"));
    assert_false(leads_anywhere("http://10.0.0.1/"));
    assert_false(leads_anywhere("http://169.254.169.254/"));
    assert_false(guard_init(&guard, S("127.0.0.0/8 localhost"), &arena, &wrong));
    assert_str(wrong, "localhost");
    assert_true(guard_init(&guard, S(""), &arena, &wrong));
}

TEST(what_is_no_address_of_the_internet_is_refused)
{
    struct address at = { .sa.sa_family = AF_UNIX, .path = "/run/x" };

    assert_false(guard_allows(&guard, &at));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_addresses_lead_nowhere),
        cmocka_unit_test(the_public_internet_can_be_reached),
        cmocka_unit_test(an_operator_names_networks_that_may_be_reached),
        cmocka_unit_test(what_is_no_address_of_the_internet_is_refused),
    };
    str wrong;
    int failed;

    arena_init(&arena, 0);
    if (!guard_init(&guard, S(""), &arena, &wrong))
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
