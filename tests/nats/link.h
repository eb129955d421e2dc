/*
 * A link to the server that loses something: a child that stands between the test and the real server, on a port of its
 * own, and carries what both say. What it shall lose stands in shared memory, and what it has done.
 *
 *   skip, swallow   after `skip` messages of mailboxes on one connection their answers do not come back; when all that
 *                   was sent there has been answered, that connection is cut. So they are stored, and nobody was told.
 *                   One connection only, then swallow is 0 again.
 *   cut_after       a connection over which the server has said so many bytes is cut; once.
 *   cut_before      a connection over which a client says this word is cut before that is carried on; once.
 *   refuse          connections are closed when they come, and those that are there are cut.
 */
#ifndef TESTS_NATS_LINK_H
#define TESTS_NATS_LINK_H

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kit.h"

#define LINK_MOST 24

struct link_orders {
    uint16_t server_port;
    int listener;
    _Atomic uint32_t skip;
    _Atomic uint32_t swallow;
    _Atomic uint32_t swallowed; /* connections that were cut by it */
    _Atomic uint32_t cut_after;
    _Atomic uint32_t refuse;
    char cut_word[32]; /* written before the next one is set */
    _Atomic uint32_t cut_before;
};

/* How often a text whose first character stands nowhere else in it has gone by. */
struct link_word {
    const char *text;
    size_t at;
    uint32_t n;
};

struct link_pipe {
    int client; /* 0 free */
    int server;
    struct link_word asked;
    struct link_word told;
    uint64_t said; /* bytes of the server */
    bool is_mute;
};

static inline void link_count(struct link_word *word, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        word->at = data[i] == word->text[word->at] ? word->at + 1 : data[i] == word->text[0];
        if (word->text[word->at] == '\0') {
            word->n++;
            word->at = 0;
        }
    }
}

