/* store.c - the SQLite store and its tables.
 *
 * Thread: one connection; the lane uses it while loops run, the opening thread before.
 * Durability: WAL with synchronous = FULL: what a job has committed survives a power cut.
 */
#include "store/store.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "loop/lane.h"
#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_MS 5000 /* for another process to end its transaction */

/* One that waits for a transaction with others; on its fiber's stack. */
struct member {
    struct member *next;
    store_job      job;
    void (*then)(sqlite3 *db, void *arg, enum err e);
    void         *arg;
    enum err      e;
    struct fiber *waiter;
    struct loop  *loop;
    bool          done; /* the waiter's loop alone reads and writes this */
};

struct store {
    sqlite3        *db;
    struct lane    *lane; /* NULL until store_start() */
    struct arena    arena;
    str             folder;
    pthread_mutex_t lock; /* guards what is below */
    struct member  *first, **last;
};

/* One entry a version, run in order, each in a transaction; never changed once released. */
static const char *const migrations[] = {
    "CREATE TABLE workspaces ("
    "  id TEXT PRIMARY KEY, name TEXT NOT NULL, created_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO workspaces VALUES ('default', 'Default workspace', 0);"
    "CREATE TABLE keys ("
    "  id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, hint TEXT NOT NULL, name TEXT NOT NULL,"
    "  workspace TEXT NOT NULL REFERENCES workspaces (id), created_ms INTEGER NOT NULL, revoked_ms INTEGER"
    ") WITHOUT ROWID;",

    /* 2: who may call what, what was used, what it cost. Money is in millionths of the account's currency. */
    "ALTER TABLE workspaces ADD COLUMN commodity TEXT NOT NULL DEFAULT 'postpaid';" /* postpaid, prepaid, none */
    "ALTER TABLE workspaces ADD COLUMN paid_until_ms INTEGER;"                      /* NULL: without end */
    "ALTER TABLE keys ADD COLUMN kind TEXT NOT NULL DEFAULT 'general';" /* general, or a plan of data/plans.txt */
    "ALTER TABLE keys ADD COLUMN member TEXT NOT NULL DEFAULT '';"      /* empty: the account itself */
    "ALTER TABLE keys ADD COLUMN networks TEXT NOT NULL DEFAULT '';"    /* \"10.0.0.0/8 ::1\"; empty: all */
    "ALTER TABLE keys ADD COLUMN expires_ms INTEGER;"
    "CREATE TABLE members (id TEXT PRIMARY KEY, name TEXT NOT NULL, created_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE memberships ("
    "  member TEXT NOT NULL REFERENCES members (id) ON DELETE CASCADE,"
    "  workspace TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE, PRIMARY KEY (member, workspace)"
    ") WITHOUT ROWID;"
    /* what an administrator says of a model in a workspace; rpm, tpm: NULL is no limit of its own */
    "CREATE TABLE workspace_models ("
    "  workspace TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE, model TEXT NOT NULL,"
    "  allowed INTEGER NOT NULL DEFAULT 1, rpm INTEGER, tpm INTEGER, concurrency INTEGER,"
    "  PRIMARY KEY (workspace, model)) WITHOUT ROWID;"
    /* and of a model in the whole account */
    "CREATE TABLE account_models ("
    "  model TEXT PRIMARY KEY, activated INTEGER NOT NULL DEFAULT 1, invited INTEGER NOT NULL DEFAULT 1,"
    "  payable INTEGER NOT NULL DEFAULT 1, free_only INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
    "CREATE TABLE account (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE policies ("
    "  id TEXT PRIMARY KEY, workspace TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,"
    "  kind TEXT NOT NULL, pattern TEXT NOT NULL, is_regex INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL"
    ") WITHOUT ROWID;"
    "CREATE TABLE free_quota ("
    "  model TEXT PRIMARY KEY, granted INTEGER NOT NULL, used INTEGER NOT NULL DEFAULT 0, expires_ms INTEGER"
    ") WITHOUT ROWID;"
    "CREATE TABLE payments (id TEXT PRIMARY KEY, paid_ms INTEGER NOT NULL, amount INTEGER NOT NULL, note TEXT NOT NULL)"
    "  WITHOUT ROWID;"
    "CREATE TABLE usage ("
    "  minute INTEGER NOT NULL, workspace TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL,"
    "  requests INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,"
    "  reasoning_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, free_tokens INTEGER NOT NULL,"
    "  cost INTEGER NOT NULL, list_cost INTEGER NOT NULL, PRIMARY KEY (minute, workspace, key, model)) WITHOUT ROWID;"
    /* how far each worker's log of charges has been booked into the tables above */
    "CREATE TABLE ledger_positions (log TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;",

    /* Asynchronous tasks: store/tasks.h. The lease is in the machine's time, all else in the service's. */
    "CREATE TABLE tasks ("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, request_id TEXT NOT NULL, kind TEXT NOT NULL,"
    "  function TEXT NOT NULL, model TEXT NOT NULL, workspace TEXT NOT NULL, key TEXT NOT NULL, base TEXT NOT NULL,"
    "  body TEXT NOT NULL, status TEXT NOT NULL, submit_ms INTEGER NOT NULL, scheduled_ms INTEGER, end_ms INTEGER,"
    "  output TEXT NOT NULL DEFAULT '', usage TEXT NOT NULL DEFAULT '', code TEXT NOT NULL DEFAULT '',"
    "  message TEXT NOT NULL DEFAULT '', total INTEGER NOT NULL DEFAULT 0, succeeded INTEGER NOT NULL DEFAULT 0,"
    "  failed INTEGER NOT NULL DEFAULT 0, owner TEXT, lease_ms INTEGER, claim INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX tasks_open ON tasks (status, model) WHERE status IN ('PENDING', 'RUNNING');"
    "CREATE INDEX tasks_submitted ON tasks (submit_ms);"
    "CREATE INDEX tasks_ended ON tasks (end_ms) WHERE end_ms IS NOT NULL;",

    /* Responses and conversations (service/conversation.h), and the items of both: the owner is a response or a
     * conversation. Those of a response are its input, then its output. Texts are JSON. */
    "CREATE TABLE responses ("
    "  id TEXT PRIMARY KEY, workspace TEXT NOT NULL, previous TEXT NOT NULL, model TEXT NOT NULL, created_ms INTEGER NOT NULL,"
    "  expires_ms INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX responses_by_expiry ON responses (expires_ms);"
    "CREATE INDEX responses_by_previous ON responses (previous);"
    "CREATE TABLE conversations ("
    "  id TEXT PRIMARY KEY, workspace TEXT NOT NULL, created_ms INTEGER NOT NULL, metadata TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE conversation_items ("
    "  owner TEXT NOT NULL, position INTEGER NOT NULL, id TEXT NOT NULL, workspace TEXT NOT NULL, output INTEGER NOT NULL,"
    "  item TEXT NOT NULL, PRIMARY KEY (owner, position)) WITHOUT ROWID;"
    "CREATE INDEX conversation_items_by_id ON conversation_items (id);",

    /* Temporary uploads: store/uploads.h. */
    "CREATE TABLE uploads ("
    "  id TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE, workspace TEXT NOT NULL, model TEXT NOT NULL, type TEXT NOT NULL,"
    "  size INTEGER NOT NULL, there INTEGER NOT NULL DEFAULT 0, expires_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX uploads_by_expiry ON uploads (expires_ms);"
    "CREATE INDEX uploads_by_workspace ON uploads (workspace);",

    /* What waits and what runs is found without reading what has ended. Events of ends that are still to be told
     * (service/task_events.h): when, in the machine's time, and how often that was tried. */
    "CREATE INDEX tasks_waiting ON tasks (number, model) WHERE status = 'PENDING';"
    "CREATE INDEX tasks_running ON tasks (model) WHERE status = 'RUNNING';"
    "ALTER TABLE tasks ADD COLUMN event_ms INTEGER;"
    "ALTER TABLE tasks ADD COLUMN event_tries INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX tasks_events ON tasks (event_ms) WHERE event_ms IS NOT NULL;",

    /* Vocabularies, voices: store/assets.h. */
    "CREATE TABLE assets ("
    "  id TEXT PRIMARY KEY, kind TEXT NOT NULL, workspace TEXT NOT NULL, prefix TEXT NOT NULL, target_model TEXT NOT NULL,"
    "  body TEXT NOT NULL, created_ms INTEGER NOT NULL, modified_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX assets_by_owner ON assets (workspace, kind, created_ms);",

    /* The account's files: store/files.h. */
    "CREATE TABLE files ("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, workspace TEXT NOT NULL DEFAULT '',"
    "  key TEXT NOT NULL DEFAULT '', purpose TEXT NOT NULL DEFAULT '', name TEXT NOT NULL DEFAULT '',"
    "  description TEXT NOT NULL DEFAULT '', hash TEXT NOT NULL DEFAULT '', md5 TEXT NOT NULL DEFAULT '',"
    "  size INTEGER NOT NULL, created_ms INTEGER NOT NULL DEFAULT 0, native INTEGER NOT NULL DEFAULT 0,"
    "  state INTEGER NOT NULL, until_ms INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX files_by_hash ON files (hash) WHERE state = 1;"
    "CREATE INDEX files_passing ON files (until_ms) WHERE state <> 1;",

    /* Batches, and the ends of their lines until they are in a file: store/batches.h. */
    "CREATE TABLE batches ("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, workspace TEXT NOT NULL, key TEXT NOT NULL,"
    "  endpoint TEXT NOT NULL, input_file TEXT NOT NULL, input_hash TEXT NOT NULL, window TEXT NOT NULL, metadata TEXT NOT NULL,"
    "  name TEXT NOT NULL, status TEXT NOT NULL, model TEXT NOT NULL DEFAULT '', errors TEXT NOT NULL DEFAULT '',"
    "  output_file TEXT NOT NULL DEFAULT '', error_file TEXT NOT NULL DEFAULT '', created_ms INTEGER NOT NULL,"
    "  until_ms INTEGER NOT NULL, in_progress_ms INTEGER NOT NULL DEFAULT 0, finalizing_ms INTEGER NOT NULL DEFAULT 0,"
    "  completed_ms INTEGER NOT NULL DEFAULT 0, failed_ms INTEGER NOT NULL DEFAULT 0, expired_ms INTEGER NOT NULL DEFAULT 0,"
    "  cancelled_ms INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0, completed INTEGER NOT NULL DEFAULT 0,"
    "  failed INTEGER NOT NULL DEFAULT 0, owner TEXT NOT NULL DEFAULT '', lease_ms INTEGER NOT NULL DEFAULT 0,"
    "  claim INTEGER NOT NULL DEFAULT 0, callback TEXT NOT NULL DEFAULT '', event_ms INTEGER NOT NULL DEFAULT 0,"
    "  event_tries INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX batches_events ON batches (event_ms) WHERE event_ms > 0;"
    "CREATE INDEX batches_unfinished ON batches (number)"
    "  WHERE NOT status IN ('failed', 'completed', 'expired', 'cancelled');"
    "CREATE INDEX batches_by_input ON batches (input_hash)"
    "  WHERE NOT status IN ('failed', 'completed', 'expired', 'cancelled');"
    "CREATE TABLE batch_lines ("
    "  number INTEGER PRIMARY KEY, batch INTEGER NOT NULL, line INTEGER NOT NULL, good INTEGER NOT NULL, text TEXT NOT NULL,"
    "  UNIQUE (batch, line));",

    /* Applications, their sessions and the traces of their runs, plug-ins: store/apps.h. A draft is the text as it was written, what is
     * published is JSON. */
    "CREATE TABLE apps ("
    "  id TEXT PRIMARY KEY, workspace TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE, kind TEXT NOT NULL,"
    "  name TEXT NOT NULL, draft TEXT NOT NULL, published TEXT NOT NULL DEFAULT '', version INTEGER NOT NULL DEFAULT 0,"
    "  created_ms INTEGER NOT NULL, modified_ms INTEGER NOT NULL, published_ms INTEGER) WITHOUT ROWID;"
    "CREATE TABLE app_sessions ("
    "  id TEXT PRIMARY KEY, app TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE, used_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX app_sessions_by_app ON app_sessions (app);"
    "CREATE INDEX app_sessions_by_use ON app_sessions (used_ms);"
    "CREATE TABLE app_turns ("
    "  session TEXT NOT NULL REFERENCES app_sessions (id) ON DELETE CASCADE, position INTEGER NOT NULL, said TEXT NOT NULL,"
    "  answered TEXT NOT NULL, PRIMARY KEY (session, position)) WITHOUT ROWID;"
    "CREATE TABLE app_runs ("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, app TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,"
    "  version INTEGER NOT NULL, started_ms INTEGER NOT NULL, ms INTEGER NOT NULL, code TEXT NOT NULL, steps TEXT NOT NULL);"
    "CREATE INDEX app_runs_by_app ON app_runs (app, number);"
    "CREATE TABLE plugins ("
    "  id TEXT PRIMARY KEY, workspace TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE, name TEXT NOT NULL,"
    "  source TEXT NOT NULL, definition TEXT NOT NULL, secret BLOB, created_ms INTEGER NOT NULL, modified_ms INTEGER NOT NULL)"
    "  WITHOUT ROWID;"
    "CREATE INDEX plugins_by_workspace ON plugins (workspace);",

    /* Fine-tuning: store/tuning.h. Deployments: store/deployments.h. The lease is in the machine's time. */
    "CREATE TABLE tuning_jobs ("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, workspace TEXT NOT NULL, key TEXT NOT NULL,"
    "  name TEXT NOT NULL, model TEXT NOT NULL, base TEXT NOT NULL, type TEXT NOT NULL, body TEXT NOT NULL,"
    "  output TEXT NOT NULL, served TEXT NOT NULL DEFAULT '', status TEXT NOT NULL, code TEXT NOT NULL DEFAULT '',"
    "  message TEXT NOT NULL DEFAULT '', create_ms INTEGER NOT NULL, start_ms INTEGER NOT NULL DEFAULT 0,"
    "  end_ms INTEGER NOT NULL DEFAULT 0, usage INTEGER NOT NULL DEFAULT 0, owner TEXT, lease_ms INTEGER,"
    "  claim INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX tuning_jobs_open ON tuning_jobs (status) WHERE status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED');"
    "CREATE INDEX tuning_jobs_by_owner ON tuning_jobs (workspace, number);"
    "CREATE TABLE tuning_logs ("
    "  job TEXT NOT NULL REFERENCES tuning_jobs (id) ON DELETE CASCADE, line INTEGER NOT NULL, at_ms INTEGER NOT NULL,"
    "  text TEXT NOT NULL, PRIMARY KEY (job, line)) WITHOUT ROWID;"
    "CREATE TABLE tuning_checkpoints ("
    "  job TEXT NOT NULL REFERENCES tuning_jobs (id) ON DELETE CASCADE, name TEXT NOT NULL, model TEXT NOT NULL DEFAULT '',"
    "  served TEXT NOT NULL, create_ms INTEGER NOT NULL, PRIMARY KEY (job, name));"
    "CREATE TABLE tuning_models ("
    "  name TEXT NOT NULL, workspace TEXT NOT NULL, base TEXT NOT NULL, served TEXT NOT NULL, job TEXT NOT NULL,"
    "  create_ms INTEGER NOT NULL, PRIMARY KEY (workspace, name)) WITHOUT ROWID;"
    "CREATE TABLE deployments ("
    "  name TEXT NOT NULL, workspace TEXT NOT NULL, model TEXT NOT NULL, base TEXT NOT NULL, served TEXT NOT NULL,"
    "  plan TEXT NOT NULL, title TEXT NOT NULL, spec TEXT NOT NULL, capacity INTEGER NOT NULL, capacity_before INTEGER NOT NULL,"
    "  rpm INTEGER NOT NULL, tpm INTEGER NOT NULL, create_ms INTEGER NOT NULL, modified_ms INTEGER NOT NULL,"
    "  ready_ms INTEGER NOT NULL, gone_ms INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (workspace, name)) WITHOUT ROWID;",

    /* What has been read out of them: store/documents.h. */
    "CREATE TABLE documents ("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT, hash TEXT NOT NULL UNIQUE, name TEXT NOT NULL,"
    "  read INTEGER NOT NULL DEFAULT 0, verdict TEXT NOT NULL DEFAULT '', format TEXT NOT NULL DEFAULT '',"
    "  pages INTEGER NOT NULL DEFAULT 0, tokens INTEGER NOT NULL DEFAULT 0, text TEXT NOT NULL DEFAULT '',"
    "  text_bytes INTEGER NOT NULL DEFAULT 0, owner TEXT NOT NULL DEFAULT '', tries INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX documents_waiting ON documents (number) WHERE read = 0;"
    "CREATE INDEX documents_by_text ON documents (text) WHERE text <> '';"
    "INSERT INTO documents (hash, name)"
    "  SELECT hash, name FROM files WHERE state = 1 AND purpose = 'file-extract' GROUP BY hash;",

    /* Answers of applications in OpenAI's form. */
    "CREATE TABLE app_responses ("
    "  id TEXT PRIMARY KEY, app TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE, workspace TEXT NOT NULL,"
    "  status TEXT NOT NULL, body TEXT NOT NULL, created_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX app_responses_by_app ON app_responses (app);"
    "CREATE INDEX app_responses_by_time ON app_responses (created_ms);",

    /* Assistants, threads, messages, runs, steps: store/assistants.h. */
    "CREATE TABLE assistant_objects ("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, owner TEXT NOT NULL,"
    "  workspace TEXT NOT NULL, status TEXT NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL);"
    "CREATE INDEX assistant_objects_by_owner ON assistant_objects (owner, kind, workspace, number);",

    /* Knowledge bases: store/knowledge.h. Big columns of chunks stand last: who looks for a document reads none. A chunk's words go with
     * it, a base's documents with their files. */
    "CREATE TABLE knowledge_bases ("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    "  workspace TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE, name TEXT NOT NULL, model TEXT NOT NULL,"
    "  dimension INTEGER NOT NULL, chunk_size INTEGER NOT NULL, overlap INTEGER NOT NULL, separators TEXT NOT NULL,"
    "  way TEXT NOT NULL, called INTEGER NOT NULL, created_ms INTEGER NOT NULL, UNIQUE (workspace, name));"
    "CREATE TABLE knowledge_documents ("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  base INTEGER NOT NULL REFERENCES knowledge_bases (number) ON DELETE CASCADE, file TEXT NOT NULL, name TEXT NOT NULL,"
    "  tags TEXT NOT NULL, details TEXT NOT NULL, job TEXT NOT NULL, state INTEGER NOT NULL DEFAULT 0,"
    "  problem TEXT NOT NULL DEFAULT '', chunks INTEGER NOT NULL DEFAULT 0, owner TEXT NOT NULL DEFAULT '',"
    "  tries INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL, UNIQUE (base, file));"
    "CREATE INDEX knowledge_documents_waiting ON knowledge_documents (number) WHERE state = 0;"
    "CREATE INDEX knowledge_documents_by_file ON knowledge_documents (file);"
    "CREATE TABLE knowledge_chunks ("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  document INTEGER NOT NULL REFERENCES knowledge_documents (number) ON DELETE CASCADE, position INTEGER NOT NULL,"
    "  title TEXT NOT NULL, text TEXT NOT NULL, vector BLOB NOT NULL);"
    "CREATE INDEX knowledge_chunks_by_document ON knowledge_chunks (document);"
    "CREATE VIRTUAL TABLE knowledge_words USING fts5 (base, words, tokenize = 'ascii');"
    "CREATE VIRTUAL TABLE knowledge_vocabulary USING fts5vocab ('knowledge_words', 'row');"
    "CREATE TRIGGER knowledge_chunk_gone AFTER DELETE ON knowledge_chunks BEGIN"
    "  DELETE FROM knowledge_words WHERE rowid = old.number; END;"
    "CREATE TRIGGER knowledge_file_deleted AFTER UPDATE OF state ON files WHEN new.state = 2 BEGIN"
    "  DELETE FROM knowledge_documents WHERE file = new.id; END;"
    "CREATE TRIGGER knowledge_file_gone AFTER DELETE ON files WHEN old.state = 1 BEGIN"
    "  DELETE FROM knowledge_documents WHERE file = old.id; END;"
    "CREATE TABLE knowledge_leases ("
    "  id TEXT PRIMARY KEY, workspace TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, md5 TEXT NOT NULL,"
    "  file TEXT NOT NULL DEFAULT '', until_ms INTEGER NOT NULL) WITHOUT ROWID;",

    /* How a task fails on purpose (access/faults.h): mostly not at all. */
    "ALTER TABLE tasks ADD COLUMN fault TEXT NOT NULL DEFAULT '';",

    /* When a run ends by itself; those of before have had their time. */
    "ALTER TABLE assistant_objects ADD COLUMN due_ms INTEGER NOT NULL DEFAULT 0;"
    "UPDATE assistant_objects SET due_ms = 1"
    "  WHERE kind = 'run' AND status IN ('queued', 'in_progress', 'requires_action');"
    "CREATE INDEX assistant_objects_due ON assistant_objects (due_ms) WHERE due_ms > 0;",
};

