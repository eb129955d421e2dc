/*
 * slow_link FROM-PORT TO-HOST:TO-PORT MS - a way between two sites, for tests: what comes in at 127.0.0.1:FROM-PORT
 * goes out to TO-HOST:TO-PORT MS milliseconds later, and back the same. FROM-PORT 0 takes a free one; the first
 * line of output is the port.
 *
 *   SIGUSR1   the link is cut: nothing passes any more, and no end's end is told to the other
 *   SIGUSR2   it is whole again: what was on its way arrives, as a network sends it again
 *
 * A way has two pipes. Each holds chunks, with the time at which they are due, and ends with an empty one:
 * that end is passed on in its turn. It ends with its standard input.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WAYS 64
#define CHUNK 65536
#define CHUNKS 256 /* under way in one direction */

struct chunk {
    int64_t due_ns;
    size_t len; /* 0: the end */
    size_t at;
    char data[CHUNK];
};

struct pipe {
    struct chunk *chunks[CHUNKS];
    unsigned first;
    unsigned n;
    bool is_over; /* its source has ended */
};

struct way {
    int fds[2];            /* -1: no way */
    struct pipe *pipes[2]; /* [i]: what came from fds[i] and goes to the other one */
};

static struct way ways[WAYS];
static struct sockaddr_in target;
static int64_t delay_ns;
static bool is_cut;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "slow_link: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void *new_memory(size_t size)
{
    void *memory = calloc(1, size);
    if (!memory) {
        fail("memory");
    }
    return memory;
}

/* ------------------------------------------------------------------ ways */

static void close_way(struct way *way)
{
    for (int i = 0; i < 2; i++) {
        struct pipe *const pipe = way->pipes[i];
        for (; pipe->n > 0; pipe->n--) {
            free(pipe->chunks[pipe->first++ % CHUNKS]);
        }
        free(pipe);
        close(way->fds[i]);
        way->fds[i] = -1;
    }
}

