/*
 * status.c - what tong_stat() tells, as fields: the names are those of tong_status and, with hyphens
 * in place of underscores, those of the options of `tong create`.
 */
#include "tool.h"

#include <stdio.h>
#include <string.h>

static struct tool_field number(const char *name, uint64_t value)
{
    return (struct tool_field){ .name = name, .kind = TOOL_NUMBER, .number = value };
}

static struct tool_field text(const char *name, const char *value)
{
    return (struct tool_field){ .name = name, .kind = TOOL_TEXT, .text = value };
}

static struct tool_field limit(const char *name, uint32_t value)
{
    struct tool_field field = number(name, value);
    field.kind = value == TONG_UNBOUNDED ? TOOL_NO_LIMIT : TOOL_NUMBER;
    return field;
}

static const char *word(const char *const *words, uint32_t index)
{
    for (uint32_t i = 0; words[i]; i++) {
        if (i == index) {
            return words[i];
        }
    }
    return "unknown";
}

/* 0 is no limit. */
static struct tool_field most(const char *name, uint32_t value)
{
    return limit(name, value ? value : TONG_UNBOUNDED);
}

void tool_id_text(const uint8_t *id, char ret_text[33])
{
    for (size_t i = 0; i < 16; i++) {
        sprintf(ret_text + 2 * i, "%02x", id[i]);
    }
}

size_t tool_origin_fields(const tong_origin *o, struct tool_field *ret_fields,
                          char ret_words[TOOL_STATUS_WORDS])
{
    tool_id_text(o->id, ret_words);
    const struct tool_field fields[] = {
        text("origin_mailbox", o->name),
        text("origin_id", ret_words),
        number("origin_sequence", o->sequence),
        number("origin_deliveries", o->deliveries),
        number("origin_uid", o->uid),
        { .name = "origin_pid", .kind = TOOL_SIGNED, .number = (uint64_t)(int64_t)o->pid },
    };
    _Static_assert(sizeof(fields) / sizeof(fields[0]) <= TOOL_ORIGIN_FIELDS_MAX, "room");
    memcpy(ret_fields, fields, sizeof(fields));
    return sizeof(fields) / sizeof(fields[0]);
}

const char *tool_name_text(const tong_status *s, char ret_name[TOOL_NAME_TEXT])
{
    const bool plain = s->carrier[0] == '\0' || strcmp(s->carrier, "shm") == 0;
    snprintf(ret_name, TOOL_NAME_TEXT, "%s%s%s", plain ? "" : s->carrier, plain ? "" : ":",
             s->name);
    return ret_name;
}

size_t tool_status_fields(const tong_status *s, struct tool_field *ret_fields,
                          char ret_words[TOOL_STATUS_WORDS])
{
    char *const mode = ret_words;
    char *const id = ret_words + 16;
    snprintf(mode, 16, "%04o", s->mode & 07777u);
    tool_id_text(s->id, id);
    const struct tool_field fields[] = {
        text("name", s->name),
        text("carrier", s->carrier),
        text("id", id),
        text("delivery", tool_delivery_text(s, ret_words + TOOL_STATUS_WORDS - TOOL_DELIVERY_TEXT)),
        text("owner", word(tool_owner_words, s->owner)),
        text("full", word(tool_full_words, s->full)),
        limit("capacity", s->capacity),
        limit("link_capacity", s->link_capacity),
        number("message_size", s->message_size),
        number("max_bytes", s->max_bytes),
        { .name = "by_priority", .kind = TOOL_TRUTH, .number = s->by_priority },
        most("max_deliveries", s->max_deliveries),
        text("dead_letter", s->dead_letter[0] ? s->dead_letter : NULL),
        text("mode", mode),
        number("owner_uid", s->owner_uid),
        { .name = "owner_pid", .kind = TOOL_SIGNED, .number = (uint64_t)(int64_t)s->owner_pid },
        number("links", s->links),
        number("senders", s->senders),
        number("senders_blocked", s->senders_blocked),
        number("receivers", s->receivers),
        number("receivers_asleep", s->receivers_asleep),
        number("claimed", s->claimed),
        number("waiting", s->waiting),
        number("sent", s->sent),
        number("done", s->done),
        number("dropped", s->dropped),
        number("redelivered", s->redelivered),
        number("set_aside", s->set_aside),
        number("dead_letters", s->dead_letters),
        number("expired", s->expired),
        number("deaths", s->deaths),
        number("bytes", s->bytes),
        number("backstop_finds", s->backstop_finds),
    };
    _Static_assert(sizeof(fields) / sizeof(fields[0]) <= TOOL_STATUS_FIELDS_MAX, "room");
    memcpy(ret_fields, fields, sizeof(fields));
    return sizeof(fields) / sizeof(fields[0]);
}
