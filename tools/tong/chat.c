/*
 * chat.c - a room: see chat.h.
 */
#include "chat.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ------------------------------------------------------------------ names */

void chat_name_of(const struct chat *chat, const char *part, const char *nick,
                  char ret_name[CHAT_NAME])
{
    const size_t size = CHAT_NAME;
    const size_t len = (size_t)snprintf(ret_name, size, "%.127s%s", chat->name, part);
    snprintf(ret_name + len, size - len, "%s", nick);
}

/* ------------------------------------------------------------------ printing */

/* What others wrote must not move the cursor of who reads it: control characters become dots. */
static void print_safe(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)text[i];
        const unsigned char next = i + 1 < len ? (unsigned char)text[i + 1] : 0;
        const bool c1 = c == 0xc2 && next >= 0x80 && next < 0xa0;
        if (c1) {
            i++;
        }
        putchar((c < ' ' && c != '\t') || c == 0x7f || c1 ? '.' : c);
    }
}

/* The line in data: nick, NUL, text. One that is none is nobody's. */
static void print_line(const struct chat *chat, const char *data, size_t len, uint64_t kind)
{
    const char *const end = len > 0 ? memchr(data, '\0', len) : NULL;
    const size_t nick = end ? (size_t)(end - data) : 0;
    if (!end || nick == 0 || nick >= CHAT_NICK) {
        return;
    }
    if (kind == CHAT_CAME || kind == CHAT_LEFT) {
        fputs("* ", stdout);
        print_safe(data, nick);
        fputs(kind == CHAT_CAME ? " is here\n" : " has left\n", stdout);
        return;
    }
    if (kind == CHAT_ASK) {
        return;
    }
    print_safe(data, nick);
    if (kind == CHAT_PRIVATE) {
        printf(" to %s", chat->nick);
    }
    fputs(": ", stdout);
    print_safe(end + 1, len - nick - 1);
    putchar('\n');
}

/* ------------------------------------------------------------------ history */

struct past {
    char *data;
    size_t len;
    uint64_t kind;
    uint64_t sent_ns;
};

struct pasts {
    struct past *past;
    size_t n;
    size_t room;
};

static int by_time(const void *a, const void *b)
{
    const struct past *const x = a;
    const struct past *const y = b;
    return x->sent_ns < y->sent_ns ? -1 : x->sent_ns > y->sent_ns;
}

static int keep(struct pasts *pasts, const char *data, const tong_message *m)
{
    if (pasts->n == pasts->room) {
        const size_t more = pasts->room ? 2 * pasts->room : 64;
        struct past *const bigger = realloc(pasts->past, more * sizeof(*bigger));
        if (!bigger) {
            return -ENOMEM;
        }
        pasts->past = bigger;
        pasts->room = more;
    }
    char *const copy = malloc(m->len + 1);
    if (!copy) {
        return -ENOMEM;
    }
    memcpy(copy, data, m->len);
    pasts->past[pasts->n++] =
        (struct past){ .data = copy, .len = m->len, .kind = m->tag, .sent_ns = m->sent_ns };
    return 0;
}

static int read_past(struct chat *chat, tong_observer *observer, struct pasts *pasts)
{
    for (;;) {
        tong_message info = TONG_MESSAGE_INIT;
        const ssize_t n = tong_peek(observer, chat->line, CHAT_LINE, 0, &info, NULL);
        if (n == -EAGAIN || n == -EPROTO) {
            return 0;
        }
        if (n < 0) {
            return (int)n;
        }
        const int r = n <= CHAT_LINE && info.key != chat->self ? keep(pasts, chat->line, &info) : 0;
        if (r < 0) {
            return r;
        }
    }
}

int chat_print_history(struct chat *chat)
{
    char name[CHAT_NAME];
    tong_observer *observer = NULL;
    struct pasts pasts = { 0 };
    chat_name_of(chat, ".history", "", name);
    int r = tong_observer_open(name, &observer);
    if (r == -EOPNOTSUPP || !chat->history) {
        tong_observer_close(observer);
        return TOOL_DONE; /* this carrier keeps none that can be looked at */
    }
    if (r == 0) {
        r = read_past(chat, observer, &pasts);
    }
    if (pasts.n > 0) {
        qsort(pasts.past, pasts.n, sizeof(pasts.past[0]), by_time);
    }
    for (size_t i = 0; i < pasts.n; i++) {
        print_line(chat, pasts.past[i].data, pasts.past[i].len, pasts.past[i].kind);
        free(pasts.past[i].data);
    }
    free(pasts.past);
    tong_observer_close(observer);
    return r < 0 ? tool_error(chat->args, name, r, NULL) : TOOL_DONE;
}

/* ------------------------------------------------------------------ coming and going */

