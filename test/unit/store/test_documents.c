/* test_documents.c - the table of documents: what is to be read, by whom, and what goes with its files. */
#include "store/documents.c"

#include "../base/check.h"

static char          folder[64];
static struct store *store;
static struct blobs *blobs;
static struct arena  arena;

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/dashbox-documents-XXXXXX");
    arena_init(&arena, 0);
    return !mkdtemp(folder) || store_open(str_from_cstr(folder), &store) || blobs_open(str_from_cstr(folder), &blobs)
               ? -1
               : 0;
}

static int teardown(void **state)
{
    char rm[128];

    (void)state;
    store_close(store);
    blobs_close(blobs);
    arena_free(&arena);
    snprintf(rm, sizeof(rm), "rm -r %s", folder);
    return system(rm);
}

static void write_blob(struct blob_writer *w, const char *content)
{
    assert_int_equal(blob_begin(blobs, w), OK);
    assert_int_equal(blob_write(w, str_from_cstr(content)), OK);
    assert_int_equal(blob_end(w), OK);
}

/* A file that is to be read. Gives the hash of its content. */
static str upload(const char *id, const char *name, const char *content)
{
    struct blob_writer w;
    struct file_keep   k = {
          .blobs = blobs,
          .content = &w,
          .document = true,
          .row = { .id = str_from_cstr(id), .workspace = S("w"), .purpose = S("p"), .name = str_from_cstr(name) }
    };

    write_blob(&w, content);
    assert_int_equal(store_run_here(store, file_keep_job, &k), OK);
    return arena_str(&arena, k.row.hash);
}

static enum err claim(const char *owner, struct document_row *ret)
{
    struct document_claim c = { .arena = &arena, .owner = str_from_cstr(owner) };
    enum err              e = store_run_here(store, document_claim_job, &c);

    *ret = c.row;
    return e;
}

static enum err keep_text(const struct document_row *row, const char *text)
{
    struct blob_writer   w;
    struct document_keep k = { .blobs = blobs, .text = text ? &w : NULL, .row = *row };
    enum err             e;

    if (text)
        write_blob(&w, text);
    k.row.verdict = text ? S("ok") : S("blank");
    k.row.format = S("text");
    k.row.tokens = 5;
    e = store_run_here(store, document_keep_job, &k);
    if (text)
        blob_drop(&w);
    return e;
}

static struct document_named find(const char *id, const char *workspace)
{
    struct document_named n = { .id = str_from_cstr(id) };
    struct document_find  f = { .arena = &arena, .workspace = str_from_cstr(workspace), .all = &n, .count = 1 };

    assert_int_equal(store_run_here(store, document_find_job, &f), OK);
    return n;
}

static enum err delete_file(const char *id)
{
    struct file_delete d = { .blobs = blobs, .id = str_from_cstr(id), .until_ms = 1000 };

    return store_run_here(store, file_delete_job, &d);
}

static bool is_there(str hash)
{
    int64_t size;
    int     fd;

    if (blob_read(blobs, hash, &fd, &size))
        return false;
    close(fd);
    return true;
}

TEST(equal_content_waits_once_and_the_first_comes_first)
{
    struct document_row row;

    (void)upload("f1", "a.md", "one");
    (void)upload("f2", "b.txt", "one");
    (void)upload("f3", "c.txt", "two");
    assert_int_equal(claim("me", &row), OK);
    assert_true(str_eq(row.name, S("a.md")) && row.tries == 1 && !row.read);
    assert_int_equal(claim("me", &row), OK);
    assert_true(str_eq(row.name, S("c.txt")));
    assert_int_equal(claim("me", &row), ERR_NOT_FOUND);
    assert_int_equal(claim("the next start", &row), OK); /* which finds what the last was at */
    assert_true(str_eq(row.name, S("a.md")) && row.tries == 2);
}

