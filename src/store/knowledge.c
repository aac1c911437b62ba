/* knowledge.c - the tables of knowledge bases. */
#include "store/knowledge.h"

#include "base/buf.h"

static enum err finish(sqlite3 *db, sqlite3_stmt *st)
{
    enum err e = store_err(db, sqlite3_step(st));

    sqlite3_finalize(st);
    return e ? e : sqlite3_changes64(db) ? OK : ERR_NOT_FOUND;
}

static enum err end_transaction(sqlite3 *db, enum err e)
{
    if (!e)
        return store_exec(db, "COMMIT");
    (void)store_exec(db, "ROLLBACK"); /* the first error is the one to tell */
    return e;
}

#define BASE_COLUMNS \
    "b.number, b.id, b.workspace, b.name, b.model, b.dimension, b.chunk_size, b.overlap, b.separators, b.way, b.called, b.created_ms"
#define BASE_COLUMN_COUNT 12
#define DOCUMENT_COLUMNS \
    "d.number, d.base, d.file, d.name, d.tags, d.details, d.job, d.state, d.problem, d.chunks, d.created_ms, d.tries"
#define DOCUMENT_COLUMN_COUNT 12

/* From the column `at` on. */
static void read_base(sqlite3_stmt *st, int at, struct arena *a, struct knowledge_base *ret)
{
    *ret = (struct knowledge_base){ .number = sqlite3_column_int64(st, at),
                                    .id = arena_str(a, store_column_str(st, at + 1)),
                                    .workspace = arena_str(a, store_column_str(st, at + 2)),
                                    .name = arena_str(a, store_column_str(st, at + 3)),
                                    .model = arena_str(a, store_column_str(st, at + 4)),
                                    .dimension = sqlite3_column_int64(st, at + 5),
                                    .chunk_size = sqlite3_column_int64(st, at + 6),
                                    .overlap = sqlite3_column_int64(st, at + 7),
                                    .separators = arena_str(a, store_column_str(st, at + 8)),
                                    .way = arena_str(a, store_column_str(st, at + 9)),
                                    .called = sqlite3_column_int(st, at + 10),
                                    .created_ms = sqlite3_column_int64(st, at + 11) };
}

static void read_document(sqlite3_stmt *st, int at, struct arena *a, struct knowledge_document *ret)
{
    *ret = (struct knowledge_document){ .number = sqlite3_column_int64(st, at),
                                        .base = sqlite3_column_int64(st, at + 1),
                                        .file = arena_str(a, store_column_str(st, at + 2)),
                                        .name = arena_str(a, store_column_str(st, at + 3)),
                                        .tags = arena_str(a, store_column_str(st, at + 4)),
                                        .details = arena_str(a, store_column_str(st, at + 5)),
                                        .job = arena_str(a, store_column_str(st, at + 6)),
                                        .state = (enum knowledge_state)sqlite3_column_int(st, at + 7),
                                        .problem = arena_str(a, store_column_str(st, at + 8)),
                                        .chunks = sqlite3_column_int64(st, at + 9),
                                        .created_ms = sqlite3_column_int64(st, at + 10),
                                        .tries = sqlite3_column_int64(st, at + 11) };
}

/* ---- indexing ---- */

static enum err find_waiting(sqlite3 *db, struct knowledge_claim *c)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db,
                                    "SELECT " DOCUMENT_COLUMNS ", " BASE_COLUMNS ", t.text, t.verdict, t.text_bytes"
                                         " FROM knowledge_documents AS d JOIN knowledge_bases AS b ON b.number = d.base"
                                         " JOIN files AS f ON f.id = d.file AND f.state = 1"
                                         " JOIN documents AS t ON t.hash = f.hash AND t.read = 1"
                                         " WHERE d.state = 0 AND d.owner < ?1 ORDER BY d.tries, d.number LIMIT 1",
                                    &st);
    int           r;

    if (e)
        return e;
    store_bind_str(st, 1, c->owner);
    r = sqlite3_step(st);
    if (r == SQLITE_ROW) {
        int at = DOCUMENT_COLUMN_COUNT + BASE_COLUMN_COUNT;

        read_document(st, 0, c->arena, &c->document);
        read_base(st, DOCUMENT_COLUMN_COUNT, c->arena, &c->base);
        c->text = arena_str(c->arena, store_column_str(st, at));
        c->verdict = arena_str(c->arena, store_column_str(st, at + 1));
        c->text_bytes = sqlite3_column_int64(st, at + 2);
    }
    e = r == SQLITE_DONE ? ERR_NOT_FOUND : store_err(db, r);
    sqlite3_finalize(st);
    return e;
}

