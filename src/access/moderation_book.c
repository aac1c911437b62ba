/* moderation_book.c - workspace → set. */
#include "access/moderation_book.h"

#include "base/log.h"
#include "base/map.h"

#include <stdatomic.h>

/* A workspace that has policies. */
struct page {
    struct moderation_rule *rules; /* all of them, those left out too */
    size_t                  count;
    struct moderation_set  *set;
};

struct moderation_book {
    atomic_uint            holders;
    struct arena           arena;
    struct moderation_set *global;
    struct map             pages;
};

/* The row E177 speaks of input alone. */
static unsigned policy_sides(enum moderation_kind kind)
{
    return kind == MODERATION_IP ? MODERATION_INPUT : MODERATION_BOTH;
}

static bool policy_rule(const struct moderation_policy *p, struct moderation_rule *ret)
{
    enum moderation_kind kind;

    if (!moderation_kind_read(p->kind, &kind))
        return false;
    *ret = (struct moderation_rule){
        .id = p->id,
        .pattern = p->pattern,
        .is_regex = p->is_regex,
        .kind = kind,
        .sides = policy_sides(kind),
    };
    return true;
}

enum err moderation_policy_check(const struct moderation_policy *p, struct arena *a, str *ret_problem)
{
    struct moderation_rule    rule;
    struct moderation_set    *set;
    struct moderation_problem problem;
    enum err                  e;

    if (!policy_rule(p, &rule)) {
        *ret_problem = arena_printf(a, "no kind of policy: %.*s", STR_ARG(p->kind));
        return ERR_INVALID;
    }
    e = moderation_compile(&rule, 1, NULL, a, &set, &problem);
    if (e)
        *ret_problem = problem.text;
    else
        moderation_release(set);
    return e;
}

static bool rules_equal(const struct page *x, const struct page *y)
{
    if (x->count != y->count)
        return false;
    for (size_t i = 0; i < x->count; i++) {
        const struct moderation_rule *r = &x->rules[i], *s = &y->rules[i];

        if (!str_eq(r->id, s->id) || !str_eq(r->pattern, s->pattern) || r->is_regex != s->is_regex ||
            r->kind != s->kind)
            return false;
    }
    return true;
}

/* Without the rules that cannot be compiled. */
static struct moderation_set *compile_good(str workspace, const struct page *page, struct moderation_set *global)
{
    struct moderation_set    *set = NULL;
    struct moderation_problem problem;
    struct moderation_rule   *rules;
    struct arena              work;
    size_t                    count = page->count;

    arena_init(&work, 0);
    rules = arena_array(&work, struct moderation_rule, count);
    if (count)
        memcpy(rules, page->rules, count * sizeof(*rules));
    while (moderation_compile(rules, count, global, &work, &set, &problem)) {
        if (problem.rule == SIZE_MAX) {
            log_error("moderation: workspace %.*s: %.*s, leaving out all of its policies", STR_ARG(workspace),
                      STR_ARG(problem.text));
            break;
        }
        log_error("moderation: workspace %.*s: policy %.*s, leaving it out", STR_ARG(workspace), STR_ARG(problem.text));
        count--;
        memmove(rules + problem.rule, rules + problem.rule + 1, (count - problem.rule) * sizeof(*rules));
    }
    arena_free(&work);
    return set ? set : moderation_hold(global);
}

static struct page *page_of(struct moderation_book *b, str workspace)
{
    struct page *page = map_get(&b->pages, workspace);

    if (!page) {
        page = arena_new(&b->arena, struct page);
        map_put(&b->pages, arena_str(&b->arena, workspace), page);
    }
    return page;
}

/* First counts, then fills: the rules of a workspace are one array. */
static void pages_fill(struct moderation_book *b, const struct moderation_policy *policies, size_t count)
{
    struct moderation_rule rule;

    for (size_t i = 0; i < count; i++)
        page_of(b, policies[i].workspace)->count++;
    for (struct map_entry *e = NULL; (e = map_next(&b->pages, e));) {
        struct page *page = e->value;

        page->rules = arena_array(&b->arena, struct moderation_rule, page->count);
        page->count = 0;
    }
    for (size_t i = 0; i < count; i++) {
        struct page *page = page_of(b, policies[i].workspace);

        if (!policy_rule(&policies[i], &rule)) {
            log_error("moderation: policy %.*s has no known kind, leaving it out", STR_ARG(policies[i].id));
            continue;
        }
        rule.id = arena_str(&b->arena, rule.id);
        rule.pattern = arena_str(&b->arena, rule.pattern);
        page->rules[page->count++] = rule;
    }
}

struct moderation_book *moderation_book_make(struct moderation_set *global, const struct moderation_policy *policies,
                                             size_t count, const struct moderation_book *old)
{
    struct moderation_book *b = xcalloc(1, sizeof(*b));

    atomic_init(&b->holders, 1);
    arena_init(&b->arena, 0);
    map_init(&b->pages);
    b->global = moderation_hold(global);
    pages_fill(b, policies, count);
    for (struct map_entry *e = NULL; (e = map_next(&b->pages, e));) {
        struct page       *page = e->value;
        const struct page *before = old && old->global == global ? map_get(&old->pages, e->key) : NULL;

        page->set =
            before && rules_equal(page, before) ? moderation_hold(before->set) : compile_good(e->key, page, global);
    }
    return b;
}

struct moderation_book *moderation_book_hold(struct moderation_book *b)
{
    if (b)
        atomic_fetch_add_explicit(&b->holders, 1, memory_order_relaxed);
    return b;
}

void moderation_book_release(struct moderation_book *b)
{
    if (!b || atomic_fetch_sub_explicit(&b->holders, 1, memory_order_acq_rel) != 1)
        return;
    for (struct map_entry *e = NULL; (e = map_next(&b->pages, e));)
        moderation_release(((struct page *)e->value)->set);
    map_free(&b->pages);
    moderation_release(b->global);
    arena_free(&b->arena);
    free(b);
}

struct moderation_set *moderation_book_find(const struct moderation_book *b, str workspace)
{
    const struct page *page;

    if (!b)
        return NULL;
    page = map_get(&b->pages, workspace);
    return page ? page->set : b->global;
}
