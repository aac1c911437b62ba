/* documents.c - the table of documents. */
#include "store/documents.h"

#define COLUMNS \
    "documents.number, documents.hash, documents.name, read, verdict, format, pages, tokens, text, text_bytes, tries"

/* From the column `at` on. */
static void read_row(sqlite3_stmt *st, int at, struct arena *a, struct document_row *ret)
{
    *ret = (struct document_row){ .number = sqlite3_column_int64(st, at),
                                  .hash = arena_str(a, store_column_str(st, at + 1)),
                                  .name = arena_str(a, store_column_str(st, at + 2)),
                                  .read = sqlite3_column_int(st, at + 3),
                                  .verdict = arena_str(a, store_column_str(st, at + 4)),
                                  .format = arena_str(a, store_column_str(st, at + 5)),
                                  .pages = sqlite3_column_int64(st, at + 6),
                                  .tokens = sqlite3_column_int64(st, at + 7),
                                  .text = arena_str(a, store_column_str(st, at + 8)),
                                  .text_bytes = sqlite3_column_int64(st, at + 9),
                                  .tries = sqlite3_column_int64(st, at + 10) };
}

/* ---- reading them ---- */

enum err document_claim_job(sqlite3 *db, void *arg)
{
    struct document_claim *c = arg;
    sqlite3_stmt          *st;
    enum err               e = store_prepare(db,
                                             "UPDATE documents SET owner = ?1, tries = tries + 1 WHERE number ="
                                                           " (SELECT number FROM documents WHERE read = 0 AND owner <> ?1 ORDER BY number LIMIT 1)"
                                                           " RETURNING " COLUMNS,
                                             &st);
    int                    r;

    if (e)
        return e;
    store_bind_str(st, 1, c->owner);
    r = sqlite3_step(st);
    if (r == SQLITE_ROW)
        read_row(st, 0, c->arena, &c->row);
    e = r == SQLITE_DONE ? ERR_NOT_FOUND : store_err(db, r);
    if (!e)
        e = store_err(db, sqlite3_step(st)); /* to its end */
    sqlite3_finalize(st);
    return e;
}

enum err document_release_job(sqlite3 *db, void *arg)
{
    struct document_release *r = arg;
    sqlite3_stmt            *st;
    enum err                 e =
        store_prepare(db, "UPDATE documents SET owner = '', tries = tries - ?2 WHERE number = ?1 AND read = 0", &st);

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, r->number);
    sqlite3_bind_int(st, 2, !r->counts);
    return store_finish_one(db, st);
}

static enum err keep(sqlite3 *db, struct document_keep *k)
{
    sqlite3_stmt *st;
    enum err      e =
        store_prepare(db,
                      "UPDATE documents SET read = 1, verdict = ?2, format = ?3, pages = ?4, tokens = ?5, text = ?6,"
                      " text_bytes = ?7 WHERE number = ?1 AND read = 0",
                      &st);

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, k->row.number);
    store_bind_str(st, 2, k->row.verdict);
    store_bind_str(st, 3, k->row.format);
    sqlite3_bind_int64(st, 4, k->row.pages);
    sqlite3_bind_int64(st, 5, k->row.tokens);
    store_bind_str(st, 6, k->text ? str_of(k->text->hash, BLOB_HASH_LEN) : (str){ 0 });
    sqlite3_bind_int64(st, 7, k->text ? k->text->size : 0);
    e = store_finish_one(db, st);
    return e || !k->text ? e : blob_place(k->blobs, k->text); /* without its row it is an orphan, and swept */
}

enum err document_keep_job(sqlite3 *db, void *arg)
{
    enum err e = store_exec(db, "BEGIN IMMEDIATE"); /* its files are there, or not, until the end */

    if (!e)
        e = keep(db, arg);
    else
        return e;
    if (!e)
        return store_exec(db, "COMMIT");
    (void)store_exec(db, "ROLLBACK"); /* the first error is the one to tell */
    return e;
}

/* ---- asking for them ---- */

enum err document_find_job(sqlite3 *db, void *arg)
{
    struct document_find *f = arg;
    sqlite3_stmt         *st;
    enum err              e =
        store_prepare(db,
                      "SELECT " COLUMNS ", f.purpose, f.name, f.size, f.state = 2 FROM files AS f LEFT JOIN documents"
                      " ON documents.hash = f.hash WHERE f.id = ?1 AND f.state > 0 AND (?2 = '' OR f.workspace = ?2)",
                      &st);

    for (size_t i = 0; i < f->count && !e; i++) {
        struct document_named *n = &f->all[i];
        int                    r;

        store_bind_str(st, 1, n->id);
        store_bind_str(st, 2, f->workspace);
        r = sqlite3_step(st);
        n->known = r == SQLITE_ROW;
        if (n->known) {
            read_row(st, 0, f->arena, &n->document);
            n->file = (struct file_row){ .id = n->id,
                                         .purpose = arena_str(f->arena, store_column_str(st, 11)),
                                         .name = arena_str(f->arena, store_column_str(st, 12)),
                                         .size = sqlite3_column_int64(st, 13),
                                         .deleted = sqlite3_column_int(st, 14) };
        }
        e = store_err(db, r);
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    return e;
}

/* ---- with their files ---- */

enum err document_want_within(sqlite3 *db, str hash, str name)
{
    sqlite3_stmt *st;
    enum err      e =
        store_prepare(db, "INSERT INTO documents (hash, name) VALUES (?1, ?2) ON CONFLICT (hash) DO NOTHING", &st);

    if (e)
        return e;
    store_bind_str(st, 1, hash);
    store_bind_str(st, 2, name);
    e = store_finish_one(db, st);
    return e == ERR_NOT_FOUND ? OK : e; /* it is there */
}

enum err document_forget_within(sqlite3 *db, struct arena *a, str hash, str *ret_text)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db,
                                    "DELETE FROM documents WHERE hash = ?1 AND NOT EXISTS"
                                         " (SELECT 1 FROM files WHERE hash = ?1 AND state = 1) RETURNING text",
                                    &st);
    int           r;

    if (e)
        return e;
    store_bind_str(st, 1, hash);
    r = sqlite3_step(st);
    *ret_text = r == SQLITE_ROW ? arena_str(a, store_column_str(st, 0)) : (str){ 0 };
    if (r == SQLITE_ROW)
        r = sqlite3_step(st); /* to its end */
    sqlite3_finalize(st);
    return store_err(db, r);
}
