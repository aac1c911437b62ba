/* people.c - the media engine decodes, the people engine looks. */
#include "service/people.h"

#include "contract/errors.gen.h"
#include "engine/media/media.h"
#include "engine/people/people.h"
#include "service/services.h"

#include <sys/mman.h>
#include <unistd.h>

#define SIDE 1280 /* of what is looked at: the models see 256 pixels of all, and 192 of a face */

static SUSPENDS enum err look(struct request *rq, const struct media_file *file, int64_t at_ms, int pixels,
                              struct media_facts *ret_shown, struct people_facts *ret)
{
    str      order = arena_printf(rq->arena, "{\"op\":\"pixels\",\"side\":%d,\"at_ms\":%lld}", SIDE, (long long)at_ms);
    enum err e = media_render(rq->services->media, order, &file->file.fd, 1, pixels, rq->arena, ret_shown);

    return e ? e : people_detect(rq->services->people, pixels, ret_shown->width, ret_shown->height, rq->arena, ret);
}

static void scale_box(struct people_box *b, double by)
{
    b->x *= by;
    b->y *= by;
    b->width *= by;
    b->height *= by;
}

/* Into the pixels of the file. */
static void scale(struct people_facts *f, double by)
{
    for (size_t i = 0; i < f->face_count; i++)
        scale_box(&f->faces[i].box, by);
    for (size_t i = 0; i < f->body_count; i++) {
        scale_box(&f->bodies[i].box, by);
        for (size_t j = 0; j < JOINT_COUNT; j++) {
            f->bodies[i].joints[j].x *= by;
            f->bodies[i].joints[j].y *= by;
        }
    }
}

SUSPENDS enum err people_look(struct request *rq, const struct media_file *file, int64_t at_ms,
                              struct people_picture *ret)
{
    struct people_facts *facts = arena_new(rq->arena, struct people_facts);
    struct media_facts   shown;
    int                  pixels;
    enum err             e;

    might_suspend();
    if (!rq->services->media || !rq->services->people)
        return fail_people_not_installed(&rq->fault);
    pixels = memfd_create("pixels", MFD_CLOEXEC);
    if (pixels < 0)
        return ERR_IO;
    e = look(rq, file, at_ms, pixels, &shown, facts);
    close(pixels);
    if (e)
        return e;
    if (shown.width)
        scale(facts, (double)file->facts.width / (double)shown.width);
    *ret = (struct people_picture){ .facts = facts,
                                    .width = (double)file->facts.width,
                                    .height = (double)file->facts.height,
                                    .brightness = shown.brightness };
    return OK;
}
