/* fiber_switch_aarch64.c - context switch by the AAPCS64: x19 to x30 and the low halves of v8 to v15. */
#include "loop/fiber_switch.h"

#include <stdint.h>
#include <string.h>

#define SAVED_BYTES 160

__asm__(".text\n"
        ".globl fiber_switch\n"
        ".hidden fiber_switch\n"
        ".type fiber_switch, %function\n"
        ".p2align 4\n"
        "fiber_switch:\n"
        "    .cfi_startproc\n"
        "    hint #34\n" /* bti c */
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n"
        "    .cfi_endproc\n"
        ".size fiber_switch, .-fiber_switch\n"
        ".section .note.GNU-stack,\"\",%progbits\n"
        ".text\n");

void *fiber_context_make(void *low, size_t size, void (*entry)(void))
{
    char    *top = (char *)(((uintptr_t)low + size) & ~(uintptr_t)15);
    char    *sp = top - SAVED_BYTES;
    uint64_t link = (uint64_t)(uintptr_t)entry;

    memset(sp, 0, SAVED_BYTES);
    memcpy(sp + 88, &link, sizeof(link)); /* x30 */
    return sp;
}