static enum err take(sqlite3 *db, struct knowledge_claim *c)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, "DELETE FROM knowledge_chunks WHERE document = ?", &st);

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, c->document.number);
    e = finish(db, st);
    if (e && e != ERR_NOT_FOUND) /* an earlier owner had put none */
        return e;
    e = store_prepare(db, "UPDATE knowledge_documents SET owner = ?2, tries = tries + 1 WHERE number = ?1", &st);
    if (e)
        return e;
    sqlite3_bind_int64(st, 1, c->document.number);
    store_bind_str(st, 2, c->owner);
    c->document.tries++;
    return finish(db, st);
}

enum err knowledge_claim_job(sqlite3 *db, void *arg)
{
    enum err e = find_waiting(db, arg);

    if (e)
        return e;
    e = store_exec(db, "BEGIN IMMEDIATE");
    if (e)
        return e;
    e = find_waiting(db, arg); /* another process may have been first */
    return end_transaction(db, e ? e : take(db, arg));
}

static enum err check_owner(sqlite3 *db, int64_t document, str owner)
{
    sqlite3_stmt *st;
    enum err      e =
        store_prepare(db, "SELECT 1 FROM knowledge_documents WHERE number = ? AND owner = ? AND state = 0", &st);
    int r;

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, document);
    store_bind_str(st, 2, owner);
    r = sqlite3_step(st);
    sqlite3_finalize(st);
    return r == SQLITE_DONE ? ERR_NOT_FOUND : store_err(db, r);
}

static enum err put_chunk(sqlite3 *db, sqlite3_stmt *chunk, sqlite3_stmt *words, const struct knowledge_put *p,
                          size_t i)
{
    const struct knowledge_chunk *c = &p->chunks[i];
    enum err                      e;

    sqlite3_bind_int64(chunk, 1, p->document);
    sqlite3_bind_int64(chunk, 2, p->position + (int64_t)i);
    store_bind_str(chunk, 3, c->title);
    store_bind_str(chunk, 4, c->text);
    sqlite3_bind_blob64(chunk, 5, c->vector, c->vector_bytes, SQLITE_STATIC);
    e = store_err(db, sqlite3_step(chunk));
    sqlite3_reset(chunk);
    if (e)
        return e;
    sqlite3_bind_int64(words, 1, sqlite3_last_insert_rowid(db));
    sqlite3_bind_int64(words, 2, p->base);
    store_bind_str(words, 3, c->words);
    e = store_err(db, sqlite3_step(words));
    sqlite3_reset(words);
    return e;
}

static enum err put(sqlite3 *db, const struct knowledge_put *p)
{
    sqlite3_stmt *chunk = NULL, *words = NULL;
    enum err      e = check_owner(db, p->document, p->owner);

    if (!e)
        e = store_prepare(
            db, "INSERT INTO knowledge_chunks (document, position, title, text, vector) VALUES (?, ?, ?, ?, ?)",
            &chunk);
    if (!e)
        e = store_prepare(db, "INSERT INTO knowledge_words (rowid, base, words) VALUES (?, ?, ?)", &words);
    for (size_t i = 0; i < p->count && !e; i++)
        e = put_chunk(db, chunk, words, p, i);
    sqlite3_finalize(chunk);
    sqlite3_finalize(words);
    return e;
}

enum err knowledge_put_job(sqlite3 *db, void *arg)
{
    enum err e = store_exec(db, "BEGIN IMMEDIATE");

    return e ? e : end_transaction(db, put(db, arg));
}

