/* account.c - snapshots of the account: reading them, sharing them, asking them.
 *
 * Thread: a snapshot is read on the store's lane and shared read-only. A view belongs to its worker.
 * Spec: access.md §1, §3, §4.1, §11.
 */
#include "access/account.h"

#include "access/keys.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/num.h"
#include "base/rand.h"
#include "contract/errors.gen.h"
#include "contract/model.h"

#define OPENSSL_SUPPRESS_DEPRECATED /* see keys.c */
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SEEN_COUNT 256 /* keys that a view remembers, a power of two */

static_assert(KEY_HASH_LEN == SHA256_DIGEST_LENGTH, "keys are kept as SHA-256");

/* st-, the reference of the key that made it, when it ends (seconds), and a signature of both. */
#define TOKEN_REF_LEN     8
#define TOKEN_TIME_LEN    8
#define TOKEN_PAYLOAD_LEN (TOKEN_REF_LEN + TOKEN_TIME_LEN)
#define TOKEN_MAC_LEN     16
#define TOKEN_PREFIX_LEN  3
#define TOKEN_LEN         (TOKEN_PREFIX_LEN + 2 * (TOKEN_PAYLOAD_LEN + TOKEN_MAC_LEN))
#define TOKEN_SECRET      S("token_secret") /* the setting that it is signed with; never leaves the database */

struct setting {
    str name, value;
};

struct snapshot {
    struct account  account;
    struct arena    arena;
    struct map      keys_by_hash, keys_by_ref, keys_by_id;
    struct key     *keys;
    size_t          key_count;
    struct member  *members;
    size_t          member_count;
    struct setting *settings;
    size_t          setting_count;
    unsigned        refs; /* under source.lock */
};

struct account_source {
    struct store          *store;
    struct arena           extra_arena;
    str                   *extra; /* read and replaced on the store's lane, or before there is one */
    size_t                 extra_count;
    struct moderation_set *rules; /* of the configuration; on the lane, as the above */
    pthread_mutex_t        lock;  /* guards `current` and the refs of all snapshots */
    struct snapshot       *current;
    _Atomic uint64_t       generation;   /* of `current` */
    int64_t                data_version; /* SQLite's, when it was read; on the lane */
};

/* SHA-256 of the key at every request would cost as much as reading the request. A view remembers which key a text was,
 * by 128 bits of a hash whose seeds nobody outside knows; the text itself is not kept. */
struct seen {
    uint64_t          hash[2];
    const struct key *key; /* NULL: a free entry */
    int64_t           expires_ms;
};

/* A snapshot that requests of this worker hold, or the newest one. */
struct held {
    struct snapshot *snapshot;
    size_t           holds;
    struct held     *next;
};

struct account_view {
    struct account_source *source;
    struct held           *held; /* the newest first */
    uint64_t               generation;
    uint64_t               seed[2];
    struct seen            seen[SEEN_COUNT]; /* of the newest */
};

static const struct snapshot *snapshot_of(const struct account *a)
{
    return CONTAINER_OF(a, struct snapshot, account);
}

/* ---- asking ---- */

/* The element of a sorted array whose first member, a str, is `name`. */
static const void *sorted_find(const void *array, size_t count, size_t size, str name)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t      middle = low + (high - low) / 2;
        const char *at = (const char *)array + middle * size;
        int         order = str_cmp(*(const str *)(const void *)at, name);

        if (order == 0)
            return at;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static_assert(offsetof(struct workspace, id) == 0, "searched by the first member");
static_assert(offsetof(struct workspace_model, model) == 0, "searched by the first member");
static_assert(offsetof(struct account_model, model) == 0, "searched by the first member");
static_assert(offsetof(struct member, id) == 0, "searched by the first member");
static_assert(offsetof(struct setting, name) == 0, "searched by the first member");

const struct workspace *account_workspace(const struct account *a, str id)
{
    return sorted_find(a->workspaces, a->workspace_count, sizeof(*a->workspaces), id);
}

