/*
 * chat_apart.c - a room over a carrier that has no mailbox for everyone: each line goes to each person's own
 * mailbox, NAME.to.NICK.
 *
 * Who comes opens that first and then looks who is here, so of two who come at once at least one sees the other, and
 * tells it. Everyone keeps the last lines; who comes asks one of the others for them. What is said to all
 * expires after a while, so that nothing gathers for who has died.
 */
#include "chat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EXPIRY TONG_SEC(60)

/* ------------------------------------------------------------------ people */

static struct chat_person *find_person(const struct chat *chat, const char *nick)
{
    for (size_t i = 0; i < chat->n_people; i++) {
        if (strcmp(chat->people[i].nick, nick) == 0) {
            return &chat->people[i];
        }
    }
    return NULL;
}

static int add_person(struct chat *chat, const char *nick)
{
    if (strlen(nick) >= CHAT_NICK || strcmp(nick, chat->nick) == 0 || find_person(chat, nick)) {
        return 0;
    }
    if (chat->n_people == chat->people_size) {
        const size_t size = chat->people_size ? 2 * chat->people_size : 16;
        struct chat_person *const more = realloc(chat->people, size * sizeof(*more));
        if (!more) {
            return -ENOMEM;
        }
        chat->people = more;
        chat->people_size = size;
    }
    struct chat_person *const person = &chat->people[chat->n_people];
    char name[CHAT_NAME];
    chat_name_of(chat, ".to.", nick, name);
    person->box = NULL;
    const int r = tong_open(name, TONG_SEND, NULL, &person->box);
    if (r < 0) {
        return r == -ENOENT || r == -EINVAL ? 0 : r; /* it has gone meanwhile */
    }
    memcpy(person->nick, nick, strlen(nick) + 1);
    chat->n_people++;
    return 0;
}

static void remove_person(struct chat *chat, struct chat_person *person)
{
    (void)tong_close(person->box);
    *person = chat->people[--chat->n_people];
}

struct search {
    struct chat *chat;
    char prefix[CHAT_NAME];
};

static int note_person(const tong_status *status, int error, void *arg)
{
    const struct search *const search = arg;
    char text[TOOL_NAME_TEXT];
    const char *const name = tool_name_text(status, text);
    const size_t len = strlen(search->prefix);
    const bool is_person =
        error == 0 && status->receivers > 0 && strncmp(name, search->prefix, len) == 0;
    return is_person ? add_person(search->chat, name + len) : 0;
}

int chat_apart_come(struct chat *chat)
{
    struct search search = { .chat = chat };
    chat_name_of(chat, ".to.", "", search.prefix);
    int r = tong_list(note_person, &search);
    if (r == 0 && chat->n_people > 0) {
        r = chat_send(chat, chat->people[0].box, chat->nick, "", 0, CHAT_ASK, EXPIRY);
    }
    return r < 0 ? tool_error(chat->args, chat->name, r, NULL) : TOOL_DONE;
}

void chat_apart_leave(struct chat *chat)
{
    while (chat->n_people > 0) {
        remove_person(chat, &chat->people[0]);
    }
    free(chat->people);
    for (size_t i = 0; i < CHAT_KEPT; i++) {
        free(chat->kept[i].text);
    }
}

/* ------------------------------------------------------------------ lines */

static void keep(struct chat *chat, const char *nick, const char *text, size_t len)
{
    struct chat_kept *const kept = &chat->kept[chat->n_kept % CHAT_KEPT];
    char *const copy = malloc(len + 1);
    if (!copy) {
        return; /* who comes later does not see it */
    }
    memcpy(copy, text, len);
    free(kept->text);
    kept->text = copy;
    kept->len = len;
    memcpy(kept->nick, nick, strlen(nick) + 1);
    chat->n_kept++;
}

int chat_apart_say(struct chat *chat, enum chat_kind kind, const char *text, size_t len)
{
    int failed = 0;
    for (size_t i = 0; i < chat->n_people;) {
        struct chat_person *const person = &chat->people[i];
        const int r = chat_send(chat, person->box, chat->nick, text, len, kind, EXPIRY);
        if (r == -EIDRM || r == -EOWNERDEAD) {
            remove_person(chat, person);
            continue;
        }
        failed = r < 0 ? r : failed;
        i++;
    }
    if (kind == CHAT_TEXT) {
        keep(chat, chat->nick, text, len);
    }
    return failed;
}

/* What was said is told to who asks: the lines that are kept, the oldest first. */
static int tell_past(struct chat *chat, const char *nick)
{
    int r = add_person(chat, nick);
    const struct chat_person *const person = find_person(chat, nick);
    const size_t first = chat->n_kept > CHAT_KEPT ? chat->n_kept - CHAT_KEPT : 0;
    for (size_t i = first; person && i < chat->n_kept && r == 0; i++) {
        const struct chat_kept *const kept = &chat->kept[i % CHAT_KEPT];
        r = chat_send(chat, person->box, kept->nick, kept->text, kept->len, CHAT_PAST, EXPIRY);
    }
    return r;
}

int chat_apart_note(struct chat *chat, const char *nick, const char *text, size_t len,
                    uint64_t kind)
{
    struct chat_person *const person = find_person(chat, nick);
    switch (kind) {
    case CHAT_TEXT:
    case CHAT_PAST:
        keep(chat, nick, text, len);
        return 0;
    case CHAT_CAME:
        return add_person(chat, nick);
    case CHAT_LEFT:
        if (person) {
            remove_person(chat, person);
        }
        return 0;
    case CHAT_ASK:
        return tell_past(chat, nick);
    default:
        return 0;
    }
}