/* What the operator can do about it. */
static const char *remedy(int result)
{
    switch (result & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return "; move it away, and a new one is made (without the old one's keys)";
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return "; it must be writable for this user, and so must its folder (--data)";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "; another program holds it";
    case SQLITE_FULL:
    case SQLITE_IOERR:
        return "; is the disk full?";
    }
    return "";
}

enum err store_err(sqlite3 *db, int result)
{
    const char *file;

    if (result == SQLITE_OK || result == SQLITE_DONE || result == SQLITE_ROW)
        return OK;
    if (result == SQLITE_CONSTRAINT)
        return ERR_EXISTS;
    file = sqlite3_db_filename(db, "main");
    log_error("store: %s: %s%s", file ? file : "?", sqlite3_errmsg(db), remedy(result));
    return ERR_IO;
}

enum err store_exec(sqlite3 *db, const char *sql)
{
    return store_err(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

enum err store_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret)
{
    return store_err(db, sqlite3_prepare_v2(db, sql, -1, ret, NULL));
}

enum err store_finish(sqlite3 *db, sqlite3_stmt *st)
{
    enum err e = store_err(db, sqlite3_step(st));

    sqlite3_finalize(st);
    return e;
}

enum err store_finish_one(sqlite3 *db, sqlite3_stmt *st)
{
    enum err e = store_finish(db, st);

