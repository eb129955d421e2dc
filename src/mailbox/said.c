/*
 * The extension of a record, taken apart and put together.
 *
 *   attributes, 64 bytes | reply_to, padded to 16 | origin, 176 bytes
 *
 * each part only where there is something to say. What is read was copied before: its sender may
 * change the bytes at any moment. A part that this version does not know is damage, as a record of
 * another form is: the file's version says what may stand there.
 */
#include "mailbox/said.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/name.h"

static size_t padded(size_t len)
{
    return (len + 15) & ~(size_t)15;
}

static int parse_attributes(const uint8_t *bytes, size_t len, struct tg_said *said)
{
    struct tg_attributes *a = &said->attributes;
    if (len < sizeof *a || said->has_attributes || said->has_origin) {
        return -EPROTO;
    }
    memcpy(a, bytes, sizeof *a);
    if (a->priority >= TG_PRIORITIES || a->reply_size >= TONG_NAME_MAX ||
        a->size != sizeof *a + padded(a->reply_size)) {
        return -EPROTO;
    }
    if (a->reply_size != 0) {
        memcpy(said->reply_to, bytes + sizeof *a, a->reply_size);
        said->reply_to[a->reply_size] = '\0';
        if (strlen(said->reply_to) != a->reply_size || tg_name_check(said->reply_to) < 0) {
            return -EPROTO;
        }
    }
    said->has_attributes = true;
    return 0;
}

static int parse_origin(const uint8_t *bytes, size_t len, struct tg_said *said)
{
    if (len != sizeof said->origin || said->has_origin) {
        return -EPROTO;
    }
    memcpy(&said->origin, bytes, sizeof said->origin);
    said->origin.name[sizeof said->origin.name - 1] = '\0';
    said->has_origin = true;
    return 0;
}

int tg_said_parse(const uint8_t *bytes, size_t len, struct tg_said *ret_said)
{
    ret_said->has_attributes = false;
    ret_said->has_origin = false;
    ret_said->reply_to[0] = '\0';
    memset(&ret_said->attributes, 0, sizeof ret_said->attributes);
    for (size_t at = 0; at < len;) {
        struct tg_part part;
        if (len - at < sizeof part) {
            return -EPROTO;
        }
        memcpy(&part, bytes + at, sizeof part);
        if (part.size < sizeof part || part.size % 16 != 0 || part.size > len - at) {
            return -EPROTO;
        }
        int r = -EPROTO;
        if (part.magic == TG_ATTRIBUTES_MAGIC) {
            r = parse_attributes(bytes + at, part.size, ret_said);
        } else if (part.magic == TG_ORIGIN_MAGIC) {
            r = parse_origin(bytes + at, part.size, ret_said);
        }
        if (r < 0) {
            return r;
        }
        at += part.size;
    }
    return 0;
}

uint32_t tg_said_write(const struct tg_said *said, uint8_t ret_bytes[TG_EXTENSION_MOST])
{
    size_t len = 0;
    if (said->has_attributes) {
        struct tg_attributes a = said->attributes;
        a.magic = TG_ATTRIBUTES_MAGIC;
        a.reply_size = (uint32_t)strlen(said->reply_to);
        a.size = (uint32_t)(sizeof a + padded(a.reply_size));
        memcpy(ret_bytes, &a, sizeof a);
        memset(ret_bytes + sizeof a, 0, a.size - sizeof a);
        memcpy(ret_bytes + sizeof a, said->reply_to, a.reply_size);
        len = a.size;
    }
    if (said->has_origin) {
        struct tg_origin origin = said->origin;
        origin.magic = TG_ORIGIN_MAGIC;
        origin.size = sizeof origin;
        memcpy(ret_bytes + len, &origin, sizeof origin);
        len += sizeof origin;
    }
    return (uint32_t)len;
}

bool tg_said_is_over(uint64_t deadline_ns)
{
    return deadline_ns != 0 && (uint64_t)tg_boot_ns() >= deadline_ns;
}

int tg_said_from(const tong_send_options *with, struct tg_said *ret_said)
{
    if (with->priority >= TG_PRIORITIES || with->expiry_ns < 0) {
        return -EINVAL;
    }
    const int r = with->reply_to != NULL ? tg_name_check(with->reply_to) : 0;
    if (r < 0) {
        return r;
    }
    ret_said->reply_to[0] = '\0';
    if (with->reply_to != NULL) {
        memcpy(ret_said->reply_to, with->reply_to, strlen(with->reply_to) + 1);
    }
    const int64_t now = tg_boot_ns();
    const bool ends = with->expiry_ns != 0 && with->expiry_ns < TG_NEVER - now;
    ret_said->has_attributes = true;
    ret_said->has_origin = false;
    ret_said->attributes =
        (struct tg_attributes){ .priority = with->priority,
                                .tag = with->tag,
                                .key = with->key,
                                .call = with->call,
                                .sent_ns = (uint64_t)now,
                                .deadline_ns = ends ? (uint64_t)(now + with->expiry_ns) : 0 };
    return 0;
}

void tg_said_tell(const struct tg_said *said, tong_message *ret_info)
{
    static const struct tg_attributes none;
    const struct tg_attributes *a = said != NULL ? &said->attributes : &none;
    ret_info->priority = a->priority;
    ret_info->tag = a->tag;
    ret_info->key = a->key;
    ret_info->call = a->call;
    ret_info->sent_ns = a->sent_ns;
    ret_info->reply_to[0] = '\0';
    if (said != NULL && said->reply_to[0] != '\0') {
        memcpy(ret_info->reply_to, said->reply_to, strlen(said->reply_to) + 1);
    }
}
