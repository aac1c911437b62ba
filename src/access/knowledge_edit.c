/* knowledge_edit.c - knowledge bases, as they are made and changed. */
#include "access/knowledge_edit.h"

#include "base/clock.h"
#include "base/num.h"
#include "base/rand.h"
#include "contract/json.h"
#include "contract/knowledge_params.gen.h"
#include "store/documents.h"

#define ID_LEN        10 /* as the service's: "abcde12345" */
#define BASE_NAME_MAX 200

static enum err refuse_base(struct edit *e, str id)
{
    return edit_refuse(e, ERR_NOT_FOUND, "there is no knowledge base \"%.*s\"", STR_ARG(str_first(id, 64)));
}

static str text_at(struct edit *e, sqlite3_stmt *st, int at)
{
    return arena_str(e->arena, store_column_str(st, at));
}

/* ---- bases ---- */

static enum err check_base(struct edit *e, const struct knowledge_base *b)
{
    yyjson_val *separators = b->separators.len ? json_parse_copy(e->arena, b->separators) : NULL, *one;
    size_t      i, n;

    if (!str_trim(b->name).len || b->name.len > BASE_NAME_MAX)
        return edit_refuse(e, ERR_INVALID, "a knowledge base needs a name of at most %d bytes", BASE_NAME_MAX);
    if (b->chunk_size && (b->chunk_size < KNOWLEDGE_CHUNK_SIZE_MIN || b->chunk_size > KNOWLEDGE_CHUNK_SIZE_MAX))
        return edit_refuse(e, ERR_INVALID, "a chunk has %d to %d tokens", KNOWLEDGE_CHUNK_SIZE_MIN,
                           KNOWLEDGE_CHUNK_SIZE_MAX);
    if (b->overlap < -1 || b->overlap >= (b->chunk_size ? b->chunk_size : KNOWLEDGE_CHUNK_SIZE))
        return edit_refuse(e, ERR_INVALID, "the overlap must be less than a chunk");
    if (b->separators.len && (!yyjson_is_arr(separators) || yyjson_arr_size(separators) > KNOWLEDGE_SEPARATORS_MAX))
        return edit_refuse(e, ERR_INVALID, "separators are a list of at most %d texts", KNOWLEDGE_SEPARATORS_MAX);
    yyjson_arr_foreach(separators, i, n, one)
    {
        if (!json_str(one).len)
            return edit_refuse(e, ERR_INVALID, "a separator is a text that is not empty");
    }
    return OK;
}

enum err knowledge_named(struct edit *e, str workspace, str name, str *ret_id)
{
    sqlite3_stmt *st;
    enum err      r =
        edit_query(e, &st, "SELECT id FROM knowledge_bases WHERE workspace = ? AND name = ?", "ss", workspace, name);
    int result;

    if (r)
        return r;
    result = sqlite3_step(st);
    if (result == SQLITE_ROW)
        *ret_id = text_at(e, st, 0);
    sqlite3_finalize(st);
    return result == SQLITE_DONE ? ERR_NOT_FOUND : store_err(e->db, result);
}

static enum err has_workspace(struct edit *e, str workspace)
{
    sqlite3_stmt *st;
    enum err      r = edit_query(e, &st, "SELECT 1 FROM workspaces WHERE id = ?", "s", workspace);
    int           result;

    if (r)
        return r;
    result = sqlite3_step(st);
    sqlite3_finalize(st);
    if (result == SQLITE_DONE)
        return edit_refuse(e, ERR_NOT_FOUND, "there is no workspace \"%.*s\"", STR_ARG(workspace));
    return store_err(e->db, result);
}

enum err knowledge_make(struct edit *e, const struct knowledge_base *b, bool fresh, str *ret_id)
{
    int64_t  size = b->chunk_size ? b->chunk_size : KNOWLEDGE_CHUNK_SIZE;
    int64_t  overlap = b->overlap >= 0 ? b->overlap : min_i64(KNOWLEDGE_OVERLAP, size / 5);
    str      model = b->model.len ? b->model : KNOWLEDGE_EMBEDDING;
    char    *id = arena_bytes(e->arena, ID_LEN);
    enum err r = check_base(e, b);

    if (!r)
        r = has_workspace(e, b->workspace);
    if (r)
        return r;
    rand_hex(id, ID_LEN);
    *ret_id = str_of(id, ID_LEN);
    r = fresh ? ERR_NOT_FOUND : knowledge_named(e, b->workspace, b->name, ret_id);
    if (r && r != ERR_NOT_FOUND)
        return r;
    if (!r)
        return edit_run(
            e, NULL,
            "UPDATE knowledge_bases SET model = ?, dimension = ?, chunk_size = ?, overlap = ?, separators = ?,"
            " way = ? WHERE id = ?",
            "siiisss", model, b->dimension, size, overlap, b->separators, b->way, *ret_id);
    r = edit_run(
        e, NULL,
        "INSERT INTO knowledge_bases (id, workspace, name, model, dimension, chunk_size, overlap, separators, way,"
        " called, created_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "ssssiiissii", *ret_id, b->workspace, b->name, model, b->dimension, size, overlap, b->separators, b->way,
        (int64_t)b->called, clock_unix_ms());
    return r == ERR_EXISTS ? edit_refuse(e, r, "the workspace has a knowledge base of that name") : r;
}

