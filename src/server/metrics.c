/* metrics.c - counters as Prometheus reads them. */
#include "server/metrics.h"

void counters_init(struct counters *c)
{
    *c = (struct counters){ 0 };
    arena_init(&c->arena, 0);
    map_init(&c->by_label);
}

void counters_free(struct counters *c)
{
    map_free(&c->by_label);
    arena_free(&c->arena);
}

/* A value of a label: quotes, backslashes and line breaks are escaped. */
static void add_value(struct buf *b, str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (c == '"' || c == '\\')
            buf_add_char(b, '\\');
        if (c == '\n')
            buf_add(b, S("\\n"));
        else
            buf_add_char(b, c);
    }
}

static str label_of(struct arena *a, str name, str value, str name2, str value2)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    buf_add(&b, name);
    buf_add(&b, S("=\""));
    add_value(&b, value);
    buf_add_char(&b, '"');
    if (name2.len) {
        buf_add_char(&b, ',');
        buf_add(&b, name2);
        buf_add(&b, S("=\""));
        add_value(&b, value2);
        buf_add_char(&b, '"');
    }
    return buf_str(&b);
}

static struct series *series_of_label(struct counters *c, enum series_by by, str label)
{
    struct series *s = map_get(&c->by_label, label);

    if (!s) {
        s = arena_new(&c->arena, struct series);
        s->by = by;
        s->label = label;
        s->next = atomic_load_explicit(&c->series, memory_order_relaxed);
        map_put(&c->by_label, label, s);
        atomic_store_explicit(&c->series, s, memory_order_release);
    }
    atomic_store_explicit(&s->live, true, memory_order_relaxed);
    return s;
}

struct series *series_of_engine(struct counters *c, str name)
{
    return series_of_label(c, BY_ENGINE, label_of(&c->arena, S("engine"), name, S(""), S("")));
}

struct series *series_of_upstream(struct counters *c, str engine, str url)
{
    return series_of_label(c, BY_UPSTREAM, label_of(&c->arena, S("engine"), engine, S("upstream"), url));
}

struct series *series_of_model(struct counters *c, str id)
{
    struct series *s = map_get(&c->by_label, id); /* an id has no quotes: it is no other series' label */

    if (s)
        return s;
    if (c->model_count == SERIES_MODELS_MAX)
        return series_of_label(c, BY_MODEL, S("model=\"other\""));
    c->model_count++;
    id = arena_str(&c->arena, id);
    s = series_of_label(c, BY_MODEL, label_of(&c->arena, S("model"), id, S(""), S("")));
    map_put(&c->by_label, id, s);
    return s;
}

void series_hide(struct counters *c, enum series_by by)
{
    for (struct series *s = atomic_load_explicit(&c->series, memory_order_relaxed); s; s = s->next) {
        if (s->by == by)
            atomic_store_explicit(&s->live, false, memory_order_relaxed);
    }
}

static void write_head(struct buf *b, str name, str help, str type)
{
    buf_addf(b, "# HELP %.*s %.*s\n# TYPE %.*s %.*s\n", STR_ARG(name), STR_ARG(help), STR_ARG(name), STR_ARG(type));
}

/* The workers' series of one label, together. */
struct sum {
    struct sum    *next;
    enum series_by by;
    str            label;
    int64_t        at[SERIES_COUNT];
};

/* An upstream is up when it is so for all; everything else adds up. */
static void sum_add(struct sum *sum, const struct series *s, bool first)
{
    for (size_t i = 0; i < SERIES_COUNT; i++) {
        int64_t v = atomic_load_explicit(&s->at[i], memory_order_relaxed);

        if (i == SERIES_UPSTREAM_UP)
            sum->at[i] = first || v < sum->at[i] ? v : sum->at[i];
        else
            sum->at[i] += v;
    }
}

static struct sum *sum_all(struct counters *const *all, size_t count, struct arena *a)
{
    struct sum *sums = NULL, **end = &sums;
    struct map  found;

    map_init(&found);
    for (size_t k = 0; k < count; k++) {
        for (struct series *s = atomic_load_explicit(&all[k]->series, memory_order_acquire); s; s = s->next) {
            struct sum *sum = map_get(&found, s->label);
            bool        first = !sum;

            if (!atomic_load_explicit(&s->live, memory_order_relaxed))
                continue;
            if (first) {
                sum = arena_new(a, struct sum);
                sum->by = s->by;
                sum->label = s->label;
                map_put(&found, s->label, sum);
                *end = sum;
                end = &sum->next;
            }
            sum_add(sum, s, first);
        }
    }
    map_free(&found);
    return sums;
}

void metrics_write(struct buf *b, struct counters *const *all, size_t count, struct arena *a)
{
    const struct sum *sums = sum_all(all, count, a);
    str               last = { 0 };

    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        const struct counter_row *row = &counter_rows[i];
        int64_t                   sum = 0;

        for (size_t k = 0; k < count; k++)
            sum += atomic_load_explicit(&all[k]->at[i], memory_order_relaxed);
        if (!str_eq(last, row->name)) {
            write_head(b, row->name, row->help, row->type);
            last = row->name;
        }
        buf_add(b, row->name);
        if (row->label.len) {
            buf_add_char(b, '{');
            buf_add(b, row->label);
            buf_add_char(b, '}');
        }
        buf_addf(b, " %lld\n", (long long)sum);
    }
    for (size_t i = 0; i < SERIES_COUNT; i++) {
        const struct series_row *row = &series_rows[i];

        write_head(b, row->name, row->help, row->type);
        for (const struct sum *s = sums; s; s = s->next) {
            if (s->by == row->by)
                buf_addf(b, "%.*s{%.*s} %lld\n", STR_ARG(row->name), STR_ARG(s->label), (long long)s->at[i]);
        }
    }
}
