#include "carrier/nats/text.h"

#include <string.h>

void tg_text_add_bytes(struct tg_text *text, const char *more, size_t len)
{
    if (text->is_over || len >= text->size - text->len) {
        text->is_over = true;
        return;
    }
    memcpy(text->at + text->len, more, len);
    text->len += len;
    text->at[text->len] = '\0';
}

void tg_text_add(struct tg_text *text, const char *more)
{
    tg_text_add_bytes(text, more, strlen(more));
}

void tg_text_add_u64(struct tg_text *text, uint64_t number)
{
    char digits[20];
    size_t n = sizeof digits;
    do {
        digits[--n] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    tg_text_add_bytes(text, digits + n, sizeof digits - n);
}

void tg_text_add_i64(struct tg_text *text, int64_t number)
{
    if (number < 0) {
        tg_text_add_bytes(text, "-", 1);
    }
    tg_text_add_u64(text, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

void tg_text_add_hex(struct tg_text *text, const void *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *at = bytes;
    for (size_t i = 0; i < len; i++) {
        const char two[2] = { digits[at[i] >> 4], digits[at[i] & 15] };
        tg_text_add_bytes(text, two, 2);
    }
}

void tg_text_add_json(struct tg_text *text, const char *string)
{
    static const char digits[] = "0123456789abcdef";
    tg_text_add_bytes(text, "\"", 1);
    for (; *string != '\0'; string++) {
        const unsigned char c = (unsigned char)*string;
        if (c == '"' || c == '\\') {
            tg_text_add_bytes(text, "\\", 1);
        }
        if (c < 0x20) {
            const char escape[6] = { '\\', 'u', '0', '0', digits[c >> 4], digits[c & 15] };
            tg_text_add_bytes(text, escape, 6);
        } else {
            tg_text_add_bytes(text, string, 1);
        }
    }
    tg_text_add_bytes(text, "\"", 1);
}

/* ---- JSON */

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) {
        at++;
    }
    return at;
}

/* Behind a string that begins here. NULL: it has no end. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end; at++) {
        if (*at == '\\') {
            at++;
        } else if (*at == '"') {
            return at + 1;
        }
    }
    return NULL;
}

/* Behind the value that begins here, whatever it is. */
static const char *skip_value(const char *at, const char *end)
{
    unsigned depth = 0;
    while (at != NULL && at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
        } else if (*at == '{' || *at == '[') {
            depth++;
            at++;
        } else if (*at == '}' || *at == ']') {
            if (depth == 0) {
                return at;
            }
            depth--;
            at++;
        } else if (depth == 0 && (*at == ',' || *at == ' ' || *at == '\n' || *at == '\r')) {
            return at;
        } else {
            at++;
        }
        if (at != NULL && depth == 0 && (at[-1] == '}' || at[-1] == ']' || at[-1] == '"')) {
            return at;
        }
    }
    return at;
}

bool tg_json_next(struct tg_json container, size_t *pos, struct tg_json *ret_key,
                  struct tg_json *ret_value)
{
    if (container.at == NULL || container.len < 2 ||
        (container.at[0] != '{' && container.at[0] != '[')) {
        return false;
    }
    const char *end = container.at + container.len;
    const bool is_object = container.at[0] == '{';
    const char *at = skip_space(container.at + (*pos == 0 ? 1 : *pos), end);
    if (at < end && *at == ',') {
        at = skip_space(at + 1, end);
    }
    if (at >= end || *at == '}' || *at == ']') {
        return false;
    }
    *ret_key = (struct tg_json){ NULL, 0 };
    if (is_object) {
        const char *key = at;
        at = *at == '"' ? skip_string(at, end) : NULL;
        if (at == NULL) {
            return false;
        }
        *ret_key = (struct tg_json){ key, (size_t)(at - key) };
        at = skip_space(at, end);
        if (at >= end || *at != ':') {
            return false;
        }
        at = skip_space(at + 1, end);
    }
    const char *stop = at < end ? skip_value(at, end) : NULL;
    if (stop == NULL || stop == at) {
        return false;
    }
    *ret_value = (struct tg_json){ at, (size_t)(stop - at) };
    *pos = (size_t)(stop - container.at);
    return true;
}

static bool is_key(struct tg_json key, const char *name, size_t len)
{
    return key.len == len + 2 && memcmp(key.at + 1, name, len) == 0;
}

struct tg_json tg_json_get(struct tg_json object, const char *path)
{
    while (path != NULL && object.at != NULL) {
        const char *dot = strchr(path, '.');
        const size_t len = dot != NULL ? (size_t)(dot - path) : strlen(path);
        struct tg_json key;
        struct tg_json value;
        struct tg_json found = { NULL, 0 };
        size_t pos = 0;
        while (found.at == NULL && tg_json_next(object, &pos, &key, &value)) {
            if (is_key(key, path, len)) {
                found = value;
            }
        }
        object = found;
        path = dot != NULL ? dot + 1 : NULL;
    }
    return object;
}

uint64_t tg_json_u64(struct tg_json value)
{
    uint64_t number = 0;
    for (size_t i = 0; value.at != NULL && i < value.len; i++) {
        const char c = value.at[i];
        const uint64_t digit = (uint64_t)(unsigned char)c - '0';
        if (c < '0' || c > '9' || number > (UINT64_MAX - digit) / 10) {
            break;
        }
        number = number * 10 + digit;
    }
    return number;
}

bool tg_json_bool(struct tg_json value)
{
    return value.at != NULL && value.len == 4 && memcmp(value.at, "true", 4) == 0;
}

size_t tg_json_string(struct tg_json value, char *ret_string, size_t size)
{
    size_t len = 0;
    if (value.at != NULL && value.len >= 2 && value.at[0] == '"') {
        for (size_t i = 1; i + 1 < value.len && len + 1 < size; i++) {
            if (value.at[i] == '\\' && i + 2 < value.len) {
                i++;
            }
            ret_string[len++] = value.at[i];
        }
    }
    ret_string[len] = '\0';
    return len;
}

bool tg_json_has(struct tg_json value, const char *part)
{
    return value.at != NULL && memmem(value.at, value.len, part, strlen(part)) != NULL;
}
