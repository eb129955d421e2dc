/* A client of the mailbox "unix:box" that is no program of tong: it speaks as docs/carriers.md says, or as it likes. */
#ifndef TONG_TEST_PLAIN_CLIENT_H
#define TONG_TEST_PLAIN_CLIENT_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "kit.h"

struct packet {
    uint8_t kind;
    uint8_t flags;
    uint16_t extension;
    uint32_t length;
    uint64_t number;
};

struct hello {
    uint64_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t row;
    uint32_t reserved;
    char name[128];
};

enum {
    HELLO = 1,
    MESSAGE = 2,
    WANT = 3,
    NAME = 4,
    LOOK = 5,
    PASSES = 7,
    CREDIT = 16,
    REFUSED = 17,
    TAKEN = 18
};

/* Flags of a message. */
enum {
    MEMFD = 1,
    WITH_FD = 2,
    PUSH = 4
};

static inline int plain_connect_to(const char *name)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    /* From inside: the whole path may be too long for an address. */
    kit_true(fd >= 0 && chdir(kit_path("")) == 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", name);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static inline int plain_connect(void)
{
    return plain_connect_to("@box/socket");
}

/* With this descriptor, -1 none. */
static inline ssize_t plain_pass(int fd, const struct packet *packet, const void *data, int passed)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec parts[] = { { (void *)(uintptr_t)packet, sizeof *packet },
                             { (void *)(uintptr_t)data, data != NULL ? packet->length : 0 } };
    struct msghdr msg = { .msg_iov = parts, .msg_iovlen = 2 };
    if (passed >= 0) {
        memset(&control, 0, sizeof control);
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof passed);
        memcpy(CMSG_DATA(c), &passed, sizeof passed);
    }
    return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static inline ssize_t plain_send(int fd, uint8_t kind, uint64_t number, const void *data,
                                 uint32_t len)
{
    const struct packet packet = { .kind = kind, .length = len, .number = number };
    return plain_pass(fd, &packet, data, -1);
}

/* As a process of that name, "" none; data: a socket for its messages, -1 none. */
static inline ssize_t plain_hello_as(int fd, const char *name, int data)
{
    struct hello hello = { .magic = UINT64_C(0x31786e75676e6f74), .version = 1 };
    const struct packet packet = { .kind = HELLO, .length = sizeof hello };
    hello.flags = data >= 0 ? 2 : 0;
    snprintf(hello.name, sizeof hello.name, "%s", name);
    return plain_pass(fd, &packet, &hello, data);
}

static inline ssize_t plain_hello(int fd)
{
    return plain_hello_as(fd, "", -1);
}

/* The next packet: its kind, the number behind the last message that may be sent, of a CREDIT. */
static inline int plain_read(int fd, uint64_t *ret_number, uint64_t *ret_room)
{
    struct {
        struct packet packet;
        uint64_t room;
    } got = { .room = 0 };
    ssize_t n;
    do {
        n = recv(fd, &got, sizeof got,
                 0); /* ECONNRESET, once: it did not read all; what it said is there */
    } while (n < 0 && errno == ECONNRESET);
    if (n < (ssize_t)sizeof got.packet) {
        return -1;
    }
    *ret_number = got.packet.number;
    *ret_room = got.room;
    return got.packet.kind;
}

static inline unsigned open_descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 4096; fd++) {
        n += fcntl(fd, F_GETFD) >= 0;
    }
    return n;
}

#endif
