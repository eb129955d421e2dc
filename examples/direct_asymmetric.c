/*
 * direct_asymmetric - direct communication, only the sender names: send(Q), receive(id).
 *
 * Q takes from anyone; id is who it was.
 */
#include <string.h>

#include "check.h"

#define Q "direct_asymmetric.Q"

static const char *name;

static void sender(void)
{
    tong_process *me;
    check(tong_process_open(name, NULL, &me), "open");
    check(tong_send_to(me, Q, name, strlen(name), TONG_SEC(10)), "send");
    check(tong_process_close(me), "close");
}

int main(void)
{
    tong_process *me;
    check(tong_process_open(Q, NULL, &me), "open");
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = { "anna", "boram", "chul" };
        char text[32];
        char id[TONG_NAME_MAX] = "nobody yet";
        name = names[i];
        join(start(sender));
        const long n = check(tong_receive_any(me, text, sizeof(text), TONG_SEC(10), id), "receive");
        printf("id is %s, and it says: %.*s\n", id, (int)n, text);
    }
    check(tong_process_close(me), "close");
    return 0;
}
