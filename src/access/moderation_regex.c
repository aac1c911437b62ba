/* moderation_regex.c - regular expressions as one automaton.
 *
 * An expression is read into a tree (moderation_regex_read.c), the tree is written out as nodes that each take a byte or
 * choose (Thompson's machine), and
 * the nodes of all expressions are walked together: the set of nodes that the text so far can have led to is a state.
 * States
 * and the steps between them are made when a text first needs them and then remembered; when there are too many all are
 * forgotten. An expression can begin anywhere, so the first nodes of all of them belong to every state: they are not
 * kept in
 * it, but what each byte makes of them is worked out once.
 *
 * "\b" and "$" need to see what comes next. They wait in the state as nodes, and are followed or dropped at the next byte.
 */
#include "access/moderation_regex.h"

#include "access/moderation_regex_read.h"
#include "base/hash.h"
#include "base/utf8.h"

#include <stdlib.h>

#define NONE       UINT32_MAX
#define FUEL       (2 * REGEX_NODES_MAX) /* steps of writing an expression out: ((){1000}){1000} makes none but takes long */
#define STATES_MAX 4096
#define POOL_MAX   ((size_t)1000000) /* nodes in all states */
#define HIT        0x80000000u

/* ---- nodes ---- */

enum node_kind { NODE_BYTES, NODE_SPLIT, NODE_MATCH, NODE_CHECK };

struct node {
    unsigned char kind, low, high; /* BYTES: takes low…high */
    unsigned char check;           /* CHECK */
    uint32_t      out, out2;       /* out2: SPLIT. MATCH: out is an index of matches */
};

struct match {
    uint32_t rule;
    unsigned sides;
};

/* What a byte makes of the first nodes of all expressions. */
struct start_step {
    uint32_t *nodes;
    uint32_t  count;
    uint32_t  rules[2];
};

struct regexes {
    struct arena      *arena;
    struct node       *nodes;
    uint32_t           node_count, node_cap;
    struct match      *matches;
    uint32_t          *starts;
    uint32_t           count, cap; /* of matches and starts */
    bool               has_bounds;
    unsigned char      classes[256];
    unsigned           class_count;
    unsigned           row_shift;       /* rows have that power of two cells */
    unsigned char      class_byte[256]; /* one of each */
    struct start_step *start_steps;     /* [after a word character][class] */
};

struct writer {
    struct regexes *r;
    uint32_t        first; /* node of this expression */
    unsigned        fuel;
};

static bool is_full(const struct writer *w)
{
    return w->r->node_count - w->first > REGEX_NODES_MAX || w->fuel == 0;
}

static uint32_t node_add(struct writer *w, struct node node)
{
    struct regexes *r = w->r;

    if (r->node_count == r->node_cap) {
        uint32_t cap = r->node_cap ? 2 * r->node_cap : 64;

        r->nodes = arena_realloc(r->arena, r->nodes, r->node_cap * sizeof(node), cap * sizeof(node));
        r->node_cap = cap;
    }
    r->nodes[r->node_count] = node;
    return r->node_count++;
}

static uint32_t split_add(struct writer *w, uint32_t out, uint32_t out2)
{
    return node_add(w, (struct node){ .kind = NODE_SPLIT, .out = out, .out2 = out2 });
}

/* The node that takes these bytes and goes on there: an old one of the same class, if there is one among the last. */
static uint32_t bytes_add(struct writer *w, uint32_t since, unsigned char low, unsigned char high, uint32_t out)
{
    uint32_t first = w->r->node_count - since > 64 ? w->r->node_count - 64 : since;

    for (uint32_t i = w->r->node_count; i > first; i--) {
        const struct node *n = &w->r->nodes[i - 1];

        if (n->kind == NODE_BYTES && n->low == low && n->high == high && n->out == out)
            return i - 1;
    }
    return node_add(w, (struct node){ .kind = NODE_BYTES, .low = low, .high = high, .out = out });
}

struct class_writer {
    uint32_t since, next; /* first node of the class; where it leads */
    uint32_t entry;       /* NONE: nothing yet */
};