const struct member *account_member(const struct account *a, str id)
{
    const struct snapshot *s = snapshot_of(a);

    return sorted_find(s->members, s->member_count, sizeof(*s->members), id);
}

const struct key *account_key_by_id(const struct account *a, str id)
{
    return map_get(&snapshot_of(a)->keys_by_id, id);
}

const struct account_model *account_model(const struct account *a, str model)
{
    return sorted_find(a->models, a->model_count, sizeof(*a->models), model);
}

str account_setting(const struct account *a, str name)
{
    const struct snapshot *s = snapshot_of(a);
    const struct setting  *found = sorted_find(s->settings, s->setting_count, sizeof(*s->settings), name);

    return found ? found->value : (str){ 0 };
}

const struct workspace_model *workspace_model(const struct workspace *w, str model)
{
    const struct workspace_model *own = sorted_find(w->models, w->model_count, sizeof(*w->models), model);

    return own ? own : sorted_find(w->models, w->model_count, sizeof(*w->models), S("*"));
}

bool member_is_in(const struct member *m, const struct workspace *w)
{
    for (size_t i = 0; i < m->workspace_count; i++) {
        if (m->workspaces[i] == w)
            return true;
    }
    return false;
}

/* ---- permissions ---- */

/* The older reference tells clients of the compatible protocol that there is no such model. */
static enum err refuse_unpurchased(struct request *rq, const struct model *m)
{
    if (rq->surface == SURFACE_OPENAI && rq->settings->wording.edition == EDITION_2024)
        return fail_model_not_found_or_no_access(&rq->fault, m->id); /* REF: E198c */
    return fail_model_not_purchased(&rq->fault);                     /* REF: E192, E278 */
}

static enum err workspace_permits(struct request *rq, const struct model *m)
{
    const struct workspace_model *line;

    if (m->workspace.len) {
        if (str_eq(m->workspace, rq->space->id))
            return OK;
        if (rq->surface == SURFACE_OPENAI)
            return fail_model_no_openai_mode(&rq->fault, m->id); /* REF: E199 */
        return fail_model_access_denied(&rq->fault);             /* REF: E193 */
    }
    if (rq->space->is_default)
        return OK;
    line = workspace_model(rq->space, m->id);
    return line && line->allowed ? OK : fail_model_access_denied(&rq->fault); /* REF: E193 */
}

enum err account_permits(struct request *rq, const struct model *m)
{
    const struct account_model *am;

    if (rq->key->plan)
        return plan_has_model(rq->key->plan, m->id) ? OK
                                                    : fail_plan_model_unsupported(&rq->fault, m->id); /* REF: X098 */
    am = account_model(rq->account, m->id);
    if (!rq->account->activated || (am && !am->activated))
        return refuse_unpurchased(rq, m);
    if (am && !am->invited)
        return fail_access_denied(&rq->fault); /* REF: E191 */
    return workspace_permits(rq, m);
}

/* ---- temporary keys ---- */

/* HMAC-SHA256 (RFC 2104) with the account's secret, which is shorter than a block. */
static void sign(const struct account *a, str text, unsigned char ret[KEY_HASH_LEN])
{
    str           secret = account_setting(a, TOKEN_SECRET);
    unsigned char pad[SHA256_CBLOCK] = { 0 }, inner[KEY_HASH_LEN];
    SHA256_CTX    ctx;

    ASSERT(secret.len <= sizeof(pad));
    memcpy(pad, secret.ptr, secret.len);
    for (size_t i = 0; i < sizeof(pad); i++)
        pad[i] ^= 0x36;
    SHA256_Init(&ctx);
    SHA256_Update(&ctx, pad, sizeof(pad));
    SHA256_Update(&ctx, text.ptr, text.len);
    SHA256_Final(inner, &ctx);
    for (size_t i = 0; i < sizeof(pad); i++)
        pad[i] ^= 0x36 ^ 0x5c;
    SHA256_Init(&ctx);
    SHA256_Update(&ctx, pad, sizeof(pad));
    SHA256_Update(&ctx, inner, sizeof(inner));
    SHA256_Final(ret, &ctx);
}

