/*
 * request_reply - a client calls a server, as it would call a function in another process.
 *
 * The server adds two numbers, and dies of the number 13. The client then knows at once that nobody will
 * answer. In a mailbox that hands a request out again, the next server answers it instead.
 */
#include <errno.h>
#include <signal.h>

#include "check.h"

#define ADD "request_reply.add"
#define SURE "request_reply.sure"

static const char *service;

static void serve(void)
{
    tong_mailbox *box;
    tong_message request = TONG_MESSAGE_INIT;
    const int r = tong_open(service, TONG_RECEIVE, NULL, &box);
    if (r == -ENOENT) {
        return; /* all was answered before this one came */
    }
    check(r, "open");
    while (tong_claim(box, TONG_FOREVER, &request) == 0) {
        const int *const numbers = request.data;
        const int sum = numbers[0] + numbers[1];
        if (numbers[0] == 13 && request.deliveries == 1) {
            raise(SIGKILL);
        }
        check(tong_reply(box, &request, &sum, sizeof(sum), TONG_SEC(10)), "reply");
    }
    check(tong_close(box), "close"); /* the mailbox was removed */
}

static pid_t start_server(const char *name)
{
    service = name;
    return start(serve);
}

static void add(tong_mailbox *box, int a, int b)
{
    const int numbers[2] = { a, b };
    int sum = 0;
    const ssize_t n = tong_call(box, numbers, sizeof(numbers), &sum, sizeof(sum), TONG_SEC(10));
    if (n == -EOWNERDEAD) {
        printf("%d + %d: nobody answers, its server died\n", a, b);
    } else {
        check(n, "call");
        printf("%d + %d = %d\n", a, b, sum);
    }
}

int main(void)
{
    tong_mailbox *box;
    tong_mailbox *sure;
    tong_options options = TONG_OPTIONS_INIT;
    check(tong_open(ADD, TONG_SEND | TONG_CREATE, NULL, &box), "open");
    pid_t server = start_server(ADD);
    add(box, 2, 3);
    add(box, 13, 4);
    waitpid(server, NULL, 0);
    server = start_server(ADD);
    add(box, 5, 6);

    printf("a mailbox that hands a request out again:\n");
    options.max_deliveries = 3;
    check(tong_open(SURE, TONG_SEND | TONG_CREATE, &options, &sure), "open");
    const pid_t first = start_server(SURE);
    const pid_t second = start_server(SURE);
    add(sure, 13, 4);
    check(tong_close(box), "close");
    check(tong_close(sure), "close");
    check(tong_remove(ADD), "remove");
    check(tong_remove(SURE), "remove");
    join(server);
    waitpid(first, NULL, 0);
    waitpid(second, NULL, 0);
    return 0;
}