/* Code points whose encodings are equally long and whose bytes vary independently of each other. */
static void write_bytes(struct writer *w, struct class_writer *c, uint32_t low, uint32_t high)
{
    char     a[4], b[4];
    size_t   len = utf8_encode(a, low);
    uint32_t node = c->next;

    utf8_encode(b, high);
    while (len-- > 0)
        node = bytes_add(w, c->since, (unsigned char)a[len], (unsigned char)b[len], node);
    c->entry = c->entry == NONE ? node : split_add(w, node, c->entry);
}

/* Cuts the range until write_bytes() can take it; at most some ten pieces. */
static void write_range(struct writer *w, struct class_writer *c, uint32_t low, uint32_t high)
{
    static const uint32_t lengths[] = { 0x7F, 0x7FF, 0xFFFF };

    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        if (low <= lengths[i] && high > lengths[i]) {
            write_range(w, c, low, lengths[i]);
            write_range(w, c, lengths[i] + 1, high);
            return;
        }
    }
    for (unsigned bits = 6; high >= 0x80 && bits <= 18; bits += 6) {
        uint32_t mask = (1u << bits) - 1;

        if ((low & ~mask) == (high & ~mask))
            continue;
        if (low & mask) {
            write_range(w, c, low, low | mask);
            write_range(w, c, (low | mask) + 1, high);
            return;
        }
        if ((high & mask) != mask) {
            write_range(w, c, low, (high & ~mask) - 1);
            write_range(w, c, high & ~mask, high);
            return;
        }
    }
    write_bytes(w, c, low, high);
}

static uint32_t write_class(struct writer *w, const struct ranges *s, uint32_t next)
{
    struct class_writer c = { .since = w->r->node_count, .next = next, .entry = NONE };

    for (size_t i = 0; i < s->len && !is_full(w); i++)
        write_range(w, &c, s->ptr[i].first, s->ptr[i].last);
    /* A class of nothing, [^\s\S], is a node that takes no byte. */
    return c.entry != NONE ? c.entry
                           : node_add(w, (struct node){ .kind = NODE_BYTES, .low = 1, .high = 0, .out = next });
}

static uint32_t write_tree(struct writer *w, const struct tree *t, uint32_t next);

static uint32_t write_repeat(struct writer *w, const struct tree *t, uint32_t next)
{
    uint32_t entry = next;
    unsigned copies = t->least;

    if (t->most == REGEX_REPEAT_OPEN) {
        uint32_t split = split_add(w, 0, next), body = write_tree(w, t->kids, split);

        w->r->nodes[split].out = body;
        entry = t->least ? body : split;
        copies = t->least ? t->least - 1 : 0;
    } else {
        for (unsigned i = t->least; i < t->most && !is_full(w); i++)
            entry = split_add(w, write_tree(w, t->kids, entry), next);
    }
    for (unsigned i = 0; i < copies && !is_full(w); i++)
        entry = write_tree(w, t->kids, entry);
    return entry;
}

/* Writes the nodes of the tree; `next` is where they lead. Returns the first. When the writer is full the nodes mean
 * nothing. */
static uint32_t write_tree(struct writer *w, const struct tree *t, uint32_t next)
{
    uint32_t entry = next;

    if (is_full(w))
        return next;
    w->fuel--;
    switch (t->kind) {
    case TREE_CLASS:
        return write_class(w, &t->ranges, next);
    case TREE_REPEAT:
        return write_repeat(w, t, next);
    case TREE_CHECK:
        w->r->has_bounds |= t->check == CHECK_BOUND || t->check == CHECK_NO_BOUND;
        return node_add(w, (struct node){ .kind = NODE_CHECK, .check = (unsigned char)t->check, .out = next });
    case TREE_CAT:
        for (const struct tree *kid = t->kids; kid; kid = kid->next)
            entry = write_tree(w, kid, entry);
        return entry;
    case TREE_OR:
        entry = write_tree(w, t->kids, next);
        for (const struct tree *kid = t->kids->next; kid; kid = kid->next)
            entry = split_add(w, write_tree(w, kid, next), entry);
        return entry;
    }
    return entry;
}