/* What stands in a token for the key: nothing of the key or of its hash can be learnt from it. */
static void key_ref(const struct account *a, const struct key *k, unsigned char ret[TOKEN_REF_LEN])
{
    unsigned char mac[KEY_HASH_LEN];

    sign(a, str_of((const char *)k->hash, KEY_HASH_LEN), mac);
    memcpy(ret, mac, TOKEN_REF_LEN);
}

str account_token(const struct account *a, const struct key *k, int64_t expires_s, struct arena *arena)
{
    char         *text = arena_bytes(arena, TOKEN_LEN + 1);
    unsigned char payload[TOKEN_PAYLOAD_LEN], mac[KEY_HASH_LEN];

    key_ref(a, k, payload);
    for (size_t i = 0; i < TOKEN_TIME_LEN; i++)
        payload[TOKEN_REF_LEN + i] = (unsigned char)((uint64_t)expires_s >> (8 * (TOKEN_TIME_LEN - 1 - i)));
    sign(a, str_of((char *)payload, sizeof(payload)), mac);
    memcpy(text, "st-", TOKEN_PREFIX_LEN);
    num_hex(text + TOKEN_PREFIX_LEN, payload, sizeof(payload));
    num_hex(text + TOKEN_PREFIX_LEN + 2 * sizeof(payload), mac, TOKEN_MAC_LEN);
    text[TOKEN_LEN] = 0;
    return str_of(text, TOKEN_LEN);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const struct key *token_find(const struct snapshot *s, str token, int64_t *ret_expires_ms)
{
    unsigned char bytes[TOKEN_PAYLOAD_LEN + TOKEN_MAC_LEN], mac[KEY_HASH_LEN];
    uint64_t      expires_s = 0;

    if (token.len != TOKEN_LEN)
        return NULL;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        int high = hex_digit(token.ptr[TOKEN_PREFIX_LEN + 2 * i]),
            low = hex_digit(token.ptr[TOKEN_PREFIX_LEN + 2 * i + 1]);

        if (high < 0 || low < 0)
            return NULL;
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    sign(&s->account, str_of((char *)bytes, TOKEN_PAYLOAD_LEN), mac);
    if (CRYPTO_memcmp(mac, bytes + TOKEN_PAYLOAD_LEN, TOKEN_MAC_LEN) != 0)
        return NULL;
    for (size_t i = 0; i < TOKEN_TIME_LEN; i++)
        expires_s = expires_s << 8 | bytes[TOKEN_REF_LEN + i];
    *ret_expires_ms = (int64_t)expires_s * 1000; /* we signed it: it is in range */
    return map_get(&s->keys_by_ref, str_of((char *)bytes, TOKEN_REF_LEN));
}

/* ---- reading a snapshot ---- */

struct reader {
    sqlite3         *db;
    struct snapshot *s;
};

static str text(struct reader *r, sqlite3_stmt *st, int at)
{
    return arena_str(&r->s->arena, store_column_str(st, at));
}

/* Calls row(r, st, index) for each row of the statement, after making room for them: room(r, count). */
static enum err read_rows(struct reader *r, const char *count_sql, const char *sql,
                          void (*room)(struct reader *r, size_t n),
                          void (*row)(struct reader *r, sqlite3_stmt *st, size_t at))
{
    sqlite3_stmt *st;
    size_t        at = 0;
    int           result;
    enum err      e = store_prepare(r->db, count_sql, &st);

    if (e)
        return e;
    result = sqlite3_step(st);
    if (result == SQLITE_ROW)
        room(r, (size_t)sqlite3_column_int64(st, 0));
    sqlite3_finalize(st);
    if (result != SQLITE_ROW)
        return store_err(r->db, result);
    e = store_prepare(r->db, sql, &st);
    if (e)
        return e;
    while ((result = sqlite3_step(st)) == SQLITE_ROW)
        row(r, st, at++);
    sqlite3_finalize(st);
    return store_err(r->db, result);
}

static void room_settings(struct reader *r, size_t n)
{
    r->s->settings = arena_array(&r->s->arena, struct setting, n);
}

static void row_setting(struct reader *r, sqlite3_stmt *st, size_t at)
{
    r->s->settings[at] = (struct setting){ text(r, st, 0), text(r, st, 1) };
    r->s->setting_count = at + 1;
}

static void room_workspaces(struct reader *r, size_t n)
{
    r->s->account.workspaces = arena_array(&r->s->arena, struct workspace, n);
}

static void row_workspace(struct reader *r, sqlite3_stmt *st, size_t at)
{
    struct account   *a = &r->s->account;
    struct workspace *w = (struct workspace *)(uintptr_t)&a->workspaces[at]; /* const once it is shared */

    *w = (struct workspace){
        .id = text(r, st, 0),
        .name = text(r, st, 1),
        .created_ms = sqlite3_column_int64(st, 2),
        .paid_until_ms = sqlite3_column_int64(st, 4),
    };
    if (!commodity_of(store_column_str(st, 3), &w->commodity))
        w->commodity = COMMODITY_NONE;
    w->is_default = str_eq(w->id, WORKSPACE_DEFAULT);
    if (w->is_default)
        a->workspace_default = w;
    a->workspace_count = at + 1;
}

static void room_lines(struct reader *r, size_t n)
{
    /* all lines lie in one array, those of a workspace side by side */
    struct workspace_model *lines = arena_array(&r->s->arena, struct workspace_model, n);

    for (size_t i = 0; i < r->s->account.workspace_count; i++)
        ((struct workspace *)(uintptr_t)&r->s->account.workspaces[i])->models = lines;
}

static void row_line(struct reader *r, sqlite3_stmt *st, size_t at)
{
    struct workspace *w = (struct workspace *)(uintptr_t)account_workspace(&r->s->account, store_column_str(st, 0));

    if (!w)
        return;
    if (!w->model_count)
        w->models += at;
    *(struct workspace_model *)(uintptr_t)&w->models[w->model_count++] = (struct workspace_model){
        .model = text(r, st, 1),
        .allowed = sqlite3_column_int(st, 2),
        .rpm = sqlite3_column_int64(st, 3),
        .tpm = sqlite3_column_int64(st, 4),
        .concurrency = sqlite3_column_int64(st, 5),
    };
}

static void room_models(struct reader *r, size_t n)
{
    r->s->account.models = arena_array(&r->s->arena, struct account_model, n);
}

static void row_model(struct reader *r, sqlite3_stmt *st, size_t at)
{
    *(struct account_model *)(uintptr_t)&r->s->account.models[at] = (struct account_model){
        .model = text(r, st, 0),
        .activated = sqlite3_column_int(st, 1),
        .invited = sqlite3_column_int(st, 2),
        .payable = sqlite3_column_int(st, 3),
        .free_only = sqlite3_column_int(st, 4),
    };
    r->s->account.model_count = at + 1;
}

static void room_members(struct reader *r, size_t n)
{
    r->s->members = arena_array(&r->s->arena, struct member, n);
}

static void row_member(struct reader *r, sqlite3_stmt *st, size_t at)
{
    r->s->members[at] = (struct member){ .id = text(r, st, 0), .name = text(r, st, 1) };
    r->s->member_count = at + 1;
}

static void room_memberships(struct reader *r, size_t n)
{
    const struct workspace **all = arena_array(&r->s->arena, const struct workspace *, n);

    for (size_t i = 0; i < r->s->member_count; i++)
        r->s->members[i].workspaces = all;
}

static void row_membership(struct reader *r, sqlite3_stmt *st, size_t at)
{
    struct member          *m = (struct member *)(uintptr_t)account_member(&r->s->account, store_column_str(st, 0));
    const struct workspace *w = account_workspace(&r->s->account, store_column_str(st, 1));

    if (!m || !w)
        return;
    if (!m->workspace_count)
        m->workspaces += at;
    m->workspaces[m->workspace_count++] = w;
}

static void room_policies(struct reader *r, size_t n)
{
    r->s->account.policies = arena_array(&r->s->arena, struct policy, n);
}

static void row_policy(struct reader *r, sqlite3_stmt *st, size_t at)
{
    *(struct policy *)(uintptr_t)&r->s->account.policies[at] = (struct policy){
        .id = text(r, st, 0),
        .workspace = text(r, st, 1),
        .kind = text(r, st, 2),
        .pattern = text(r, st, 3),
        .is_regex = sqlite3_column_int(st, 4),
        .created_ms = sqlite3_column_int64(st, 5),
    };
    r->s->account.policy_count = at + 1;
}

static void key_put(struct snapshot *s, struct key *k)
{
    unsigned char *ref = arena_alloc(&s->arena, TOKEN_REF_LEN);

    key_ref(&s->account, k, ref);
    map_put(&s->keys_by_hash, str_of((char *)k->hash, KEY_HASH_LEN), k);
    map_put(&s->keys_by_ref, str_of((char *)ref, TOKEN_REF_LEN), k);
    map_put(&s->keys_by_id, k->id, k);
}

static void read_networks(struct snapshot *s, struct key *k, str texts)
{
    struct network *blocks;

    if (!texts.len)
        return;
    blocks = arena_array(&s->arena, struct network, KEY_NETWORKS_MAX);
    while (texts.len && k->network_count < KEY_NETWORKS_MAX) {
        if (network_parse(str_cut(&texts, ' '), &blocks[k->network_count]))
            k->network_count++;
    }
    if (!k->network_count) /* what cannot be read must not become "from everywhere" */
        blocks[k->network_count++] = (struct network){ .bits = 128 };
    k->networks = blocks;
}

static void room_keys(struct reader *r, size_t n)
{
    r->s->keys = arena_array(&r->s->arena, struct key, n);
}

static void row_key(struct reader *r, sqlite3_stmt *st, size_t at)
{
    struct snapshot *s = r->s;
    struct key      *k = &s->keys[at];
    str              kind = store_column_str(st, 3), member = store_column_str(st, 4);

    *k = (struct key){
        .id = text(r, st, 0),
        .name = text(r, st, 1),
        .workspace = account_workspace(&s->account, store_column_str(st, 2)),
        .plan = plan_find(kind),
        .expires_ms = sqlite3_column_int64(st, 6),
    };
    k->kind = k->plan ? KEY_CODING_PLAN : KEY_GENERAL;
    if (!k->workspace || sqlite3_column_bytes(st, 7) != KEY_HASH_LEN || (!k->plan && !str_eq(kind, S("general"))))
        return; /* of a newer dashbox */
    memcpy(k->hash, sqlite3_column_blob(st, 7), KEY_HASH_LEN);
    if (member.len) {
        k->member = account_member(&s->account, member);
        /* its owner has gone, or has left the workspace: like an unknown key until he is back (access.md §1.3) */
        if (!k->member || !member_is_in(k->member, k->workspace))
            return;
    }
    read_networks(s, k, store_column_str(st, 5));
    key_put(s, k);
}

/* --api-key and the configuration's: of the default workspace, of the plan whose prefix they have. */
static void add_extra(struct account_source *src, struct snapshot *s)
{
    for (size_t i = 0; i < src->extra_count; i++) {
        struct key *k = arena_new(&s->arena, struct key);

        k->id = arena_printf(&s->arena, "option-%zu", i + 1);
        k->workspace = s->account.workspace_default;
        for (unsigned p = 0; p < plan_count; p++) {
            if (str_starts(src->extra[i], plan_rows[p].prefix))
                k->plan = &plan_rows[p];
        }
        k->kind = k->plan ? KEY_CODING_PLAN : KEY_GENERAL;
        key_hash(src->extra[i], k->hash);
        key_put(s, k);
    }
}

static enum err snapshot_read(sqlite3 *db, struct account_source *src, struct snapshot *s)
{
    static const struct {
        const char *count, *rows;
        void (*room)(struct reader *r, size_t n);
        void (*row)(struct reader *r, sqlite3_stmt *st, size_t at);
    } tables[] = {
        { "SELECT count(*) FROM account", "SELECT name, value FROM account ORDER BY name", room_settings, row_setting },
        { "SELECT count(*) FROM workspaces",
          "SELECT id, name, created_ms, commodity, paid_until_ms FROM workspaces ORDER BY id", room_workspaces,
          row_workspace },
        { "SELECT count(*) FROM workspace_models",
          "SELECT workspace, model, allowed, rpm, tpm, concurrency FROM workspace_models ORDER BY workspace, model",
          room_lines, row_line },
        { "SELECT count(*) FROM account_models",
          "SELECT model, activated, invited, payable, free_only FROM account_models ORDER BY model", room_models,
          row_model },
        { "SELECT count(*) FROM members", "SELECT id, name FROM members ORDER BY id", room_members, row_member },
        { "SELECT count(*) FROM memberships", "SELECT member, workspace FROM memberships ORDER BY member, workspace",
          room_memberships, row_membership },
        { "SELECT count(*) FROM policies",
          "SELECT id, workspace, kind, pattern, is_regex, created_ms FROM policies ORDER BY workspace, created_ms, id",
          room_policies, row_policy },
        { "SELECT count(*) FROM keys WHERE revoked_ms IS NULL",
          "SELECT id, name, workspace, kind, member, networks, expires_ms, hash FROM keys WHERE revoked_ms IS NULL",
          room_keys, row_key },
    };
    struct reader r = { .db = db, .s = s };
    enum err      e = OK;

    for (size_t i = 0; i < ARRAY_LEN(tables) && !e; i++)
        e = read_rows(&r, tables[i].count, tables[i].rows, tables[i].room, tables[i].row);
    if (!e && !s->account.workspace_default) {
        log_error("store: the default workspace is missing");
        return ERR_INVALID;
    }
    if (e)
        return e;
    s->account.activated = !str_eq(account_setting(&s->account, S("activated")), S("0"));
    s->account.free_only = str_eq(account_setting(&s->account, S("free_only")), S("1"));
    add_extra(src, s);
    return OK;
}

static void snapshot_free(struct snapshot *s)
{
    map_free(&s->keys_by_hash);
    map_free(&s->keys_by_ref);
    map_free(&s->keys_by_id);
    moderation_book_release(s->account.moderation);
    arena_free(&s->arena);
    free(s);
}

/* ---- sharing ---- */

/* Takes one reference away. */
static void snapshot_drop(struct account_source *src, struct snapshot *s)
{
    bool last;

    pthread_mutex_lock(&src->lock);
    last = --s->refs == 0;
    pthread_mutex_unlock(&src->lock);
    if (last)
        snapshot_free(s);
}

static enum err data_version(sqlite3 *db, int64_t *ret)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, "PRAGMA data_version", &st);

    if (e)
        return e;
    if (sqlite3_step(st) == SQLITE_ROW)
        *ret = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return OK;
}

