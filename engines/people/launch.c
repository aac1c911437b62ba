/* launch.c - dashbox-people: locks itself in and becomes Node.js with main.mjs, the people engine.
 *
 * It is started by src/engine/people with its end of a pair of sockets as descriptor 3. The first message brings the memory
 * for pixels, which becomes descriptor 4: Node.js can take none out of a message. Then
 *
 *      it sends {"ready":false,"error":"…"} and ends when there is no Node.js or no main.mjs
 *      else Node.js sends what main.mjs says
 *
 * What it gives up, for good and for all that it becomes (`lacks` in its answer names what this system does not have):
 *
 *   seccomp    sockets, other processes, mounts, keys, and whatever else is in the list below
 *   landlock   files: it reads Node.js, what is installed in the system, and itself, and writes nothing
 *   limits     memory that it writes to, processor time of its life, descriptors, size of files; no new privileges
 *
 * What the engine is given are pixels, which no parser reads; all of this is for the day when one of its many packages is not
 * what it was. Memory may be made executable: that is how Node.js runs at all.
 */
#include "base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHANNEL 3
#define PIXELS  4

#define MEMORY_MAX ((uint64_t)1024 * 1024 * 1024)
#define CPU_MAX_S  900
#define FD_COUNT   64

/* Says why and ends: the other end is waiting. */
static _Noreturn void give_up(const char *why, const char *what)
{
    char text[PATH_MAX + 256];
    int  n = snprintf(text, sizeof(text), "{\"ready\":false,\"error\":\"%s%s\"}", why, what);

    (void)send(CHANNEL, text, (size_t)n, MSG_NOSIGNAL); /* who has gone need not know */
    exit(1);
}

/* ---- what it is given ---- */

static void take_pixels(void)
{
    union {
        struct cmsghdr align;
        char           bytes[CMSG_SPACE(sizeof(int))];
    } control;
    char            text[16];
    struct iovec    part = { .iov_base = text, .iov_len = sizeof(text) };
    struct msghdr   m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes };
    struct cmsghdr *head;
    int             fd;

    m.msg_controllen = sizeof(control.bytes);
    if (recvmsg(CHANNEL, &m, 0) <= 0)
        exit(0);
    head = CMSG_FIRSTHDR(&m);
    if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
        give_up("no memory for pixels came", "");
    memcpy(&fd, CMSG_DATA(head), sizeof(fd));
    if (fd != PIXELS && (dup2(fd, PIXELS) < 0 || close(fd)))
        give_up("no descriptors are left", "");
}

/* Installed, the engine lies in a folder beside this program; else where it was built. */
static void find_engine(char ret[PATH_MAX])
{
    char    self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    while (n > 0 && self[n - 1] != '/')
        n--;
    if (snprintf(ret, PATH_MAX, "%.*speople/main.mjs", (int)n, self) < PATH_MAX && access(ret, R_OK) == 0)
        return;
    snprintf(ret, PATH_MAX, "%s/main.mjs", DASHBOX_PEOPLE_SOURCE);
    if (access(ret, R_OK))
        give_up("there is no ", ret);
}

static void find_node(char ret[PATH_MAX])
{
    char  path[PATH_MAX];
    char *path_env = getenv("PATH"), *rest = NULL;

    for (char *folder = strtok_r(path_env, ":", &rest); folder; folder = strtok_r(NULL, ":", &rest)) {
        if (snprintf(path, sizeof(path), "%s/node", folder) < (int)sizeof(path) && access(path, X_OK) == 0 &&
            realpath(path, ret))
            return;
    }
    give_up("there is no node on the PATH", "");
}

/* ---- what it gives up: limits ---- */

static void limit(int what, uint64_t most)
{
    struct rlimit r = { most, most };

    if (setrlimit((__rlimit_resource_t)what, &r))
        give_up("a limit cannot be set", "");
}

/* ---- files ---- */

/* By the version of the kernel's interface: 1 has the first 13 rights, 2 and 3 one more each (landlock.h). */
static uint64_t file_rights(long version)
{
    return ((uint64_t)1 << (version >= 3 ? 15 : version == 2 ? 14 : 13)) - 1;
}

static bool allow_reading(int ruleset, const char *path, uint64_t rights)
{
    struct landlock_path_beneath_attr rule = { .allowed_access = rights };
    bool                              ok;

    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return errno == ENOENT;
    ok = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
    close(rule.parent_fd);
    return ok;
}