/* ---- sets of nodes ---- */

/* A set that is being gathered: which nodes were met, which of them stay, which rules were met. */
struct gather {
    const struct regexes *r;
    uint32_t             *met; /* by node: the turn in which it was met */
    uint32_t              turn;
    uint32_t             *stack; /* grows by one for each node that is met, at most */
    uint32_t             *list;
    uint32_t              count;
    uint32_t              rules[2];
};

static void gather_open(struct gather *g, const struct regexes *r)
{
    *g = (struct gather){ .r = r,
                          .met = xcalloc(r->node_count, 4),
                          .stack = xmalloc(((size_t)r->node_count + 1) * 4),
                          .list = xmalloc(((size_t)r->node_count + 1) * 4) };
}

static void gather_close(struct gather *g)
{
    free(g->met);
    free(g->stack);
    free(g->list);
}

static void gather_begin(struct gather *g)
{
    if (++g->turn == 0) {
        memset(g->met, 0, g->r->node_count * sizeof(*g->met));
        g->turn = 1;
    }
    g->count = 0;
    g->rules[0] = g->rules[1] = NONE;
}

static void rules_least(uint32_t rules[2], const uint32_t others[2])
{
    for (unsigned side = 0; side < 2; side++)
        if (others[side] < rules[side])
            rules[side] = others[side];
}

/* Adds a node and all that can be reached without taking a byte. `holds` are the checks that hold here, as bits. The others
 * stay in the set, as they may hold when more is known, but for the one of the beginning. */
static void gather_add(struct gather *g, uint32_t node, unsigned holds)
{
    uint32_t depth = 0;

    g->stack[depth++] = node;
    while (depth) {
        uint32_t           i = g->stack[--depth];
        const struct node *n = &g->r->nodes[i];

        if (g->met[i] == g->turn)
            continue;
        g->met[i] = g->turn;
        switch ((enum node_kind)n->kind) {
        case NODE_SPLIT:
            g->stack[depth++] = n->out2;
            g->stack[depth++] = n->out;
            break;
        case NODE_MATCH:
            for (unsigned side = 0; side < 2; side++)
                if ((g->r->matches[n->out].sides & BIT(side)) && g->r->matches[n->out].rule < g->rules[side])
                    g->rules[side] = g->r->matches[n->out].rule;
            break;
        case NODE_CHECK:
            if (holds & BIT(n->check))
                g->stack[depth++] = n->out;
            else if (n->check != CHECK_BEGIN)
                g->list[g->count++] = i;
            break;
        case NODE_BYTES:
            g->list[g->count++] = i;
            break;
        }
    }
}

static void gather_add_all(struct gather *g, const uint32_t *nodes, uint32_t count, unsigned holds)
{
    for (uint32_t i = 0; i < count; i++)
        gather_add(g, nodes[i], holds);
}

static bool is_word_byte(unsigned c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= 'a' && c <= 'z');
}

/* The checks that hold between the last byte and the next one. */
static unsigned holds_between(bool after_word, bool before_word)
{
    return after_word == before_word ? BIT(CHECK_NO_BOUND) : BIT(CHECK_BOUND);
}

/* Adds what the byte makes of these nodes. */
static void gather_step(struct gather *g, const uint32_t *nodes, uint32_t count, unsigned c)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct node *n = &g->r->nodes[nodes[i]];

        if (n->kind == NODE_BYTES && n->low <= c && c <= n->high)
            gather_add(g, n->out, 0);
    }
}

/* ---- the machine ---- */

struct regexes *regexes_new(struct arena *a)
{
    struct regexes *r = arena_new(a, struct regexes);

    r->arena = a;
    return r;
}

