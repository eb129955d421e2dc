/*
 * cmd_chat.c - `tong chat`: people in a room, each in a process of its own.
 *
 * One loop waits for what is typed and for what others say, and prints as it comes: plain lines, so that a
 * pipe may take part, too.
 */
#include "chat.h"

#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct typed {
    char text[CHAT_LINE];
    size_t len;
    bool end;
};

static const char *own_nick(const struct tool_args *args)
{
    const char *const given = tool_value(args, "--as");
    const struct passwd *const user = given ? NULL : getpwuid(geteuid());
    return given ? given : user ? user->pw_name : "me";
}

static int do_line(struct chat *chat, const char *text, size_t len, bool *ret_over)
{
    if (strcmp(text, "/quit") == 0) {
        *ret_over = true;
        return TOOL_DONE;
    }
    if (strcmp(text, "/who") == 0) {
        return chat_print_people(chat);
    }
    if (text[0] == '/') {
        tool_say(chat->args, chat->name, "say /who, /quit, @nick text, or just text");
        return TOOL_DONE;
    }
    return len == 0 ? TOOL_DONE : chat_say(chat, CHAT_TEXT, text, len);
}

/* What was typed so far: whole lines are done and taken out. */
static int do_lines(struct chat *chat, struct typed *typed, bool *ret_over)
{
    int code = TOOL_DONE;
    char *at = typed->text;
    char *end;
    while (code == TOOL_DONE && !*ret_over &&
           (end = memchr(at, '\n', typed->len - (size_t)(at - typed->text))) != NULL) {
        *end = '\0';
        code = do_line(chat, at, (size_t)(end - at), ret_over);
        at = end + 1;
    }
    typed->len -= (size_t)(at - typed->text);
    memmove(typed->text, at, typed->len);
    if (typed->len == sizeof(typed->text) - 1) {
        tool_say(chat->args, chat->name, "a line is too long and was not sent");
        typed->len = 0;
    }
    return code;
}

static int read_typed(struct chat *chat, struct typed *typed, bool *ret_over)
{
    const ssize_t n =
        read(STDIN_FILENO, typed->text + typed->len, sizeof(typed->text) - 1 - typed->len);
    if (n < 0 && errno == EINTR) {
        return TOOL_DONE;
    }
    if (n <= 0) {
        /* A last line without its newline is one. */
        typed->text[typed->len] = '\0';
        typed->end = true;
        *ret_over = true;
        bool over = false;
        return typed->len > 0 ? do_line(chat, typed->text, typed->len, &over) : TOOL_DONE;
    }
    typed->len += (size_t)n;
    return do_lines(chat, typed, ret_over);
}

static int talk(struct chat *chat, int room, int own)
{
    struct typed typed = { .len = 0 };
    bool over = false;
    int code = TOOL_DONE;
    while (code == TOOL_DONE && !over && !tool_stopping()) {
        struct pollfd fds[] = { { .fd = room, .events = POLLIN },
                                { .fd = own, .events = POLLIN },
                                { .fd = STDIN_FILENO, .events = POLLIN } };
        if (poll(fds, 3, -1) < 0) {
            continue; /* disturbed: by a stop signal, which ends this, or not */
        }
        if (fds[0].revents || fds[1].revents) {
            code = tool_flush(chat->args, chat_print_new(chat));
        }
        if (code == TOOL_DONE && fds[2].revents) {
            code = tool_flush(chat->args, read_typed(chat, &typed, &over));
        }
    }
    return code;
}

static int come_in(struct chat *chat)
{
    int code = chat_print_history(chat);
    if (code == TOOL_DONE) {
        code = chat_print_people(chat);
    }
    if (code == TOOL_DONE) {
        code = chat_print_new(chat); /* what waited while one was away */
    }
    if (code == TOOL_DONE) {
        code = chat_say(chat, CHAT_CAME, "", 0);
    }
    return tool_flush(chat->args, code);
}

static int run(const struct tool_args *args)
{
    struct chat chat = { .args = args };
    if (tool_need_words(args, 1, "the NAME of the room")) {
        return TOOL_USAGE;
    }
    chat.name = args->words[0];
    chat.nick = own_nick(args);
    if (chat.nick[0] == '\0' || strlen(chat.nick) >= CHAT_NICK) {
        return tool_wrong_usage(args, "--as: a name here has 1 to %d bytes", CHAT_NICK - 1);
    }
    int code = chat_open(&chat);
    if (code == TOOL_DONE) {
        tool_signals_interrupt(chat.room);
        const int room = tong_fd(chat.room, TONG_RECEIVE);
        const int own = tong_fd(chat.own, TONG_RECEIVE);
        const int r = room < 0 ? room : own < 0 ? own : 0;
        code = r < 0 ? tool_error(args, chat.name, r, NULL) : come_in(&chat);
        if (code == TOOL_DONE) {
            if (tool_on_terminal()) {
                tool_say(args, chat.name, "you are %s; /who, @nick text, /quit",
                         tool_shown(chat.nick));
            }
            code = talk(&chat, room, own);
        }
    }
    return chat_close(&chat, code);
}

const struct tool_command tool_chat = {
    .name = "chat",
    .line = "talk with people in a room",
    .usage = "chat NAME [--as NICK]",
    .examples =
        "tong chat lunch                 what you type is said, what others say is printed\n"
        "tong chat lunch --as ada        under another name than the user's\n"
        "echo done | tong chat builds    a script says a line",
    .about =
        "Prints the last lines that were said, and who is here. A line goes to all who are here;\n"
        "\"@nick text\" to one, and waits for one who is away; \"/who\" tells who is here; "
        "\"/quit\",\n"
        "the end of the input or Ctrl-C leaves. With a name of another carrier the room is on\n"
        "other computers, too.",
    .options =
        (const struct tool_option[]){
            { "--as", "NICK", "the name to talk under; without it the user's" },
            { NULL, NULL, NULL },
        },
    .run = run,
    .complete = tool_complete_mailbox,
};
