/* test_prefixes.c - the stand-in's context cache, with the real tokenizer and a clock that is moved. */
#include "engine/standin/prefixes.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct arena        arena;
static struct tokenizer   *tokenizer;
static struct prefixes    *cache;
static struct model        model = { .id = S("qwen-plus") };
static struct chat_message messages[30];
static int64_t             ends[31];
static struct chat_input   in;
static int64_t             created;

static int setup(void **state)
{
    (void)state;
    clock_fix(1700000000000);
    arena_init(&arena, 0);
    assert_int_equal(OK, tokenizer_open(getenv("DASHBOX_TOKENIZER"), &tokenizer));
    cache = prefixes_open();
    in = (struct chat_input){ .model = &model, .messages = messages, .prompt_ends = ends };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    clock_fix(0);
    prefixes_close(cache);
    tokenizer_close(tokenizer);
    arena_free(&arena);
    return 0;
}

/* `count` words of one token each, the first of them `n`. */
static str words(int n, size_t count)
{
    struct buf b;

    buf_init(&b, &arena, 1 << 20);
    buf_addf(&b, "%d", n % 10);
    for (size_t i = 1; i < count; i++)
        buf_add(&b, S(" word"));
    return buf_str(&b);
}

/* A prompt of these texts, each five tokens more than its words. */
static void ask(size_t count, const str *texts)
{
    int64_t total = 0;

    in.message_count = count;
    in.cache_marks = 0;
    for (size_t i = 0; i < count; i++) {
        messages[i] = (struct chat_message){ .role = i % 2 ? CHAT_ASSISTANT : CHAT_USER, .content = texts[i] };
        total += (int64_t)tokenizer_count(tokenizer, texts[i]) + 5;
        ends[i + 1] = total;
    }
}

static void mark(size_t i)
{
    messages[i].cache = true;
    in.cache_marks++;
}

static int64_t use(const char *workspace)
{
    return prefixes_use(cache, &arena, tokenizer, str_from_cstr(workspace), &in, &created);
}

static void what_two_prompts_begin_with_is_known_in_steps(void **state)
{
    str base = words(1, 1500);

    (void)state;
    ask(1, (str[]){ base });
    assert_int_equal(0, use("a"));
    assert_int_equal(1280, use("a")); /* 1505 in steps of 256 */
    assert_int_equal(0, created);
    assert_int_equal(0, use("b"));
    ask(3, (str[]){ base, S("fine"), S("and now?") });
    assert_int_equal(1280, use("a"));
    ask(1, (str[]){ words(2, 1500) }); /* another beginning */
    assert_int_equal(0, use("a"));
    ask(1, (str[]){ str_first(base, 1100 * 5) }); /* the same, but shorter: some 1100 tokens */
    assert_int_equal(1024, use("a"));
    ask(1, (str[]){ words(1, 900) });
    assert_int_equal(0, use("a"));
}

static void it_is_forgotten_after_five_minutes_without_a_hit(void **state)
{
    (void)state;
    ask(1, (str[]){ words(1, 1500) });
    assert_int_equal(0, use("a"));
    clock_fix(1700000000000 + 299000);
    assert_int_equal(1280, use("a"));
    clock_fix(1700000000000 + 299000 + 299000);
    assert_int_equal(1280, use("a"));
    clock_fix(1700000000000 + 299000 + 299000 + 300000);
    assert_int_equal(0, use("a"));
    prefixes_reset(cache);
    assert_int_equal(0, use("a"));
}

static void a_mark_keeps_what_is_before_it(void **state)
{
    (void)state;
    ask(2, (str[]){ words(1, 1500), S("x") });
    mark(0);
    assert_int_equal(0, use("a"));
    assert_int_equal(1505, created);
    assert_int_equal(1505, use("a"));
    assert_int_equal(0, created);
    /* a longer prompt, marked later: what is new is taken in */
    ask(4, (str[]){ words(1, 1500), S("x"), words(2, 100), S("y") });
    mark(2);
    assert_int_equal(1505, use("a"));
    assert_int_equal(6 + 105, created);
    /* without marks it is the implicit cache, which has not seen it */
    ask(2, (str[]){ words(1, 1500), S("x") });
    assert_int_equal(0, use("a"));
    ask(2, (str[]){ words(1, 900), S("x") });
    mark(0);
    assert_int_equal(0, use("a"));
    assert_int_equal(0, created); /* too short */
}

static void a_mark_looks_back_twenty_items(void **state)
{
    str texts[24];

    (void)state;
    texts[0] = words(1, 1500);
    for (size_t i = 1; i < 24; i++)
        texts[i] = S("x");
    ask(1, texts);
    mark(0);
    assert_int_equal(0, use("a"));
    ask(21, texts);
    mark(20);
    assert_int_equal(1505, use("a"));
    prefixes_reset(cache);
    ask(1, texts);
    mark(0);
    assert_int_equal(0, use("a"));
    ask(22, texts);
    mark(21);
    assert_int_equal(0, use("a"));
}

static void items_of_one_message_are_places_of_their_own(void **state)
{
    struct chat_part parts[] = { { .kind = CHAT_PART_TEXT, .text = words(1, 1500), .cache = true },
                                 { .kind = CHAT_PART_TEXT, .text = S(" and more") } };
    char            *joined = arena_bytes(&arena, parts[0].text.len + parts[1].text.len);
    str              text = str_of(joined, parts[0].text.len + parts[1].text.len);

    (void)state;
    memcpy(joined, parts[0].text.ptr, parts[0].text.len);
    memcpy(joined + parts[0].text.len, parts[1].text.ptr, parts[1].text.len);
    ask(1, &text);
    messages[0].parts = parts;
    messages[0].part_count = 2;
    in.cache_marks = 1;
    assert_int_equal(0, use("a"));
    assert_int_equal(1503, created); /* without the end of the message */
    assert_int_equal(1503, use("a"));
    assert_int_equal(0, created);
}

static void tools_before_a_users_message_are_a_place(void **state)
{
    struct chat_tool tool = { .text = words(1, 1500), .cache = true };

    (void)state;
    for (int i = 2; i < 4; i++) { /* the user's message is another one each time */
        ask(1, (str[]){ words(i, 10) });
        in.tools = &tool;
        in.tool_count = in.cache_marks = 1;
        ends[0] = 1600;
        ends[1] += 1600;
        assert_int_equal(i == 2 ? 0 : 1600, use("a"));
        assert_int_equal(i == 2 ? 1600 : 0, created);
    }
    ends[0] = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_two_prompts_begin_with_is_known_in_steps, setup, teardown),
        cmocka_unit_test_setup_teardown(it_is_forgotten_after_five_minutes_without_a_hit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_mark_keeps_what_is_before_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_mark_looks_back_twenty_items, setup, teardown),
        cmocka_unit_test_setup_teardown(items_of_one_message_are_places_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(tools_before_a_users_message_are_a_place, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