/* Whether the end can be reached without taking a byte, all checks granted. */
static bool matches_nothing(const struct regexes *r, uint32_t start)
{
    struct gather g;
    bool          found;

    gather_open(&g, r);
    gather_begin(&g);
    gather_add(&g, start, ~0u);
    found = g.rules[0] != NONE || g.rules[1] != NONE;
    gather_close(&g);
    return found;
}

static void match_add(struct regexes *r, uint32_t rule, unsigned sides)
{
    if (r->count == r->cap) {
        uint32_t cap = r->cap ? 2 * r->cap : 16;

        r->matches = arena_realloc(r->arena, r->matches, r->cap * sizeof(*r->matches), cap * sizeof(*r->matches));
        r->starts = arena_realloc(r->arena, r->starts, r->cap * sizeof(*r->starts), cap * sizeof(*r->starts));
        r->cap = cap;
    }
    r->matches[r->count] = (struct match){ rule, sides };
}

/* Writes the expression out. NULL, or what is wrong with it. */
static const char *expression_add(struct regexes *r, const struct tree *t, uint32_t rule, unsigned sides, enum err *ret)
{
    struct writer w = { .r = r, .first = r->node_count, .fuel = FUEL };
    uint32_t      end;

    match_add(r, rule, sides);
    end = node_add(&w, (struct node){ .kind = NODE_MATCH, .out = r->count });
    r->starts[r->count++] = write_tree(&w, t, end);
    *ret = ERR_LIMIT;
    if (is_full(&w))
        return "too large when its repeats are written out";
    if (r->node_count > REGEXES_NODES_MAX)
        return "too large together with those before it";
    *ret = ERR_INVALID;
    return matches_nothing(r, r->starts[r->count - 1]) ? "would match the empty text" : NULL;
}

enum err regexes_add(struct regexes *r, str pattern, uint32_t rule, unsigned sides, const char **ret_problem)
{
    struct arena work;
    struct tree *t;
    enum err     e;

    arena_init(&work, 0);
    e = regex_read(pattern, &work, &t, ret_problem);
    if (!e) {
        const char *problem = expression_add(r, t, rule, sides, &e);

        if (problem)
            *ret_problem = problem;
        else
            e = OK;
    }
    arena_free(&work);
    return e;
}

/* Bytes that no node tells apart are one class. */
static void classes_find(struct regexes *r)
{
    bool begins[257] = { false };
    unsigned class = 0;

    for (uint32_t i = 0; i < r->node_count; i++) {
        if (r->nodes[i].kind == NODE_BYTES) {
            begins[r->nodes[i].low] = true;
            begins[r->nodes[i].high + 1] = true;
        }
    }
    for (unsigned c = 1; c < 256 && r->has_bounds; c++)
        begins[c] |= is_word_byte(c) != is_word_byte(c - 1);
    for (unsigned c = 0; c < 256; c++) {
        class += c > 0 && begins[c];
        r->classes[c] = (unsigned char)class;
        r->class_byte[class] = (unsigned char)c;
    }
    r->class_count = class + 1;
    while (r->class_count > 1u << r->row_shift)
        r->row_shift++;
}

void regexes_finish(struct regexes *r)
{
    struct gather first, after;

    classes_find(r);
    r->start_steps = arena_array(r->arena, struct start_step, 2 * (size_t)r->class_count);
    gather_open(&first, r);
    gather_open(&after, r);
    for (unsigned i = 0; i < 2 * r->class_count; i++) {
        unsigned           c = r->class_byte[i % r->class_count];
        struct start_step *s = &r->start_steps[i];

        gather_begin(&first);
        gather_add_all(&first, r->starts, r->count, holds_between(i >= r->class_count, is_word_byte(c)));
        gather_begin(&after);
        gather_step(&after, first.list, first.count, c);
        s->nodes = arena_array(r->arena, uint32_t, after.count);
        s->count = after.count;
        if (s->count)
            memcpy(s->nodes, after.list, s->count * sizeof(*s->nodes));
        memcpy(s->rules, after.rules, sizeof(s->rules));
    }
    gather_close(&first);
    gather_close(&after);
}

/* ---- states ---- */

