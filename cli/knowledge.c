/* knowledge.c - dashbox knowledge create|add|list|show|search|remove|delete. */
#include "api/admin/objects_knowledge.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/admin_client.h"
#include "server/config.h"
#include "service/files.h"

#include <sys/stat.h>

static const char *workspace, *model, *dimension, *chunk_size, *overlap, *way, *tags, *metadata, *top;
static const char *rerank;

static const char usage[] =
    "usage: dashbox knowledge create NAME [--model MODEL] [--dimension N] [--chunk-size N] [--overlap N] [--way JSON]\n"
    "                                [--workspace ID]\n"
    "       dashbox knowledge add BASE FILE… [--tags A,B] [--metadata JSON]\n"
    "       dashbox knowledge list [--workspace ID] [--json]\n"
    "       dashbox knowledge show BASE [--json]\n"
    "       dashbox knowledge search BASE QUESTION [--top N] [--rerank yes|no] [--tags A,B] [--metadata JSON] [--json]\n"
    "       dashbox knowledge remove BASE FILE…\n"
    "       dashbox knowledge delete BASE…\n"
    "\n"
    "  --url URL                the server; DASHBOX_URL, or http://127.0.0.1:8420: search asks it\n"
    "  --admin-key KEY          DASHBOX_ADMIN_KEY, or the file admin-key of the data folder\n"
    "  --data DIR, --config FILE   the server's; the same default\n"
    "\n"
    "create prints the base's id. A FILE of add is a file here, which becomes one of the account, or the id of one that is; a\n"
    "running server indexes it within seconds. show lists a base's files (doc/knowledge.md).\n";

/* ---- bases ---- */

static enum err create(struct cli *c)
{
    struct knowledge_base b = { .workspace = workspace ? str_from_cstr(workspace) : WORKSPACE_DEFAULT,
                                .name = cli_word(c, 0),
                                .model = str_from_cstr(model),
                                .way = str_from_cstr(way),
                                .overlap = -1 };
    str                   id;
    enum err              e = cli_number(c, "--dimension", dimension, &b.dimension);

    if (!e)
        e = cli_number(c, "--chunk-size", chunk_size, &b.chunk_size);
    if (!e)
        e = cli_number(c, "--overlap", overlap, &b.overlap);
    if (!e && b.way.len && !yyjson_is_obj(json_parse_copy(c->edit.arena, b.way)))
        e = edit_refuse(&c->edit, ERR_INVALID, "--way takes a JSON object");
    if (!e)
        e = knowledge_make(&c->edit, &b, true, &id);
    if (!e)
        printf("%.*s\n", STR_ARG(id));
    return e;
}

static enum err list(struct cli *c)
{
    static const char *const heads[] = { "ID", "WORKSPACE", "MODEL", "FILES", "WAITING", "FAILED", "CHUNKS", "NAME" };
    struct knowledge_base   *all;
    struct cli_table         t;
    size_t                   count;
    enum err                 e = knowledge_list(&c->edit, str_from_cstr(workspace), (str){ 0 }, &all, &count);

    if (e)
        return e;
    cli_table_begin(&t, c->edit.arena, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < count; i++) {
        struct buf b;

        if (c->json) {
            buf_init(&b, c->edit.arena, SIZE_MAX / 2);
            object_knowledge(&b, &all[i]);
            cli_print(&b);
            continue;
        }
        cli_table_add(&t, all[i].id);
        cli_table_add(&t, all[i].workspace);
        cli_table_add(&t, all[i].model);
        cli_table_add(&t, cli_count(c->edit.arena, all[i].documents));
        cli_table_add(&t, cli_count(c->edit.arena, all[i].waiting));
        cli_table_add(&t, cli_count(c->edit.arena, all[i].failed));
        cli_table_add(&t, cli_count(c->edit.arena, all[i].chunks));
        cli_table_add(&t, all[i].name);
    }
    if (!c->json)
        cli_table_end(&t);
    return OK;
}

