/* A failing disk for tests, loaded with LD_PRELOAD: calls of the C library on files below one folder fail.

   FAULT_FOLDER  absolute path of the folder, without links
   FAULT_CALL    the calls that may fail: read, write (also to change the size), sync, rename, open, or change (all that a
                 read-only file system refuses); `all`: none fails, and each is a line of FAULT_LOG, such as `read PATH`
   FAULT_ERROR   number of the error; 0: a write is short
   FAULT_AT      which of these calls fails, from 1
   FAULT_LASTS   if set, all later ones fail too
   FAULT_COUNT   file of 8 bytes with the number of these calls so far, which all processes share
   FAULT_LOG     file with a line `fault PATH` for each fault, and `linked PATH` for each file that is opened for writing
                 through a symbolic link, or that has several hard links
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { READ = 1, WRITE = 2, SYNC = 4, RENAME = 8, OPEN = 16, CHANGE = 32 };
static const char *names[] = {"read", "write", "sync", "rename", "open", "change"};

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void append_log(const char *what, const char *path) {
    const char *log = getenv("FAULT_LOG");
    char line[2 * PATH_MAX];
    int length = snprintf(line, sizeof line, "%s %s\n", what, path);
    int fd = log ? syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd >= 0) {
        syscall(SYS_write, fd, line, length);
        syscall(SYS_close, fd);
    }
}

static int is_below(const char *path) {
    const char *folder = getenv("FAULT_FOLDER");
    size_t length = folder ? strlen(folder) : 0;
    return length && !strncmp(path, folder, length) && path[length] == '/';
}

/* The number of this call among those of all processes, from 1. */
static long next_number(void) {
    static _Atomic int64_t *count;
    if (!count) {
        const char *file = getenv("FAULT_COUNT");
        int fd = file ? syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC, 0) : -1;
        void *mapped = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (fd >= 0) syscall(SYS_close, fd);
        if (mapped == MAP_FAILED) abort();
        count = mapped;
    }
    return atomic_fetch_add(count, 1) + 1;
}

/* Whether a call, which may be of several kinds, fails on a path; if so, errno is set, otherwise it is as before. */
static int fails(int kinds, const char *path) {
    const char *wanted = getenv("FAULT_CALL");
    int before = errno, failed = 0;
    if (!wanted || !is_below(path)) return 0;
    for (int bit = 0; bit < 6; bit++) {
        if (!(kinds & 1 << bit)) continue;
        if (!strcmp(wanted, "all")) append_log(names[bit], path);
        if (strcmp(wanted, names[bit])) continue;
        long number = next_number(), at = atol(getenv("FAULT_AT"));
        failed = number == at || (number > at && getenv("FAULT_LASTS"));
    }
    errno = before;
    if (failed) {
        append_log("fault", path);
        errno = atoi(getenv("FAULT_ERROR"));
    }
    return failed;
}

static int fd_fails(int kinds, int fd) {
    char link[64], path[PATH_MAX];
    struct stat status;
    int before = errno, failed = 0;
    if (!getenv("FAULT_CALL")) return 0;
    if (!fstat(fd, &status) && S_ISREG(status.st_mode)) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, sizeof path - 1);
        path[length > 0 ? length : 0] = 0;
        failed = fails(kinds, path);
    }
    if (!failed) errno = before;
    return failed;
}

static int path_fails(int kinds, int folder, const char *path) {
    char whole[2 * PATH_MAX], base[PATH_MAX] = "", link[64];
    int before = errno;
    if (!getenv("FAULT_CALL") || !kinds) return 0;
    if (path[0] != '/') {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t length = readlink(folder == AT_FDCWD ? "/proc/self/cwd" : link, base, sizeof base - 1);
        base[length > 0 ? length : 0] = 0;
    }
    snprintf(whole, sizeof whole, "%s%s%s", base, path[0] == '/' ? "" : "/", path);
    errno = before;
    return fails(kinds, whole);
}

/* What is not there, or is there already, is reported before a fault. */
static int present(int folder, const char *path) {
    int before = errno, missing = faccessat(folder, path, F_OK, AT_SYMLINK_NOFOLLOW);
    errno = before;
    return !missing;
}

static void check_links(int folder, const char *path) {
    struct stat status;
    int before = errno;
    if (!fstatat(folder, path, &status, AT_SYMLINK_NOFOLLOW) &&
        (S_ISLNK(status.st_mode) || (S_ISREG(status.st_mode) && status.st_nlink > 1)))
        append_log("linked", path);
    errno = before;
}

