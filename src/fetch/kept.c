/* kept.c - files by the URL they came from. */
#include "fetch/kept.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void entry_free(struct kept_entry *e)
{
    if (!e->set)
        return;
    close(e->file.fd);
    arena_free(&e->arena);
    e->set = false;
}

static void copy(struct arena *a, const struct kept_file *from, struct kept_file *to)
{
    *to = *from;
    to->url = arena_str(a, from->url);
    to->etag = arena_str(a, from->etag);
    to->modified = arena_str(a, from->modified);
    to->type = arena_str(a, from->type);
}

bool kept_find(struct kept *k, str url, struct arena *a, struct kept_file *ret)
{
    for (size_t i = 0; i < KEPT_ENTRIES; i++) {
        struct kept_entry *e = &k->entries[i];
        char               path[32];
        int                fd;

        if (!e->set || !str_eq(e->file.url, url))
            continue;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", e->file.fd);
        fd = open(path, O_RDONLY | O_CLOEXEC); /* a duplicate would share its offset with others */
        if (fd < 0)
            return false;
        e->used = ++k->clock;
        copy(a, &e->file, ret);
        ret->fd = fd;
        return true;
    }
    return false;
}

void kept_add(struct kept *k, const struct kept_file *file)
{
    struct kept_entry *place = &k->entries[0];
    int                fd;

    if (!(file->etag.len + file->modified.len) || file->etag.len > KEPT_WORD_MAX ||
        file->modified.len > KEPT_WORD_MAX || file->size > KEPT_FILE_MAX)
        return;
    for (size_t i = 0; i < KEPT_ENTRIES; i++) {
        struct kept_entry *e = &k->entries[i];

        if (e->set && str_eq(e->file.url, file->url)) {
            place = e;
            break;
        }
        if (place->set && (!e->set || e->used < place->used))
            place = e;
    }
    fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return;
    entry_free(place);
    *place = (struct kept_entry){ .set = true, .used = ++k->clock };
    arena_init(&place->arena, 256);
    copy(&place->arena, file, &place->file);
    place->file.fd = fd;
}

void kept_clear(struct kept *k)
{
    for (size_t i = 0; i < KEPT_ENTRIES; i++)
        entry_free(&k->entries[i]);
}
