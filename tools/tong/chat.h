/*
 * chat.h - what the files of `tong chat` share.
 *
 * A room NAME is made of mailboxes:
 *
 *   NAME           everyone who is here gets each line
 *   NAME.history   the last lines of each, for who comes later: looked at and never received
 *   NAME.to.NICK   lines to one person; it stays while the person is away, so they wait there
 *
 * Where a carrier has no mailbox for everyone there is the last kind alone (chat_apart.c).
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
    CHAT_KEPT = 100,  /* lines of each sender in the history; apart: of all */
    CHAT_NAME = TONG_NAME_MAX + CHAT_NICK
};

enum chat_kind {
    CHAT_TEXT = 1,
    CHAT_CAME = 2,
    CHAT_LEFT = 3,
    CHAT_PRIVATE = 4,
    CHAT_ASK = 5, /* apart: what was said before? */
    CHAT_PAST = 6 /* apart: this was */
};

struct chat_person {
    char nick[CHAT_NICK];
    tong_mailbox *box;
};

struct chat_kept {
    char nick[CHAT_NICK];
    char *text;
    size_t len;
};

struct chat {
    const struct tool_args *args;
    const char *name;
    const char *nick;
    uint64_t self;
    tong_mailbox *room;    /* NULL: apart */
    tong_mailbox *history; /* NULL: none is kept */
    tong_mailbox *own;
    char *line;                 /* CHAT_LINE + 1 bytes: the one just received */
    struct chat_person *people; /* apart: the others who are here */
    size_t n_people;
    size_t people_size;
    struct chat_kept kept[CHAT_KEPT]; /* apart: what was said; line i in kept[i % CHAT_KEPT] */
    size_t n_kept;
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

/* The name of a mailbox of the room. */
void chat_name_of(const struct chat *chat, const char *part, const char *nick,
                  char ret_name[CHAT_NAME]);

/* Sends a line. expiry_ns 0: it waits for ever. 0 or what tong_send_with() says. */
int chat_send(const struct chat *chat, tong_mailbox *box, const char *nick, const char *text,
              size_t len, enum chat_kind kind, int64_t expiry_ns);

/* ---- chat_apart.c: where a carrier has no mailbox for everyone */

/* Looks who is here, and asks what was said. An exit code, with a message. */
int chat_apart_come(struct chat *chat);
void chat_apart_leave(struct chat *chat);
/* Says a line to all. 0 or what tong_send_with() says. */
int chat_apart_say(struct chat *chat, enum chat_kind kind, const char *text, size_t len);
/* A line came: who is here, and what is to be told, changes with it. 0 or -errno. */
int chat_apart_note(struct chat *chat, const char *nick, const char *text, size_t len,
                    uint64_t kind);

#endif
