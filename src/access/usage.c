/* usage.c - reads the table of usage. */
#include "access/usage.h"

#include "contract/json.h"
#include "contract/price.h"

#define USAGE_BY_TEXT(name, text) [name] = S(text),
static const str by_names[] = { USAGE_BYS(USAGE_BY_TEXT) };
#undef USAGE_BY_TEXT

static const char *const by_columns[] = {
    [USAGE_BY_DAY] = "strftime('%Y-%m-%d', minute * 60, 'unixepoch')",
    [USAGE_BY_MONTH] = "strftime('%Y-%m', minute * 60, 'unixepoch')",
    [USAGE_BY_MODEL] = "model",
    [USAGE_BY_KEY] = "key",
    [USAGE_BY_WORKSPACE] = "workspace",
    [USAGE_BY_TOTAL] = "'total'",
};

bool usage_by_parse(str word, enum usage_by *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(by_names); i++) {
        if (str_eq(word, by_names[i])) {
            *ret = (enum usage_by)i;
            return true;
        }
    }
    return false;
}

str usage_by_name(enum usage_by by)
{
    ASSERT(by < ARRAY_LEN(by_names));
    return by_names[by];
}

static struct usage_row row_of(sqlite3_stmt *st, struct arena *a)
{
    struct usage_row r = { .group = arena_str(a, store_column_str(st, 0)) };
    int64_t *const   into[] = {
          &r.requests,    &r.prompt_tokens, &r.completion_tokens, &r.reasoning_tokens, &r.cached_tokens,
          &r.free_tokens, &r.cost,          &r.list_cost
    };

    for (size_t i = 0; i < ARRAY_LEN(into); i++)
        *into[i] = sqlite3_column_int64(st, (int)i + 1);
    return r;
}

enum err usage_query_job(sqlite3 *db, void *usage_query)
{
    struct usage_query *q = usage_query;
    sqlite3_stmt       *st;
    enum err            e;
    size_t              room = 0;
    int                 r;

    ASSERT(q->by < ARRAY_LEN(by_columns));
    e = store_prepare(db,
                      arena_printf(q->arena,
                                   "SELECT %s AS place, sum(requests), sum(prompt_tokens), sum(completion_tokens),"
                                   " sum(reasoning_tokens), sum(cached_tokens), sum(free_tokens), sum(cost),"
                                   " sum(list_cost) FROM usage WHERE minute >= ?1 AND minute < ?2"
                                   " AND ?3 IN ('', workspace) AND ?4 IN ('', key) AND ?5 IN ('', model)"
                                   " GROUP BY place ORDER BY place",
                                   by_columns[q->by])
                          .ptr,
                      &st);
    if (e)
        return e;
    sqlite3_bind_int64(st, 1, q->since_ms / 60000);
    sqlite3_bind_int64(st, 2, q->until_ms ? q->until_ms / 60000 : INT64_MAX);
    store_bind_str(st, 3, q->workspace);
    store_bind_str(st, 4, q->key);
    store_bind_str(st, 5, q->model);
    q->rows = NULL;
    q->row_count = 0;
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        size_t n = q->row_count++;

        if (n == room) { /* the rows' texts lie in between, so that each growth is a copy */
            room = room ? 2 * room : 16;
            q->rows = arena_realloc(q->arena, q->rows, n * sizeof(*q->rows), room * sizeof(*q->rows));
        }
        q->rows[n] = row_of(st, q->arena);
    }
    sqlite3_finalize(st);
    return store_err(db, r);
}

void usage_add(struct buf *b, const struct usage_row *r)
{
    const struct {
        const char *name;
        int64_t     v;
    } numbers[] = {
        { "requests", r->requests },
        { "prompt_tokens", r->prompt_tokens },
        { "completion_tokens", r->completion_tokens },
        { "reasoning_tokens", r->reasoning_tokens },
        { "cached_tokens", r->cached_tokens },
        { "free_tokens", r->free_tokens },
    };
    char cost[PRICE_TEXT_MAX], list[PRICE_TEXT_MAX];

    price_format(cost, r->cost);
    price_format(list, r->list_cost);
    buf_add(b, S("{\"group\":"));
    json_add_str(b, r->group);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        buf_addf(b, ",\"%s\":%lld", numbers[i].name, (long long)numbers[i].v);
    buf_addf(b, ",\"cost\":\"%s\",\"list_cost\":\"%s\"}", cost, list);
}
