/* stores.h - a database of its own for each test of access/, opened twice, as two processes have it. */
#ifndef DASHBOX_TEST_STORES_H
#define DASHBOX_TEST_STORES_H

#include "access/keys.h"

#include "../loop/run.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char                   folder[64];
static struct store          *store, *other;
static struct account_source *source;
static struct arena           arena;

static inline int stores_setup(void **state)
{
    snprintf(folder, sizeof(folder), "/tmp/dashbox-access-XXXXXX");
    store = other = NULL;
    source = NULL;
    arena_init(&arena, 0);
    if (!mkdtemp(folder) || store_open(str_from_cstr(folder), &store) || store_open(str_from_cstr(folder), &other))
        return -1;
    return loop_setup(state);
}

/* Calls fn for every file of the folder. */
static inline void for_each_file(void (*fn)(const char *path))
{
    DIR           *dir = opendir(folder);
    struct dirent *e;

    assert_non_null(dir);
    while ((e = readdir(dir))) {
        char path[400];

        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        fn(path);
    }
    closedir(dir);
}

static inline void remove_file(const char *path)
{
    unlink(path);
}

static inline int stores_teardown(void **state)
{
    account_close(source);
    store_close(store);
    store_close(other);
    for_each_file(remove_file);
    rmdir(folder);
    arena_free(&arena);
    return loop_teardown(state);
}

static inline enum err keep_db(sqlite3 *db, void *arg)
{
    *(sqlite3 **)arg = db;
    return OK;
}

/* For the functions of access/edit.h and access/keys.h, on this connection. */
static inline struct edit *edit_on(struct store *s)
{
    struct edit *e = arena_new(&arena, struct edit);

    (void)store_run_here(s, keep_db, &e->db);
    e->arena = &arena;
    return e;
}

/* A general key of this workspace (NULL: the default one) and member (NULL: the account); returns its text. */
static inline str key_of(struct store *s, const char *workspace, const char *member, struct key_row *ret)
{
    struct key_row want = { .name = S("mine"), .workspace = str_from_cstr(workspace), .member = str_from_cstr(member) };
    str            secret;

    assert_int_equal(key_create(edit_on(s), &want, 0, &secret, ret), OK);
    return secret;
}

#endif
