/* fuzz_text2sql.c - any schema, question and answer of an engine: tables are built or refused, what the stand-in says of tables that could be
 * built fits them, and a statement that was found is prepared.
 *
 * The input is a JSON object, and behind a line of its own that is "---" the answer. The question is its "question".
 */
#include "contract/json.h"
#include "contract/text2sql.h"
#include "engine/standin/sql.h"
#include "store/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A name may look like the marks that answers of models have. Then what is made of it need not be found again. */
static bool has_marks(str said)
{
    return str_find_str(said, S("\n```")) != STR_NONE || str_find_str(said, S("\n ")) != STR_NONE ||
           str_find_str(said, S("\n\t")) != STR_NONE || str_find_str(said, S("</think>")) != STR_NONE;
}

static void check(struct arena *a, const struct text2sql *q, str answer)
{
    struct scratch *s;
    str             said, statement, why;

    if (scratch_open(a, q, &s, &why))
        return;
    said = sql_answer(a, q);
    if (!has_marks(said) && (!sql_statement(said, &statement, &why) || !str_eq(said, statement) ||
                             scratch_prepare(a, s, statement, &why))) {
        fprintf(stderr, "%.*s: %.*s\n", STR_ARG(said), STR_ARG(why));
        ASSERT(false);
    }
    if (sql_statement(answer, &statement, &why))
        (void)scratch_prepare(a, s, statement, &why); /* it may well not fit */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str               input = str_of((const char *)data, size);
    size_t            end = str_find_str(input, S("\n---\n"));
    struct arena      arena;
    struct request    rq = { .arena = &arena };
    struct chat_input in = { 0 };
    yyjson_val       *root;

    arena_init(&arena, 0);
    root = json_parse_copy(&arena, str_first(input, end));
    if (root && !text2sql_read(&rq, root, json_str(json_get(root, "question")), &in))
        check(&arena, in.sql, end == STR_NONE ? S("") : str_from(input, end + 5));
    arena_free(&arena);
    return 0;
}
