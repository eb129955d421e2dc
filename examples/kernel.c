/*
 * kernel - the same program, and the kernel carries its messages instead of shared memory.
 *
 * A word in front of the name says what moves the messages; the calls are the same. What is carried by the
 * kernel costs system calls, and cannot be changed any more by who sent it; over a Unix socket the kernel also says
 * who that is.
 */
#include <string.h>

#include "check.h"

static const char *const names[] = { "kernel.box", "unix:kernel.box", "mq:kernel.box" };
static const char *name; /* the one of them that is used now */

static void sender(void)
{
    tong_mailbox *box;
    check(tong_open(name, TONG_SEND, NULL, &box), "open");
    check(tong_send(box, "hello", 5, TONG_SEC(10)), "send");
    tong_close(box);
}

static const char *vouched_for(const tong_message *info)
{
    return (info->verified & TONG_VERIFIED_PID) != 0   ? "for user and process"
           : (info->verified & TONG_VERIFIED_UID) != 0 ? "for the user"
                                                       : "for nothing";
}

int main(void)
{
    for (int i = 0; i < 3; i++) {
        char text[16];
        tong_mailbox *box;
        tong_message info = TONG_MESSAGE_INIT;
        name = names[i];
        check(tong_open(name, TONG_RECEIVE | TONG_CREATE, NULL, &box), name);
        const pid_t pid = start(sender);
        const long n =
            check(tong_receive_with(box, text, sizeof(text), NULL, TONG_SEC(10), &info), "receive");
        join(pid);
        printf("%s: \"%.*s\", and the kernel vouches %s\n", name, (int)n, text, vouched_for(&info));
        tong_close(box);
        (void)tong_remove(name); /* unix: it has ended with the handle */
    }
    return 0;
}