    return e ? e : sqlite3_changes64(db) ? OK : ERR_NOT_FOUND;
}

enum err store_commit(sqlite3 *db, enum err e)
{
    if (!e)
        return store_exec(db, "COMMIT");
    (void)store_exec(db, "ROLLBACK"); /* the first error is the one to tell */
    return e;
}

void store_bind_str(sqlite3_stmt *st, int at, str s)
{
    sqlite3_bind_text64(st, at, s.ptr ? s.ptr : "", s.len, SQLITE_TRANSIENT, SQLITE_UTF8);
}

str store_column_str(sqlite3_stmt *st, int at)
{
    const char *text = (const char *)sqlite3_column_text(st, at);

    return str_of(text, (size_t)sqlite3_column_bytes(st, at));
}

enum err store_absent_job(sqlite3 *db, void *arg)
{
    struct store_absent *ab = arg;
    sqlite3_stmt        *st;
    size_t               n = 0;
    enum err             e = store_prepare(db, ab->sql, &st);

    for (size_t i = 0; i < ab->count && !e; i++) {
        int r;

        store_bind_str(st, 1, ab->names[i]);
        r = sqlite3_step(st);
        e = store_err(db, r);
        if (r == SQLITE_DONE)
            ab->names[n++] = ab->names[i];
        sqlite3_reset(st);
    }
    ab->count = e ? 0 : n;
    sqlite3_finalize(st);
    return e;
}

static enum err version_get(sqlite3 *db, unsigned *ret)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, "PRAGMA user_version", &st);

    if (e)
        return e;
    if (sqlite3_step(st) == SQLITE_ROW)
        *ret = (unsigned)sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return OK;
}

