/* A failing disk for tests, loaded with LD_PRELOAD: calls of the C library on files below one folder fail.

   FAULT_FOLDER  absolute path of the folder, without links
   FAULT_CALL    the calls that are counted: read, write (also write, truncate and allocate), sync, rename, open, or
                 change (all that a read-only file system refuses)
   FAULT_ERROR   number of the error; 0: a write is short
   FAULT_AT      the call of FAULT_FOLDER that fails, from 1; 0: none
   FAULT_LASTS   if set, all later calls fail too
   FAULT_COUNT   file of 8 bytes with the number of counted calls, which all processes share
   FAULT_LOG     file to which the path of each fault is appended, and `linked PATH` for each file that is opened for
                 writing through a symbolic link or has several hard links
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

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int counted_calls(void) {
    static const char *names[] = {"read", "write", "sync", "rename", "open", "change"};
    const char *wanted = getenv("FAULT_CALL");
    for (int bit = 0; wanted && bit < 6; bit++)
        if (!strcmp(wanted, names[bit])) return 1 << bit;
    return 0;
}

static void append_log(const char *what, const char *path) {
    const char *log = getenv("FAULT_LOG");
    char line[PATH_MAX + 16];
    int length = snprintf(line, sizeof line, "%s %s\n", what, path);
    if (!log) return;
    int fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) {
        syscall(SYS_write, fd, line, length);
        syscall(SYS_close, fd);
    }
}

static int is_below(const char *path) {
    const char *folder = getenv("FAULT_FOLDER");
    size_t length = folder ? strlen(folder) : 0;
    return length && !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

/* The number of this call among all processes, from 1. */
static long next_number(void) {
    static _Atomic int64_t *count;
    if (!count) {
        const char *file = getenv("FAULT_COUNT");
        int fd = file ? syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC, 0) : -1;
        if (fd < 0) return 0;
        void *mapped = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        syscall(SYS_close, fd);
        if (mapped == MAP_FAILED) return 0;
        count = mapped;
    }
    return atomic_fetch_add(count, 1) + 1;
}

/* Whether this call on a path fails; if so, errno is set. */
static int fails(int calls, const char *path) {
    if (!(counted_calls() & calls) || !is_below(path)) return 0;
    const char *at = getenv("FAULT_AT"), *error = getenv("FAULT_ERROR");
    long number = next_number(), wanted = at ? atol(at) : 0;
    if (!wanted || number < wanted || (number > wanted && !getenv("FAULT_LASTS"))) return 0;
    append_log("fault", path);
    errno = error ? atoi(error) : EIO;
    return 1;
}

/* 0 for a descriptor of no regular file. */
static int path_of(int fd, char *path) {
    char link[64];
    struct stat status;
    if (!counted_calls() || fstat(fd, &status) || !S_ISREG(status.st_mode)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = 0;
    return length > 0;
}

static int fd_fails(int calls, int fd) {
    char path[PATH_MAX];
    int before = errno;
    int failed = path_of(fd, path) && fails(calls, path);
    if (!failed) errno = before;
    return failed;
}

static int path_fails(int calls, int folder, const char *path) {
    char whole[2 * PATH_MAX], base[PATH_MAX] = "", link[64];
    int before = errno;
    if (path[0] != '/') {
        if (folder == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return 0;
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            ssize_t length = readlink(link, base, sizeof base - 1);
            base[length > 0 ? length : 0] = 0;
        }
    }
    snprintf(whole, sizeof whole, "%s%s%s", base, path[0] == '/' ? "" : "/", path);
    int failed = fails(calls, whole);
    if (!failed) errno = before;
    return failed;
}

static void check_links(int folder, const char *path) {
    struct stat status;
    if (getenv("FAULT_LOG") && !fstatat(folder, path, &status, AT_SYMLINK_NOFOLLOW) &&
        (S_ISLNK(status.st_mode) || (S_ISREG(status.st_mode) && status.st_nlink > 1)))
        append_log("linked", path);
}

static int open_fails(int folder, const char *path, int flags) {
    int writes = (flags & O_ACCMODE) != O_RDONLY;
    if (writes) {
        int before = errno;
        check_links(folder, path);
        errno = before;
    }
    return path_fails(OPEN | (writes || flags & O_CREAT ? CHANGE : 0), folder, path);
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

static FILE *stream_fails(const char *path, const char *mode) {
    int flags = strpbrk(mode, "wa+") ? O_RDWR | O_CREAT : O_RDONLY;
    return open_fails(AT_FDCWD, path, flags) ? NULL : (FILE *)path;
}

FILE *fopen(const char *path, const char *mode) {
    return stream_fails(path, mode) ? REAL(fopen)(path, mode) : NULL;
}

FILE *fopen64(const char *path, const char *mode) {
    return stream_fails(path, mode) ? REAL(fopen64)(path, mode) : NULL;
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

/* A read-only file system first reports that a path is not there, or is there. */
static int present(int folder, const char *path) {
    int before = errno, missing = faccessat(folder, path, F_OK, AT_SYMLINK_NOFOLLOW);
    errno = before;
    return missing ? 0 : CHANGE;
}

static int absent(int folder, const char *path) { return present(folder, path) ? 0 : CHANGE; }

#define PATH_CALL(name, calls, at, path, arguments, ...)              \
    int name arguments { return path_fails(calls, at, path) ? -1 : REAL(name)(__VA_ARGS__); }

PATH_CALL(rename, RENAME | CHANGE, AT_FDCWD, to, (const char *from, const char *to), from, to)
PATH_CALL(renameat, RENAME | CHANGE, at, to, (int in, const char *from, int at, const char *to), in, from, at, to)
PATH_CALL(renameat2, RENAME | CHANGE, at, to, (int in, const char *from, int at, const char *to, unsigned flags), in,
          from, at, to, flags)
PATH_CALL(mkdir, absent(AT_FDCWD, path), AT_FDCWD, path, (const char *path, mode_t mode), path, mode)
PATH_CALL(mkdirat, absent(at, path), at, path, (int at, const char *path, mode_t mode), at, path, mode)
PATH_CALL(unlink, present(AT_FDCWD, path), AT_FDCWD, path, (const char *path), path)
PATH_CALL(unlinkat, present(at, path), at, path, (int at, const char *path, int flags), at, path, flags)
PATH_CALL(rmdir, CHANGE, AT_FDCWD, path, (const char *path), path)
PATH_CALL(link, CHANGE, AT_FDCWD, to, (const char *from, const char *to), from, to)
PATH_CALL(symlink, CHANGE, AT_FDCWD, to, (const char *from, const char *to), from, to)
PATH_CALL(truncate, WRITE | CHANGE, AT_FDCWD, path, (const char *path, off_t size), path, size)