/* All tables as of one moment. */
/* Workspaces whose policies are as they were keep what was compiled for them. */
static void compile_policies(struct account_source *src, struct snapshot *s)
{
    const struct account     *a = &s->account;
    struct moderation_policy *policies = arena_array(&s->arena, struct moderation_policy, a->policy_count);

    for (size_t i = 0; i < a->policy_count; i++)
        policies[i] = (struct moderation_policy){
            .workspace = a->policies[i].workspace,
            .id = a->policies[i].id,
            .kind = a->policies[i].kind,
            .pattern = a->policies[i].pattern,
            .is_regex = a->policies[i].is_regex,
        };
    s->account.moderation = moderation_book_make(src->rules, policies, a->policy_count,
                                                 src->current ? src->current->account.moderation : NULL);
}

static enum err read_consistent(sqlite3 *db, struct account_source *src, struct snapshot *s)
{
    bool     own = sqlite3_get_autocommit(db); /* else the caller is in a transaction */
    enum err e = own ? store_exec(db, "BEGIN") : OK;

    if (e)
        return e;
    e = snapshot_read(db, src, s);
    if (own)
        (void)store_exec(db, "ROLLBACK"); /* nothing was written */
    return e;
}

/* On the store's lane (or before there is one). */
static enum err refresh(sqlite3 *db, void *arg)
{
    struct account_source *src = arg;
    struct snapshot       *s, *old;
    int64_t                version = 0;
    enum err               e = data_version(db, &version);