struct state {
    uint32_t at, count; /* its nodes, in the pool; sorted */
    uint32_t rules[2];  /* that were found on the way into it */
    uint32_t hash;
    bool     begun, after_word;
    bool     has_checks;
};

struct regex_cache {
    const struct regexes *r;
    struct gather         now, next;
    struct state         *states;
    uint32_t              count;
    uint32_t             *rows; /* [state][class]: the next state + 1, and HIT when it has rules; 0: not known yet */
    uint32_t             *pool;
    size_t                pool_used, pool_cap;
    uint32_t              table[2 * STATES_MAX]; /* state + 1 by hash */
    uint32_t              flushes;
};

struct regex_cache *regex_cache_open(const struct regexes *r)
{
    struct regex_cache *c = xcalloc(1, sizeof(*c));

    c->r = r;
    gather_open(&c->now, r);
    gather_open(&c->next, r);
    c->pool_cap = 1024;
    c->pool = xmalloc(c->pool_cap * sizeof(*c->pool));
    c->states = xmalloc(STATES_MAX * sizeof(*c->states));
    c->rows = xmalloc(((size_t)STATES_MAX << r->row_shift) * sizeof(*c->rows));
    return c;
}

void regex_cache_close(struct regex_cache *c)
{
    if (!c)
        return;
    gather_close(&c->now);
    gather_close(&c->next);
    free(c->states);
    free(c->rows);
    free(c->pool);
    free(c);
}

static void cache_flush(struct regex_cache *c)
{
    c->count = 0;
    c->pool_used = 0;
    memset(c->table, 0, sizeof(c->table));
    c->flushes++;
}

