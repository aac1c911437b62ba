/* fiber_switch_x86_64.c - context switch by the System V ABI: six registers, the stack pointer, two control words.
 *
 *   saved stack:  [ mxcsr, x87 cw ] [ r15 ] [ r14 ] [ r13 ] [ r12 ] [ rbx ] [ rbp ] [ return address ]
 *                   ^ the context
 */
#include "loop/fiber_switch.h"

#include <stdint.h>

__asm__(".text\n"
        ".globl fiber_switch\n"
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
        "    subq $8, %rsp\n"
        "    stmxcsr (%rsp)\n"
        "    fnstcw 4(%rsp)\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    ldmxcsr (%rsp)\n"
        "    fldcw 4(%rsp)\n"
        "    addq $8, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        "    .cfi_endproc\n"
        ".size fiber_switch, .-fiber_switch\n"
        ".section .note.GNU-stack,\"\",@progbits\n"
        ".text\n");

void *fiber_context_make(void *low, size_t size, void (*entry)(void))
{
    uint64_t *sp = (uint64_t *)(((uintptr_t)low + size) & ~(uintptr_t)15);
    uint32_t  words[2];

    __asm__ volatile("stmxcsr %0" : "=m"(words[0]));
    words[1] = 0;
    __asm__ volatile("fnstcw %0" : "=m"(words[1]));
    *--sp = 0; /* where entry() would return to; also keeps its frame aligned as after a call */
    *--sp = (uint64_t)(uintptr_t)entry;
    for (int i = 0; i < 6; i++)
        *--sp = 0;
    *--sp = (uint64_t)words[1] << 32 | words[0];
    return sp;
}