    if (e)
        return e;
    if (src->current && version == src->data_version)
        return ERR_NOT_FOUND;
    s = xcalloc(1, sizeof(*s));
    arena_init(&s->arena, 0);
    map_init(&s->keys_by_hash);
    map_init(&s->keys_by_ref);
    map_init(&s->keys_by_id);
    s->refs = 1;
    e = read_consistent(db, src, s);
    if (e) {
        snapshot_free(s);
        return e;
    }
    compile_policies(src, s);
    s->account.generation = atomic_load(&src->generation) + 1; /* only this lane changes it */
    pthread_mutex_lock(&src->lock);
    old = src->current;
    src->current = s;
    src->data_version = version;
    atomic_store(&src->generation, s->account.generation);
    pthread_mutex_unlock(&src->lock);
    if (old)
        snapshot_drop(src, old);
    return OK;
}

static void extra_set(struct account_source *src, const str *extra, size_t count)
{
    arena_reset(&src->extra_arena);
    src->extra = arena_array(&src->extra_arena, str, count);
    src->extra_count = count;
    for (size_t i = 0; i < count; i++)
        src->extra[i] = arena_str(&src->extra_arena, extra[i]);
}

/* The secret that temporary keys are signed with is made once for a database: they hold over restarts. */
static enum err make_secret(sqlite3 *db, void *arg)
{
    unsigned char bits[KEY_HASH_LEN];
    char          hex[2 * KEY_HASH_LEN];
    struct edit   edit = { .db = db };

