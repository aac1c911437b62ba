/* keys.c - API keys.
 *
 * Spec: access.md §1.
 */
#include "access/keys.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/map.h"
#include "base/num.h"
#include "base/rand.h"
#include "base/utf8.h"

/* The plain functions: EVP would set up its providers, which is 2 MiB and 2 ms of every start for one hash. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define HASH_LEN SHA256_DIGEST_LENGTH
#define SEEN_COUNT 256 /* keys that a view remembers, a power of two */

/* A table of all good keys, by hash. Never changed once it is shared. */
struct key_table {
    struct arena arena;
    struct map   by_hash;
    unsigned     refs; /* under keys.lock */
};

struct keys {
    struct store     *store;
    struct arena      extra_arena;
    str              *extra; /* read and replaced on the store's lane, or before there is one */
    size_t            extra_count;
    pthread_mutex_t   lock; /* guards `table`, its refs, and `data_version` */
    struct key_table *table;
    _Atomic uint64_t  generation; /* of `table` */
    int64_t           data_version; /* SQLite's, when the table was read */
};

/* SHA-256 of the key at every request would cost as much as reading the request. A view remembers which key a text was,
 * by 128 bits of a hash whose seeds nobody outside knows; the text itself is not kept. */
struct seen {
    uint64_t          hash[2];
    const struct key *key; /* NULL: a free entry */
};

struct key_view {
    struct keys      *keys;
    struct key_table *table;
    uint64_t          generation;
    uint64_t          seed[2];
    struct seen       seen[SEEN_COUNT];
};

static str hash_of(str secret, unsigned char out[HASH_LEN])
{
    SHA256_CTX ctx;

    SHA256_Init(&ctx);
    SHA256_Update(&ctx, secret.ptr, secret.len);
    SHA256_Final(out, &ctx);
    return str_of((char *)out, HASH_LEN);
}

str key_hint(struct arena *a, str secret)
{
    if (secret.len < 12)
        return S("…");
    return arena_printf(a, "%.*s…%.*s", 5, secret.ptr, 2, secret.ptr + secret.len - 2);
}

bool key_name_ok(str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if ((unsigned char)name.ptr[i] < ' ' || name.ptr[i] == 0x7f)
            return false;
    }
    return utf8_valid(name) && utf8_count(name) <= KEY_NAME_MAX;
}

/* ---- the table ---- */

static void table_put(struct key_table *t, str hash, const struct key *k)
{
    struct key *copy = arena_new(&t->arena, struct key);

    *copy = (struct key){
        .id = arena_str(&t->arena, k->id),
        .hint = arena_str(&t->arena, k->hint),
        .name = arena_str(&t->arena, k->name),
        .workspace = arena_str(&t->arena, k->workspace),
        .created_ms = k->created_ms,
    };
    map_put(&t->by_hash, arena_str(&t->arena, hash), copy);
}

static void table_free(struct key_table *t)
{
    map_free(&t->by_hash);
    arena_free(&t->arena);
    free(t);
}

static struct key key_of_row(sqlite3_stmt *st)
{
    return (struct key){
        .id = store_column_str(st, 0),
        .hint = store_column_str(st, 1),
        .name = store_column_str(st, 2),
        .workspace = store_column_str(st, 3),
        .created_ms = sqlite3_column_int64(st, 4),
        .revoked_ms = sqlite3_column_int64(st, 5),
    };
}

static enum err table_read(sqlite3 *db, struct keys *keys, struct key_table *t)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, "SELECT id, hint, name, workspace, created_ms, revoked_ms, hash FROM keys"
                                        " WHERE revoked_ms IS NULL", &st);
    int           r = SQLITE_DONE;

    if (e)
        return e;
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        struct key k = key_of_row(st);

        table_put(t, str_of(sqlite3_column_blob(st, 6), (size_t)sqlite3_column_bytes(st, 6)), &k);
    }
    sqlite3_finalize(st);
    if (r != SQLITE_DONE)
        return store_err(db, r);
    for (size_t i = 0; i < keys->extra_count; i++) {
        unsigned char hash[HASH_LEN];
        struct key    k = { .id = arena_printf(&t->arena, "option-%zu", i + 1), .workspace = S("default") };

        k.hint = key_hint(&t->arena, keys->extra[i]);
        table_put(t, hash_of(keys->extra[i], hash), &k);
    }
    return OK;
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

/* Runs on the store's lane (or before there is one). */
static enum err refresh(sqlite3 *db, void *arg)
{
    struct keys      *k = arg;
    struct key_table *t, *old;
    int64_t           version = 0;
    enum err          e = data_version(db, &version);

