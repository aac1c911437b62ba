/* ledger.c - logs of charges, and the booking of them.
 *
 * A log is a file of a header and a ring of records. Record number n (from 0) lies in slot n % RECORDS, and its `mark` is
 * n + 1, stored last. So a reader needs to know only where it stands: the next record is there when its slot has the
 * mark, and every other value (zero, or an older round's) says that it is not. A record is not split by a sector of the
 * disk.
 *
 * The position, the number of records booked, is in ledger_positions and moves in the transaction that books them. A log
 * is removed once all of it is booked, and only by who holds its lock: its process, or anybody when that has died. New
 * logs are made and old ones looked for under the folder's lock, or a new one could be taken for a dead one's before it
 * is locked.
 *
 * Thread: ledger_charge() on the worker's; booking on the store's lane, at the word of the ledger's own thread, which
 * sleeps until there is a charge. `lock` guards what the three share and is not atomic.
 */
#include "access/ledger.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "base/rand.h"
#include "loop/loop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MAGIC "dashbox ledger 1\n"
#define COMMIT_MS 100

enum {
    RECORDS = 4096, /* a power of two: a mebibyte a worker */
    HEADER = 4096,
    LOGS_MAX = 256, /* as many as there may be workers */
    GROUPS = 64,    /* of charges that are booked as one */
};

struct record {
    _Atomic uint64_t mark;
    int64_t          time_ms;
    int64_t          prompt, completion, reasoning, cached, free, cost, list_cost;
    uint8_t          workspace_len, key_len, model_len, unused;
    char             names[LEDGER_NAMES_MAX]; /* one behind the other */
};

struct log_file {
    char          magic[HEADER];
    struct record records[RECORDS];
};

static_assert(sizeof(struct record) == 256, "a record must divide a sector");
static_assert(sizeof(struct log_file) == HEADER + RECORDS * sizeof(struct record), "a log has no holes");

struct ledger_log {
    struct ledger   *ledger;
    struct log_file *file;
    int              fd; /* holds the lock */
    char             name[32];
    _Atomic uint64_t written; /* records, by the worker */
    _Atomic uint64_t booked;  /* records that the tables have for good, by the lane */
    uint64_t         taken;   /* the lane's: records of the transaction under way */
};

/* A fiber that waits for the next booking. */
struct waiter {
    struct waiter *next;
    struct fiber  *fiber;
    struct loop   *loop;
    bool           done; /* the fiber's loop alone reads and writes this */
    enum err       e;
};

struct ledger {
    struct store *store;
    struct quota *quota;
    bool          strict;
    int64_t       commit_ms;
    pthread_t     thread;
    bool          thread_runs;
    _Atomic bool  awake; /* the thread knows that there are charges */

    pthread_mutex_t    lock;
    pthread_cond_t     word; /* to the thread: something below has changed */
    struct ledger_log *logs[LOGS_MAX];
    size_t             log_count;
    struct waiter     *waiters;
    bool               hurry, closing; /* book now */
    bool               booking;        /* the lane has the job */
    enum err           result;         /* of the last one */
};

/* ---- booking ---- */

/* Charges of one minute, workspace, key and model, as one row. */
struct group {
    int64_t             minute, requests, prompt, completion, reasoning, cached, free, cost, list_cost;
    str                 names, workspace, key, model_name;
    const struct model *model;
    uint8_t             workspace_len, key_len;
    char                bytes[LEDGER_NAMES_MAX];
};

struct booking {
    sqlite3      *db;
    struct quota *quota; /* NULL: the tables alone */
    sqlite3_stmt *add;
    struct group  groups[GROUPS];
    size_t        count;
    int64_t       cost;
    /* to be told to the quota after the commit */
    struct {
        const struct model *model;
        int64_t             free;
    } * taken;
    size_t taken_count;
};

static enum err group_book(struct booking *b, const struct group *g)
{
    const int64_t numbers[] = { g->requests, g->prompt, g->completion, g->reasoning,
                                g->cached,   g->free,   g->cost,       g->list_cost };
    enum err      e;

