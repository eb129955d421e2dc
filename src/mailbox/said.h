/*
 * What a record says beside its payload: attributes from its sender, the origin of a dead letter.
 *
 * In a record these are bytes of another process (box_layout.h says which); here they are checked
 * and private. A message that says nothing has no extension, and none of this is called.
 */
#ifndef TG_MAILBOX_SAID_H
#define TG_MAILBOX_SAID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mailbox/box_layout.h"

struct tg_said {
    bool has_attributes;
    bool has_origin;
    struct tg_attributes attributes; /* all 0 if there are none */
    struct tg_origin origin;
    char reply_to[TONG_NAME_MAX]; /* "" none */
};

/* What decides who may have a message. */
struct tg_about {
    uint64_t tag;
    uint64_t key;
    uint32_t priority;
};

static inline struct tg_about tg_said_about(const struct tg_said *said)
{
    const struct tg_attributes *a = &said->attributes;
    return (struct tg_about){ .tag = a->tag, .key = a->key, .priority = a->priority };
}

/* Take bytes apart that nobody changes meanwhile. -EPROTO: what cannot be. */
int tg_said_parse(const uint8_t *bytes, size_t len, struct tg_said *ret_said);
/* Write it down. Returns the length, a multiple of 16. */
uint32_t tg_said_write(const struct tg_said *said, uint8_t ret_bytes[TG_EXTENSION_MOST]);
/* Whether a deadline, 0 none, is past. */
bool tg_said_is_over(uint64_t deadline_ns);
/* What a send was given. 0, -EINVAL, -ENAMETOOLONG. */
int tg_said_from(const tong_send_options *with, struct tg_said *ret_said);
/* Into what a receiver is told. said NULL: the message has no extension. */
void tg_said_tell(const struct tg_said *said, tong_message *ret_info);

#endif