    (void)arg;
    rand_secret(bits, sizeof(bits));
    num_hex(hex, bits, sizeof(bits));
    return edit_run(&edit, NULL, "INSERT OR IGNORE INTO account (name, value) VALUES (?, ?)", "ss", TOKEN_SECRET,
                    str_of(hex, sizeof(hex)));
}

enum err account_open(struct store *s, const str *extra, size_t extra_count, struct moderation_set *rules,
                      struct account_source **ret)
{
    struct account_source *src = xcalloc(1, sizeof(*src));
    enum err               e;

    src->store = s;
    arena_init(&src->extra_arena, 256);
    extra_set(src, extra, extra_count);
    src->rules = moderation_hold(rules);
    pthread_mutex_init(&src->lock, NULL);
    e = store_run_here(s, make_secret, NULL);
    if (!e)
        e = store_run_here(s, refresh, src);
    if (e) {
        account_close(src);
        return e;
    }
    *ret = src;
    return OK;
}

void account_close(struct account_source *src)
{
    if (!src)
        return;
    if (src->current)
        snapshot_drop(src, src->current);
    moderation_release(src->rules);
    pthread_mutex_destroy(&src->lock);
    arena_free(&src->extra_arena);
    free(src);
}

struct extra_job {
    struct account_source *source;
    const str             *extra;
    size_t                 count;
};

