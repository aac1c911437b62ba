/* program.h - where the programs are that engines are. */
#ifndef DASHBOX_ENGINE_POOL_PROGRAM_H
#define DASHBOX_ENGINE_POOL_PROGRAM_H

#include "base/arena.h"
#include "base/err.h"

/* Of "media" the path of dashbox-media: beside our own program, in the build's folder, or where it is installed. ERR_NOT_FOUND: this
 * dashbox was built without. */
enum err pool_program(struct arena *a, const char *engine, const char **ret);

#endif
