/* Text that grows in a buffer of a fixed size; what does not fit is told at the end. */
#ifndef TG_CARRIER_NATS_TEXT_H
#define TG_CARRIER_NATS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tg_text {
    char *at;
    size_t size;
    size_t len;
    bool is_over; /* something did not fit */
};

#define TG_TEXT(buffer)                                                                            \
    {                                                                                              \
        (buffer), sizeof(buffer), 0, false                                                         \
    }

void tg_text_add(struct tg_text *text, const char *more);
void tg_text_add_bytes(struct tg_text *text, const char *more, size_t len);
void tg_text_add_u64(struct tg_text *text, uint64_t number);
void tg_text_add_i64(struct tg_text *text, int64_t number);
void tg_text_add_hex(struct tg_text *text, const void *bytes, size_t len);
/* As a JSON string, with its quotes. */
void tg_text_add_json(struct tg_text *text, const char *string);

/* ---- reading JSON: enough for what a NATS server says; anything else is no value */

struct tg_json {
    const char *at; /* the value's first character; NULL none */
    size_t len;
};

/* The value under "a.b.c" of an object. */
struct tg_json tg_json_get(struct tg_json object, const char *path);
/* The members of an object, or the elements of an array, one after the other: *pos begins with 0. */
bool tg_json_next(struct tg_json container, size_t *pos, struct tg_json *ret_key,
                  struct tg_json *ret_value);
uint64_t tg_json_u64(struct tg_json value);
bool tg_json_bool(struct tg_json value);
/* A string without its escapes, cut to size - 1. Empty for no value. */
size_t tg_json_string(struct tg_json value, char *ret_string, size_t size);
/* Whether the string holds these characters. */
bool tg_json_has(struct tg_json value, const char *part);

#endif
