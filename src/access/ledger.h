/* ledger.h - the way of a charge: from an answered request to the tables, exactly once.
 *
 *      ledger_charge()          the store's lane, every 100 ms, or when a log is half full
 *   worker ----------> log, a file in memory ----------> usage, free_quota, ledger_positions: one transaction
 *
 * Each worker has a log: a file in DATA/ledger, mapped into memory, a ring of records. A charge is a few stores into it, so
 * it is there for the kernel to keep before the reply goes out: kill -9 loses nothing that was answered. The lane books
 * all logs in one transaction that also moves their positions, so that nothing is booked twice, whenever the process
 * dies. What a process leaves behind is booked by the next one that starts on the folder, or by ledger_recover().
 *
 * A power cut may take what was charged since the last commit, a tenth of a second. In strict mode ledger_wait() holds
 * the reply until its record is committed to disk (SQLite's synchronous = FULL); charges that wait share commits.
 *
 * Several processes may work on one folder: the names of logs are new, and each is locked while its process lives.
 *
 * Thread: a log belongs to one worker; the ledger's own thread says when to book.
 * Limits: a full log makes charges wait for the lane; nothing is dropped. The names of workspace, key and model have
 * LEDGER_NAMES_MAX bytes together; what is longer is cut.
 */
#ifndef DASHBOX_ACCESS_LEDGER_H
#define DASHBOX_ACCESS_LEDGER_H

#include "access/quota.h"

#define LEDGER_NAMES_MAX 180

struct ledger;
struct ledger_log;

struct ledger_options {
    bool    strict;
    int64_t commit_ms; /* how long a charge may wait to be booked; 0: 100 */
};

/* Books what earlier processes left, and brings `q` up to date. Before the loops start. */
enum err ledger_open(struct store *s, struct quota *q, const struct ledger_options *o, struct ledger **ret);
/* After the loops have ended: books the rest. Closes the logs. */
void ledger_close(struct ledger *l);

/* Books what processes that live no more have left on this folder, without a ledger: for the command line. */
enum err ledger_recover(struct store *s);

/* One a worker, held by the ledger until its end. */
enum err ledger_log_open(struct ledger *l, struct ledger_log **ret);

struct charge {
    const struct model *model; /* NULL: costs nothing */
    str                 model_name, workspace, key;
    struct price_use    use;       /* `free` is filled in */
    int64_t             reasoning; /* part of use.completion */
    bool                by_plan;   /* a subscription plan has paid: neither money nor free quota (access.md §4.1) */
};

struct charged {
    uint64_t ticket; /* for ledger_wait() */
    int64_t  free;   /* tokens that the free quota paid */
    int64_t  cost, list_cost;
};

/* Takes from the free quota, prices and records. Before the reply's last byte goes out; never for a failed call. Waits
 * only while the log is full. ERR_IO: it is full and the store refuses to take more; nothing is charged then. */
SUSPENDS enum err ledger_charge(struct ledger_log *log, const struct charge *c, struct charged *ret);

/* In strict mode until the record is on disk; otherwise OK at once. ERR_IO: it could not be written now (it stays in the
 * log, and is tried again). */
SUSPENDS enum err ledger_wait(struct ledger_log *log, uint64_t ticket);

/* A charge in a transaction of the caller's own, on the store's lane: it is booked if, and only if, that is committed. So
 * what is done once is charged once, whatever is killed when. After the commit, or the rollback, ledger_booked() says so. */
enum err ledger_book(struct ledger *l, sqlite3 *db, const struct charge *c, struct charged *ret);
void ledger_booked(struct ledger *l, sqlite3 *db, const struct charge *c, const struct charged *done, bool committed);

/* Until all that has been charged so far is in the tables: before they are asked for an exact answer. */
SUSPENDS enum err ledger_flush(struct ledger *l);

/* Forgets all usage, its cost, and what was used of the free quotas: for tests. Payments and grants stay. A charge that
 * is made meanwhile is either forgotten whole or booked after. */
SUSPENDS enum err ledger_reset(struct ledger *l);

#endif
