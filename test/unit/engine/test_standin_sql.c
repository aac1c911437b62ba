/* test_standin_sql.c - what of a question becomes a statement. More in test/wire/text2sql.case. */
#include "engine/standin/sql.c"

#include "contract/json.h"

#include "../base/check.h"

static const char schema[] =
    "\"schema_infos\":[{\"table_id\":\"student_score\",\"table_desc\":\"成绩表\",\"columns\":[{\"col_name\":\"name\",\"col_type\":"
    "\"text\"},{\"col_name\":\"class\",\"col_caption\":\"班级\"},{\"col_name\":\"score\",\"col_caption\":\"成绩\",\"col_type\":\"int\"}]},"
    "{\"table_id\":\"count_log\",\"columns\":[{\"col_name\":\"total_count\",\"col_type\":\"int\"},{\"col_name\":\"day\",\"col_type\":\"date\"}]}]";

static void check(const char *question, const char *hints, const char *want)
{
    struct arena      a;
    struct request    rq = { .arena = &a };
    struct chat_input in = { 0 };
    str               got;

    arena_init(&a, 0);
    assert_int_equal(text2sql_read(&rq, json_parse_copy(&a, arena_printf(&a, "{%s%s}", schema, hints)),
                                   str_from_cstr(question), &in),
                     OK);
    got = sql_answer(&a, in.sql);
    if (!str_eq(got, str_from_cstr(want)))
        fail_msg("%s: %.*s, not %s", question, STR_ARG(got), want);
    arena_free(&a);
}

static void names_occur_as_words(void **state)
{
    (void)state;
    check("the Name and SCORES, please", "", "SELECT name, score FROM student_score");
    check("scores, names", "", "SELECT score, name FROM student_score");
    check("underscored nameless classical", "", "SELECT * FROM student_score");
    check("成绩和班级", "", "SELECT score, class FROM student_score");
    check("", "", "SELECT * FROM student_score");
    check("count log", "", "SELECT COUNT(*) FROM count_log");
    check("total-count of a day", "",
          "SELECT total_count, day FROM count_log"); /* "total" and "count" are the name's */
    check("points", ",\"synonym_infos\":{\"score\":\"mark| point\"}", "SELECT score FROM student_score");
}

static void words_ask_for_an_aggregate(void **state)
{
    (void)state;
    check("number of classes", "", "SELECT COUNT(*) FROM student_score");
    check("the mean score by name", "", "SELECT name, AVG(score) FROM student_score GROUP BY name");
    check("各班级人数", "", "SELECT class, COUNT(*) FROM student_score GROUP BY class");
    check("the total of names", "", "SELECT name FROM student_score"); /* a text has no sum */
    check("the latest day", "", "SELECT MAX(day) FROM count_log");
    check("by name", "", "SELECT name FROM student_score");
}

static void hints_are_conditions(void **state)
{
    (void)state;
    check("score of Ming", ",\"recall_infos\":[{\"content\":\"student_score.name='Ming'\"}]",
          "SELECT score FROM student_score WHERE name = 'Ming'");
    check("score of Xiaoming",
          ",\"recall_infos\":[{\"content\":\"name=A\",\"score\":0.2},{\"content\":\"name=B\",\"score\":0.3}]",
          "SELECT score FROM student_score WHERE name = 'B'");
    check("score of a and b",
          ",\"recall_infos\":[{\"content\":\"name=A\"},{\"content\":\"name=B\"},{\"content\":\"name=a\"},"
          "{\"content\":\"name='A'\"},{\"content\":\"name=C\"}]",
          "SELECT score FROM student_score WHERE name IN ('A', 'B', 'a')");
    check("who has 5?", ",\"recall_infos\":[{\"content\":\"score = 5\"},{\"content\":\"class = '5'\"}]",
          "SELECT * FROM student_score WHERE class = '5' AND score = 5");
    check("x", ",\"recall_infos\":[{\"content\":\"count_log.day='1''2'\"}]",
          "SELECT * FROM count_log WHERE day = '1''2'");
    check(
        "x",
        ",\"recall_infos\":[{\"content\":\"nowhere.day='1'\"},{\"content\":\"words\"},{\"content\":\"a=\"},{\"content\":"
        "\"day=\\u0000\"},{\"content\":\"=\"},{\"content\":\".=.\"}]",
        "SELECT * FROM student_score");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_occur_as_words),
        cmocka_unit_test(words_ask_for_an_aggregate),
        cmocka_unit_test(hints_are_conditions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