/* Several processes may open a new folder at once: the version is read again inside the transaction. */
static enum err migrate(sqlite3 *db)
{
    unsigned version = 0;
    enum err e = version_get(db, &version);

    if (e || version == ARRAY_LEN(migrations))
        return e;
    if (version > ARRAY_LEN(migrations)) {
        log_error("store: %s is of a newer dashbox (version %u); use that, or another folder (--data)",
                  sqlite3_db_filename(db, "main"), version);
        return ERR_INVALID;
    }
    e = store_exec(db, "BEGIN IMMEDIATE");
    if (e)
        return e;
    e = version_get(db, &version);
    while (!e && version < ARRAY_LEN(migrations)) {
        char sql[64];

        e = store_exec(db, migrations[version++]);
        snprintf(sql, sizeof(sql), "PRAGMA user_version = %u", version);
        if (!e)
            e = store_exec(db, sql);
    }
    if (e) {
        (void)store_exec(db, "ROLLBACK"); /* the first error is the one to tell */
        return e;
    }
    return store_exec(db, "COMMIT");
}

static bool open_as_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static enum err no_folder(const char *path)
{
    log_error("store: %s: %s; --data DIR, or the option data, names another folder", path, strerror(errno));
    return ERR_IO;
}

/* mkdir -p; the last folder is for its owner alone. */
static enum err make_folder(const char *path)
{
    char part[1024];

