/* fiber_switch.h - the machine's part of a fiber: two functions, one file a platform.
 *
 * A context is the saved stack pointer of code that is not running; everything else it needs is on its stack.
 */
#ifndef DASHBOX_LOOP_FIBER_SWITCH_H
#define DASHBOX_LOOP_FIBER_SWITCH_H

#include <stddef.h>

/* A context that will start entry() on the stack [low, low + size) when it is first switched to. entry never returns. */
void *fiber_context_make(void *low, size_t size, void (*entry)(void));

/* Saves where we are in *save and goes on at `to`. Returns when somebody switches to *save. */
void fiber_switch(void **save, void *to);

#endif