static int open_fails(int folder, const char *path, int flags) {
    int changes = (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT;
    if (!getenv("FAULT_CALL")) return 0;
    if (changes) check_links(folder, path);
    if (!(flags & O_CREAT) && !present(folder, path)) return 0;
    return path_fails(OPEN | (changes ? CHANGE : 0), folder, path);
}

#define MODE(flags, mode)                               \
    mode_t mode = 0;                                    \
    if (flags & (O_CREAT | __O_TMPFILE)) {              \
        va_list arguments;                              \
        va_start(arguments, flags);                     \
        mode = va_arg(arguments, mode_t);               \
        va_end(arguments);                              \
    }

int open(const char *path, int flags, ...) {
    MODE(flags, mode)
    return open_fails(AT_FDCWD, path, flags) ? -1 : REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags, mode)
    return open_fails(AT_FDCWD, path, flags) ? -1 : REAL(open64)(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    MODE(flags, mode)
    return open_fails(folder, path, flags) ? -1 : REAL(openat)(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
    MODE(flags, mode)
    return open_fails(folder, path, flags) ? -1 : REAL(openat64)(folder, path, flags, mode);
}

int creat(const char *path, mode_t mode) {
    return open_fails(AT_FDCWD, path, O_CREAT | O_WRONLY) ? -1 : REAL(creat)(path, mode);
}

static int stream_fails(const char *path, const char *mode) {
    return open_fails(AT_FDCWD, path, strpbrk(mode, "wa+") ? O_RDWR | O_CREAT : O_RDONLY);
}

FILE *fopen(const char *path, const char *mode) { return stream_fails(path, mode) ? NULL : REAL(fopen)(path, mode); }

FILE *fopen64(const char *path, const char *mode) {
    return stream_fails(path, mode) ? NULL : REAL(fopen64)(path, mode);
}

/* A short write writes half. */
#define WRITE_CALL(name, type, arguments, shortened, ...)             \
    type name arguments {                                             \
        if (fd_fails(WRITE | CHANGE, fd)) {                           \
            if (errno) return -1;                                     \
            return REAL(name) shortened;                              \
        }                                                             \
        return REAL(name)(__VA_ARGS__);                               \
    }

WRITE_CALL(write, ssize_t, (int fd, const void *bytes, size_t size), (fd, bytes, (size + 1) / 2), fd, bytes, size)
WRITE_CALL(pwrite, ssize_t, (int fd, const void *bytes, size_t size, off_t at), (fd, bytes, (size + 1) / 2, at), fd,
           bytes, size, at)
WRITE_CALL(pwrite64, ssize_t, (int fd, const void *bytes, size_t size, off64_t at), (fd, bytes, (size + 1) / 2, at),
           fd, bytes, size, at)
WRITE_CALL(writev, ssize_t, (int fd, const struct iovec *parts, int count), (fd, parts, (count + 1) / 2), fd, parts,
           count)
WRITE_CALL(sendfile, ssize_t, (int fd, int in, off_t *at, size_t size), (fd, in, at, (size + 1) / 2), fd, in, at, size)
WRITE_CALL(sendfile64, ssize_t, (int fd, int in, off64_t *at, size_t size), (fd, in, at, (size + 1) / 2), fd, in, at,
           size)

ssize_t copy_file_range(int in, off64_t *from, int fd, off64_t *to, size_t size, unsigned flags) {
    if (fd_fails(WRITE | CHANGE, fd)) {
        if (errno) return -1;
        size = (size + 1) / 2;
    }
    return REAL(copy_file_range)(in, from, fd, to, size, flags);
}

/* A file cannot be shortened or allocated by half: no fault. */
#define SIZE_CALL(name, arguments, failure, ...)                      \
    int name arguments {                                              \
        if (fd_fails(WRITE | CHANGE, fd) && errno) return failure;    \
        return REAL(name)(__VA_ARGS__);                               \
    }

SIZE_CALL(ftruncate, (int fd, off_t size), -1, fd, size)
SIZE_CALL(ftruncate64, (int fd, off64_t size), -1, fd, size)
SIZE_CALL(fallocate, (int fd, int mode, off_t from, off_t size), -1, fd, mode, from, size)
SIZE_CALL(fallocate64, (int fd, int mode, off64_t from, off64_t size), -1, fd, mode, from, size)
SIZE_CALL(posix_fallocate, (int fd, off_t from, off_t size), errno, fd, from, size)
SIZE_CALL(posix_fallocate64, (int fd, off64_t from, off64_t size), errno, fd, from, size)

#define FD_CALL(type, name, calls, arguments, ...)                    \
    type name arguments { return fd_fails(calls, fd) ? -1 : REAL(name)(__VA_ARGS__); }

FD_CALL(ssize_t, read, READ, (int fd, void *bytes, size_t size), fd, bytes, size)
FD_CALL(ssize_t, pread, READ, (int fd, void *bytes, size_t size, off_t at), fd, bytes, size, at)
FD_CALL(ssize_t, pread64, READ, (int fd, void *bytes, size_t size, off64_t at), fd, bytes, size, at)
FD_CALL(ssize_t, readv, READ, (int fd, const struct iovec *parts, int count), fd, parts, count)
FD_CALL(int, fsync, SYNC, (int fd), fd)
FD_CALL(int, fdatasync, SYNC, (int fd), fd)

#define PATH_CALL(name, calls, at, path, arguments, ...)              \
    int name arguments { return path_fails(calls, at, path) ? -1 : REAL(name)(__VA_ARGS__); }

PATH_CALL(rename, RENAME | CHANGE, AT_FDCWD, to, (const char *from, const char *to), from, to)
PATH_CALL(renameat, RENAME | CHANGE, at, to, (int in, const char *from, int at, const char *to), in, from, at, to)
PATH_CALL(renameat2, RENAME | CHANGE, at, to, (int in, const char *from, int at, const char *to, unsigned flags), in,
          from, at, to, flags)
PATH_CALL(mkdir, present(AT_FDCWD, path) ? 0 : CHANGE, AT_FDCWD, path, (const char *path, mode_t mode), path, mode)
PATH_CALL(mkdirat, present(at, path) ? 0 : CHANGE, at, path, (int at, const char *path, mode_t mode), at, path, mode)
PATH_CALL(unlink, present(AT_FDCWD, path) ? CHANGE : 0, AT_FDCWD, path, (const char *path), path)
PATH_CALL(unlinkat, present(at, path) ? CHANGE : 0, at, path, (int at, const char *path, int flags), at, path, flags)
PATH_CALL(rmdir, CHANGE, AT_FDCWD, path, (const char *path), path)
PATH_CALL(link, CHANGE, AT_FDCWD, to, (const char *from, const char *to), from, to)
PATH_CALL(symlink, CHANGE, AT_FDCWD, to, (const char *from, const char *to), from, to)
PATH_CALL(truncate, WRITE | CHANGE, AT_FDCWD, path, (const char *path, off_t size), path, size)