    for (size_t i = 1; i < sizeof(part); i++) {
        char c = path[i - 1];

        part[i - 1] = c;
        if (path[i] != '/' && path[i] != 0)
            continue;
        part[i] = 0;
        if (mkdir(part, path[i] ? 0755 : 0700) && errno != EEXIST)
            return no_folder(part);
        if (path[i] == 0 && open_as_folder(part) && access(part, W_OK | X_OK) == 0)
            return OK;
        if (path[i] == 0)
            return no_folder(part);
    }
    return ERR_LIMIT;
}

/* Several processes that open a new database make it a WAL one at the same time. SQLite does not let them wait for each
 * other
 * by its own busy time there, but refuses at once. */
static enum err use_wal(sqlite3 *db)
{
    int64_t give_up_us = clock_mono_us() + BUSY_MS * 1000;
    int     result = sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);

    while (result == SQLITE_BUSY && clock_mono_us() < give_up_us) {
        usleep(1000);
        result = sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    }
    return store_err(db, result);
}

/* The database holds hashes of keys and the secret of temporary ones: it is its owner's alone, wherever it lies. SQLite
 * gives the
 * files beside it the same mode. */
static void keep_private(const char *file)
{
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd >= 0 && fchmod(fd, 0600))
        log_warn("%s: %s; others may read it", file, strerror(errno));
    if (fd >= 0)
        close(fd); /* what is wrong with it SQLite says */
}