enum err knowledge_delete(struct edit *e, str workspace, str id)
{
    int      changed = 0;
    enum err r = edit_run(e, &changed, "DELETE FROM knowledge_bases WHERE id = ?1 AND (?2 = '' OR workspace = ?2)",
                          "ss", id, workspace);

    return r ? r : changed ? OK : refuse_base(e, id);
}

enum err knowledge_list(struct edit *e, str workspace, str id, struct knowledge_base **ret, size_t *ret_count)
{
    sqlite3_stmt          *st;
    struct knowledge_base *all = NULL;
    size_t                 count = 0;
    int                    result;
    enum err               r = edit_query(
                      e, &st,
                      "SELECT b.number, b.id, b.workspace, b.name, b.model, b.dimension, b.chunk_size, b.overlap, b.separators, b.way,"
                                    " b.called, b.created_ms, COUNT(d.number), COALESCE(SUM(d.state = 0), 0), COALESCE(SUM(d.state = 2), 0),"
                                    " COALESCE(SUM(d.chunks), 0) FROM knowledge_bases AS b LEFT JOIN knowledge_documents AS d ON d.base = b.number"
                                    " WHERE (?1 = '' OR b.workspace = ?1) AND (?2 = '' OR b.id = ?2) GROUP BY b.number ORDER BY b.id",
                      "ss", workspace, id);

    if (r)
        return r;
    while ((result = sqlite3_step(st)) == SQLITE_ROW) {
        all = arena_realloc(e->arena, all, count * sizeof(*all), (count + 1) * sizeof(*all));
        all[count++] = (struct knowledge_base){ .number = sqlite3_column_int64(st, 0),
                                                .id = text_at(e, st, 1),
                                                .workspace = text_at(e, st, 2),
                                                .name = text_at(e, st, 3),
                                                .model = text_at(e, st, 4),
                                                .dimension = sqlite3_column_int64(st, 5),
                                                .chunk_size = sqlite3_column_int64(st, 6),
                                                .overlap = sqlite3_column_int64(st, 7),
                                                .separators = text_at(e, st, 8),
                                                .way = text_at(e, st, 9),
                                                .called = sqlite3_column_int(st, 10),
                                                .created_ms = sqlite3_column_int64(st, 11),
                                                .documents = sqlite3_column_int64(st, 12),
                                                .waiting = sqlite3_column_int64(st, 13),
                                                .failed = sqlite3_column_int64(st, 14),
                                                .chunks = sqlite3_column_int64(st, 15) };
    }
    sqlite3_finalize(st);
    *ret = all;
    *ret_count = count;
    r = store_err(e->db, result);
    return r ? r : id.len && !count ? refuse_base(e, id) : OK;
}

static enum err base_number(struct edit *e, str workspace, str id, int64_t *ret, str *ret_workspace)
{
    sqlite3_stmt *st;
    enum err      r = edit_query(
             e, &st, "SELECT number, workspace FROM knowledge_bases WHERE id = ?1 AND (?2 = '' OR workspace = ?2)", "ss", id,
             workspace);
    int result;

    if (r)
        return r;
    result = sqlite3_step(st);
    if (result == SQLITE_ROW) {
        *ret = sqlite3_column_int64(st, 0);
        *ret_workspace = text_at(e, st, 1);
    }
    sqlite3_finalize(st);
    return result == SQLITE_DONE ? refuse_base(e, id) : store_err(e->db, result);
}

/* ---- documents ---- */

static enum err check_document(struct edit *e, const struct knowledge_document *d)
{
    yyjson_val *tags = json_parse_copy(e->arena, d->tags), *one;
    size_t      i, n;

    if (!yyjson_is_arr(tags) || yyjson_arr_size(tags) > KNOWLEDGE_TAGS_MAX)
        return edit_refuse(e, ERR_INVALID, "tags are a list of at most %d texts", KNOWLEDGE_TAGS_MAX);
    yyjson_arr_foreach(tags, i, n, one)
    {
        if (!json_str(one).len)
            return edit_refuse(e, ERR_INVALID, "a tag is a text that is not empty");
    }
    if (d->details.len > KNOWLEDGE_DETAILS_MAX || !yyjson_is_obj(json_parse_copy(e->arena, d->details)))
        return edit_refuse(e, ERR_INVALID, "metadata are a JSON object of at most %d bytes", KNOWLEDGE_DETAILS_MAX);
    return OK;
}

/* The name and the hash of a file of the workspace. */
static enum err file_of(struct edit *e, str workspace, str file, str *ret_name, str *ret_hash)
{
    sqlite3_stmt *st;
    enum err r = edit_query(e, &st, "SELECT name, hash FROM files WHERE id = ? AND workspace = ? AND state = 1", "ss",
                            file, workspace);
    int      result;