    sqlite3_reset(b->add);
    sqlite3_bind_int64(b->add, 1, g->minute);
    store_bind_str(b->add, 2, g->workspace);
    store_bind_str(b->add, 3, g->key);
    store_bind_str(b->add, 4, g->model_name);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        sqlite3_bind_int64(b->add, 5 + (int)i, numbers[i]);
    e = store_err(b->db, sqlite3_step(b->add));
    if (e)
        return e;
    b->cost += g->cost;
    if (g->free) {
        b->taken = xrealloc(b->taken, (b->taken_count + 1) * sizeof(*b->taken));
        b->taken[b->taken_count].model = g->model;
        b->taken[b->taken_count++].free = g->free;
    }
    return quota_book_free(b->quota, b->db, g->model, g->free);
}

static enum err groups_book(struct booking *b)
{
    enum err e = OK;

    for (size_t i = 0; !e && i < b->count; i++)
        e = group_book(b, &b->groups[i]);
    b->count = 0;
    return e;
}

/* A file on disk may hold anything. */
static bool record_is_sound(const struct record *r)
{
    return r->workspace_len + r->key_len + r->model_len <= LEDGER_NAMES_MAX;
}

static enum err record_book(struct booking *b, const struct record *r)
{
    int64_t       minute = r->time_ms / 60000;
    str           names = str_of(r->names, (size_t)(r->workspace_len + r->key_len + r->model_len));
    struct group *g = NULL;

    for (size_t i = 0; i < b->count && !g; i++) {
        struct group *at = &b->groups[i];

        if (at->minute == minute && at->workspace_len == r->workspace_len && at->key_len == r->key_len &&
            str_eq(at->names, names))
            g = at;
    }
    if (!g) {
        enum err e = b->count == GROUPS ? groups_book(b) : OK;

        if (e)
            return e;
        g = &b->groups[b->count++];
        *g = (struct group){ .minute = minute, .workspace_len = r->workspace_len, .key_len = r->key_len };
        memcpy(g->bytes, names.ptr, names.len);
        g->names = str_of(g->bytes, names.len);
        g->workspace = str_first(g->names, r->workspace_len);
        g->key = str_first(str_from(g->names, r->workspace_len), r->key_len);
        g->model_name = str_from(g->names, (size_t)(r->workspace_len + r->key_len));
        g->model = model_find(g->model_name);
    }
    g->requests++;
    g->prompt += r->prompt;
    g->completion += r->completion;
    g->reasoning += r->reasoning;
    g->cached += r->cached;
    g->free += r->free;
    g->cost += r->cost;
    g->list_cost += r->list_cost;
    return OK;
}

/* Books what follows `position`; gives the new one. */
static enum err file_book(struct booking *b, const struct log_file *file, uint64_t position, uint64_t *ret)
{
    enum err e = OK;

    for (size_t n = 0; n < RECORDS; n++) { /* never more than a round: the file may be anything */
        const struct record *r = &file->records[position % RECORDS];

        if (atomic_load_explicit(&r->mark, memory_order_acquire) != position + 1 || !record_is_sound(r))
            break;
        e = record_book(b, r);
        if (e)
            return e;
        position++;
    }
    *ret = position;
    return OK;
}

static enum err position_get(sqlite3 *db, const char *name, uint64_t *ret)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, "SELECT position FROM ledger_positions WHERE log = ?", &st);
    int           r;

    if (e)
        return e;
    store_bind_str(st, 1, str_from_cstr(name));
    r = sqlite3_step(st);
    *ret = r == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    return store_err(db, r);
}

static enum err position_set(sqlite3 *db, const char *name, uint64_t position)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db,
                                    "INSERT INTO ledger_positions VALUES (?1, ?2)"
                                         " ON CONFLICT (log) DO UPDATE SET position = ?2",
                                    &st);

    if (e)
        return e;
    store_bind_str(st, 1, str_from_cstr(name));
    sqlite3_bind_int64(st, 2, (int64_t)position);
    e = store_err(db, sqlite3_step(st));
    sqlite3_finalize(st);
    return e;
}

static enum err position_forget(sqlite3 *db, const char *name)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, "DELETE FROM ledger_positions WHERE log = ?", &st);

    if (e)
        return e;
    store_bind_str(st, 1, str_from_cstr(name));
    e = store_err(db, sqlite3_step(st));
    sqlite3_finalize(st);
    return e;
}

