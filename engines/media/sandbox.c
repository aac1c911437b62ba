/* sandbox.c - limits and a list of system calls, by hand: the filter is a few comparisons, and a library more would be a
 * package more. */
#include "sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

/* RLIMIT_AS would end a sanitizer's shadow memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SHADOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SHADOW 1
#endif
#endif
#ifndef HAS_SHADOW
#define HAS_SHADOW 0
#endif

static void limit(int what, uint64_t most)
{
    struct rlimit r = { most, most };

    if (setrlimit((__rlimit_resource_t)what, &r)) {
        perror("dashbox-media: setrlimit");
        exit(1);
    }
}

#ifdef ARCH

static const unsigned allowed[] = {
    /* the file and the channel */
    SYS_read, SYS_pread64, SYS_lseek, SYS_close, SYS_recvmsg, SYS_sendmsg, SYS_sendto,
    /* standard error */
    SYS_write, SYS_writev,
    /* memory; mmap and mprotect are looked at below */
    SYS_brk, SYS_munmap, SYS_mremap, SYS_madvise,
    /* locks of libraries, which nobody else holds */
    SYS_futex, SYS_sched_getaffinity, SYS_sched_yield,
    /* time and chance */
    SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday, SYS_getrandom,
    /* its end */
    SYS_getpid, SYS_gettid, SYS_tgkill, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack,
    SYS_exit, SYS_exit_group
};
static const unsigned allowed_unless_exec[] = { SYS_mmap, SYS_mprotect };

enum { PROGRAM_MAX = 5 + 2 * ARRAY_LEN(allowed) + 4 * ARRAY_LEN(allowed_unless_exec) };

/* The low half of a system call's third argument. */
#define ARG_2 (offsetof(struct seccomp_data, args) + 2 * sizeof(uint64_t))

static bool filter_enter(void)
{
    static struct sock_filter program[PROGRAM_MAX];
    struct sock_fprog         p = { .filter = program };
    unsigned short            n = 0;

    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
        program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    for (size_t i = 0; i < ARRAY_LEN(allowed_unless_exec); i++) {
        /* The accumulator is not needed behind a match: either way the call is decided here. */
        bool last = i + 1 == ARRAY_LEN(allowed_unless_exec);

        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed_unless_exec[i], 0, 3);
        program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARG_2);
        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, last ? 1 : 4 + 1, 0);
        program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    ASSERT(n == PROGRAM_MAX);
    p.len = n;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) == 0;
}

#else

static bool filter_enter(void)
{
    return false;
}

#endif

const char *sandbox_enter(const struct sandbox_limits *limits)
{
    if (!HAS_SHADOW)
        limit(RLIMIT_AS, limits->memory_bytes);
    limit(RLIMIT_CPU, limits->cpu_s);
    limit(RLIMIT_NOFILE, limits->fd_count);
    limit(RLIMIT_FSIZE, limits->file_bytes);
    limit(RLIMIT_CORE, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
        perror("dashbox-media: PR_SET_NO_NEW_PRIVS");
        exit(1);
    }
    (void)prctl(PR_SET_DUMPABLE, 0); /* others of its user may not look into it; nothing when that is refused */
    return filter_enter() ? NULL : "seccomp";
}
