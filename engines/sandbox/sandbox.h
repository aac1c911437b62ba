/* sandbox.h - what an engine gives up before it sees the first byte of anybody's.
 *
 * After sandbox_enter() the process can read and write the descriptors it has, take more from its channel, use memory
 * and end. It cannot open a file, make a socket, start a program or a thread, look at other processes, or give itself any
 * of that back: system calls outside the list in sandbox.c fail with EPERM (so that a library that asks for a file is
 * told no and goes on), and memory cannot be made executable.
 */
#ifndef DASHBOX_SANDBOX_H
#define DASHBOX_SANDBOX_H

#include "base/defs.h"

struct sandbox_limits {
    const char        *program;      /* its name, for messages */
    uint64_t           memory_bytes; /* of address space */
    uint64_t           cpu_s;        /* of the process's whole life */
    uint64_t           fd_count;     /* descriptors below this number alone */
    uint64_t           file_bytes;   /* of a file that it writes */
    const char *const *folders;      /* whose files it may still open to read; ends with NULL. NULL: none */
};

/* NULL when all of it holds; else what this system lacks: "seccomp", "landlock". Ends the process when a limit cannot be set. */
const char *sandbox_enter(const struct sandbox_limits *limits);

#endif
