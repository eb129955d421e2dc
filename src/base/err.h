/*
 * The answers of tong: one table for tong_strerror(), the manual and the tests.
 */
#ifndef TG_BASE_ERR_H
#define TG_BASE_ERR_H

#include <errno.h>

/* X(code, "EXXX", one sentence) */
#define TG_ERRORS(X)                                                                               \
    X(EAGAIN, "would have to wait: nothing there, or no room")                                     \
    X(ETIMEDOUT, "the time is over")                                                               \
    X(EMSGSIZE, "the message does not fit: longer than the buffer, or not the fixed size")         \
    X(ENOENT, "no such name")                                                                      \
    X(EEXIST, "the name exists already, or exists with other options")                             \
    X(EBUSY, "taken: by its one receiver, or by a lock that somebody keeps")                       \
    X(EBADF, "the handle was not opened for this")                                                 \
    X(EACCES, "no permission, or the folder is not safe to use")                                   \
    X(EPERM, "only its owner may do this")                                                         \
    X(EIDRM, "it was removed while open")                                                          \
    X(EOWNERDEAD, "its process is gone")                                                           \
    X(EPROTO, "foreign or damaged bytes, or another version")                                      \
    X(ENOSPC, "no memory left for messages: max_bytes or the file system is full")                 \
    X(ENOMEM, "the process or the system has no memory left")                                      \
    X(EMFILE, "the process has no file descriptor left")                                           \
    X(ENFILE, "the system has no file descriptor left")                                            \
    X(ENOBUFS, "too many claims: finish some first")                                               \
    X(EUSERS, "too many senders or receivers")                                                     \
    X(ECHILD, "the handle is from before fork: open again in the child")                           \
    X(EINTR, "a signal handler ran while waiting")                                                 \
    X(ECANCELED, "interrupted")                                                                    \
    X(ENAMETOOLONG, "the name is too long")                                                        \
    X(ENOSYS, "its delivery policy is not registered in this process")                             \
    X(EINVAL, "an argument that cannot be")                                                        \
    X(EOPNOTSUPP, "this carrier cannot do that")                                                   \
    X(EIO, "the file system failed")                                                               \
    X(EHOSTUNREACH, "no server answers there")                                                     \
    X(ENOTCONN, "the connection to the server was lost, and did not come back in time")            \
    X(EKEYREJECTED, "the server's certificate is not trusted, or names another host")              \
    X(ELIBACC, "the carrier's library is not installed: the package libtong-nats")

/* The sentence for a positive errno; NULL if tong never answers it. */
const char *tg_err_text(int error);

#endif
