/*
 * file.c - bytes in and out of the tool.
 *
 * Bytes are bytes. A regular file says how long it is, so that its message can be reserved and read
 * straight into place; anything else (a pipe, a terminal, a file of /proc) is read to its end. An
 * output that this command makes holds whole messages: what was written of one that failed is cut
 * off again, and a file to which nothing came is taken away.
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    PIPE_ROOM = 1 << 20,
    FIRST_ROOM = 1 << 16,
    WRITE_MOST = 1 << 22,
    PARTS_MOST = 4
};

static int look_at(const struct tool_args *args, struct tool_file *file)
{
    struct stat st;
    if (fstat(file->fd, &st) < 0) {
        return tool_file_error(args, file->name, errno);
    }
    file->terminal = isatty(file->fd) == 1;
    file->rest = UINT64_MAX;
    if (S_ISFIFO(st.st_mode)) {
        /* Fewer, larger steps. An ordinary user may be over his limit: then it stays as it is. */
        (void)fcntl(file->fd, F_SETPIPE_SZ, PIPE_ROOM);
    }
    if (S_ISREG(st.st_mode)) {
        const off_t at = lseek(file->fd, 0, SEEK_CUR);
        file->regular = at >= 0 && st.st_size > 0;
        if (file->regular) {
            file->rest = st.st_size > at ? (uint64_t)(st.st_size - at) : 0;
        }
    }
    return 0;
}

int tool_file_open_input(const struct tool_args *args, const char *path, struct tool_file *ret_file)
{
    struct tool_file file = { .fd = STDIN_FILENO, .name = path ? path : "standard input" };
    if (path) {
        file.fd = open(path, O_RDONLY | O_CLOEXEC);
        if (file.fd < 0) {
            return tool_file_error(args, path, errno);
        }
    }
    const int code = look_at(args, &file);
    if (code == 0) {
        *ret_file = file;
    } else if (path) {
        close(file.fd);
    }
    return code;
}

int tool_file_open_output(const struct tool_args *args, const char *path,
                          struct tool_file *ret_file)
{
    struct tool_file file = { .fd = STDOUT_FILENO, .name = path ? path : "standard output" };
    if (path) {
        file.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        file.created = file.fd >= 0;
        if (file.fd < 0 && errno == EEXIST) {
            file.fd = open(path, O_WRONLY | O_CLOEXEC);
        }
        if (file.fd < 0) {
            return tool_file_error(args, path, errno);
        }
    }
    const int code = look_at(args, &file);
    struct stat st;
    /* Only a file that was opened here is cut: of standard output others may hold the position. */
    file.regular = path && fstat(file.fd, &st) == 0 && S_ISREG(st.st_mode);
    if (code == 0) {
        *ret_file = file;
    } else if (path) {
        close(file.fd);
    }
    return code;
}

int tool_file_close(const struct tool_args *args, struct tool_file *file, int code)
{
    if (file->fd <= STDERR_FILENO) {
        return code;
    }
    if (file->created && !file->touched) {
        unlink(file->name);
    }
    if (close(file->fd) < 0 && code == TOOL_DONE) {
        code = tool_file_error(args, file->name, errno);
    }
    file->fd = -1;
    return code;
}

/* After a system call that failed: true to make it again. */
static bool io_again(int fd, short events)
{
    if (errno == EAGAIN) {
        struct pollfd wait = { .fd = fd, .events = events };
        (void)poll(&wait, 1, -1);
        return !tool_stopping();
    }
    return tool_again(-errno);
}

ssize_t tool_file_read(struct tool_file *file, void *buf, size_t size)
{
    for (;;) {
        const ssize_t n = read(file->fd, buf, size);
        if (n >= 0) {
            return n;
        }
        if (!io_again(file->fd, POLLIN)) {
            return errno == EAGAIN ? -EINTR : -errno;
        }
    }
}

int tool_file_read_all(struct tool_file *file, size_t limit, char **ret_data, size_t *ret_len)
{
    size_t size = FIRST_ROOM;
    size_t len = 0;
    char *data = malloc(size);
    if (!data) {
        return -ENOMEM;
    }
    for (;;) {
        if (len == size) {
            char *const more = realloc(data, size * 2);
            if (!more) {
                free(data);
                return -ENOMEM;
            }
            data = more;
            size *= 2;
        }
        const ssize_t n = tool_file_read(file, data + len, size - len);
        if (n < 0 || (size_t)n > limit - len) {
            free(data);
            return n < 0 ? (int)n : -EFBIG;
        }
        if (n == 0) {
            break;
        }
        len += (size_t)n;
    }
    *ret_data = data;
    *ret_len = len;
    return 0;
}

/* Moves the parts past n bytes; drops those that are written. */
static void step(struct iovec **parts, size_t *n_parts, size_t n)
{
    while (*n_parts > 0 && n >= (*parts)->iov_len) {
        n -= (*parts)->iov_len;
        ++*parts;
        --*n_parts;
    }
    if (*n_parts > 0) {
        (*parts)->iov_base = (char *)(*parts)->iov_base + n;
        (*parts)->iov_len -= n;
    }
}

/* One call. A long message goes in steps, so that progress can be drawn. */
static ssize_t write_some(int fd, const struct iovec *parts, size_t n_parts)
{
    if (parts->iov_len > WRITE_MOST) {
        return write(fd, parts->iov_base, WRITE_MOST);
    }
    return n_parts == 1 ? write(fd, parts->iov_base, parts->iov_len)
                        : writev(fd, parts, (int)n_parts);
}

int tool_file_sync(const struct tool_file *file)
{
    while (fdatasync(file->fd) < 0) {
        if (errno == EINVAL || errno == EROFS) {
            return 0; /* a pipe, a terminal: written is all there is */
        }
        if (!tool_again(-errno)) {
            return -errno;
        }
    }
    return 0;
}

int tool_file_write(struct tool_file *file, struct iovec *parts, size_t n_parts)
{
    if (file->regular && !file->touched && ftruncate(file->fd, 0) < 0) {
        return -errno;
    }
    file->touched = true;
    const off_t begin = file->regular ? lseek(file->fd, 0, SEEK_CUR) : -1;
    step(&parts, &n_parts, 0);
    while (n_parts > 0) {
        const ssize_t n = write_some(file->fd, parts, n_parts);
        if (n >= 0) {
            tool_watch_moved((uint64_t)n);
            step(&parts, &n_parts, (size_t)n);
        } else if (!io_again(file->fd, POLLOUT)) {
            const int error = errno == EAGAIN ? EINTR : errno;
            if (begin >= 0 && ftruncate(file->fd, begin) == 0) {
                (void)lseek(file->fd, begin, SEEK_SET);
            }
            return -error;
        }
    }
    return 0;
}