static enum err extra_job(sqlite3 *db, void *arg)
{
    struct extra_job *j = arg;

    extra_set(j->source, j->extra, j->count);
    return account_changed(j->source, db);
}

enum err account_extra_set(struct account_source *src, const str *extra, size_t extra_count)
{
    struct extra_job j = { src, extra, extra_count };

    return store_run(src->store, extra_job, &j);
}

struct rules_job {
    struct account_source *source;
    struct moderation_set *rules;
};

static enum err rules_job(sqlite3 *db, void *arg)
{
    struct rules_job *j = arg;

    moderation_release(j->source->rules);
    j->source->rules = moderation_hold(j->rules);
    return account_changed(j->source, db);
}

enum err account_rules_set(struct account_source *src, struct moderation_set *rules)
{
    struct rules_job j = { src, rules };

    return store_run(src->store, rules_job, &j);
}

enum err account_refresh(struct account_source *src)
{
    return store_run(src->store, refresh, src);
}

enum err account_changed(struct account_source *src, sqlite3 *db)
{
    src->data_version = -1; /* read it again, whatever the database says */
    return refresh(db, src);
}

/* ---- a worker's view ---- */

struct account_view *account_view_open(struct account_source *src)
{
    struct account_view *v = xcalloc(1, sizeof(*v));

