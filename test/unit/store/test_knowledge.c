/* test_knowledge.c - the tables of knowledge bases: who indexes what, what is seen of it, and what goes with what. */
#include "store/knowledge.c"

#include "../base/check.h"
#include "access/knowledge_edit.h"
#include "service/knowledge_vectors.h"
#include "store/documents.h"

#include <stdio.h>
#include <stdlib.h>

static char          folder[64];
static struct store *store;
static struct blobs *blobs;
static struct arena  arena;
static sqlite3      *reader;
static str           base;

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/dashbox-knowledge-XXXXXX");
    arena_init(&arena, 0);
    if (!mkdtemp(folder) || store_open(str_from_cstr(folder), &store) || blobs_open(str_from_cstr(folder), &blobs))
        return -1;
    return (int)store_reader_open(store, &reader);
}

static int teardown(void **state)
{
    char rm[128];

    (void)state;
    sqlite3_close(reader);
    store_close(store);
    blobs_close(blobs);
    arena_free(&arena);
    snprintf(rm, sizeof(rm), "rm -r %s", folder);
    return system(rm);
}

/* ---- steps ---- */

static enum err make_base(sqlite3 *db, void *name)
{
    struct edit           e = { .db = db, .arena = &arena };
    struct knowledge_base b = { .workspace = S("default"), .name = *(str *)name, .overlap = -1, .called = true };

    return knowledge_make(&e, &b, true, &base);
}

static enum err add_file(sqlite3 *db, void *file)
{
    struct edit               e = { .db = db, .arena = &arena };
    struct knowledge_document d = { .file = *(str *)file, .tags = S("[\"t\"]") };

    return knowledge_add(&e, S("default"), base, &d);
}

static void write_blob(struct blob_writer *w, const char *content)
{
    assert_int_equal(blob_begin(blobs, w), OK);
    assert_int_equal(blob_write(w, str_from_cstr(content)), OK);
    assert_int_equal(blob_end(w), OK);
}

static void upload(const char *id, const char *content)
{
    struct blob_writer w;
    struct file_keep   k = { .blobs = blobs,
                             .content = &w,
                             .row = { .id = str_from_cstr(id), .workspace = S("default"), .name = S("n.txt") } };

    write_blob(&w, content);
    assert_int_equal(store_run_here(store, file_keep_job, &k), OK);
}

/* Its text is there, as if it had been read. */
static void read_document_text(const char *text)
{
    struct document_claim c = { .arena = &arena, .owner = S("o") };
    struct blob_writer    w;
    struct document_keep  k = { .blobs = blobs, .text = &w };

    assert_int_equal(store_run_here(store, document_claim_job, &c), OK);
    write_blob(&w, text);
    k.row = c.row;
    k.row.verdict = S("ok");
    assert_int_equal(store_run_here(store, document_keep_job, &k), OK);
}

static enum err claim(const char *owner, struct knowledge_claim *ret)
{
    *ret = (struct knowledge_claim){ .arena = &arena, .owner = str_from_cstr(owner) };
    return store_run_here(store, knowledge_claim_job, ret);
}

static enum err put_text(const struct knowledge_claim *c, const char *text, const char *words, const float *vector,
                         size_t n)
{
    struct knowledge_chunk chunk = {
        .text = str_from_cstr(text), .words = str_from_cstr(words), .vector = vector, .vector_bytes = n * sizeof(float)
    };
    struct knowledge_put p = {
        .owner = c->owner, .document = c->document.number, .base = c->base.number, .chunks = &chunk, .count = 1
    };

    return store_run_here(store, knowledge_put_job, &p);
}

static enum err end(const struct knowledge_claim *c, const char *problem, bool again)
{
    struct knowledge_end n = { .owner = c->owner,
                               .document = c->document.number,
                               .chunks = 1,
                               .problem = str_from_cstr(problem),
                               .again = again };

    return store_run_here(store, knowledge_end_job, &n);
}

