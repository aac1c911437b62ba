/* fuzz_config.c - any bytes as the configuration file: it is read, or refused with a place in it. */
#include "base/log.h"
#include "server/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file in memory, at a path that can be opened. */
static char path[64];

static int file_open(void)
{
    static int fd = -1;

    if (fd < 0) {
        fd = memfd_create("config", 0);
        ASSERT(fd >= 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }
    return fd;
}

static void file_fill(const uint8_t *data, size_t size)
{
    int fd = file_open();

    ASSERT(ftruncate(fd, 0) == 0);
    ASSERT(pwrite(fd, data, size, 0) == (ssize_t)size);
}

static void check(const struct config *c)
{
    const char *options = (const char *)&c->options;

    for (unsigned i = 0; i < option_count; i++) {
        const struct option *o = &option_rows[i];

        switch (o->type) {
        case OPTION_TEXT:
        case OPTION_PATH:
            break;
        case OPTION_BOOL:
            ASSERT(*(const unsigned char *)(options + o->offset) <= 1);
            break;
        case OPTION_CHOICE:
            ASSERT(*(const unsigned *)(const void *)(options + o->offset) < o->choice_count);
            break;
        case OPTION_INT:
        case OPTION_MS:
        case OPTION_BYTES: {
            int64_t v = *(const int64_t *)(const void *)(options + o->offset);

            ASSERT(v >= o->min && v <= o->max);
            break;
        }
        }
    }
    for (size_t i = 0; i < c->engine_count; i++) {
        ASSERT(c->engines[i].name.len > 0);
        ASSERT((c->engines[i].endpoint_count == 0) != (c->engines[i].command.len == 0));
    }
    for (size_t i = 0; i < c->model_count; i++)
        ASSERT(c->models[i].id.len > 0 && c->models[i].like.len > 0);
    for (size_t i = 0; i < c->route_count; i++)
        (void)str_glob(c->routes[i].model, S("qwen-plus-2025-04-28"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *c = config_new();
    str            problem = { 0 };
    enum err       e;

    file_fill(data, size);
    e = config_read(c, path, &problem);
    if (e) {
        ASSERT(e == ERR_INVALID);
        ASSERT(str_starts(problem, str_from_cstr(path)));
    } else {
        check(c);
        e = config_finish(c, &problem);
        ASSERT(e == OK || problem.len > 0);
    }
    config_free(c);
    return 0;
}