enum err store_open(str folder, struct store **ret)
{
    struct store *s = xcalloc(1, sizeof(*s));
    enum err      e;
    str           file;

    pthread_mutex_init(&s->lock, NULL);
    s->last = &s->first;
    arena_init(&s->arena, 512);
    s->folder = arena_str(&s->arena, folder);
    file = arena_printf(&s->arena, "%.*s/dashbox.db", STR_ARG(folder));
    e = make_folder(s->folder.ptr);
    if (!e)
        keep_private(file.ptr);
    if (!e &&
        sqlite3_open_v2(file.ptr, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL)) {
        log_error("store: %s: %s%s", file.ptr, sqlite3_errmsg(s->db), remedy(sqlite3_errcode(s->db)));
        e = ERR_IO;
    }
    if (!e) {
        sqlite3_busy_timeout(s->db, BUSY_MS);
        e = use_wal(s->db);
    }
    if (!e)
        e = store_exec(s->db, "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -512;");
    if (!e)
        e = migrate(s->db);
    if (e) {
        store_close(s);
        return e;
    }
    *ret = s;
    return OK;
}

enum err store_reader_open(const struct store *s, sqlite3 **ret)
{
    char     file[1100];
    sqlite3 *db = NULL;
    enum err e;

    snprintf(file, sizeof(file), "%.*s/dashbox.db", STR_ARG(s->folder));
    if (sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                        NULL)) { /* it may have to make the -shm file */
        log_error("store: %s: %s%s", file, sqlite3_errmsg(db), remedy(sqlite3_errcode(db)));
        sqlite3_close(db);
        return ERR_IO;
    }
    sqlite3_busy_timeout(db, BUSY_MS);
    e = store_exec(db, "PRAGMA query_only = ON; PRAGMA cache_size = -8192;");
    if (e)
        sqlite3_close(db);
    else
        *ret = db;
    return e;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    lane_close(s->lane);
    sqlite3_close(s->db);
    pthread_mutex_destroy(&s->lock);
    arena_free(&s->arena);
    free(s);
}

