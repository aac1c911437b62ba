/* metrics.c - counters as Prometheus reads them. */
#include "server/metrics.h"

void metrics_write(struct buf *b, struct counters *const *all, size_t count)
{
    str last = { 0 };

    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        const struct counter_row *row = &counter_rows[i];
        int64_t                   sum = 0;

        for (size_t k = 0; k < count; k++)
            sum += atomic_load_explicit(&all[k]->at[i], memory_order_relaxed);
        if (!str_eq(last, row->name)) {
            buf_addf(b, "# HELP %.*s %.*s\n# TYPE %.*s %.*s\n", STR_ARG(row->name), STR_ARG(row->help), STR_ARG(row->name),
                     STR_ARG(row->type));
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
}
