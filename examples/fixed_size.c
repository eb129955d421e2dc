/*
 * fixed_size - messages of 8 bytes, no more and no less: the system is simple, the programmer splits.
 *
 * The first byte of each piece says how many bytes of it count; a piece with 0 ends the text.
 */
#include <errno.h>
#include <string.h>

#include "check.h"

#define NAME "fixed_size.pieces"

enum {
    PIECE = 8
};

static void receiver(void)
{
    tong_mailbox *pieces;
    char piece[PIECE];
    char text[100] = "";
    int n = 0;
    check(tong_open(NAME, TONG_RECEIVE, NULL, &pieces), "open");
    do {
        check(tong_receive(pieces, piece, sizeof(piece), TONG_SEC(10)), "receive");
        strncat(text, piece + 1, (size_t)piece[0]);
        n++;
    } while (piece[0] != 0);
    printf("joined from %d messages: %s\n", n, text);
    tong_close(pieces);
}

int main(void)
{
    const char *text = "a text longer than one message may be";
    tong_mailbox *pieces;
    tong_options options = TONG_OPTIONS_INIT;
    options.message_size = PIECE;
    check(tong_open(NAME, TONG_SEND | TONG_CREATE, &options, &pieces), "create");
    const int r = tong_send(pieces, text, strlen(text), 0);
    printf("%zu bytes at once: %s\n", strlen(text),
           r == -EMSGSIZE ? "refused, -EMSGSIZE" : tong_strerror(r));
    for (size_t at = 0, n = 1; n != 0; at += n) {
        char piece[PIECE] = { 0 };
        n = strlen(text + at) < PIECE - 1 ? strlen(text + at) : PIECE - 1;
        piece[0] = (char)n;
        memcpy(piece + 1, text + at, n);
        check(tong_send(pieces, piece, sizeof(piece), TONG_SEC(10)), "send");
    }
    join(start(receiver));
    tong_close(pieces);
    check(tong_remove(NAME), "remove");
    return 0;
}