enum err knowledge_end_job(sqlite3 *db, void *arg)
{
    struct knowledge_end *n = arg;
    sqlite3_stmt         *st;
    enum err              e = store_prepare(db,
                                            "UPDATE knowledge_documents SET state = ?3, chunks = ?4, problem = ?5, owner = '',"
                                                         " tries = tries - ?6 WHERE number = ?1 AND owner = ?2 AND state = 0",
                                            &st);

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, n->document);
    store_bind_str(st, 2, n->owner);
    sqlite3_bind_int(st, 3, n->again ? KNOWLEDGE_WAITING : n->problem.len ? KNOWLEDGE_FAILED : KNOWLEDGE_READY);
    sqlite3_bind_int64(st, 4, n->again || n->problem.len ? 0 : n->chunks);
    store_bind_str(st, 5, n->problem);
    sqlite3_bind_int(st, 6, n->again && !n->counts);
    return finish(db, st);
}

enum err knowledge_reset_job(sqlite3 *db, void *unused)
{
    (void)unused;
    return store_exec(db, "BEGIN IMMEDIATE; DELETE FROM knowledge_bases WHERE called = 1;"
                          "DELETE FROM knowledge_leases; COMMIT");
}

/* ---- places for uploads ---- */

enum err knowledge_lease_put_job(sqlite3 *db, void *arg)
{
    struct knowledge_lease *l = arg;
    sqlite3_stmt           *st;
    enum err                e = store_prepare(db, "DELETE FROM knowledge_leases WHERE until_ms <= ?", &st);

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, l->now_ms);
    e = finish(db, st);
    if (e && e != ERR_NOT_FOUND)
        return e;
    e = store_prepare(
        db,
        "INSERT INTO knowledge_leases (id, workspace, name, size, md5, until_ms, file) VALUES (?, ?, ?, ?, ?, ?, ?)",
        &st);
    if (e)
        return e;
    store_bind_str(st, 1, l->id);
    store_bind_str(st, 2, l->workspace);
    store_bind_str(st, 3, l->name);
    sqlite3_bind_int64(st, 4, l->size);
    store_bind_str(st, 5, l->md5);
    sqlite3_bind_int64(st, 6, l->until_ms);
    store_bind_str(st, 7, l->file);
    return finish(db, st);
}

enum err knowledge_lease_get_job(sqlite3 *db, void *arg)
{
    struct knowledge_lease *l = arg;
    sqlite3_stmt           *st;
    enum err                e = store_prepare(db,
                                              "SELECT workspace, name, size, md5, file FROM knowledge_leases"
                                                             " WHERE id = ?1 AND until_ms > ?2 AND (?3 = '' OR workspace = ?3)",
                                              &st);
    int                     r;

    if (e)
        return e;
    store_bind_str(st, 1, l->id);
    sqlite3_bind_int64(st, 2, l->now_ms);
    store_bind_str(st, 3, l->workspace);
    r = sqlite3_step(st);
    if (r == SQLITE_ROW) {
        l->workspace = arena_str(l->arena, store_column_str(st, 0));
        l->name = arena_str(l->arena, store_column_str(st, 1));
        l->size = sqlite3_column_int64(st, 2);
        l->md5 = arena_str(l->arena, store_column_str(st, 3));
        l->file = arena_str(l->arena, store_column_str(st, 4));
    }
    sqlite3_finalize(st);
    return r == SQLITE_DONE ? ERR_NOT_FOUND : store_err(db, r);
}

enum err knowledge_lease_fill_job(sqlite3 *db, void *arg)
{
    struct knowledge_lease *l = arg;
    sqlite3_stmt           *st;
    enum err e = store_prepare(db, "UPDATE knowledge_leases SET file = ?2 WHERE id = ?1 AND file = ''", &st);

    if (e)
        return e;
    store_bind_str(st, 1, l->id);
    store_bind_str(st, 2, l->file);
    return finish(db, st);
}

/* ---- searching ---- */

enum err knowledge_bases_get(sqlite3 *db, struct arena *a, str workspace, const str *ids, size_t count,
                             struct knowledge_base *ret, str *ret_missing)
{
    sqlite3_stmt *st;
    enum err      e =
        store_prepare(db, "SELECT " BASE_COLUMNS " FROM knowledge_bases AS b WHERE id = ? AND workspace = ?", &st);