static int connect_target(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&target, sizeof(target)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void open_way(int listener)
{
    struct way *way = ways;
    const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    while (way < ways + WAYS && way->fds[0] >= 0) {
        way++;
    }
    const int to = fd < 0 || way == ways + WAYS ? -1 : connect_target();
    if (to < 0) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    way->fds[0] = fd;
    way->fds[1] = to;
    for (int i = 0; i < 2; i++) {
        const int yes = 1;
        way->pipes[i] = new_memory(sizeof(struct pipe));
        setsockopt(way->fds[i], IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        fcntl(way->fds[i], F_SETFL, O_NONBLOCK);
    }
}

/* ------------------------------------------------------------------ bytes */

static void take_in(struct pipe *pipe, int fd)
{
    struct chunk *const chunk = new_memory(sizeof(*chunk));
    const ssize_t n = recv(fd, chunk->data, CHUNK, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        free(chunk);
        return;
    }
    chunk->len = n > 0 ? (size_t)n : 0;
    chunk->due_ns = now_ns() + delay_ns;
    pipe->is_over = chunk->len == 0;
    pipe->chunks[(pipe->first + pipe->n++) % CHUNKS] = chunk;
}

/* What is due goes out, as much as the other side takes. false: the way is over. */
static bool hand_out(struct pipe *pipe, int fd, int64_t now)
{
    while (pipe->n > 0 && pipe->chunks[pipe->first % CHUNKS]->due_ns <= now) {
        struct chunk *const chunk = pipe->chunks[pipe->first % CHUNKS];
        const ssize_t n = chunk->len == 0 ? -1
                                          : send(fd, chunk->data + chunk->at,
                                                 chunk->len - chunk->at, MSG_NOSIGNAL);
        if (n < 0) {
            return chunk->len > 0 && (errno == EAGAIN || errno == EINTR);
        }
        chunk->at += (size_t)n;
        if (chunk->at < chunk->len) {
            return true;
        }
        free(chunk);
        pipe->first++;
        pipe->n--;
    }
    return true;
}

/* What to wait for at one end; *next_ns: when the next chunk is due. */
static short wanted(const struct way *way, int end, int64_t now, int64_t *next_ns)
{
    const struct pipe *const in = way->pipes[end];
    const struct pipe *const out = way->pipes[1 - end];
    short events = in->is_over || in->n == CHUNKS ? 0 : POLLIN;
    if (out->n > 0) {
        const int64_t due_ns = out->chunks[out->first % CHUNKS]->due_ns;
        if (due_ns <= now) {
            events |= POLLOUT;
        } else if (due_ns < *next_ns) {
            *next_ns = due_ns;
        }
    }
    return events;
}

/* ------------------------------------------------------------------ the loop */

/* fds[3 + 2 * i] and the next one are those of way i. */
static int wait_for_more(struct pollfd *fds)
{
    const int64_t now = now_ns();
    int64_t next_ns = INT64_MAX;
    for (int i = 0; i < 2 * WAYS; i++) {
        const struct way *const way = &ways[i / 2];
        const short events = way->fds[0] < 0 || is_cut ? 0 : wanted(way, i % 2, now, &next_ns);
        /* A descriptor of which nothing is wanted would still tell of its end. */
        fds[3 + i] = (struct pollfd){ .fd = events ? way->fds[i % 2] : -1, .events = events };
    }
    fds[2].fd = is_cut ? -1 : fds[2].fd;
    const int64_t rest = next_ns - now;
    const struct timespec time = { rest / 1000000000, rest % 1000000000 };
    return ppoll(fds, 3 + 2 * WAYS, next_ns == INT64_MAX ? NULL : &time, NULL);
}

static void move_bytes(const struct pollfd *fds)
{
    const int64_t now = now_ns();
    for (int i = 0; i < 2 * WAYS && !is_cut; i++) {
        struct way *const way = &ways[i / 2];
        const int end = i % 2;
        if (way->fds[0] < 0) {
            continue;
        }
        if (fds[i].fd >= 0 && (fds[i].revents & (POLLIN | POLLHUP | POLLERR)) &&
            (fds[i].events & POLLIN)) {
            take_in(way->pipes[end], way->fds[end]);
        }
        if (!hand_out(way->pipes[1 - end], way->fds[end], now)) {
            close_way(way);
        }
    }
}

static void run(int listener, int signals)
{
    for (;;) {
        struct pollfd fds[3 + 2 * WAYS] = { { .fd = STDIN_FILENO, .events = POLLIN },
                                            { .fd = signals, .events = POLLIN },
                                            { .fd = listener, .events = POLLIN } };
        struct signalfd_siginfo info;
        char c;
        (void)wait_for_more(fds);
        if (fds[0].revents && read(STDIN_FILENO, &c, 1) <= 0) {
            return;
        }
        if (fds[1].revents && read(signals, &info, sizeof(info)) == sizeof(info)) {
            is_cut = info.ssi_signo == SIGUSR1;
        }
        move_bytes(fds + 3);
        if (fds[2].revents && !is_cut) {
            open_way(listener);
        }
    }
}

static int listen_at(const char *port)
{
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
    socklen_t len = sizeof(here);
    const int yes = 1;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(fd, (struct sockaddr *)&here, len) < 0 || listen(fd, WAYS) < 0 ||
        getsockname(fd, (struct sockaddr *)&here, &len) < 0) {
        fail(port);
    }
    printf("%d\n", ntohs(here.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    char *const colon = argc == 4 ? strrchr(argv[2], ':') : NULL;
    sigset_t set;
    if (!colon) {
        fprintf(stderr, "slow_link: slow_link FROM-PORT TO-HOST:TO-PORT MS\n");
        return 2;
    }
    *colon = '\0';
    target.sin_family = AF_INET;
    target.sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, argv[2], &target.sin_addr) != 1) {
        errno = EINVAL;
        fail(argv[2]);
    }
    delay_ns = (int64_t)atoi(argv[3]) * 1000000;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < WAYS; i++) {
        ways[i].fds[0] = -1;
    }
    run(listen_at(argv[1]), signalfd(-1, &set, SFD_CLOEXEC));
    return 0;
}