static inline int link_socket(struct sockaddr_in *ret_address)
{
    *ret_address =
        (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static inline int link_dial(uint16_t port)
{
    struct sockaddr_in address;
    const int fd = link_socket(&address);
    address.sin_port = htons(port);
    kit_ok(connect(fd, (struct sockaddr *)&address, sizeof(address)));
    return fd;
}

static inline bool link_write(int fd, const char *data, size_t len)
{
    while (len > 0) {
        const ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static inline void link_cut(struct link_pipe *pipe)
{
    close(pipe->client);
    close(pipe->server);
    *pipe = (struct link_pipe){ 0 };
}

static inline void link_accept(struct link_orders *orders, struct link_pipe *pipes)
{
    const int client = accept(orders->listener, NULL, NULL);
    size_t i = 0;
    while (i < LINK_MOST && pipes[i].client != 0) {
        i++;
    }
    if (orders->refuse || client < 0 || i == LINK_MOST) {
        close(client);
        return;
    }
    pipes[i] = (struct link_pipe){ .client = client,
                                   .server = link_dial(orders->server_port),
                                   .asked = { .text = "\nTong: 1 " },
                                   .told = { .text = "seq\":" } };
}

static inline bool link_to_server(struct link_orders *orders, struct link_pipe *pipe)
{
    char bytes[65536];
    const ssize_t n = recv(pipe->client, bytes, sizeof(bytes), 0);
    if (n <= 0) {
        return false;
    }
    if (orders->cut_before &&
        memmem(bytes, (size_t)n, orders->cut_word, strlen(orders->cut_word))) {
        orders->cut_before = 0;
        return false;
    }
    link_count(&pipe->asked, bytes, (size_t)n);
    if (pipe->asked.n > orders->skip && orders->swallow) {
        orders->swallow = 0;
        pipe->is_mute = true;
    }
    return link_write(pipe->server, bytes, (size_t)n);
}

static inline bool link_to_client(struct link_orders *orders, struct link_pipe *pipe)
{
    char bytes[65536];
    const ssize_t n = recv(pipe->server, bytes, sizeof(bytes), 0);
    if (n <= 0) {
        return false;
    }
    link_count(&pipe->told, bytes, (size_t)n);
    pipe->said += (uint64_t)n;
    if (pipe->is_mute) {
        if (pipe->told.n < pipe->asked.n) {
            return true;
        }
        orders->swallowed++;
        return false;
    }
    if (orders->cut_after && pipe->said > orders->cut_after) {
        orders->cut_after = 0;
        return false;
    }
    return link_write(pipe->client, bytes, (size_t)n);
}

static inline void link_carry(struct link_orders *orders, struct link_pipe *pipes)
{
    struct pollfd fds[1 + 2 * LINK_MOST] = { { .fd = orders->listener, .events = POLLIN } };
    for (size_t i = 0; i < LINK_MOST; i++) {
        fds[1 + 2 * i] =
            (struct pollfd){ .fd = pipes[i].client ? pipes[i].client : -1, .events = POLLIN };
        fds[2 + 2 * i] =
            (struct pollfd){ .fd = pipes[i].client ? pipes[i].server : -1, .events = POLLIN };
    }
    poll(fds, 1 + 2 * LINK_MOST, 5);
    for (size_t i = 0; i < LINK_MOST; i++) {
        struct link_pipe *pipe = &pipes[i];
        if (pipe->client &&
            (orders->refuse || (fds[1 + 2 * i].revents && !link_to_server(orders, pipe)) ||
             (fds[2 + 2 * i].revents && !link_to_client(orders, pipe)))) {
            link_cut(pipe);
        }
    }
    if (fds[0].revents) {
        link_accept(orders, pipes);
    }
}

static inline int link_run(void *arg)
{
    static struct link_pipe pipes[LINK_MOST];
    do {
        link_carry(arg, pipes);
    } while (getppid() != 1); /* it is killed at the end of the test */
    return 0;
}

static inline uint16_t link_server_port(void)
{
    const char *colon = strrchr(getenv("TONG_NATS_URL"), ':');
    return (uint16_t)strtoul(colon + 1, NULL, 10);
}

/* From here on this process and those it makes reach the server over the link. */
static inline struct link_orders *link_begin(struct kit_child *ret_child)
{
    struct link_orders *orders = kit_shared(sizeof(*orders));
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    char url[64];
    orders->server_port = link_server_port();
    orders->listener = link_socket(&address);
    kit_ok(bind(orders->listener, (struct sockaddr *)&address, len));
    kit_ok(listen(orders->listener, 64));
    kit_ok(getsockname(orders->listener, (struct sockaddr *)&address, &len));
    *ret_child = kit_spawn(link_run, orders);
    close(orders->listener);
    snprintf(url, sizeof(url), "nats://127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    setenv("TONG_NATS_URL", url, 1);
    return orders;
}

static inline void link_end(const struct link_orders *orders, struct kit_child *child)
{
    char url[64];
    snprintf(url, sizeof(url), "nats://127.0.0.1:%u", (unsigned)orders->server_port);
    setenv("TONG_NATS_URL", url, 1);
    kit_kill(child);
}

/* A client that speaks for itself: lines with \r\n behind them, which have been carried out when it returns. */
static inline void link_say(uint16_t port, const char *lines)
{
    char answer[4096];
    char text[8192];
    const int fd = link_dial(port);
    const int len = snprintf(text, sizeof(text),
                             "CONNECT {\"verbose\":false,\"headers\":true}\r\n%sPING\r\n", lines);
    kit_true(link_write(fd, text, (size_t)len));
    struct link_word pong = { .text = "PONG" };
    while (pong.n == 0) {
        const ssize_t n = recv(fd, answer, sizeof(answer), 0);
        kit_true(n > 0);
        link_count(&pong, answer, (size_t)n);
    }
    close(fd);
}

/* A request, and the server's answer to it, a NUL behind it. */
static inline void link_ask(uint16_t port, const char *subject, const char *body, char *ret_answer,
                            size_t size)
{
    char text[1024];
    size_t len = 0;
    const int fd = link_dial(port);
    const int n_text = snprintf(text, sizeof(text),
                                "CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB _INBOX.t 1\r\n"
                                "PUB %s _INBOX.t %zu\r\n%s\r\n",
                                subject, strlen(body), body);
    kit_true(link_write(fd, text, (size_t)n_text));
    const char *answer = NULL;
    do {
        const ssize_t n = recv(fd, ret_answer + len, size - 1 - len, 0);
        kit_true(n > 0);
        len += (size_t)n;
        ret_answer[len] = '\0';
        answer = strstr(ret_answer, "MSG _INBOX.t");
    } while (!answer || !strstr(answer, "}\r\n"));
    memmove(ret_answer, answer, strlen(answer) + 1);
    close(fd);
}

#endif