    for (size_t i = 0; i < count && !e; i++) {
        int r;

        store_bind_str(st, 1, ids[i]);
        store_bind_str(st, 2, workspace);
        r = sqlite3_step(st);
        if (r == SQLITE_ROW)
            read_base(st, 0, a, &ret[i]);
        else
            *ret_missing = ids[i];
        e = r == SQLITE_DONE ? ERR_NOT_FOUND : store_err(db, r);
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    return e;
}

enum err knowledge_ready(sqlite3 *db, struct arena *a, int64_t base, struct knowledge_document **ret, size_t *ret_count)
{
    sqlite3_stmt              *st;
    struct knowledge_document *all = NULL;
    size_t                     count = 0, cap = 0;
    enum err                   e = store_prepare(
                          db, "SELECT " DOCUMENT_COLUMNS " FROM knowledge_documents AS d WHERE base = ? AND state = 1 ORDER BY number",
                          &st);
    int r;

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, base);
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        if (count == cap) {
            size_t now = cap ? 2 * cap : 16;

            all = arena_realloc(a, all, cap * sizeof(*all), now * sizeof(*all));
            cap = now;
        }
        read_document(st, 0, a, &all[count++]);
    }
    sqlite3_finalize(st);
    *ret = all;
    *ret_count = count;
    return store_err(db, r);
}

/* FTS5's language: base : ("1" OR "2") AND words : ("a" OR "b"). */
static str match_text(struct arena *a, const int64_t *bases, size_t base_count, str words)
{
    struct buf b;
    str        word;

    buf_init(&b, a, SIZE_MAX / 2);
    for (size_t i = 0; i < base_count; i++)
        buf_addf(&b, "%s\"%lld\"", i ? " OR " : "base : (", (long long)bases[i]);
    for (bool first = true; words.len; first = false) {
        word = str_cut(&words, ' ');
        buf_add(&b, first ? S(") AND words : (\"") : S("\" OR \""));
        buf_add(&b, word);
    }
    buf_add(&b, S("\")"));
    return buf_str(&b);
}

static str numbers_json(struct arena *a, const int64_t *numbers, size_t count)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    buf_add_char(&b, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_char(&b, ',');
        buf_add_i64(&b, numbers[i]);
    }
    buf_add_char(&b, ']');
    return buf_str(&b);
}

/* What stands in more than half of all chunks tells none from another: BM25 gives it next to nothing, and finding it costs most. Without
 * it, unless that is all. */
static enum err telling_words(sqlite3 *db, struct arena *a, str words, str *ret)
{
    sqlite3_stmt *st = NULL;
    int64_t       chunks = 0;
    struct buf    b;
    str           rest = words;
    enum err      e = store_prepare(db, "SELECT COUNT(*) FROM knowledge_chunks", &st);

    buf_init(&b, a, SIZE_MAX / 2);
    if (!e && sqlite3_step(st) == SQLITE_ROW)
        chunks = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    st = NULL;
    if (!e)
        e = store_prepare(db, "SELECT doc FROM knowledge_vocabulary WHERE term = ?", &st);
    while (!e && rest.len) {
        str     word = str_cut(&rest, ' ');
        int64_t in = 0;
        int     r;

        store_bind_str(st, 1, word);
        r = sqlite3_step(st);
        if (r == SQLITE_ROW)
            in = sqlite3_column_int64(st, 0);
        e = store_err(db, r);
        sqlite3_reset(st);
        if (!in || in > chunks / 2 + 1)
            continue;
        buf_add(&b, b.len ? S(" ") : S(""));
        buf_add(&b, word);
    }
    sqlite3_finalize(st);
    *ret = b.len ? buf_str(&b) : words;
    return e;
}

/* All hits, best first; `filter`: of those documents alone, which costs a look at each chunk. */
static enum err match(sqlite3 *db, str expression, const str *filter, size_t most, struct knowledge_hit *ret,
                      size_t *ret_count)
{
    sqlite3_stmt *st;
    int           r = SQLITE_DONE;
    enum err      e =
        store_prepare(db,
                      filter ? "SELECT c.number, bm25(knowledge_words, 0.0, 1.0) AS rank FROM knowledge_words"
                               " JOIN knowledge_chunks AS c ON c.number = knowledge_words.rowid"
                               " WHERE knowledge_words MATCH ?1"
                               " AND c.document IN (SELECT value FROM json_each(?3)) ORDER BY rank, c.number LIMIT ?2"
                             : "SELECT rowid, bm25(knowledge_words, 0.0, 1.0) AS rank FROM knowledge_words"
                               " WHERE knowledge_words MATCH ?1 ORDER BY rank, rowid LIMIT ?2",
                      &st);

    *ret_count = 0;
    if (e)
        return e;
    store_bind_str(st, 1, expression);
    sqlite3_bind_int64(st, 2, (int64_t)most);
    if (filter)
        store_bind_str(st, 3, *filter);
    while (*ret_count < most && (r = sqlite3_step(st)) == SQLITE_ROW)
        ret[(*ret_count)++] = (struct knowledge_hit){ sqlite3_column_int64(st, 0), -sqlite3_column_double(st, 1) };
    e = store_err(db, r);
    sqlite3_finalize(st);
    return e;
}

