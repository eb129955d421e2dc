/*
 * chat.h - what the files of `tong chat` share.
 *
 * A room NAME is made of mailboxes, so it works over every carrier that has these:
 *
 *   NAME           everyone who is here gets each line
 *   NAME.history   the last lines of each, for who comes later: looked at and never received
 *   NAME.to.NICK   lines to one person; it stays while the person is away, so they wait there
 *
 * Who has NAME.to.NICK open to receive is here: it is exclusive, so a nick is one person's. A line is a
 * message whose tag is its kind and whose data are the nick, a NUL byte and the text; its key is a number of
 * the sender's run, by which one knows one's own.
 */
#ifndef TONG_TOOL_CHAT_H
#define TONG_TOOL_CHAT_H

#include "tool.h"

enum {
    CHAT_NICK = 32,
    CHAT_LINE = 4096, /* bytes of one line, nick and text */
    CHAT_KEPT = 100   /* lines of each sender in the history */
};

enum chat_kind {
    CHAT_TEXT = 1,
    CHAT_CAME = 2,
    CHAT_LEFT = 3,
    CHAT_PRIVATE = 4
};

struct chat {
    const struct tool_args *args;
    const char *name;
    const char *nick;
    uint64_t self;
    tong_mailbox *room;
    tong_mailbox *history; /* NULL: none is kept */
    tong_mailbox *own;
    char *line; /* CHAT_LINE + 1 bytes: the one just received */
};

/* chat.c: the room. Each returns an exit code, with a message. */
int chat_open(struct chat *chat);
int chat_close(struct chat *chat, int code);

/* Prints what was said before. */
int chat_print_history(struct chat *chat);

/* Prints what waits in the room and in the own mailbox. */
int chat_print_new(struct chat *chat);

/* Who is here, in a line. */
int chat_print_people(const struct chat *chat);

/* Says a line to all, or, as "@nick text", to one. */
int chat_say(struct chat *chat, enum chat_kind kind, const char *text, size_t len);

#endif
