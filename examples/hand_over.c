/*
 * hand_over - an open descriptor comes with a message.
 *
 * Q has a file that P may not open, and a pipe. It sends both to P's mailbox: P reads the file and answers through
 * the pipe. Who gave them is known for certain: the kernel says which process and user it was.
 */
#include <fcntl.h>
#include <string.h>

#include "check.h"

static int make_file(const char *text)
{
    char path[] = "/tmp/hand_over.XXXXXX";
    const int fd = mkstemp(path);
    if (fd < 0 || unlink(path) < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
        perror("a file");
        exit(1);
    }
    return fd;
}

static void q(void)
{
    tong_mailbox *box;
    int ends[2];
    char text[64] = "";
    check(tong_open("unix:hand_over", TONG_SEND, NULL, &box), "open");
    const int file = make_file("what is in the file");
    check(pipe(ends), "pipe");
    check(tong_send_fd(box, "a file", 6, file, TONG_SEC(10)), "send the file");
    check(tong_send_fd(box, "a pipe", 6, ends[1], TONG_SEC(10)), "send the pipe");
    close(file); /* P has it */
    close(ends[1]);
    while (read(ends[0], text, sizeof(text) - 1) > 0) {
        printf("Q: through the pipe came \"%s\"\n", text);
    }
    printf("Q: and its end: nobody has it open any more\n");
    close(ends[0]);
    tong_close(box);
}

static int take(tong_mailbox *box, pid_t from)
{
    char text[16] = "";
    int fd = -1;
    tong_message info = TONG_MESSAGE_INIT;
    check(tong_receive_fd(box, text, sizeof(text) - 1, TONG_SEC(10), &fd, &info), "receive");
    printf("P: %s, from Q: the kernel says %s\n", text,
           (info.verified & TONG_VERIFIED_PID) != 0 && info.pid == from ? "so" : "no");
    fflush(stdout);
    return fd;
}

int main(void)
{
    tong_mailbox *box;
    char text[64] = "";
    check(tong_open("unix:hand_over", TONG_RECEIVE | TONG_CREATE, NULL, &box), "create");
    const pid_t pid = start(q);
    const int file = take(box, pid);
    check(pread(file, text, sizeof(text) - 1, 0), "read the file");
    printf("P: read \"%s\"\n", text);
    close(file);
    const int out = take(box, pid);
    check(write(out, "thank you", 9), "write");
    close(out);
    join(pid);
    tong_close(box);
    return 0;
}