static enum err booking_prepare(struct booking *b, sqlite3 *db, struct quota *q)
{
    b->db = db;
    b->quota = q;
    return store_prepare(
        db,
        "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (minute, workspace, key, model) DO UPDATE SET requests = requests + excluded.requests,"
        " prompt_tokens = prompt_tokens + excluded.prompt_tokens,"
        " completion_tokens = completion_tokens + excluded.completion_tokens,"
        " reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,"
        " cached_tokens = cached_tokens + excluded.cached_tokens,"
        " free_tokens = free_tokens + excluded.free_tokens, cost = cost + excluded.cost,"
        " list_cost = list_cost + excluded.list_cost",
        &b->add);
}

static enum err booking_begin(struct booking *b, sqlite3 *db, struct quota *q)
{
    enum err e = booking_prepare(b, db, q);

    return e ? e : store_exec(db, "BEGIN IMMEDIATE");
}

/* Commits when `e` is OK, else rolls back. */
static enum err booking_end(struct booking *b, enum err e)
{
    if (!e)
        e = groups_book(b);
    if (!e)
        e = quota_book_cost(b->quota, b->db, b->cost);
    sqlite3_finalize(b->add);
    if (!e)
        e = store_exec(b->db, "COMMIT");
    if (e && !sqlite3_get_autocommit(b->db))
        (void)store_exec(b->db, "ROLLBACK"); /* the first error is the one to tell */
    if (!e && b->quota) {
        quota_booked(b->quota, b->cost);
        for (size_t i = 0; i < b->taken_count; i++)
            quota_booked_free(b->quota, b->taken[i].model, b->taken[i].free);
    }
    free(b->taken);
    return e;
}

/* On the lane: all logs of this process. */
static enum err book_job(sqlite3 *db, void *arg)
{
    struct ledger     *l = arg;
    struct ledger_log *logs[LOGS_MAX];
    struct booking    *b;
    size_t             count;
    enum err           e;

    pthread_mutex_lock(&l->lock);
    count = l->log_count;
    memcpy(logs, l->logs, count * sizeof(logs[0]));
    pthread_mutex_unlock(&l->lock);

    b = xcalloc(1, sizeof(*b));
    e = booking_begin(b, db, l->quota);
    for (size_t i = 0; !e && i < count; i++) {
        uint64_t booked = atomic_load(&logs[i]->booked);

        logs[i]->taken = booked;
        if (booked == atomic_load(&logs[i]->written))
            continue;
        e = file_book(b, logs[i]->file, booked, &logs[i]->taken);
        if (!e && logs[i]->taken != booked)
            e = position_set(db, logs[i]->name, logs[i]->taken);
    }
    e = booking_end(b, e);
    free(b);
    for (size_t i = 0; !e && i < count; i++)
        atomic_store(&logs[i]->booked, logs[i]->taken);
    return e;
}

/* ---- files ---- */

static str folder_of(struct arena *a, struct store *s)
{
    return arena_printf(a, "%.*s/ledger", STR_ARG(store_folder(s)));
}

static const char *log_path(struct arena *a, struct store *s, const char *name)
{
    return arena_printf(a, "%s/%s", folder_of(a, s).ptr, name).ptr;
}

/* The folder, made when it is missing, and its lock; -1 on failure, which is in the log. Closing it unlocks. */
static int folder_lock(struct arena *a, struct store *s)
{
    str folder = folder_of(a, s), path = arena_printf(a, "%.*s/lock", STR_ARG(folder));
    int fd;

    if (mkdir(folder.ptr, 0700) && errno != EEXIST) {
        log_error("ledger: %s: %s", folder.ptr, strerror(errno));
        return -1;
    }
    fd = open(path.ptr, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) {
        while (flock(fd, LOCK_EX)) {
            if (errno == EINTR)
                continue;
            close(fd);
            fd = -1;
            break;
        }
    }
    if (fd < 0)
        log_error("ledger: %s: %s", path.ptr, strerror(errno));
    return fd;
}