static int compare_nodes(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static bool state_is(const struct regex_cache *c, const struct state *s, const struct state *want,
                     const uint32_t *nodes)
{
    return s->hash == want->hash && s->count == want->count && s->begun == want->begun &&
           s->after_word == want->after_word && s->rules[0] == want->rules[0] && s->rules[1] == want->rules[1] &&
           (s->count == 0 || memcmp(c->pool + s->at, nodes, s->count * sizeof(*nodes)) == 0);
}

static uint32_t state_add(struct regex_cache *c, const struct state *want, const uint32_t *nodes)
{
    struct state *s = &c->states[c->count];

    if (want->count > c->pool_cap - c->pool_used) {
        c->pool_cap = 2 * c->pool_cap + want->count;
        c->pool = xrealloc(c->pool, c->pool_cap * sizeof(*c->pool));
    }
    *s = *want;
    s->at = (uint32_t)c->pool_used;
    if (s->count)
        memcpy(c->pool + s->at, nodes, s->count * sizeof(*nodes));
    c->pool_used += s->count;
    for (uint32_t i = 0; i < s->count; i++)
        s->has_checks |= c->r->nodes[nodes[i]].kind == NODE_CHECK;
    memset(c->rows + ((size_t)c->count << c->r->row_shift), 0, c->r->class_count * sizeof(*c->rows));
    return c->count++;
}

/* The state of these nodes, which are sorted here; a new one may make the cache forget all others. */
static uint32_t state_find(struct regex_cache *c, struct state want, uint32_t *nodes)
{
    uint32_t i;

    if (want.count > 1)
        qsort(nodes, want.count, sizeof(*nodes), compare_nodes);
    want.hash = (uint32_t)hash_bytes(str_of((const char *)nodes, want.count * sizeof(*nodes)),
                                     (uint64_t)want.rules[0] << 32 | want.rules[1]);
    want.hash ^= (uint32_t)want.begun << 1 | (uint32_t)want.after_word;
    for (i = want.hash % ARRAY_LEN(c->table); c->table[i]; i = (i + 1) % ARRAY_LEN(c->table))
        if (state_is(c, &c->states[c->table[i] - 1], &want, nodes))
            return c->table[i] - 1;
    if (c->count == STATES_MAX || c->pool_used + want.count > POOL_MAX) {
        cache_flush(c);
        i = want.hash % ARRAY_LEN(c->table);
    }
    c->table[i] = c->count + 1;
    return state_add(c, &want, nodes);
}

/* Works out what the byte makes of a state. */
static uint32_t state_step(struct regex_cache *c, uint32_t from, unsigned byte)
{
    const struct regexes *r = c->r;
    struct state s = c->states[from], want = { .begun = true, .after_word = r->has_bounds && is_word_byte(byte) };
    unsigned class = r->classes[byte];
    unsigned        holds = holds_between(s.after_word, is_word_byte(byte));
    const uint32_t *nodes = c->pool + s.at;
    uint32_t        count = s.count, flushes = c->flushes, to, cell;

    gather_begin(&c->now);
    if (s.has_checks) {
        gather_add_all(&c->now, nodes, count, holds);
        nodes = c->now.list;
        count = c->now.count;
    }
    gather_begin(&c->next);
    if (count)
        gather_step(&c->next, nodes, count, byte);
    /* What waited for this byte is found with it. */
    rules_least(c->next.rules, c->now.rules);
    if (s.begun) {
        const struct start_step *step = &r->start_steps[s.after_word * r->class_count + class];

        gather_add_all(&c->next, step->nodes, step->count, 0);
        rules_least(c->next.rules, step->rules);
    } else {
        gather_begin(&c->now);
        gather_add_all(&c->now, r->starts, r->count, holds | BIT(CHECK_BEGIN));
        gather_step(&c->next, c->now.list, c->now.count, byte);
    }
    want.count = c->next.count;
    memcpy(want.rules, c->next.rules, sizeof(want.rules));
    to = state_find(c, want, c->next.list);
    cell = (to + 1) | (want.rules[0] != NONE || want.rules[1] != NONE ? HIT : 0);
    if (c->flushes == flushes)
        c->rows[((size_t)from << r->row_shift) + class] = cell;
    return cell;
}

/* ---- scanning ---- */

void regex_place_free(struct regex_place *p)
{
    free(p->nodes);
    *p = (struct regex_place){ 0 };
}

static uint32_t place_state(struct regex_cache *c, const struct regex_place *p)
{
    struct state want = { .count = p->count, .rules = { NONE, NONE }, .begun = p->begun, .after_word = p->after_word };

    return state_find(c, want, p->nodes);
}

static void place_keep(struct regex_place *p, const struct regex_cache *c, const struct state *s)
{
    if (s->count > p->cap) {
        p->cap = 2 * s->count;
        p->nodes = xrealloc(p->nodes, p->cap * sizeof(*p->nodes));
    }
    if (s->count)
        memcpy(p->nodes, c->pool + s->at, s->count * sizeof(*p->nodes));
    p->count = s->count;
    p->begun = s->begun;
    p->after_word = s->after_word;
}

bool regexes_scan(struct regex_cache *c, struct regex_place *p, str run, unsigned side, size_t *ret_end,
                  uint32_t *ret_rule)
{
    const unsigned char *classes = c->r->classes;
    const unsigned       shift = c->r->row_shift;
    uint32_t             s = place_state(c, p);

    for (size_t i = 0; i < run.len; i++) {
        unsigned char byte = (unsigned char)run.ptr[i];
        uint32_t      cell = c->rows[((size_t)s << shift) + classes[byte]];

        if (UNLIKELY(cell == 0))
            cell = state_step(c, s, byte);
        s = (cell & ~HIT) - 1;
        if (UNLIKELY(cell & HIT) && c->states[s].rules[side >> 1] != NONE) {
            *ret_end = i + 1;
            *ret_rule = c->states[s].rules[side >> 1];
            return true;
        }
    }
    place_keep(p, c, &c->states[s]);
    return false;
}

bool regexes_end(struct regex_cache *c, const struct regex_place *p, unsigned side, uint32_t *ret_rule)
{
    gather_begin(&c->now);
    gather_add_all(&c->now, p->nodes, p->count, holds_between(p->after_word, false) | BIT(CHECK_END));
    *ret_rule = c->now.rules[side >> 1];
    return *ret_rule != NONE;
}
