/* price.c - what a request costs. Thread: any; the tables are constant. Spec: models.md §4. */
#include "contract/price.h"

#include "base/num.h"
#include "contract/model.h"

#include <stdio.h>

enum {
    MILLIONTHS = 1000000,
    TOKENS_PER_PRICE = 1000000,
    CHARS_PER_PRICE = 10000,
    PERMILLE = 1000,
    BATCH_PERMILLE = 500,
    CACHE_CREATED_PERMILLE = 1250,
    CACHE_READ_PERMILLE = 100,
};

static const struct price_row *row_of(const struct price *p, int64_t prompt)
{
    unsigned i = 0;

    while (i + 1 < p->row_count && prompt > p->rows[i].upto)
        i++;
    return &p->rows[i];
}

/* Takes up to *n away from *tokens. */
static void take(int64_t *tokens, int64_t *n)
{
    int64_t taken = min_i64(*tokens, *n);

    *tokens -= taken;
    *n -= taken;
}

int64_t price_chat(const struct model *m, enum price_region region, const struct price_use *use)
{
    const struct price     *p = m ? m->prices[region] : NULL;
    const struct price_row *row;
    int64_t                 left = max_i64(use->prompt, 0), free = max_i64(use->free, 0);
    int64_t                 created = max_i64(use->cache_created, 0), read = max_i64(use->cache_read, 0);
    int64_t                 cached = max_i64(use->cached, 0), out = max_i64(use->completion, 0);
    __int128                in_sum, sum, scale = (__int128)TOKENS_PER_PRICE * PERMILLE;

    if (!p || p->unit != PRICE_TOKENS)
        return 0;
    row = row_of(p, left);

    /* What is said to be part of the prompt is: the engines count, and some of them wrongly. */
    created = min_i64(created, left);
    left -= created;
    read = min_i64(read, left);
    left -= read;
    cached = m->can_cache ? min_i64(cached, left) : 0;
    left -= cached;

    take(&left, &free);
    take(&cached, &free);
    take(&out, &free);

    if (use->batch) /* no discount on a discount */
        in_sum = ((__int128)left + cached + created + read) * PERMILLE;
    else
        in_sum = (__int128)left * PERMILLE + (__int128)cached * m->cached_permille +
                 (__int128)created * CACHE_CREATED_PERMILLE + (__int128)read * CACHE_READ_PERMILLE;
    sum = in_sum * row->amount[PRICE_IN] +
          (__int128)out * PERMILLE * row->amount[use->thinking ? PRICE_OUT_THINKING : PRICE_OUT];
    if (use->batch)
        sum = sum * BATCH_PERMILLE / PERMILLE; /* whole: every term has the factor */
    sum = (sum + scale / 2) / scale;
    return sum > INT64_MAX ? INT64_MAX : (int64_t)sum;
}

/* Into how many parts of what an amount is for made() counts; and what a free quota counts has. */
static int64_t parts(const struct price *p, int64_t *ret_unit)
{
    *ret_unit = p->unit == PRICE_CHARS ? 1 : 1000;
    return p->unit == PRICE_CHARS ? CHARS_PER_PRICE : 1000;
}

static int64_t made(const struct price *p, const struct price_use *use)
{
    switch (p->unit) {
    case PRICE_IMAGES:
        return use->images * 1000;
    case PRICE_SECONDS:
        return use->play_ms;
    case PRICE_CALLS:
        return price_is_made(use) ? 1000 : 0;
    case PRICE_CHARS:
        return use->characters;
    case PRICE_TOKENS:
        break;
    }
    return 0;
}

int64_t price_units(const struct model *m, enum price_region region, const struct price_use *use)
{
    const struct price *p = m ? m->prices[region] : NULL;
    int64_t             unit;

    if (!p)
        return 0;
    (void)parts(p, &unit);
    return (made(p, use) + unit - 1) / unit;
}

int64_t price_made(const struct model *m, enum price_region region, const struct price_use *use)
{
    const struct price     *p = m ? m->prices[region] : NULL;
    const struct price_row *row;
    int64_t                 n, unit, whole;

    if (!p)
        return 0;
    whole = parts(p, &unit);
    n = max_i64(0, made(p, use) - use->free * unit);
    row = &p->rows[0];
    for (unsigned i = 0; i < p->row_count && use->when.len; i++) {
        if (str_find_str_nocase(p->rows[i].when, use->when) != STR_NONE) {
            row = &p->rows[i];
            break;
        }
    }
    return (int64_t)(((__int128)n * row->amount[PRICE_IN] + whole / 2) / whole);
}

str price_currency(enum price_region region)
{
    static const str names[PRICE_REGION_COUNT] = { S("CNY"), S("USD") };

    ASSERT(region < PRICE_REGION_COUNT);
    return names[region];
}

void price_format(char text[PRICE_TEXT_MAX], int64_t millionths)
{
    uint64_t v = millionths < 0 ? 0 - (uint64_t)millionths : (uint64_t)millionths;
    int      n = snprintf(text, PRICE_TEXT_MAX, "%s%llu.%06llu", millionths < 0 ? "-" : "",
                          (unsigned long long)(v / MILLIONTHS), (unsigned long long)(v % MILLIONTHS));

    for (int places = 6; places > 2 && text[n - 1] == '0'; places--)
        text[--n] = 0;
}

bool price_parse(str text, int64_t *ret)
{
    bool    minus = text.len && text.ptr[0] == '-';
    size_t  places = 0;
    bool    point = false, digits = false;
    int64_t v = 0;

    for (size_t i = minus; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9' || (point && ++places > 6) || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, c - '0', &v))
            return false;
        digits = true;
    }
    for (; places < 6; places++) {
        if (__builtin_mul_overflow(v, 10, &v))
            return false;
    }
    if (!digits)
        return false;
    *ret = minus ? -v : v;
    return true;
}