    if (e)
        return e;
    if (k->table && version == k->data_version)
        return ERR_NOT_FOUND;
    t = xcalloc(1, sizeof(*t));
    arena_init(&t->arena, 0);
    map_init(&t->by_hash);
    t->refs = 1;
    e = table_read(db, k, t);
    if (e) {
        table_free(t);
        return e;
    }
    pthread_mutex_lock(&k->lock);
    old = k->table;
    k->table = t;
    k->data_version = version;
    if (old && --old->refs > 0)
        old = NULL;
    atomic_fetch_add(&k->generation, 1);
    pthread_mutex_unlock(&k->lock);
    if (old)
        table_free(old);
    return OK;
}

static void extra_set(struct keys *k, const str *extra, size_t count)
{
    arena_reset(&k->extra_arena);
    k->extra = arena_array(&k->extra_arena, str, count);
    k->extra_count = count;
    for (size_t i = 0; i < count; i++)
        k->extra[i] = arena_str(&k->extra_arena, extra[i]);
}

enum err keys_open(struct store *s, const str *extra, size_t extra_count, struct keys **ret)
{
    struct keys *k = xcalloc(1, sizeof(*k));
    enum err     e;

    k->store = s;
    arena_init(&k->extra_arena, 256);
    extra_set(k, extra, extra_count);
    pthread_mutex_init(&k->lock, NULL);
    e = store_run_here(s, refresh, k);
    if (e) {
        keys_close(k);
        return e;
    }
    *ret = k;
    return OK;
}

void keys_close(struct keys *k)
{
    if (!k)
        return;
    if (k->table)
        table_free(k->table);
    pthread_mutex_destroy(&k->lock);
    arena_free(&k->extra_arena);
    free(k);
}

struct extra_job {
    struct keys *keys;
    const str   *extra;
    size_t       count;
};

static enum err extra_job(sqlite3 *db, void *arg)
{
    struct extra_job *j = arg;

    extra_set(j->keys, j->extra, j->count);
    j->keys->data_version = -1; /* read the table again, whatever the database says */
    return refresh(db, j->keys);
}

enum err keys_extra_set(struct keys *k, const str *extra, size_t extra_count)
{
    struct extra_job j = { k, extra, extra_count };

    return store_run(k->store, extra_job, &j);
}

enum err keys_refresh(struct keys *k)
{
    return store_run(k->store, refresh, k);
}

/* ---- a worker's view ---- */

static void view_drop(struct key_view *v)
{
    struct key_table *t = v->table;

    if (!t)
        return;
    pthread_mutex_lock(&v->keys->lock);
    if (--t->refs > 0)
        t = NULL;
    pthread_mutex_unlock(&v->keys->lock);
    if (t)
        table_free(t);
    v->table = NULL;
}

struct key_view *key_view_open(struct keys *k)
{
    struct key_view *v = xcalloc(1, sizeof(*v));

    v->keys = k;
    v->seed[0] = rand_u64();
    v->seed[1] = rand_u64();
    return v;
}

void key_view_close(struct key_view *v)
{
    if (!v)
        return;
    view_drop(v);
    free(v);
}

const struct key *keys_find(struct key_view *v, str secret)
{
    struct keys  *k = v->keys;
    struct seen   at = { .hash = { hash_bytes(secret, v->seed[0]), hash_bytes(secret, v->seed[1]) } };
    struct seen  *seen = &v->seen[at.hash[0] & (SEEN_COUNT - 1)];
    unsigned char hash[HASH_LEN];

    if (UNLIKELY(!v->table || v->generation != atomic_load_explicit(&k->generation, memory_order_acquire))) {
        view_drop(v);
        pthread_mutex_lock(&k->lock);
        v->table = k->table;
        v->table->refs++;
        v->generation = atomic_load(&k->generation);
        pthread_mutex_unlock(&k->lock);
        memset(v->seen, 0, sizeof(v->seen));
    }
    if (seen->key && seen->hash[0] == at.hash[0] && seen->hash[1] == at.hash[1])
        return seen->key;
    at.key = map_get(&v->table->by_hash, hash_of(secret, hash));
    if (at.key)
        *seen = at;
    return at.key;
}

/* ---- making and ending keys ---- */

struct add_job {
    str           hash;
    const struct key *key;
};

static enum err add_job(sqlite3 *db, void *arg)
{
    struct add_job *j = arg;
    sqlite3_stmt   *st;
    enum err        e = store_prepare(db, "INSERT INTO keys (id, hash, hint, name, workspace, created_ms) VALUES (?,?,?,?,?,?)", &st);

