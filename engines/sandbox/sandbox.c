/* sandbox.c - limits and a list of system calls, by hand: the filter is a few comparisons, and a library more would be a
 * package more. */
#include "engines/sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static void limit(const char *program, int what, uint64_t most)
{
    struct rlimit r = { most, most };

    if (setrlimit((__rlimit_resource_t)what, &r)) {
        fprintf(stderr, "%s: setrlimit: %s\n", program, strerror(errno));
        exit(1);
    }
}

#ifdef ARCH

static const unsigned allowed[] = {
    /* the file and the channel */
    SYS_read, SYS_pread64, SYS_pwrite64, SYS_lseek, SYS_close, SYS_recvmsg, SYS_sendmsg, SYS_sendto,
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
/* To open files: which ones is Landlock's business. */
static const unsigned allowed_opening[] = { SYS_openat, SYS_newfstatat, SYS_fstat, SYS_getdents64, SYS_ftruncate };
static const unsigned allowed_unless_exec[] = { SYS_mmap, SYS_mprotect };

enum { PROGRAM_MAX = 5 + 2 * (ARRAY_LEN(allowed) + ARRAY_LEN(allowed_opening)) + 4 * ARRAY_LEN(allowed_unless_exec) };

/* The low half of a system call's third argument. */
#define ARG_2 (offsetof(struct seccomp_data, args) + 2 * sizeof(uint64_t))

static void allow(struct sock_filter *program, unsigned short *n, const unsigned *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        program[(*n)++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], 0, 1);
        program[(*n)++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
}

static bool filter_enter(bool opens)
{
    static struct sock_filter program[PROGRAM_MAX];
    struct sock_fprog         p = { .filter = program };
    unsigned short            n = 0;

    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    allow(program, &n, allowed, ARRAY_LEN(allowed));
    if (opens)
        allow(program, &n, allowed_opening, ARRAY_LEN(allowed_opening));
    for (size_t i = 0; i < ARRAY_LEN(allowed_unless_exec); i++) {
        /* The accumulator is not needed behind a match: either way the call is decided here. */
        bool last = i + 1 == ARRAY_LEN(allowed_unless_exec);

        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed_unless_exec[i], 0, 3);
        program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARG_2);
        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, last ? 1 : 4 + 1, 0);
        program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    ASSERT(n <= PROGRAM_MAX);
    p.len = n;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) == 0;
}

#else

static bool filter_enter(bool opens)
{
    (void)opens;
    return false;
}

#endif

/* Files below these folders can be read, and no others. */
static bool folders_enter(const char *const *folders)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    /* By the version of the kernel's interface: 1 has the first 13 rights, 2 and 3 one more each (landlock.h). */
    struct landlock_ruleset_attr      attr = { .handled_access_fs = ((uint64_t)1 << (version >= 3   ? 15
                                                                                     : version == 2 ? 14
                                                                                                    : 13)) -
                                                                    1 };
    struct landlock_path_beneath_attr rule = { .allowed_access =
                                                   LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR };
    int                               set;
    bool                              ok = version >= 1;

    set = ok ? (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr.handled_access_fs), 0) : -1;
    ok = set >= 0;
    for (; ok && *folders; folders++) {
        rule.parent_fd = open(*folders, O_PATH | O_CLOEXEC);
        ok = rule.parent_fd >= 0 && syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
        if (rule.parent_fd >= 0)
            close(rule.parent_fd);
    }
    ok = ok && syscall(SYS_landlock_restrict_self, set, 0) == 0;
    if (set >= 0)
        close(set);
    return ok;
}

const char *sandbox_enter(const struct sandbox_limits *limits)
{
    bool held;

    if (!HAS_SHADOW)
        limit(limits->program, RLIMIT_AS, limits->memory_bytes);
    limit(limits->program, RLIMIT_CPU, limits->cpu_s);
    limit(limits->program, RLIMIT_NOFILE, limits->fd_count);
    limit(limits->program, RLIMIT_FSIZE, limits->file_bytes);
    limit(limits->program, RLIMIT_CORE, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
        fprintf(stderr, "%s: PR_SET_NO_NEW_PRIVS: %s\n", limits->program, strerror(errno));
        exit(1);
    }
    (void)prctl(PR_SET_DUMPABLE, 0); /* others of its user may not look into it; nothing when that is refused */
    held = !limits->folders || folders_enter(limits->folders);
    if (!filter_enter(limits->folders))
        return "seccomp";
    return held ? NULL : "landlock";
}