    v->source = src;
    v->seed[0] = rand_u64();
    v->seed[1] = rand_u64();
    return v;
}

void account_view_close(struct account_view *v)
{
    if (!v)
        return;
    while (v->held) {
        struct held *h = v->held;

        v->held = h->next;
        snapshot_drop(v->source, h->snapshot);
        free(h);
    }
    free(v);
}

/* Frees what is no longer the newest and is held by nobody; `at` is where it hangs. */
static void held_drop(struct account_view *v, struct held **at)
{
    struct held *h = *at;

    if (h->holds || at == &v->held)
        return;
    *at = h->next;
    snapshot_drop(v->source, h->snapshot);
    free(h);
}

static void view_update(struct account_view *v)
{
    struct held *h = xcalloc(1, sizeof(*h));

    pthread_mutex_lock(&v->source->lock);
    h->snapshot = v->source->current;
    h->snapshot->refs++;
    pthread_mutex_unlock(&v->source->lock);
    v->generation = h->snapshot->account.generation;
    h->next = v->held;
    v->held = h;
    if (h->next)
        held_drop(v, &h->next);
    memset(v->seen, 0, sizeof(v->seen));
}

const struct account *account_hold(struct account_view *v)
{
    if (UNLIKELY(!v->held || v->generation != atomic_load_explicit(&v->source->generation, memory_order_acquire)))
        view_update(v);
    v->held->holds++;
    return &v->held->snapshot->account;
}

void account_release(struct account_view *v, const struct account *a)
{
    struct held **at = &v->held;

    while (&(*at)->snapshot->account != a)
        at = &(*at)->next;
    (*at)->holds--;
    held_drop(v, at);
}

const struct key *account_key(struct account_view *v, str secret, int64_t now_ms)
{
    struct seen   at = { .hash = { hash_bytes(secret, v->seed[0]), hash_bytes(secret, v->seed[1]) } };
    struct seen  *seen = &v->seen[at.hash[0] & (SEEN_COUNT - 1)];
    unsigned char hash[KEY_HASH_LEN];

    if (!seen->key || seen->hash[0] != at.hash[0] || seen->hash[1] != at.hash[1]) {
        const struct snapshot *s = v->held->snapshot;

        if (key_text_is_temporary(secret)) {
            at.key = token_find(s, secret, &at.expires_ms);
        } else {
            key_hash(secret, hash);
            at.key = map_get(&s->keys_by_hash, str_of((char *)hash, sizeof(hash)));
        }
        if (!at.key)
            return NULL;
        if (at.key->expires_ms && (!at.expires_ms || at.key->expires_ms < at.expires_ms))
            at.expires_ms = at.key->expires_ms;
        *seen = at;
    }
    return seen->expires_ms && now_ms >= seen->expires_ms ? NULL : seen->key;
}