static int64_t count(const char *sql)
{
    sqlite3_stmt *st;
    int64_t       n;

    assert_int_equal(store_prepare(reader, sql, &st), OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

static void nothing_is_left(void)
{
    assert_int_equal(count("SELECT COUNT(*) FROM knowledge_documents"), 0);
    assert_int_equal(count("SELECT COUNT(*) FROM knowledge_chunks"), 0);
    assert_int_equal(count("SELECT COUNT(*) FROM knowledge_words"), 0);
    assert_int_equal(count("SELECT COUNT(*) FROM knowledge_words WHERE knowledge_words MATCH 'words : w'"), 0);
}

static size_t ready(void)
{
    struct knowledge_base      b;
    struct knowledge_document *all;
    size_t                     n;
    str                        missing;

    assert_int_equal(knowledge_bases_get(reader, &arena, S("default"), &base, 1, &b, &missing), OK);
    assert_int_equal(knowledge_ready(reader, &arena, b.number, &all, &n), OK);
    return n;
}

static const float unit[4] = { 1, 0, 0, 0 }, other[4] = { 0, 1, 0, 0 };

/* A base with a file that waits and whose text is there. */
static void fill(const char *name, const char *id)
{
    str n = str_from_cstr(name), f = str_from_cstr(id);

    assert_int_equal(store_run_here(store, make_base, &n), OK);
    upload(id, id);
    assert_int_equal(store_run_here(store, add_file, &f), OK);
}

static enum err delete_file(const char *id)
{
    struct file_delete d = { .blobs = blobs, .id = str_from_cstr(id), .until_ms = 1000 };

    return store_run_here(store, file_delete_job, &d);
}

/* ---- tests ---- */

TEST(a_document_waits_for_its_text_and_is_seen_when_all_of_it_is_there)
{
    struct knowledge_claim c;

    fill("a", "f1");
    assert_int_equal(claim("1-x", &c), ERR_NOT_FOUND);
    read_document_text("hello");
    assert_int_equal(claim("1-x", &c), OK);
    assert_true(str_eq(c.document.file, S("f1")));
    assert_true(str_eq(c.verdict, S("ok")));
    assert_int_equal(c.text_bytes, 5);
    assert_int_equal(put_text(&c, "hello", "w", unit, 4), OK);
    assert_int_equal(ready(), 0);
    assert_int_equal(end(&c, "", false), OK);
    assert_int_equal(ready(), 1);
    assert_int_equal(claim("1-x", &c), ERR_NOT_FOUND);
    assert_int_equal(delete_file("f1"), OK);
    nothing_is_left();
}

TEST(what_an_older_process_has_begun_is_begun_anew_by_a_younger_one_alone)
{
    struct knowledge_claim old, young, again;

    fill("b", "f2");
    read_document_text("hello");
    assert_int_equal(claim("2-young", &young), OK);
    assert_int_equal(put_text(&young, "half", "w", unit, 4), OK);
    assert_int_equal(claim("1-old", &old), ERR_NOT_FOUND);
    assert_int_equal(claim("3-next", &again), OK); /* the young one has been killed, or so it seems */
    assert_int_equal(count("SELECT COUNT(*) FROM knowledge_chunks"), 0);
    assert_int_equal(count("SELECT COUNT(*) FROM knowledge_words"), 0);
    assert_int_equal(put_text(&young, "late", "w", unit, 4), ERR_NOT_FOUND);
    assert_int_equal(end(&young, "", false), ERR_NOT_FOUND);
    assert_int_equal(put_text(&again, "whole", "w", unit, 4), OK);
    assert_int_equal(end(&again, "", true), OK); /* it waits, and somebody may have it */
    assert_int_equal(claim("1-old", &old), OK);
    assert_int_equal(end(&old, "it cannot be read", false), OK);
    assert_int_equal(count("SELECT state FROM knowledge_documents"), KNOWLEDGE_FAILED);
    assert_int_equal(store_run_here(store, knowledge_reset_job, NULL), OK);
    nothing_is_left();
    assert_int_equal(count("SELECT COUNT(*) FROM knowledge_bases"), 0);
    assert_int_equal(delete_file("f2"), OK);
}

TEST(files_that_go_while_they_are_indexed_take_everything_with_them)
{
    struct knowledge_claim c;

    fill("c", "f3");
    read_document_text("hello");
    assert_int_equal(claim("1-x", &c), OK);
    assert_int_equal(put_text(&c, "half", "w", unit, 4), OK);
    assert_int_equal(delete_file("f3"), OK);
    nothing_is_left();
    assert_int_equal(put_text(&c, "rest", "w", unit, 4), ERR_NOT_FOUND);
    assert_int_equal(end(&c, "", false), ERR_NOT_FOUND);
    nothing_is_left();
}

TEST(words_and_vectors_find_what_counts)
{
    struct knowledge_claim c1, c2;
    struct vectors        *v = vectors_open(1 << 20);
    struct knowledge_hit   hits[4];
    int64_t                documents[2], number;
    float                  question[4] = { 0.6F, 0.8F, 0, 0 };
    size_t                 n;
    str                    f5 = S("f5");
    struct knowledge_text  text;

    fill("d", "f4");
    upload("f5", "another");
    assert_int_equal(store_run_here(store, add_file, &f5), OK);
    read_document_text("one");
    read_document_text("two");
    assert_int_equal(claim("1-x", &c1), OK);
    assert_int_equal(put_text(&c1, "one", "alpha alpha beta", unit, 4), OK);
    assert_int_equal(end(&c1, "", false), OK);
    assert_int_equal(claim("1-x", &c2), OK);
    assert_int_equal(put_text(&c2, "two", "beta gamma delta", other, 4), OK);
    assert_int_equal(end(&c2, "", false), OK);
    documents[0] = c1.document.number;
    documents[1] = c2.document.number;
    number = c1.base.number;
    assert_int_equal(knowledge_match(reader, &arena, &number, 1, S("alpha beta"), documents, 2, 4, hits, &n), OK);
    assert_int_equal(n, 2);
    assert_true(hits[0].score > hits[1].score);
    assert_int_equal(knowledge_text_get(reader, &arena, hits[0].chunk, &text), OK);
    assert_true(str_eq(text.text, S("one")));
    assert_int_equal(knowledge_match(reader, &arena, &number, 1, S("beta"), documents + 1, 1, 4, hits, &n), OK);
    assert_int_equal(n, 1);
    assert_int_equal(knowledge_match(reader, &arena, &number, 1, S("zeta"), documents, 2, 4, hits, &n), OK);
    assert_int_equal(n, 0);
    number++; /* of another base there is nothing */
    assert_int_equal(knowledge_match(reader, &arena, &number, 1, S("alpha"), documents, 2, 4, hits, &n), OK);
    assert_int_equal(n, 0);

    assert_int_equal(vectors_nearest(v, reader, documents, 2, question, 4, 4, hits, &n), OK);
    assert_int_equal(n, 2);
    assert_int_equal(knowledge_text_get(reader, &arena, hits[0].chunk, &text), OK);
    assert_true(str_eq(text.text, S("two")));
    assert_float_equal(hits[0].score, 0.8, 1e-6);
    assert_int_equal(vectors_nearest(v, reader, documents, 2, question, 3, 4, hits, &n), OK); /* of another model */
    assert_int_equal(n, 0);
    vectors_close(v);
    assert_int_equal(delete_file("f4"), OK);
    assert_int_equal(delete_file("f5"), OK);
    nothing_is_left();
}

/* As many others as come before it are passed over: what counts is found all the same. */
TEST(what_counts_is_found_behind_many_that_do_not)
{
    struct knowledge_hit   hits[2];
    struct knowledge_claim c;
    int64_t                number = 0, wanted = 0;
    size_t                 n;

    str name = S("many");

    assert_int_equal(store_run_here(store, make_base, &name), OK);
    for (int i = 0; i < 20; i++) {
        char id[16];
        str  file;

        snprintf(id, sizeof(id), "m%d", i);
        file = str_from_cstr(id);
        upload(id, id);
        assert_int_equal(store_run_here(store, add_file, &file), OK);
        read_document_text(id);
        assert_int_equal(claim("1-x", &c), OK);
        /* the last one says least about it; every other one is of something else */
        assert_int_equal(put_text(&c, id, i % 2 ? "other" : i == 18 ? "rare a b c d e f" : "rare rare", unit, 4), OK);
        assert_int_equal(end(&c, "", false), OK);
        number = c.base.number;
        if (i == 18)
            wanted = c.document.number;
    }
    assert_int_equal(knowledge_match(reader, &arena, &number, 1, S("rare"), &wanted, 1, 2, hits, &n), OK);
    assert_int_equal(n, 1);
    for (int i = 0; i < 20; i++) {
        char id[16];

        snprintf(id, sizeof(id), "m%d", i);
        assert_int_equal(delete_file(id), OK);
    }
    nothing_is_left();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_waits_for_its_text_and_is_seen_when_all_of_it_is_there),
        cmocka_unit_test(what_an_older_process_has_begun_is_begun_anew_by_a_younger_one_alone),
        cmocka_unit_test(files_that_go_while_they_are_indexed_take_everything_with_them),
        cmocka_unit_test(words_and_vectors_find_what_counts),
        cmocka_unit_test(what_counts_is_found_behind_many_that_do_not),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