TEST(what_is_given_back_waits_again)
{
    struct document_row     row;
    struct document_release r;

    (void)upload("f1", "a.txt", "one");
    assert_int_equal(claim("me", &row), OK);
    r = (struct document_release){ .number = row.number, .counts = true };
    assert_int_equal(store_run_here(store, document_release_job, &r), OK);
    assert_int_equal(claim("me", &row), OK);
    assert_int_equal(row.tries, 2);
    r.counts = false;
    assert_int_equal(store_run_here(store, document_release_job, &r), OK);
    assert_int_equal(claim("me", &row), OK);
    assert_int_equal(row.tries, 2);
    assert_int_equal(keep_text(&row, NULL), OK);
    assert_int_equal(store_run_here(store, document_release_job, &r), ERR_NOT_FOUND);
    assert_int_equal(claim("another", &row), ERR_NOT_FOUND);
}

TEST(a_text_is_kept_once_and_found_by_all_files_of_its_content)
{
    struct document_row   row;
    struct document_named n;

    (void)upload("f1", "a.md", "# one");
    (void)upload("f2", "b.md", "# one");
    assert_false(find("f1", "").document.read);
    assert_int_equal(claim("me", &row), OK);
    assert_int_equal(keep_text(&row, "one"), OK);
    assert_int_equal(keep_text(&row, "another"), ERR_NOT_FOUND); /* somebody was first */
    n = find("f2", "w");
    assert_true(n.known && n.document.read && n.document.tokens == 5 && n.document.text_bytes == 3);
    assert_true(str_eq(n.file.name, S("b.md")) && str_eq(n.document.name, S("a.md")));
    assert_true(is_there(n.document.text));
    assert_false(find("f2", "another").known);
    assert_false(find("f3", "").known);
}

TEST(it_goes_with_the_last_file_of_its_content)
{
    struct document_row row;
    str                 hash, text;

    hash = upload("f1", "a.md", "# one");
    (void)upload("f2", "b.md", "# one");
    assert_int_equal(claim("me", &row), OK);
    assert_int_equal(keep_text(&row, "one"), OK);
    text = find("f1", "").document.text;
    assert_int_equal(delete_file("f1"), OK);
    assert_true(find("f1", "").file.deleted);
    assert_true(is_there(hash) && is_there(text));
    assert_int_equal(delete_file("f2"), OK);
    assert_false(is_there(hash) || is_there(text));
    assert_int_equal(delete_file("f2"), ERR_NOT_FOUND);

    (void)upload("f3", "c.md", "# one"); /* it is read again */
    assert_int_equal(claim("me", &row), OK);
    assert_true(str_eq(row.name, S("c.md")) && row.tries == 1);
    assert_int_equal(delete_file("f3"), OK);
    assert_int_equal(keep_text(&row, "one"), ERR_NOT_FOUND); /* nobody has it any more */
    assert_false(is_there(text));
}

TEST(a_blob_stays_as_long_as_somebody_has_it)
{
    struct document_row row;
    struct file_orphan  orphan = { blobs, { 0 } };
    str                 hash;

    hash = upload("f1", "a.txt", "one");
    (void)upload("f2", "b.md", "# one");
    assert_int_equal(claim("me", &row), OK);
    assert_int_equal(keep_text(&row, "one"), OK); /* the text of a text is itself */
    assert_int_equal(claim("me", &row), OK);
    assert_int_equal(keep_text(&row, "one"), OK);
    assert_int_equal(delete_file("f1"), OK);
    orphan.hash = hash;
    assert_int_equal(store_run_here(store, file_orphan_job, &orphan), OK); /* as a sweep does */
    assert_true(is_there(hash));
    assert_int_equal(delete_file("f2"), OK);
    assert_false(is_there(hash));
}

TEST(a_reset_leaves_nothing)
{
    struct document_row row;
    str                 hash, text;

    hash = upload("f1", "a.md", "# one");
    assert_int_equal(claim("me", &row), OK);
    assert_int_equal(keep_text(&row, "one"), OK);
    text = find("f1", "").document.text;
    assert_int_equal(store_run_here(store, file_reset_job, blobs), OK);
    assert_false(is_there(hash) || is_there(text) || find("f1", "").known);
    assert_int_equal(claim("another", &row), ERR_NOT_FOUND);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(equal_content_waits_once_and_the_first_comes_first),
        CASE(what_is_given_back_waits_again),
        CASE(a_text_is_kept_once_and_found_by_all_files_of_its_content),
        CASE(it_goes_with_the_last_file_of_its_content),
        CASE(a_blob_stays_as_long_as_somebody_has_it),
        CASE(a_reset_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