str store_folder(const struct store *s)
{
    return s->folder;
}

struct run {
    struct store *store;
    store_job     job;
    void         *arg;
    enum err      e;
};

static void run_job(void *arg)
{
    struct run *r = arg;

    r->e = r->job(r->store->db, r->arg);
}

enum err store_start(struct store *s)
{
    s->lane = lane_open("store");
    return s->lane ? OK : ERR_LIMIT;
}

enum err store_run(struct store *s, store_job job, void *arg)
{
    struct run r = { .store = s, .job = job, .arg = arg };

    might_suspend();
    ASSERT(s->lane);
    lane_run(s->lane, run_job, &r);
    return r.e;
}

/* ---- together ---- */

/* On the waiter's loop. */
static void member_done(void *arg)
{
    struct member *m = arg;

    m->done = true;
    fiber_wake(m->waiter);
}

static void say_then(sqlite3 *db, const struct member *all, bool good)
{
    for (const struct member *m = all; m; m = m->next) {
        if (m->then && good == !m->e)
            m->then(db, m->arg, m->e);
    }
}

static void together_job(void *arg)
{
    struct store  *s = arg;
    struct member *all, *m;
    enum err       e;

    pthread_mutex_lock(&s->lock);
    all = s->first;
    s->first = NULL;
    s->last = &s->first;
    pthread_mutex_unlock(&s->lock);
    e = store_exec(s->db, "BEGIN IMMEDIATE");
    for (m = all; m && !e; m = m->next) {
        m->e = m->job(s->db, m->arg);
        if (sqlite3_get_autocommit(s->db))
            e = ERR_IO; /* the disk is full, or broken: SQLite has undone all of it */
    }
    if (!e)
        e = store_exec(s->db, "COMMIT");
    if (e && !sqlite3_get_autocommit(s->db))
        (void)store_exec(s->db, "ROLLBACK"); /* the first error is the one to tell */
    for (m = all; m && e; m = m->next)
        m->e = e;
    say_then(s->db, all, true);
    say_then(s->db, all, false);
    while ((m = all)) {
        all = m->next;
        loop_post(m->loop, member_done, m); /* gone from here on */
    }
}

