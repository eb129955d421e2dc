/*
 * listen.c - answers HTTP on one address, for a collector: one request at a time, one answer, and closed.
 *
 * It is a page for programs on this computer, not a web server: GET of /metrics or / gets the text made anew,
 * anything else an error. Who has not said what it wants within two seconds, or does not take its answer as long, is
 * not waited for.
 */
#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MOST 4096
#define PATIENCE_MS 2000

/* "127.0.0.1:9464", or the port alone. */
static int parse(const struct tool_args *args, const char *where, struct sockaddr_in *ret_address)
{
    char host[16] = "127.0.0.1";
    const char *const colon = strchr(where, ':');
    const char *const port = colon ? colon + 1 : where;
    char *end;
    const unsigned long number = strtoul(port, &end, 10);
    if (colon && (size_t)(colon - where) < sizeof(host)) {
        snprintf(host, sizeof(host), "%.*s", (int)(colon - where), where);
    }
    *ret_address =
        (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)number) };
    if (port[0] < '0' || port[0] > '9' || *end || number > 65535 ||
        (colon && (size_t)(colon - where) >= sizeof(host)) ||
        inet_pton(AF_INET, host, &ret_address->sin_addr) != 1) {
        return tool_wrong_usage(args, "--listen: %s is no address; say 127.0.0.1:9464",
                                tool_shown(where));
    }
    return 0;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Whether fd is ready for events before the time is over. */
static bool is_ready(int fd, short events, int64_t until_ms)
{
    struct pollfd one = { .fd = fd, .events = events };
    for (;;) {
        const int64_t left = until_ms - now_ms();
        const int n = left > 0 && !tool_stopping() ? poll(&one, 1, (int)left) : 0;
        if (n >= 0 || errno != EINTR) {
            return n > 0;
        }
    }
}

/* Up to the empty line. False: too long, too late, or gone. */
static bool read_request(int fd, char request[REQUEST_MOST])
{
    const int64_t until_ms = now_ms() + PATIENCE_MS;
    size_t len = 0;
    while (len + 1 < REQUEST_MOST) {
        const ssize_t n = is_ready(fd, POLLIN, until_ms)
                              ? recv(fd, request + len, REQUEST_MOST - 1 - len, MSG_DONTWAIT)
                              : 0;
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        len += (size_t)n;
        request[len] = '\0';
        if (strstr(request, "\r\n\r\n") || strstr(request, "\n\n")) {
            return true;
        }
    }
    return false;
}

static void write_all(int fd, const char *data, size_t len)
{
    const int64_t until_ms = now_ms() + PATIENCE_MS;
    while (len > 0) {
        const ssize_t n =
            is_ready(fd, POLLOUT, until_ms) ? send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            continue;
        }
        if (n <= 0) {
            return; /* who does not read its answer has none */
        }
        data += n;
        len -= (size_t)n;
    }
}

static bool asks_for(const char *request, const char *path)
{
    const size_t len = strlen(path);
    return strncmp(request, "GET ", 4) == 0 && strncmp(request + 4, path, len) == 0 &&
           (request[4 + len] == ' ' || request[4 + len] == '?');
}

static void answer(int fd, tool_page_fn *make, void *arg)
{
    char request[REQUEST_MOST];
    char head[200];
    char *page = NULL;
    size_t len = 0;
    const char *status = "404 Not Found";
    if (!read_request(fd, request)) {
        return;
    }
    if (asks_for(request, "/metrics") || asks_for(request, "/")) {
        page = make(arg, &len);
        status = page ? "200 OK" : "500 Internal Server Error";
    }
    const int n =
        snprintf(head, sizeof(head),
                 "HTTP/1.1 %s\r\n"
                 "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"
                 "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                 status, len);
    write_all(fd, head, (size_t)n);
    write_all(fd, page ? page : "", len);
    free(page);
}

static int serve(const struct tool_args *args, int fd, tool_page_fn *make, void *arg)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);
    char host[INET_ADDRSTRLEN];
    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0 ||
        !inet_ntop(AF_INET, &address.sin_addr, host, sizeof(host))) {
        return tool_file_error(args, "--listen", errno);
    }
    printf("http://%s:%u/metrics\n", host, ntohs(address.sin_port));
    const int code = tool_flush(args, TOOL_DONE);
    while (code == TOOL_DONE && !tool_stopping()) {
        struct pollfd in = { .fd = fd, .events = POLLIN };
        if (poll(&in, 1, -1) > 0) {
            const int other = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
            if (other >= 0) {
                answer(other, make, arg);
                close(other);
            }
        }
    }
    return code;
}

int tool_listen(const struct tool_args *args, const char *where, tool_page_fn *make, void *arg)
{
    struct sockaddr_in address;
    const int yes = 1;
    if (parse(args, where, &address)) {
        return TOOL_USAGE;
    }
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return tool_file_error(args, "--listen", errno);
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    int code;
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 8) < 0) {
        code = tool_file_error(args, tool_shown(where), errno);
    } else {
        code = serve(args, fd, make, arg);
    }
    close(fd);
    return code;
}