static struct log_file *file_map(int fd, int protection)
{
    void *at = mmap(NULL, sizeof(struct log_file), protection, MAP_SHARED, fd, 0);

    return at == MAP_FAILED ? NULL : at;
}

/* A log that nobody locks: its process is gone. Books it and removes it. */
static enum err orphan_book(sqlite3 *db, int fd, const char *name, const char *path)
{
    struct stat      st;
    struct log_file *file;
    struct booking  *b;
    uint64_t         position = 0;
    enum err         e;

    /* A log is complete before it is used: what is too short has no charges. */
    if (fstat(fd, &st) == 0 && st.st_size == sizeof(*file) && (file = file_map(fd, PROT_READ))) {
        if (!str_eq(str_of(file->magic, sizeof(LOG_MAGIC) - 1), S(LOG_MAGIC)) && file->magic[0]) {
            log_error("ledger: %s: not a log of this version, left as it is", path);
            munmap(file, sizeof(*file));
            return OK;
        }
        b = xcalloc(1, sizeof(*b));
        e = booking_begin(b, db, NULL);
        if (!e)
            e = position_get(db, name, &position);
        if (!e)
            e = file_book(b, file, position, &position);
        if (!e)
            e = position_set(db, name, position);
        e = booking_end(b, e);
        free(b);
        munmap(file, sizeof(*file));
        if (e)
            return e;
    }
    if (unlink(path)) {
        log_error("ledger: %s: %s", path, strerror(errno));
        return ERR_IO;
    }
    return OK;
}

/* Forgets the positions of logs that are no more; a name never comes again. */
static enum err positions_sweep(sqlite3 *db, struct arena *a, struct store *s)
{
    sqlite3_stmt *st;
    const char  **gone = NULL;
    size_t        count = 0;
    enum err      e = store_prepare(db, "SELECT log FROM ledger_positions", &st);
    int           r;

    if (e)
        return e;
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        const char *name = str_to_cstr(a, store_column_str(st, 0));

        if (access(log_path(a, s, name), F_OK) == 0)
            continue;
        gone = arena_realloc(a, gone, count * sizeof(*gone), (count + 1) * sizeof(*gone));
        gone[count++] = name;
    }
    sqlite3_finalize(st);
    e = store_err(db, r);
    for (size_t i = 0; !e && i < count; i++)
        e = position_forget(db, gone[i]);
    return e;
}

static enum err recover_job(sqlite3 *db, void *arg)
{
    struct store  *s = arg;
    struct arena   a;
    DIR           *dir;
    struct dirent *d;
    int            lock;
    enum err       e = OK;

    arena_init(&a, 0);
    lock = folder_lock(&a, s);
    dir = lock < 0 ? NULL : opendir(folder_of(&a, s).ptr);
    if (!dir)
        e = ERR_IO;
    while (!e && (d = readdir(dir))) {
        const char *path = log_path(&a, s, d->d_name);
        int         fd;

        if (!str_ends(str_from_cstr(d->d_name), S(".log")))
            continue;
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            e = orphan_book(db, fd, d->d_name, path);
        if (fd >= 0)
            close(fd);
    }
    if (dir)
        closedir(dir);
    if (!e)
        e = positions_sweep(db, &a, s);
    if (lock >= 0)
        close(lock);
    arena_free(&a);
    return e;
}

enum err ledger_recover(struct store *s)
{
    return store_run_here(s, recover_job, s);
}

static void log_close(struct ledger_log *log)
{
    if (log->file)
        munmap(log->file, sizeof(*log->file));
    if (log->fd >= 0)
        close(log->fd);
    free(log);
}

/* Removes it when all is booked; what it says in ledger_positions goes at the next start. */
static void log_end(struct ledger_log *log)
{
    struct arena a;

    arena_init(&a, 0);
    if (atomic_load(&log->booked) == atomic_load(&log->written))
        (void)unlink(log_path(&a, log->ledger->store, log->name)); /* else the next start does */
    arena_free(&a);
    log_close(log);
}

/* The whole file is claimed now, so that a full disk shows here and not when a page is written. */
static enum err log_make(struct ledger_log *log, const char *path)
{
    int r;

