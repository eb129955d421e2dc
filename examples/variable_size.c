/*
 * variable_size - messages of any length, 0 bytes included: tong splits and joins, the program is simple.
 */
#include <errno.h>
#include <string.h>

#include "check.h"

#define NAME "variable_size.texts"

static void receiver(void)
{
    tong_mailbox *texts;
    static char buf[5 << 20];
    check(tong_open(NAME, TONG_RECEIVE, NULL, &texts), "open");
    for (int i = 0; i < 4; i++) {
        const long n = check(tong_receive(texts, buf, sizeof(buf), TONG_SEC(10)), "receive");
        printf("a message of %ld bytes\n", n);
    }
    tong_close(texts);
}

int main(void)
{
    static char text[5 << 20];
    const size_t lengths[] = { 0, 1, 1000, sizeof(text) };
    tong_mailbox *texts;
    check(tong_open(NAME, TONG_SEND | TONG_RECEIVE | TONG_CREATE, NULL, &texts), "create");
    check(tong_send(texts, "too long for the buffer", 23, 0), "send");
    const int r = (int)tong_receive(texts, text, 10, 0);
    printf("into a buffer of 10: %s, ", r == -EMSGSIZE ? "-EMSGSIZE" : tong_strerror(r));
    printf("and it is there still: %ld bytes\n",
           check(tong_receive(texts, text, sizeof(text), 0), "receive"));
    for (size_t i = 0; i < 4; i++) {
        check(tong_send(texts, text, lengths[i], TONG_SEC(10)), "send");
    }
    join(start(receiver));
    tong_close(texts);
    check(tong_remove(NAME), "remove");
    return 0;
}