static int open_part(const char *name, unsigned flags, const tong_options *options,
                     tong_mailbox **ret_box)
{
    int r = tong_open(name, flags, NULL, ret_box);
    if (r == -ENOENT) {
        r = tong_open(name, flags | TONG_CREATE, options, ret_box);
    }
    return r == -EEXIST ? tong_open(name, flags, NULL, ret_box) : r;
}

static int open_room(struct chat *chat)
{
    tong_options options = TONG_OPTIONS_INIT;
    tong_status status = TONG_STATUS_INIT;
    options.delivery = TONG_EVERYONE;
    options.link_capacity = CHAT_KEPT;
    options.full = TONG_DROP_OLDEST;
    int r = open_part(chat->name, TONG_SEND | TONG_RECEIVE, &options, &chat->room);
    if (r == -EOPNOTSUPP) {
        return TOOL_DONE; /* apart */
    }
    if (r == 0) {
        r = tong_stat(chat->name, &status);
    }
    if (r == 0 && status.delivery != TONG_EVERYONE) {
        return tool_failed(chat->args, chat->name,
                           "it is a mailbox, and no room: its delivery is not everyone; take "
                           "another name");
    }
    return r < 0 ? tool_error(chat->args, chat->name, r, NULL) : TOOL_DONE;
}

static int open_own(struct chat *chat)
{
    char name[CHAT_NAME];
    tong_options options = TONG_OPTIONS_INIT;
    options.delivery = TONG_EXCLUSIVE;
    chat_name_of(chat, ".to.", chat->nick, name);
    const int r = open_part(name, TONG_RECEIVE, &options, &chat->own);
    if (r == -EBUSY) {
        return tool_failed(chat->args, chat->name,
                           "%s is here already; take another name with --as",
                           tool_shown(chat->nick));
    }
    return r < 0 ? tool_error(chat->args, name, r, NULL) : TOOL_DONE;
}

static int open_history(struct chat *chat)
{
    char name[CHAT_NAME];
    tong_options options = TONG_OPTIONS_INIT;
    options.link_capacity = CHAT_KEPT;
    options.full = TONG_DROP_OLDEST;
    chat_name_of(chat, ".history", "", name);
    const int r = open_part(name, TONG_SEND, &options, &chat->history);
    /* Without one it is a room all the same. */
    return r < 0 && r != -EOPNOTSUPP ? tool_error(chat->args, name, r, NULL) : TOOL_DONE;
}

int chat_open(struct chat *chat)
{
    chat->line = malloc(CHAT_LINE + 1);
    if (!chat->line || getrandom(&chat->self, sizeof(chat->self), 0) < 0) {
        return tool_error(chat->args, chat->name, -ENOMEM, NULL);
    }
    int code = open_room(chat);
    if (code == TOOL_DONE) {
        code = open_own(chat);
    }
    return code == TOOL_DONE && chat->room ? open_history(chat) : code;
}

int chat_close(struct chat *chat, int code)
{
    if (chat->own) {
        (void)chat_say(chat, CHAT_LEFT, "", 0);
    }
    tool_signals_interrupt(NULL);
    chat_apart_leave(chat);
    (void)tong_close(chat->history);
    (void)tong_close(chat->own);
    (void)tong_close(chat->room);
    free(chat->line);
    return tool_stop_signal() ? 128 + tool_stop_signal() : code;
}

/* ------------------------------------------------------------------ talking */

int chat_send(const struct chat *chat, tong_mailbox *box, const char *nick, const char *text,
              size_t len, enum chat_kind kind, int64_t expiry_ns)
{
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    char line[CHAT_LINE];
    const size_t n = strlen(nick) + 1;
    int r;
    with.tag = kind;
    with.key = chat->self;
    with.expiry_ns = expiry_ns;
    memcpy(line, nick, n);
    memcpy(line + n, text, len);
    do {
        r = tong_send_with(box, line, n + len, &with, TONG_SEC(10));
    } while (tool_again(r));
    return r == TONG_DROPPED ? 0 : r;
}

static bool is_here(const char *name)
{
    tong_status status = TONG_STATUS_INIT;
    return tong_stat(name, &status) == 0 && status.receivers > 0;
}