    log->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (log->fd < 0 || flock(log->fd, LOCK_EX | LOCK_NB)) {
        log_error("ledger: %s: %s", path, strerror(errno));
        return ERR_IO;
    }
    r = posix_fallocate(log->fd, 0, sizeof(*log->file));
    if (!r) {
        log->file = file_map(log->fd, PROT_READ | PROT_WRITE);
        r = log->file ? 0 : errno;
    }
    if (r) {
        log_error("ledger: %s: %s", path, strerror(r));
        (void)unlink(path); /* else the next process does */
        return ERR_IO;
    }
    memcpy(log->file->magic, LOG_MAGIC, sizeof(LOG_MAGIC) - 1);
    return OK;
}

enum err ledger_log_open(struct ledger *l, struct ledger_log **ret)
{
    struct ledger_log *log = xcalloc(1, sizeof(*log));
    struct arena       a;
    enum err           e = ERR_LIMIT;
    unsigned char      id[8];
    int                lock;

    log->ledger = l;
    log->fd = -1;
    rand_secret(id, sizeof(id)); /* new in forked processes, too */
    num_hex(log->name, id, sizeof(id));
    memcpy(log->name + 2 * sizeof(id), ".log", sizeof(".log"));
    arena_init(&a, 0);
    lock = folder_lock(&a, l->store);
    e = lock < 0 ? ERR_IO : log_make(log, log_path(&a, l->store, log->name));
    if (lock >= 0)
        close(lock);
    arena_free(&a);
    pthread_mutex_lock(&l->lock);
    if (!e && l->log_count == LOGS_MAX)
        e = ERR_LIMIT;
    if (!e)
        l->logs[l->log_count++] = log;
    pthread_mutex_unlock(&l->lock);
    if (e) {
        log_close(log); /* the file is empty, and removed by the next process */
        return e;
    }
    *ret = log;
    return OK;
}

/* ---- the ledger's thread: when to book ---- */

/* On the waiter's loop. */
static void waiter_wake(void *arg)
{
    struct waiter *w = arg;

    w->done = true;
    fiber_wake(w->fiber);
}

/* On the lane, after the job. */
static void booked(void *arg, enum err e)
{
    struct ledger *l = arg;

    pthread_mutex_lock(&l->lock);
    l->booking = false;
    l->result = e;
    pthread_cond_signal(&l->word);
    pthread_mutex_unlock(&l->lock);
}

static bool has_charges(struct ledger *l)
{
    for (size_t i = 0; i < l->log_count; i++) {
        if (atomic_load(&l->logs[i]->written) != atomic_load(&l->logs[i]->booked))
            return true;
    }
    return false;
}

static void deadline_in(struct timespec *ts, int64_t ms)
{
    clock_gettime(CLOCK_MONOTONIC, ts);
    ts->tv_nsec += ms % 1000 * 1000000;
    ts->tv_sec += ms / 1000 + ts->tv_nsec / 1000000000;
    ts->tv_nsec %= 1000000000;
}

/* Under the lock, which is open meanwhile. Those who came before it began are told of its end; those who come while it
 * runs wait for the next, for it may have passed their logs already. */
static void book(struct ledger *l)
{
    struct waiter *w = l->waiters;

    l->waiters = NULL;
    l->hurry = false;
    l->booking = true;
    pthread_mutex_unlock(&l->lock);
    store_post(l->store, book_job, booked, l);
    pthread_mutex_lock(&l->lock);
    while (l->booking)
        pthread_cond_wait(&l->word, &l->lock);
    while (w) {
        struct waiter *next = w->next;

        w->e = l->result;
        loop_post(w->loop, waiter_wake, w); /* from now on it is the fiber's */
        w = next;
    }
}

static void *ledger_main(void *arg)
{
    struct ledger *l = arg;

    pthread_mutex_lock(&l->lock);
    for (;;) {
        struct timespec until;

        /* A charge that does not see `awake` false is seen here, for both are in one order. */
        atomic_store(&l->awake, false);
        while (!l->hurry && !l->closing && !has_charges(l))
            pthread_cond_wait(&l->word, &l->lock);
        atomic_store(&l->awake, true);
        deadline_in(&until, l->commit_ms);
        while (!l->hurry && !l->closing && pthread_cond_timedwait(&l->word, &l->lock, &until) != ETIMEDOUT)
            ;
        if (l->closing && !has_charges(l) && !l->waiters)
            break;
        book(l);
        if (l->closing && l->result) {
            log_error("ledger: charges are left in the logs, for the next start");
            break;
        }
    }
    pthread_mutex_unlock(&l->lock);
    log_flush();
    return NULL;
}