    if (r)
        return r;
    result = sqlite3_step(st);
    if (result == SQLITE_ROW) {
        *ret_name = text_at(e, st, 0);
        *ret_hash = text_at(e, st, 1);
    }
    sqlite3_finalize(st);
    if (result == SQLITE_DONE)
        return edit_refuse(e, ERR_NOT_FOUND, "the workspace has no file \"%.*s\"", STR_ARG(str_first(file, 64)));
    return store_err(e->db, result);
}

enum err knowledge_add(struct edit *e, str workspace, str base, const struct knowledge_document *d)
{
    struct knowledge_document own = *d;
    str                       owner, hash;
    int64_t                   number = 0;
    enum err                  r;

    if (!own.tags.len)
        own.tags = S("[]");
    if (!own.details.len)
        own.details = S("{}");
    r = check_document(e, &own);
    if (!r)
        r = base_number(e, workspace, base, &number, &owner);
    if (!r)
        r = file_of(e, owner, own.file, &own.name, &hash);
    if (!r)
        r = document_want_within(e->db, hash, own.name); /* its text, whatever the file was meant for */
    if (!r)
        r = edit_run(e, NULL, "DELETE FROM knowledge_documents WHERE base = ? AND file = ?", "is", number, own.file);
    return r ? r
             : edit_run(e, NULL,
                        "INSERT INTO knowledge_documents (base, file, name, tags, details, job, created_ms)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?)",
                        "isssssi", number, own.file, own.name, own.tags, own.details, own.job, clock_unix_ms());
}

enum err knowledge_ingest(struct edit *e, str workspace, str base, const str *files, size_t count, str job)
{
    int64_t  number = 0;
    str      owner;
    enum err r = base_number(e, workspace, base, &number, &owner);

    if (!r && !count)
        r = edit_run(e, NULL, "UPDATE knowledge_documents SET job = ? WHERE base = ?", "si", job, number);
    for (size_t i = 0; i < count && !r; i++) {
        struct knowledge_document d = { .file = files[i], .job = job };
        int                       changed = 0;

        r = edit_run(e, &changed, "UPDATE knowledge_documents SET job = ? WHERE base = ? AND file = ? AND state <> 2",
                     "sis", job, number, files[i]);
        if (!r && !changed)
            r = knowledge_add(e, workspace, base, &d);
    }
    return r;
}

enum err knowledge_remove(struct edit *e, str workspace, str base, str file)
{
    int64_t  number = 0;
    str      owner;
    int      changed = 0;
    enum err r = base_number(e, workspace, base, &number, &owner);

    if (!r)
        r = edit_run(e, &changed, "DELETE FROM knowledge_documents WHERE base = ? AND file = ?", "is", number, file);
    return r || changed ? r
                        : edit_refuse(e, ERR_NOT_FOUND, "the knowledge base has no document \"%.*s\"",
                                      STR_ARG(str_first(file, 64)));
}

enum err knowledge_documents(struct edit *e, str workspace, str base, str job, struct knowledge_document **ret,
                             size_t *ret_count)
{
    sqlite3_stmt              *st;
    struct knowledge_document *all = NULL;
    size_t                     count = 0, cap = 0;
    int64_t                    number = 0;
    str                        owner;
    int                        result;
    enum err                   r = base_number(e, workspace, base, &number, &owner);

    if (!r)
        r = edit_query(e, &st,
                       "SELECT number, base, file, name, tags, details, job, state, problem, chunks, created_ms, tries"
                       " FROM knowledge_documents WHERE base = ?1 AND (?2 = '' OR job = ?2) ORDER BY file",
                       "is", number, job);
    if (r)
        return r;
    while ((result = sqlite3_step(st)) == SQLITE_ROW) {
        if (count == cap) {
            size_t now = cap ? 2 * cap : 16;

            all = arena_realloc(e->arena, all, cap * sizeof(*all), now * sizeof(*all));
            cap = now;
        }
        all[count++] = (struct knowledge_document){ .number = sqlite3_column_int64(st, 0),
                                                    .base = sqlite3_column_int64(st, 1),
                                                    .file = text_at(e, st, 2),
                                                    .name = text_at(e, st, 3),
                                                    .tags = text_at(e, st, 4),
                                                    .details = text_at(e, st, 5),
                                                    .job = text_at(e, st, 6),
                                                    .state = (enum knowledge_state)sqlite3_column_int(st, 7),
                                                    .problem = text_at(e, st, 8),
                                                    .chunks = sqlite3_column_int64(st, 9),
                                                    .created_ms = sqlite3_column_int64(st, 10),
                                                    .tries = sqlite3_column_int64(st, 11) };
    }
    sqlite3_finalize(st);
    *ret = all;
    *ret_count = count;
    return store_err(e->db, result);
}

str knowledge_state_name(enum knowledge_state s)
{
    switch (s) {
    case KNOWLEDGE_WAITING:
        return S("waiting");
    case KNOWLEDGE_READY:
        return S("ready");
    case KNOWLEDGE_FAILED:
        return S("failed");
    }
    return (str){ 0 };
}
