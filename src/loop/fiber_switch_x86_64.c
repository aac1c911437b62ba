/* fiber_switch_x86_64.c - context switch by the System V ABI: six registers and the stack pointer.
 *
 *   saved stack:  [ r15 ] [ r14 ] [ r13 ] [ r12 ] [ rbx ] [ rbp ] [ return address ]
 *                   ^ the context
 *
 * The ABI has the control words of the FPU (MXCSR and the x87's) saved as well. They are not: nothing in this program
 * changes how floating point rounds or traps, so that they are the same on every stack, and saving them would be a good
 * part of what a switch costs. It ends with a jump because the processor predicts where a `ret` goes from the calls before
 * it, which were made on another stack: it would be wrong each time.
 */
#include "loop/fiber_switch.h"

#include <stdint.h>

__asm__(".text\n"
        ".globl fiber_switch\n"
        ".hidden fiber_switch\n"
        ".type fiber_switch, @function\n"
        ".p2align 4\n"
        "fiber_switch:\n"
        "    .cfi_startproc\n"
        "    endbr64\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    popq %rcx\n"
        "    jmpq *%rcx\n"
        "    .cfi_endproc\n"
        ".size fiber_switch, .-fiber_switch\n"
        ".section .note.GNU-stack,\"\",@progbits\n"
        ".text\n");

void *fiber_context_make(void *low, size_t size, void (*entry)(void))
{
    uint64_t *sp = (uint64_t *)(((uintptr_t)low + size) & ~(uintptr_t)15);

    *--sp = 0; /* where entry() would return to; also keeps its frame aligned as after a call */
    *--sp = (uint64_t)(uintptr_t)entry;
    for (int i = 0; i < 6; i++)
        *--sp = 0;
    return sp;
}