/* The thread sleeps, without knowing of charges. */
static void wake(struct ledger *l)
{
    if (atomic_exchange(&l->awake, true))
        return;
    pthread_mutex_lock(&l->lock);
    pthread_cond_signal(&l->word);
    pthread_mutex_unlock(&l->lock);
}

static void hurry(struct ledger *l, struct waiter *w)
{
    pthread_mutex_lock(&l->lock);
    if (w) {
        w->next = l->waiters;
        l->waiters = w;
    }
    l->hurry = true;
    pthread_cond_signal(&l->word);
    pthread_mutex_unlock(&l->lock);
}

/* Until a booking that begins after this has ended. Cannot be cancelled: the waiter is on this stack, and it is short. */
static SUSPENDS enum err wait_booking(struct ledger *l)
{
    struct waiter w = { .fiber = fiber_self(), .loop = fiber_loop() };

    hurry(l, &w);
    while (!w.done)
        fiber_wait_through();
    return w.e;
}

static enum err reload_job(sqlite3 *db, void *quota)
{
    return quota_reload(quota, db);
}

enum err ledger_open(struct store *s, struct quota *q, const struct ledger_options *o, struct ledger **ret)
{
    struct ledger     *l = xcalloc(1, sizeof(*l));
    pthread_condattr_t attr;
    enum err           e;

    l->store = s;
    l->quota = q;
    l->strict = o->strict;
    l->commit_ms = o->commit_ms ? o->commit_ms : COMMIT_MS;
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->word, &attr);
    pthread_condattr_destroy(&attr);
    e = ledger_recover(s);
    if (!e)
        e = store_run_here(s, reload_job, q);
    if (!e && pthread_create(&l->thread, NULL, ledger_main, l))
        e = ERR_LIMIT;
    if (e) {
        ledger_close(l);
        return e;
    }
    l->thread_runs = true;
    pthread_setname_np(l->thread, "ledger");
    *ret = l;
    return OK;
}