static enum err show(struct cli *c)
{
    static const char *const   heads[] = { "FILE", "STATE", "CHUNKS", "TAGS", "METADATA", "NAME" };
    struct knowledge_document *all;
    struct cli_table           t;
    size_t                     count;
    enum err                   e = knowledge_documents(&c->edit, (str){ 0 }, cli_word(c, 0), (str){ 0 }, &all, &count);

    if (e)
        return e;
    cli_table_begin(&t, c->edit.arena, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < count; i++) {
        struct buf b;

        if (c->json) {
            buf_init(&b, c->edit.arena, SIZE_MAX / 2);
            object_knowledge_document(&b, &all[i]);
            cli_print(&b);
            continue;
        }
        cli_table_add(&t, all[i].file);
        cli_table_add(&t, all[i].problem.len ? arena_printf(c->edit.arena, "failed: %.*s", STR_ARG(all[i].problem))
                                             : knowledge_state_name(all[i].state));
        cli_table_add(&t, cli_count(c->edit.arena, all[i].chunks));
        cli_table_add(&t, all[i].tags);
        cli_table_add(&t, all[i].details);
        cli_table_add(&t, all[i].name);
    }
    if (!c->json)
        cli_table_end(&t);
    return OK;
}

static enum err delete_each(struct cli *c)
{
    enum err e = OK;

    for (size_t i = 0; cli_word(c, i).len && !e; i++)
        e = knowledge_delete(&c->edit, (str){ 0 }, cli_word(c, i));
    return e;
}

/* ---- documents ---- */

static str base_workspace(struct cli *c, str base, enum err *ret)
{
    struct knowledge_base *all;
    size_t                 count;

    *ret = knowledge_list(&c->edit, (str){ 0 }, base, &all, &count);
    return *ret ? (str){ 0 } : all[0].workspace;
}

static enum err write_content(struct blob_writer *w, FILE *f)
{
    char     piece[64 * 1024];
    size_t   n;
    enum err e = OK;

    while (!e && (n = fread(piece, 1, sizeof(piece), f)) > 0)
        e = blob_write(w, str_of(piece, n));
    if (!e && ferror(f))
        e = ERR_IO;
    return e ? e : blob_end(w);
}

/* A file here becomes one of the account. */
static enum err upload(struct cli *c, str owner, const char *path, str *ret_id)
{
    FILE              *f = fopen(path, "rbe");
    const char        *slash = strrchr(path, '/');
    struct blobs      *blobs = NULL;
    struct blob_writer content = { .fd = -1 };
    struct file_keep   k = { .content = &content, .document = true };
    struct stat        st;
    enum err           e;

    if (!f || fstat(fileno(f), &st) || !S_ISREG(st.st_mode)) {
        if (f)
            fclose(f);
        return edit_refuse(&c->edit, ERR_INVALID, "%s: this is neither a file here nor a file of the account", path);
    }
    k.row = (struct file_row){ .id = file_new_id(c->edit.arena, FILE_DOCUMENT),
                               .workspace = owner,
                               .purpose = file_purpose_word(FILE_DOCUMENT),
                               .name = str_from_cstr(slash ? slash + 1 : path),
                               .created_ms = clock_unix_ms() };
    e = blobs_open(c->config->options.data, &blobs);
    if (!e)
        e = blob_begin(blobs, &content);
    if (!e)
        e = write_content(&content, f);
    k.blobs = blobs;
    if (!e)
        e = file_keep_within(c->edit.db, &k);
    if (blobs && content.path[0])
        blob_drop(&content);
    blobs_close(blobs);
    fclose(f);
    *ret_id = k.row.id;
    return e;
}

static bool is_of_account(struct cli *c, str id, str owner)
{
    struct file_get g = { .arena = c->edit.arena, .id = id, .workspace = owner };

    return file_get_job(c->edit.db, &g) == OK && !g.row.deleted;
}

/* "A,B" → ["A","B"]. */
static str tags_json(struct cli *c)
{
    str        rest = str_from_cstr(tags);
    struct buf b;

    buf_init(&b, c->edit.arena, SIZE_MAX / 2);
    buf_add_char(&b, '[');
    while (rest.len) {
        str one = str_trim(str_cut(&rest, ','));

        if (b.len > 1 && one.len)
            buf_add_char(&b, ',');
        if (one.len)
            json_add_str(&b, one);
    }
    buf_add_char(&b, ']');
    return buf_str(&b);
}