/* Those of the documents, which are in the order of their numbers, stay. */
static enum err keep_wanted(sqlite3 *db, const int64_t *documents, size_t document_count, struct knowledge_hit *hits,
                            size_t *count)
{
    sqlite3_stmt *st;
    size_t        n = 0;
    enum err      e = store_prepare(db, "SELECT document FROM knowledge_chunks WHERE number = ?", &st);

    for (size_t i = 0; i < *count && !e; i++) {
        int64_t document = -1;
        int     r;

        sqlite3_bind_int64(st, 1, hits[i].chunk);
        r = sqlite3_step(st);
        if (r == SQLITE_ROW)
            document = sqlite3_column_int64(st, 0);
        e = store_err(db, r);
        sqlite3_reset(st);
        for (size_t k = 0; k < document_count; k++) {
            if (documents[k] == document) {
                hits[n++] = hits[i];
                break;
            }
        }
    }
    sqlite3_finalize(st);
    *count = n;
    return e;
}

#define SPARE 4 /* times as many are asked for as are wanted, since some may not be */

enum err knowledge_match(sqlite3 *db, struct arena *a, const int64_t *bases, size_t base_count, str words,
                         const int64_t *documents, size_t document_count, size_t most, struct knowledge_hit *ret,
                         size_t *ret_count)
{
    struct knowledge_hit *hits = arena_array(a, struct knowledge_hit, SPARE * most + 1);
    size_t                count, found = 0;
    str                   expression, filter;
    enum err              e;

    *ret_count = 0;
    if (!words.len || !document_count || !base_count || !most)
        return OK;
    e = telling_words(db, a, words, &words);
    expression = match_text(a, bases, base_count, words);
    if (!e)
        e = match(db, expression, NULL, SPARE * most, hits, &found);
    count = found;
    if (!e)
        e = keep_wanted(db, documents, document_count, hits, &count);
    if (!e && count < most && found == SPARE * most) {
        filter = numbers_json(a, documents, document_count);
        e = match(db, expression, &filter, most, hits, &count);
    }
    if (e)
        return e;
    *ret_count = count < most ? count : most;
    memcpy(ret, hits, *ret_count * sizeof(*hits));
    return OK;
}

enum err knowledge_vectors(sqlite3 *db, int64_t                                                          document,
                           void (*fn)(void *arg, int64_t chunk, const void *floats, size_t count), void *arg)
{
    sqlite3_stmt *st;
    enum err      e =
        store_prepare(db, "SELECT number, vector FROM knowledge_chunks WHERE document = ? ORDER BY number", &st);
    int r;

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, document);
    while ((r = sqlite3_step(st)) == SQLITE_ROW)
        fn(arg, sqlite3_column_int64(st, 0), sqlite3_column_blob(st, 1),
           (size_t)sqlite3_column_bytes(st, 1) / sizeof(float));
    sqlite3_finalize(st);
    return store_err(db, r);
}

enum err knowledge_text_get(sqlite3 *db, struct arena *a, int64_t chunk, struct knowledge_text *ret)
{
    sqlite3_stmt *st;
    enum err      e =
        store_prepare(db, "SELECT document, position, title, text FROM knowledge_chunks WHERE number = ?", &st);
    int r;

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, chunk);
    r = sqlite3_step(st);
    if (r == SQLITE_ROW)
        *ret = (struct knowledge_text){ .document = sqlite3_column_int64(st, 0),
                                        .position = sqlite3_column_int64(st, 1),
                                        .title = arena_str(a, store_column_str(st, 2)),
                                        .text = arena_str(a, store_column_str(st, 3)) };
    sqlite3_finalize(st);
    return r == SQLITE_DONE ? ERR_NOT_FOUND : store_err(db, r);
}