void ledger_close(struct ledger *l)
{
    if (!l)
        return;
    if (l->thread_runs) {
        pthread_mutex_lock(&l->lock);
        l->closing = true;
        pthread_cond_signal(&l->word);
        pthread_mutex_unlock(&l->lock);
        pthread_join(l->thread, NULL);
    }
    for (size_t i = 0; i < l->log_count; i++)
        log_end(l->logs[i]);
    pthread_cond_destroy(&l->word);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* ---- charging ---- */

static size_t name_add(struct record *r, size_t at, str name, uint8_t *len)
{
    size_t n = min_size(name.len, LEDGER_NAMES_MAX - at);

    memcpy(r->names + at, name.ptr ? name.ptr : "", n);
    *len = (uint8_t)n;
    return at + n;
}

static int64_t cost_of(const struct charge *c, enum price_region region, const struct price_use *use)
{
    return price_is_made(use) ? price_made(c->model, region, use) : price_chat(c->model, region, use);
}

/* What the free quota counts of it. */
static int64_t counted(const struct charge *c, enum price_region region, const struct price_use *use)
{
    if (price_is_made(use))
        return price_units(c->model, region, use);
    return use->prompt - use->cache_created - use->cache_read + use->completion;
}

/* What it costs. From here on the next check sees it. */
static void price(struct ledger *l, const struct charge *c, struct charged *ret)
{
    struct price_use  use = c->use;
    enum price_region region = quota_region(l->quota);

    use.free = 0;
    ret->list_cost = cost_of(c, region, &use);
    if (!quota_billing(l->quota) || c->by_plan)
        return;
    ret->cost = ret->list_cost;
    if (!use.batch)
        use.free = quota_take(l->quota, c->model, counted(c, region, &use));
    ret->free = use.free;
    if (use.free)
        ret->cost = cost_of(c, region, &use);
    quota_spend(l->quota, ret->cost);
}

enum err ledger_charge(struct ledger_log *log, const struct charge *c, struct charged *ret)
{
    struct ledger *l = log->ledger;
    uint64_t       n = atomic_load_explicit(&log->written, memory_order_relaxed), waiting;
    struct charged charged = { .ticket = n };
    struct record *r;
    size_t         at;

    might_suspend();
    while ((waiting = n - atomic_load(&log->booked)) >= RECORDS) {
        enum err e = wait_booking(l);

        if (e)
            return e;
        charged.ticket = n = atomic_load_explicit(&log->written, memory_order_relaxed);
    }

    price(l, c, &charged);
    r = &log->file->records[n % RECORDS];
    r->time_ms = clock_unix_ms();
    r->prompt = c->use.prompt;
    r->completion = c->use.completion;
    r->reasoning = c->reasoning;
    r->cached = c->use.cached + c->use.cache_read;
    r->free = charged.free;
    r->cost = charged.cost;
    r->list_cost = charged.list_cost;
    at = name_add(r, 0, c->workspace, &r->workspace_len);
    at = name_add(r, at, c->key, &r->key_len);
    (void)name_add(r, at, c->model_name, &r->model_len);
    atomic_store_explicit(&r->mark, n + 1, memory_order_release);
    atomic_store(&log->written, n + 1);
    *ret = charged;

    if (UNLIKELY(waiting == RECORDS / 2))
        hurry(l, NULL);
    else if (UNLIKELY(!atomic_load(&l->awake)))
        wake(l);
    return OK;
}

enum err ledger_book(struct ledger *l, sqlite3 *db, const struct charge *c, struct charged *ret)
{
    struct booking b = { 0 };
    struct charged charged = { 0 };
    struct group   g = {
          .minute = clock_unix_ms() / 60000,
          .requests = 1,
          .prompt = c->use.prompt,
          .completion = c->use.completion,
          .reasoning = c->reasoning,
          .cached = c->use.cached + c->use.cache_read,
          .workspace = c->workspace,
          .key = c->key,
          .model_name = c->model_name,
          .model = c->model,
    };
    enum err e = booking_prepare(&b, db, l->quota);

    if (e)
        return e;
    price(l, c, &charged);
    *ret = charged; /* also when it cannot be booked: ledger_booked() then takes it back */
    g.free = charged.free;
    g.cost = charged.cost;
    g.list_cost = charged.list_cost;
    e = group_book(&b, &g);
    if (!e)
        e = quota_book_cost(l->quota, db, charged.cost);
    sqlite3_finalize(b.add);
    free(b.taken);
    return e;
}

void ledger_booked(struct ledger *l, sqlite3 *db, const struct charge *c, const struct charged *done, bool committed)
{
    if (!committed) {
        (void)quota_reload(l->quota, db); /* a failure is in the log */
        return;
    }
    quota_booked(l->quota, done->cost);
    if (done->free)
        quota_booked_free(l->quota, c->model, done->free);
}

enum err ledger_wait(struct ledger_log *log, uint64_t ticket)
{
    might_suspend();
    while (log->ledger->strict && atomic_load(&log->booked) <= ticket) {
        enum err e = wait_booking(log->ledger);

        if (e)
            return e;
    }
    return OK;
}

enum err ledger_flush(struct ledger *l)
{
    might_suspend();
    return wait_booking(l);
}

static enum err forget(sqlite3 *db)
{
    enum err e = store_exec(db, "DELETE FROM usage");

    return e ? e : quota_forget(db);
}

static enum err reset_job(sqlite3 *db, void *arg)
{
    struct ledger *l = arg;
    enum err       e = store_exec(db, "BEGIN IMMEDIATE");

    if (e)
        return e;
    e = forget(db);
    if (!e)
        e = store_exec(db, "COMMIT");
    if (!e)
        return quota_reload(l->quota, db);
    (void)store_exec(db, "ROLLBACK"); /* the first error is the one to tell */
    return e;
}

enum err ledger_reset(struct ledger *l)
{
    enum err e = ledger_flush(l);

    return e ? e : store_run(l->store, reset_job, l);
}