enum err store_run_together(struct store *s, store_job job, void (*then)(sqlite3 *db, void *arg, enum err e), void *arg)
{
    struct member m = { .job = job, .then = then, .arg = arg, .waiter = fiber_self(), .loop = fiber_loop() };
    bool          first;

    might_suspend();
    ASSERT(s->lane);
    pthread_mutex_lock(&s->lock);
    first = !s->first;
    *s->last = &m;
    s->last = &m.next;
    pthread_mutex_unlock(&s->lock);
    if (first)
        lane_post(s->lane, together_job, s);
    while (!m.done)
        fiber_wait_through(); /* the job uses this stack */
    return m.e;
}

struct post {
    struct store *store;
    store_job     job;
    void (*then)(void *arg, enum err e);
    void *arg;
};

static void post_job(void *arg)
{
    struct post p = *(struct post *)arg;

    free(arg);
    p.then(p.arg, p.job(p.store->db, p.arg));
}

void store_post(struct store *s, store_job job, void (*then)(void *arg, enum err e), void *arg)
{
    struct post *p = xmalloc(sizeof(*p));

    ASSERT(s->lane);
    *p = (struct post){ .store = s, .job = job, .then = then, .arg = arg };
    lane_post(s->lane, post_job, p);
}

enum err store_run_here(struct store *s, store_job job, void *arg)
{
    return job(s->db, arg);
}
