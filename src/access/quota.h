/* quota.h - in what standing the account is: its balance, and the free quota left of each model.
 *
 * One object a process, shared by all workers; what a request asks and changes are atomic numbers, so that a charge on
 * one worker is seen by the next check on any. The numbers are those of the tables plus what the ledger has not booked
 * yet. What another process changes (dashbox account …, another server's ledger) is noticed by quota_refresh().
 *
 * With billing off, the default, everybody is in good standing, nothing is taken from the free quota and nothing is
 * owed: usage is recorded all the same, with its list price.
 *
 * Money is int64_t millionths of the region's currency. Spec: access.md §5, §6.
 */
#ifndef DASHBOX_ACCESS_QUOTA_H
#define DASHBOX_ACCESS_QUOTA_H

#include "access/account.h" /* enum commodity */
#include "base/arena.h"
#include "contract/chat.h" /* opt_int, opt_bool */
#include "contract/model.h"
#include "contract/price.h"
#include "store/store.h"

struct quota;

struct quota_options {
    enum price_region region;
    bool              billing;
    bool              grants; /* each model has the free quota of the catalogue, from the account's activation on */
};

/* Activates the account (notes the time) when this is its first server. Before the loops start. */
enum err quota_open(struct store *s, const struct quota_options *o, struct quota **ret);
void     quota_close(struct quota *q);

/* The configuration has been read again. */
void              quota_billing_set(struct quota *q, bool on);
bool              quota_billing(const struct quota *q);
enum price_region quota_region(const struct quota *q);
bool              quota_grants(const struct quota *q);

/* Takes over what another process has changed. ERR_NOT_FOUND: nothing has. */
SUSPENDS enum err quota_refresh(struct quota *q);

/* ---- on the way of a request; any thread ---- */

enum quota_standing {
    QUOTA_GOOD,
    QUOTA_ARREARS,          /* E099 */
    QUOTA_NOT_PURCHASED,    /* E209 */
    QUOTA_PREPAID_OVERDUE,  /* E210 */
    QUOTA_POSTPAID_OVERDUE, /* E211 */
    QUOTA_FREE_ONLY,        /* E196: the free quota has ended, and the account wants no other */
    QUOTA_FREE_ENDED,       /* E208: the free quota has ended, and the account cannot pay for the model */
    QUOTA_TRIAL_ENDED,      /* E191: the free quota has ended, and the model is not sold to anybody */
};

/* May this model be called now? The first that fails, in the order of access.md §11, steps 7 and 8. `paid_until_ms`: 0 is
 * without end. Batch calls have no free quota (§5). */
enum quota_standing quota_check(struct quota *q, const struct model *m, enum commodity c, int64_t paid_until_ms,
                                bool batch);

/* Takes up to `amount` from the model's free quota: what it gave, 0 when it is used up, expired, or billing is off. */
int64_t quota_take(struct quota *q, const struct model *m, int64_t amount);
/* The account owes so much more. */
void quota_spend(struct quota *q, int64_t cost);

/* ---- what an administrator changes ----
 *
 * Each as a function for a transaction that is open (the commands'), and as a job of its own: that commits, and then brings
 * the running `quota` up to date at once (NULL: none). Other processes notice. */

struct quota_payment {
    struct quota *quota;
    int64_t       amount; /* below 0: a correction */
    str           note;
    char          id[16]; /* out: "pay-3f9a01c2" */
};
enum err quota_pay(sqlite3 *db, struct quota_payment *p);
enum err quota_pay_job(sqlite3 *db, void *quota_payment);

/* Of one model; what is not `set` stays. `granted` is as much as the model has in all, used or not. */
struct quota_setting {
    struct quota       *quota;
    const struct model *model;
    opt_int             granted, used, expires_ms; /* expires_ms 0: never */
    opt_bool            free_only, payable;
};
enum err quota_set(sqlite3 *db, const struct quota_setting *s);
enum err quota_set_job(sqlite3 *db, void *quota_setting);

/* Of the account; what is not `set` stays. */
struct quota_account {
    struct quota *quota;
    opt_int       credit;    /* how far below zero the balance may go */
    opt_int       grace_ms;  /* how long it may stay below that before calls are refused */
    opt_bool      free_only; /* for every model */
};
enum err quota_account_set(sqlite3 *db, const struct quota_account *a);
enum err quota_account_job(sqlite3 *db, void *quota_account);

/* ---- to be shown ---- */

struct quota_model_state {
    const struct model *model;
    int64_t             granted, used, expires_ms;
    bool                free_only, payable;
};

/* As the tables have it; a running server's last tenth of a second may be missing. */
struct quota_state {
    struct arena             *arena;  /* in */
    bool                      grants; /* in: with the catalogue's grants of models that nothing has been used of */
    enum price_region         region; /* the last server's */
    int64_t                   activated_ms, paid, cost, credit, grace_ms, overdue_since_ms; /* 0: it is not overdue */
    bool                      free_only;
    struct quota_model_state *models;
    size_t                    model_count;
};
enum err quota_state_job(sqlite3 *db, void *quota_state);

/* ---- for the ledger, on the store's lane ---- */

/* Book what was taken and spent, inside the ledger's transaction; after its commit quota_booked…() say so. Without a quota
 * in memory (NULL) the tables alone are written. */
enum err quota_book_free(struct quota *q, sqlite3 *db, const struct model *m, int64_t free);
enum err quota_book_cost(struct quota *q, sqlite3 *db, int64_t cost);
void     quota_booked_free(struct quota *q, const struct model *m, int64_t free);
void     quota_booked(struct quota *q, int64_t cost);
/* Nothing was used and nothing is owed. */
enum err quota_forget(sqlite3 *db);
/* Reads the tables again whatever has changed. */
enum err quota_reload(struct quota *q, sqlite3 *db);

#endif