/* text: "@nick words". */
static int say_to_one(struct chat *chat, const char *text, size_t len)
{
    char name[CHAT_NAME];
    char nick[CHAT_NICK];
    tong_mailbox *box = NULL;
    const size_t n = strcspn(text + 1, " ");
    if (n == 0 || n >= CHAT_NICK || n + 1 >= len) {
        tool_say(chat->args, chat->name, "say \"@nick text\"");
        return TOOL_DONE;
    }
    snprintf(nick, sizeof(nick), "%.*s", (int)n, text + 1);
    chat_name_of(chat, ".to.", nick, name);
    int r = tong_open(name, TONG_SEND, NULL, &box);
    if (r == -ENOENT || r == -EINVAL) {
        tool_say(chat->args, chat->name, "nobody of the name %s was ever here", tool_shown(nick));
        return TOOL_DONE;
    }
    if (r == 0) {
        r = chat_send(chat, box, chat->nick, text + n + 2, len - n - 2, CHAT_PRIVATE, 0);
        if (r == 0 && !is_here(name)) {
            tool_say(chat->args, chat->name, "%s is away; it waits", tool_shown(nick));
        }
    }
    (void)tong_close(box);
    return r < 0 ? tool_error(chat->args, name, r, NULL) : TOOL_DONE;
}

static int say_to_all(struct chat *chat, enum chat_kind kind, const char *text, size_t len)
{
    if (!chat->room) {
        return chat_apart_say(chat, kind, text, len);
    }
    const int r = chat_send(chat, chat->room, chat->nick, text, len, kind, 0);
    return r < 0 || kind != CHAT_TEXT || !chat->history
               ? r
               : chat_send(chat, chat->history, chat->nick, text, len, kind, 0);
}

int chat_say(struct chat *chat, enum chat_kind kind, const char *text, size_t len)
{
    if (len > CHAT_LINE - CHAT_NICK - 2) {
        tool_say(chat->args, chat->name, "a line has %d bytes at most; this one was not sent",
                 CHAT_LINE - CHAT_NICK - 2);
        return TOOL_DONE;
    }
    if (kind == CHAT_TEXT && text[0] == '@') {
        return say_to_one(chat, text, len);
    }
    const int r = say_to_all(chat, kind, text, len);
    return r < 0 && !tool_stopping() ? tool_error(chat->args, chat->name, r, NULL) : TOOL_DONE;
}

/* A line that has just come, and what becomes different with it. */
static int take_line(struct chat *chat, tong_mailbox *box, size_t len, const tong_message *info)
{
    const bool is_private =
        box == chat->own &&
        (chat->room || info->tag < CHAT_TEXT || info->tag == CHAT_PRIVATE || info->tag > CHAT_PAST);
    const uint64_t kind = is_private ? (uint64_t)CHAT_PRIVATE : info->tag;
    const char *const end = len > 0 ? memchr(chat->line, '\0', len) : NULL;
    print_line(chat, chat->line, len, kind);
    if (chat->room || !end || end - chat->line >= CHAT_NICK) {
        return 0;
    }
    return chat_apart_note(chat, chat->line, end + 1, len - (size_t)(end + 1 - chat->line), kind);
}

/* Prints all that wait in one of the two. */
static int print_waiting(struct chat *chat, tong_mailbox *box)
{
    for (;;) {
        tong_message info = TONG_MESSAGE_INIT;
        const ssize_t n = tong_receive_with(box, chat->line, CHAT_LINE, NULL, 0, &info);
        if (n == -EMSGSIZE) {
            (void)tong_skip(box); /* not one of ours */
            continue;
        }
        if (n == -EAGAIN || tool_stopping()) {
            return TOOL_DONE;
        }
        if (n < 0 && !tool_again(n)) {
            return tool_error(chat->args, chat->name, (int)n, NULL);
        }
        const int r = n >= 0 && info.key != chat->self ? take_line(chat, box, (size_t)n, &info) : 0;
        if (r < 0 && !tool_stopping()) {
            return tool_error(chat->args, chat->name, r, NULL);
        }
    }
}

int chat_print_new(struct chat *chat)
{
    const int code = print_waiting(chat, chat->own);
    return code == TOOL_DONE && chat->room ? print_waiting(chat, chat->room) : code;
}

/* ------------------------------------------------------------------ who is here */

struct people {
    char prefix[CHAT_NAME];
    unsigned n;
};

static int print_person(const tong_status *status, int error, void *arg)
{
    struct people *const people = arg;
    char text[TOOL_NAME_TEXT];
    const char *const name = tool_name_text(status, text);
    const size_t len = strlen(people->prefix);
    if (error == 0 && status->receivers > 0 && strncmp(name, people->prefix, len) == 0) {
        printf("%s", people->n++ == 0 ? "* here: " : ", ");
        print_safe(name + len, strlen(name + len));
    }
    return 0;
}

int chat_print_people(const struct chat *chat)
{
    struct people people = { .n = 0 };
    chat_name_of(chat, ".to.", "", people.prefix);
    const int r = tong_list(print_person, &people);
    if (people.n > 0) {
        putchar('\n');
    }
    return r < 0 ? tool_error(chat->args, chat->name, r, NULL) : TOOL_DONE;
}