    if (e)
        return e;
    store_bind_str(st, 1, j->key->id);
    sqlite3_bind_blob64(st, 2, j->hash.ptr, j->hash.len, SQLITE_TRANSIENT);
    store_bind_str(st, 3, j->key->hint);
    store_bind_str(st, 4, j->key->name);
    store_bind_str(st, 5, j->key->workspace);
    sqlite3_bind_int64(st, 6, j->key->created_ms);
    e = store_err(db, sqlite3_step(st));
    sqlite3_finalize(st);
    return e;
}

enum err keys_add(struct store *s, str secret, str name, str workspace, struct arena *a, struct key *ret)
{
    unsigned char hash[HASH_LEN];
    char          id[8];
    struct key    k = { .name = name, .workspace = workspace, .created_ms = clock_unix_ms() };
    struct add_job j = { .hash = hash_of(secret, hash), .key = &k };
    enum err      e;

    rand_hex(id, sizeof(id));
    k.id = arena_printf(a, "key-%.8s", id);
    k.hint = key_hint(a, secret);
    e = store_run_here(s, add_job, &j);
    if (!e)
        *ret = k;
    return e;
}

enum err keys_create(struct store *s, str name, str workspace, char ret_secret[KEY_LEN + 1], struct arena *a,
                     struct key *ret)
{
    unsigned char bits[16];

    rand_secret(bits, sizeof(bits));
    memcpy(ret_secret, "sk-", 3);
    num_hex(ret_secret + 3, bits, sizeof(bits));
    ret_secret[KEY_LEN] = 0;
    return keys_add(s, str_of(ret_secret, KEY_LEN), name, workspace, a, ret);
}

struct good_job {
    str  hash;
    bool good;
};

static enum err good_job(sqlite3 *db, void *arg)
{
    struct good_job *j = arg;
    sqlite3_stmt    *st;
    enum err         e = store_prepare(db, "SELECT 1 FROM keys WHERE hash = ? AND revoked_ms IS NULL", &st);

    if (e)
        return e;
    sqlite3_bind_blob64(st, 1, j->hash.ptr, j->hash.len, SQLITE_TRANSIENT);
    j->good = sqlite3_step(st) == SQLITE_ROW;
    sqlite3_finalize(st);
    return OK;
}

bool keys_is_good(struct store *s, str secret)
{
    unsigned char   hash[HASH_LEN];
    struct good_job j = { .hash = hash_of(secret, hash) };

    return store_run_here(s, good_job, &j) == OK && j.good;
}

struct list_job {
    struct arena *arena;
    struct key   *keys;
    size_t        count;
};

static enum err list_job(sqlite3 *db, void *arg)
{
    struct list_job *j = arg;
    sqlite3_stmt    *st;
    enum err         e = store_prepare(db, "SELECT id, hint, name, workspace, created_ms, revoked_ms FROM keys ORDER BY created_ms, id", &st);
    int              r;

    if (e)
        return e;
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        size_t     n = j->count;
        struct key k = key_of_row(st);

        j->keys = arena_realloc(j->arena, j->keys, n * sizeof(k), (n + 1) * sizeof(k));
        k.id = arena_str(j->arena, k.id);
        k.hint = arena_str(j->arena, k.hint);
        k.name = arena_str(j->arena, k.name);
        k.workspace = arena_str(j->arena, k.workspace);
        j->keys[n] = k;
        j->count = n + 1;
    }
    sqlite3_finalize(st);
    return store_err(db, r);
}

enum err keys_list(struct store *s, struct arena *a, struct key **ret, size_t *ret_count)
{
    struct list_job j = { .arena = a };
    enum err        e = store_run_here(s, list_job, &j);

    if (e)
        return e;
    *ret = j.keys;
    *ret_count = j.count;
    return OK;
}

struct revoke_job {
    str id, hash;
};

static enum err revoke_job(sqlite3 *db, void *arg)
{
    struct revoke_job *j = arg;
    sqlite3_stmt      *st;
    enum err           e = store_prepare(db, "UPDATE keys SET revoked_ms = ? WHERE revoked_ms IS NULL AND (id = ? OR hash = ?)", &st);

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, clock_unix_ms());
    store_bind_str(st, 2, j->id);
    sqlite3_bind_blob64(st, 3, j->hash.ptr, j->hash.len, SQLITE_TRANSIENT);
    e = store_err(db, sqlite3_step(st));
    sqlite3_finalize(st);
    if (!e && sqlite3_changes(db) == 0)
        return ERR_NOT_FOUND;
    return e;
}

enum err keys_revoke(struct store *s, str id_or_secret)
{
    unsigned char     hash[HASH_LEN];
    struct revoke_job j = { .id = id_or_secret, .hash = hash_of(id_or_secret, hash) };

    return store_run_here(s, revoke_job, &j);
}