static bool landlock_enter(const char *node, const char *engine)
{
    static const char *const folders[] = { "/usr", "/etc/ssl", "/sys/fs/cgroup", "/proc/self" };
    static const char *const loaders[] = { "/lib", "/lib64" }; /* of programs: they are run in front of Node.js */
    static const char *const one_file[] = { "/etc/ld.so.cache", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat",
                                            "/dev/urandom" };
    const uint64_t           read_file = LANDLOCK_ACCESS_FS_READ_FILE, execute = LANDLOCK_ACCESS_FS_EXECUTE;
    const uint64_t           read = read_file | LANDLOCK_ACCESS_FS_READ_DIR;
    long version = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    struct landlock_ruleset_attr a = { .handled_access_fs = file_rights(version) };
    int                          ruleset;
    bool                         ok;

    if (version < 1)
        return false;
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &a, sizeof(a.handled_access_fs), 0);
    if (ruleset < 0)
        return false;
    ok = allow_reading(ruleset, engine, read) && allow_reading(ruleset, node, read_file | execute);
    for (size_t i = 0; ok && i < ARRAY_LEN(folders); i++)
        ok = allow_reading(ruleset, folders[i], read);
    for (size_t i = 0; ok && i < ARRAY_LEN(loaders); i++)
        ok = allow_reading(ruleset, loaders[i], read | execute);
    for (size_t i = 0; ok && i < ARRAY_LEN(one_file); i++)
        ok = allow_reading(ruleset, one_file[i], read_file);
    ok = ok && syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    close(ruleset);
    return ok;
}

/* ---- system calls ---- */

#if defined(__x86_64__)
#define ARCH      AUDIT_ARCH_X86_64
#define OTHER_ABI 0x40000000 /* numbers of x32 begin here */
#elif defined(__aarch64__)
#define ARCH      AUDIT_ARCH_AARCH64
#define OTHER_ABI 0x40000000 /* none has such a number */
#endif

#ifdef ARCH

static const unsigned refused[] = {
    /* the network; the channel is read and written */
    SYS_socket, SYS_socketpair, SYS_connect, SYS_bind, SYS_listen, SYS_accept, SYS_accept4,
    /* other processes */
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kill, SYS_pidfd_open, SYS_pidfd_getfd,
    SYS_pidfd_send_signal,
#ifdef SYS_fork
    SYS_fork, SYS_vfork,
#endif
    /* the system */
    SYS_mount, SYS_umount2, SYS_chroot, SYS_pivot_root, SYS_unshare, SYS_setns, SYS_bpf, SYS_perf_event_open,
    SYS_userfaultfd, SYS_io_uring_setup, SYS_add_key, SYS_request_key, SYS_keyctl, SYS_init_module, SYS_finit_module,
    SYS_kexec_load,
    /* files, where there is no landlock or an old one */
    SYS_truncate, SYS_linkat, SYS_unlinkat, SYS_mkdirat, SYS_mknodat, SYS_symlinkat, SYS_fchmodat, SYS_fchownat,
    SYS_setxattr,
#ifdef SYS_unlink
    SYS_link, SYS_unlink, SYS_rename, SYS_mkdir, SYS_rmdir, SYS_mknod, SYS_symlink, SYS_chmod, SYS_chown, SYS_creat,
#endif
    SYS_renameat2
};

enum { PROGRAM_MAX = 8 + 2 * ARRAY_LEN(refused) + 2 + 4 };

/* The low half of a system call's first argument. */
#define ARG_0 offsetof(struct seccomp_data, args)

static bool seccomp_enter(void)
{
    static struct sock_filter program[PROGRAM_MAX];
    struct sock_fprog         p = { .filter = program };
    unsigned short            n = 0;

    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, OTHER_ABI, 0, 1);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refused[i], 0, 1);
        program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    }
    /* Threads, but no processes. clone3() hides its flags in memory: without it the library takes clone(). */
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARG_0);
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    ASSERT(n <= PROGRAM_MAX);
    p.len = n;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) == 0;
}

#else

static bool seccomp_enter(void)
{
    return false;
}

#endif

static const char *sandbox_enter(const char *node, const char *engine)
{
    bool files, calls;

    limit(RLIMIT_DATA, MEMORY_MAX);
    limit(RLIMIT_CPU, CPU_MAX_S);
    limit(RLIMIT_NOFILE, FD_COUNT);
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_CORE, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        give_up("PR_SET_NO_NEW_PRIVS is refused", "");
    files = landlock_enter(node, engine);
    calls = seccomp_enter();
    return files && calls ? "" : files ? "seccomp" : calls ? "landlock" : "seccomp and landlock";
}

int main(int argc, char **argv)
{
    char        node[PATH_MAX], engine[PATH_MAX], lacks[64];
    int         type;
    socklen_t   len = sizeof(type);
    const char *words[] = { node, "--no-warnings", "--v8-pool-size=1", engine, NULL };
    const char *env[] = { lacks, NULL };

    (void)argv;
    if (argc != 1 || getsockopt(CHANNEL, SOL_SOCKET, SO_TYPE, &type, &len) || type != SOCK_SEQPACKET) {
        fputs("dashbox-people is started by dashbox, which looks for people in pictures with it\n", stderr);
        return 2;
    }
    take_pixels();
    find_engine(engine);
    find_node(node);
    *strrchr(engine, '/') = 0;
    snprintf(lacks, sizeof(lacks), "LACKS=%s", sandbox_enter(node, engine));
    engine[strlen(engine)] = '/';
    execve(node, (char *const *)(uintptr_t)words, (char *const *)(uintptr_t)env);
    give_up("it cannot be run: ", node);
}