static enum err add(struct cli *c)
{
    enum err e;
    str      owner = base_workspace(c, cli_word(c, 0), &e);

    for (size_t i = 1; cli_word(c, i).len && !e; i++) {
        struct knowledge_document d = { .file = cli_word(c, i), .details = str_from_cstr(metadata) };

        d.tags = tags_json(c);
        if (!is_of_account(c, d.file, owner))
            e = upload(c, owner, str_to_cstr(c->edit.arena, d.file), &d.file);
        if (!e)
            e = knowledge_add(&c->edit, owner, cli_word(c, 0), &d);
        if (!e)
            printf("%.*s\n", STR_ARG(d.file));
    }
    return e;
}

static enum err remove_each(struct cli *c)
{
    enum err e = OK;

    for (size_t i = 1; cli_word(c, i).len && !e; i++)
        e = knowledge_remove(&c->edit, (str){ 0 }, cli_word(c, 0), cli_word(c, i));
    return e;
}

/* ---- questions ---- */

static void print_found(struct cli *c, yyjson_val *answer)
{
    static const char *const heads[] = { "SCORE", "FILE", "TEXT" };
    struct cli_table         t;
    size_t                   at, max;
    yyjson_val              *one;

    cli_table_begin(&t, c->edit.arena, heads, ARRAY_LEN(heads));
    yyjson_arr_foreach(json_get(answer, "data"), at, max, one)
    {
        double score = 0;

        (void)json_to_num(json_get(one, "score"), &score); /* else it is 0 */
        cli_table_add(&t, arena_printf(c->edit.arena, "%.3f", score));
        cli_table_add(&t, admin_client_cell(c, one, "name"));
        cli_table_add(&t, admin_client_cell(c, one, "text"));
    }
    cli_table_end(&t);
}

static enum err search(struct cli *c)
{
    str         base = cli_word(c, 0);
    struct buf  b;
    yyjson_val *answer;
    enum err    e;

    buf_init(&b, c->edit.arena, SIZE_MAX / 2);
    admin_client_text(&b, "query", c->words[2]);
    admin_client_text(&b, "metadata", metadata);
    e = admin_client_number(c, &b, "--top", top);
    if (tags) {
        buf_add(&b, S(",\"tags\":"));
        buf_add(&b, tags_json(c));
    }
    if (rerank)
        buf_addf(&b, ",\"rerank\":%s", str_eq(str_from_cstr(rerank), S("no")) ? "false" : "true");
    buf_add_char(&b, '}');
    if (!e)
        e = admin_client_call(c, "POST", arena_printf(c->edit.arena, "/admin/v1/knowledge/%.*s/search", STR_ARG(base)),
                              buf_str(&b), &answer);
    if (e)
        return e;
    if (c->json)
        admin_client_print_data(c, answer);
    else
        print_found(c, answer);
    return OK;
}

int cli_knowledge(int argc, char **argv)
{
    static const struct cli_flag flags[] = {
        { "--workspace", &workspace },
        { "--model", &model },
        { "--dimension", &dimension },
        { "--chunk-size", &chunk_size },
        { "--overlap", &overlap },
        { "--way", &way },
        { "--tags", &tags },
        { "--metadata", &metadata },
        { "--top", &top },
        { "--rerank", &rerank },
    };
    static const struct cli_action actions[] = {
        { "search", 2, 2, .run = search, .asks_server = true },
        { "create", 1, 1, true, create },
        { "add", 2, CLI_WORDS_MAX, false, add },
        { "list", 0, 0, false, list },
        { "show", 1, 1, false, show },
        { "remove", 2, CLI_WORDS_MAX, false, remove_each },
        { "delete", 1, CLI_WORDS_MAX, false, delete_each },
    };

    return cli_run(argc, argv, usage, flags, ARRAY_LEN(flags), actions, ARRAY_LEN(actions));
}
