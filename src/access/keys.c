/* keys.c - API keys: made, listed, ended.
 *
 * Spec: access.md §1.
 */
#include "access/keys.h"

#include "base/clock.h"
#include "base/num.h"
#include "base/rand.h"
#include "base/utf8.h"

/* The plain functions: EVP would set up its providers, which is 2 MiB and 2 ms of every start for one hash. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#define SECRET_LEN 16 /* bytes, in hexadecimal */

void key_hash(str secret, unsigned char ret[KEY_HASH_LEN])
{
    SHA256_CTX ctx;

    SHA256_Init(&ctx);
    SHA256_Update(&ctx, secret.ptr, secret.len);
    SHA256_Final(ret, &ctx);
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

/* ---- making ---- */

/* The networks one blank apart, in `ret`; each must be one. */
static enum err networks_check(struct edit *e, str texts, str *ret)
{
    char          *out = arena_bytes(e->arena, texts.len + 1);
    size_t         len = 0, count = 0;
    struct network n;

    while ((texts = str_trim(texts)).len) {
        str one = str_trim(str_cut(&texts, str_find(texts, ',') < str_find(texts, ' ') ? ',' : ' '));

        if (!network_parse(one, &n))
            return edit_refuse(e, ERR_INVALID, "\"%.*s\" is no address or block such as 10.0.0.0/8", STR_ARG(one));
        if (++count > KEY_NETWORKS_MAX)
            return edit_refuse(e, ERR_INVALID, "a key has at most %d networks", KEY_NETWORKS_MAX);
        if (len)
            out[len++] = ' ';
        memcpy(out + len, one.ptr, one.len);
        len += one.len;
    }
    *ret = str_of(out, len);
    return OK;
}

static enum err count(struct edit *e, const char *sql, const char *types, str a, str b, int64_t *ret)
{
    sqlite3_stmt *st;
    int           result;
    enum err      r = edit_query(e, &st, sql, types, a, b);

    if (r)
        return r;
    result = sqlite3_step(st);
    *ret = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return store_err(e->db, result);
}

static enum err owner_check(struct edit *e, const struct key_row *k)
{
    int64_t  n = 0;
    enum err r = count(e, "SELECT count(*) FROM workspaces WHERE id = ?", "s", k->workspace, (str){ 0 }, &n);

    if (r)
        return r;
    if (!n)
        return edit_refuse(e, ERR_NOT_FOUND, "there is no workspace \"%.*s\"", STR_ARG(k->workspace));
    if (!k->member.len)
        return OK;
    r = count(e, "SELECT count(*) FROM memberships WHERE member = ? AND workspace = ?", "ss", k->member, k->workspace,
              &n);
    if (!r && !n)
        return edit_refuse(e, ERR_NOT_FOUND, "\"%.*s\" is no member of workspace \"%.*s\"", STR_ARG(k->member),
                           STR_ARG(k->workspace));
    return r;
}

static enum err insert(struct edit *e, str secret, struct key_row *k)
{
    unsigned char hash[KEY_HASH_LEN];
    char          hex[8];

    rand_hex(hex, sizeof(hex));
    key_hash(secret, hash);
    k->id = arena_printf(e->arena, "key-%.8s", hex);
    k->hint = key_hint(e->arena, secret);
    k->created_ms = clock_unix_ms();
    return edit_run(e, NULL,
                    "INSERT INTO keys (id, hash, hint, name, workspace, created_ms, kind, member, networks, expires_ms)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    "sbsssisssn", k->id, str_of((char *)hash, sizeof(hash)), k->hint, k->name, k->workspace,
                    k->created_ms, k->kind, k->member, k->networks, k->expires_ms);
}

static str secret_new(struct arena *a, str prefix)
{
    unsigned char bits[SECRET_LEN];
    char         *text = arena_bytes(a, prefix.len + 2 * SECRET_LEN + 1);

    rand_secret(bits, sizeof(bits));
    memcpy(text, prefix.ptr, prefix.len);
    num_hex(text + prefix.len, bits, sizeof(bits));
    text[prefix.len + 2 * SECRET_LEN] = 0;
    return str_of(text, prefix.len + 2 * SECRET_LEN);
}

enum err key_create(struct edit *e, const struct key_row *want, int64_t ceiling, str *ret_secret, struct key_row *ret)
{
    struct key_row     k = *want;
    const struct plan *plan;
    int64_t            good = 0;
    str                secret;
    enum err           r;

    if (!k.workspace.len)
        k.workspace = WORKSPACE_DEFAULT;
    if (!k.kind.len)
        k.kind = S("general");
    plan = plan_find(k.kind);
    if (!plan && !str_eq(k.kind, S("general")))
        return edit_refuse(e, ERR_INVALID, "there is no kind of key \"%.*s\"", STR_ARG(k.kind));
    if (!key_name_ok(k.name))
        return edit_refuse(e, ERR_INVALID, "a name is one line of at most %d characters", KEY_NAME_MAX);
    if (k.expires_ms && k.expires_ms <= clock_unix_ms())
        return edit_refuse(e, ERR_INVALID, "the key would have expired already");
    r = owner_check(e, &k);
    if (!r)
        r = networks_check(e, want->networks, &k.networks);
    if (!r && ceiling)
        r = count(e, "SELECT count(*) FROM keys WHERE revoked_ms IS NULL", "", (str){ 0 }, (str){ 0 }, &good);
    if (r)
        return r;
    if (ceiling && good >= ceiling)
        return edit_refuse(e, ERR_LIMIT, "there are %lld keys, and keys.max allows no more", (long long)good);
    secret = secret_new(e->arena, plan ? plan->prefix : S("sk-"));
    r = insert(e, secret, &k);
    if (r)
        return r;
    *ret_secret = secret;
    *ret = k;
    return OK;
}

/* ---- listing and ending ---- */

enum err key_revoke(struct edit *e, str id_or_secret)
{
    unsigned char hash[KEY_HASH_LEN];
    int           changed = 0;
    enum err      r;

    key_hash(id_or_secret, hash);
    r = edit_run(e, &changed, "UPDATE keys SET revoked_ms = ? WHERE revoked_ms IS NULL AND (id = ? OR hash = ?)", "isb",
                 clock_unix_ms(), id_or_secret, str_of((char *)hash, sizeof(hash)));
    if (!r && !changed) /* the text may be a key: it is not repeated */
        return edit_refuse(
            e, ERR_NOT_FOUND, "there is no good key \"%.*s\"",
            STR_ARG(str_starts(id_or_secret, S("sk-")) ? key_hint(e->arena, id_or_secret) : id_or_secret));
    return r;
}

#define COLUMNS "id, hint, name, workspace, kind, member, networks, created_ms, expires_ms, revoked_ms"

static struct key_row key_of_row(struct edit *e, sqlite3_stmt *st)
{
    str texts[7];

    for (int i = 0; i < 7; i++)
        texts[i] = arena_str(e->arena, store_column_str(st, i));
    return (struct key_row){
        .id = texts[0],
        .hint = texts[1],
        .name = texts[2],
        .workspace = texts[3],
        .kind = texts[4],
        .member = texts[5],
        .networks = texts[6],
        .created_ms = sqlite3_column_int64(st, 7),
        .expires_ms = sqlite3_column_int64(st, 8),
        .revoked_ms = sqlite3_column_int64(st, 9),
    };
}

enum err key_list(struct edit *e, str workspace, struct key_row **ret, size_t *ret_count)
{
    struct key_row *list = NULL;
    size_t          n = 0, cap = 0;
    sqlite3_stmt   *st;
    int             result;
    enum err        r = edit_query(
               e, &st, "SELECT " COLUMNS " FROM keys WHERE ?1 = '' OR workspace = ?1 ORDER BY created_ms, id", "s", workspace);

    if (r)
        return r;
    while ((result = sqlite3_step(st)) == SQLITE_ROW) {
        if (n == cap) {
            list = arena_realloc(e->arena, list, cap * sizeof(*list), (cap ? 2 * cap : 16) * sizeof(*list));
            cap = cap ? 2 * cap : 16;
        }
        list[n++] = key_of_row(e, st);
    }
    sqlite3_finalize(st);
    *ret = list;
    *ret_count = n;
    return store_err(e->db, result);
}

enum err key_get(struct edit *e, str id, struct key_row *ret)
{
    sqlite3_stmt *st;
    int           result;
    enum err      r = edit_query(e, &st, "SELECT " COLUMNS " FROM keys WHERE id = ?", "s", id);

    if (r)
        return r;
    result = sqlite3_step(st);
    if (result == SQLITE_ROW)
        *ret = key_of_row(e, st);
    sqlite3_finalize(st);
    if (result == SQLITE_DONE)
        return edit_refuse(e, ERR_NOT_FOUND, "there is no key \"%.*s\"", STR_ARG(id));
    return store_err(e->db, result);
}

/* ---- at the start ---- */

struct add_job {
    struct arena *arena;
    str           secret, name;
};

static enum err add_job(sqlite3 *db, void *arg)
{
    struct add_job *j = arg;
    struct edit     e = { .db = db, .arena = j->arena };
    struct key_row  k = { .name = j->name, .workspace = WORKSPACE_DEFAULT, .kind = S("general") };

    return insert(&e, j->secret, &k);
}

enum err keys_add(struct store *s, str secret, str name, struct arena *a)
{
    struct add_job j = { a, secret, name };

    return store_run_here(s, add_job, &j);
}

enum err keys_create(struct store *s, str name, char ret_secret[KEY_LEN + 1], struct arena *a)
{
    str secret = secret_new(a, S("sk-"));

    static_assert(KEY_LEN == 3 + 2 * SECRET_LEN, "sk- and the digits");
    memcpy(ret_secret, secret.ptr, KEY_LEN + 1);
    return keys_add(s, secret, name, a);
}

static enum err revoke_job(sqlite3 *db, void *arg)
{
    struct add_job *j = arg;
    struct edit     e = { .db = db, .arena = j->arena };

    return key_revoke(&e, j->secret);
}

enum err keys_revoke(struct store *s, str secret, struct arena *a)
{
    struct add_job j = { .arena = a, .secret = secret };

    return store_run_here(s, revoke_job, &j);
}

struct good_job {
    str  hash;
    bool good;
};

static enum err good_job(sqlite3 *db, void *arg)
{
    struct good_job *j = arg;
    struct edit      e = { .db = db };
    sqlite3_stmt    *st;
    enum err         r = edit_query(&e, &st, "SELECT 1 FROM keys WHERE hash = ? AND revoked_ms IS NULL", "b", j->hash);

    if (r)
        return r;
    j->good = sqlite3_step(st) == SQLITE_ROW;
    sqlite3_finalize(st);
    return OK;
}

bool keys_is_good(struct store *s, str secret)
{
    unsigned char   hash[KEY_HASH_LEN];
    struct good_job j = { .hash = str_of((char *)hash, sizeof(hash)) };

    key_hash(secret, hash);
    return store_run_here(s, good_job, &j) == OK && j.good;
}
