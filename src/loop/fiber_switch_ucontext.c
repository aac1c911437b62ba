/* fiber_switch_ucontext.c - context switch for machines without one of our own: slower (a system call each time).
 *
 * The ucontext_t of a fiber lies at the low end of its stack; that of the loop is thread-local. The context is its
 * address.
 */
#include "loop/fiber_switch.h"

#include <ucontext.h>

static _Thread_local ucontext_t  loop_context;
static _Thread_local ucontext_t *running;

void *fiber_context_make(void *low, size_t size, void (*entry)(void))
{
    ucontext_t *uc = low;

    getcontext(uc);
    uc->uc_stack.ss_sp = (char *)low + sizeof(*uc);
    uc->uc_stack.ss_size = size - sizeof(*uc);
    uc->uc_link = NULL;
    makecontext(uc, entry, 0);
    return uc;
}

void fiber_switch(void **save, void *to)
{
    ucontext_t *from = running ? running : &loop_context;

    *save = from;
    running = to == &loop_context ? NULL : to;
    swapcontext(from, to);
}
