/*
 * stream.c - a pipe of any length, carried by a mailbox.
 *
 * A stream is a row of messages, chunks, from one sender to one receiver. Each begins with a head of
 * 32 bytes, little-endian:
 *
 *     0   4  "tgs1"
 *     4   4  flags: 1 the end, 2 the sender gave up
 *     8   8  id of the stream, drawn by lot
 *     16  8  number of the chunk: 0, 1, 2, ...
 *     24  8  bytes that follow; at the end: bytes of the whole stream
 *
 * Id and number show what a mailbox with several senders or receivers may do to a stream: two that
 * mix, or a part that somebody else took. A stream without its end is not whole, and the receiver
 * says so. The length in the head lets a mailbox of fixed size carry a stream, too.
 *
 * Bytes are read straight into the mailbox and written straight out of it.
 */
#include "tool.h"

#include <string.h>

/* A chunk with its head stays below a quarter of the largest segment of a link, 1 MiB, and so do
 * eight of them with what the link adds. */
enum {
    CHUNK_LEAST = 64 << 10,
    CHUNK_MOST = 128 << 10,
    CHUNK_SLACK = 64,
    LINK_CAPACITY = 64
};

static const char magic[4] = { 't', 'g', 's', '1' };

static void put_number(unsigned char *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (unsigned char)(value >> (8 * i));
    }
}

static uint64_t get_number(const unsigned char *in, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value |= (uint64_t)in[i] << (8 * i);
    }
    return value;
}

void tool_chunk_encode(const struct tool_chunk *chunk, unsigned char *ret_head)
{
    memcpy(ret_head, magic, sizeof(magic));
    put_number(ret_head + 4, chunk->flags, 4);
    put_number(ret_head + 8, chunk->id, 8);
    put_number(ret_head + 16, chunk->number, 8);
    put_number(ret_head + 24, chunk->value, 8);
}

bool tool_chunk_decode(const void *data, size_t len, struct tool_chunk *ret_chunk)
{
    const unsigned char *const head = data;
    if (len < TOOL_CHUNK_HEAD || memcmp(head, magic, sizeof(magic)) != 0) {
        return false;
    }
    const struct tool_chunk chunk = {
        .flags = (uint32_t)get_number(head + 4, 4),
        .id = get_number(head + 8, 8),
        .number = get_number(head + 16, 8),
        .value = get_number(head + 24, 8),
    };
    if (chunk.flags > TOOL_CHUNK_GIVEN_UP ||
        (chunk.flags == 0 && chunk.value > len - TOOL_CHUNK_HEAD)) {
        return false;
    }
    *ret_chunk = chunk;
    return true;
}

tong_options tool_stream_options(void)
{
    tong_options options = TONG_OPTIONS_INIT;
    options.link_capacity = LINK_CAPACITY;
    return options;
}

size_t tool_stream_chunk(const tong_status *status)
{
    if (status->message_size) {
        return status->message_size;
    }
    uint64_t capacity = status->link_capacity;
    if (status->capacity < capacity) {
        capacity = status->capacity ? status->capacity : 1;
    }
    uint64_t chunk = status->max_bytes / 4 / capacity;
    if (chunk < CHUNK_LEAST) {
        chunk = CHUNK_LEAST;
    }
    if (chunk > CHUNK_MOST) {
        chunk = CHUNK_MOST;
    }
    /* A mailbox with very little memory: still a few chunks at once. */
    while (chunk > status->max_bytes / 8 && chunk > 4096) {
        chunk /= 2;
    }
    return (size_t)chunk - CHUNK_SLACK;
}
