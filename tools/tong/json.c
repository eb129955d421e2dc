/*
 * json.c - results for programs and for people: the same fields, as JSON or as lines.
 *
 * One object a line. A number without a limit is null. Bytes that are not UTF-8 stand as base64
 * under a name that says so. Without jansson the tool has no JSON, and says it.
 */
#include "tool.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef TONG_HAVE_JANSSON
#define TONG_HAVE_JANSSON 0
#endif

#if TONG_HAVE_JANSSON
#include <jansson.h>

int tool_json_need(const struct tool_args *args)
{
    (void)args;
    return 0;
}

static json_t *base64(const unsigned char *data, size_t len)
{
    assert(data || len == 0);
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *const text = malloc((len + 2) / 3 * 4 + 1);
    if (!text) {
        return NULL;
    }
    char *out = text;
    for (size_t i = 0; i < len; i += 3) {
        const uint32_t three = (uint32_t)data[i] << 16 |
                               (i + 1 < len ? (uint32_t)data[i + 1] << 8 : 0) |
                               (i + 2 < len ? data[i + 2] : 0);
        *out++ = digits[three >> 18 & 63];
        *out++ = digits[three >> 12 & 63];
        *out++ = i + 1 < len ? digits[three >> 6 & 63] : '=';
        *out++ = i + 2 < len ? digits[three & 63] : '=';
    }
    json_t *const value = json_stringn(text, (size_t)(out - text));
    free(text);
    return value;
}

/* The value, and the name it stands under. */
static json_t *make_value(const struct tool_field *field, char *name, size_t size)
{
    snprintf(name, size, "%s", field->name);
    switch (field->kind) {
    case TOOL_TEXT:
        return field->text ? json_string(field->text) : json_null();
    case TOOL_NUMBER:
    case TOOL_SIGNED:
        return json_integer((json_int_t)field->number);
    case TOOL_TRUTH:
        return json_boolean(field->number);
    case TOOL_NO_LIMIT:
        return json_null();
    case TOOL_BYTES:
        break;
    }
    json_t *const text = json_stringn(field->text ? field->text : "", (size_t)field->number);
    if (text) {
        return text;
    }
    snprintf(name, size, "%s_base64", field->name);
    return base64((const unsigned char *)field->text, (size_t)field->number);
}

char *tool_json_object(const struct tool_field *fields, size_t n)
{
    json_t *const object = json_object();
    bool made = object != NULL;
    for (size_t i = 0; made && i < n; i++) {
        char name[64];
        json_t *const value = make_value(&fields[i], name, sizeof(name));
        made = json_object_set_new(object, name, value) == 0;
    }
    char *const text = made ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (!text) {
        return NULL;
    }
    const size_t len = strlen(text);
    char *const line = realloc(text, len + 2);
    if (!line) {
        free(text);
        return NULL;
    }
    line[len] = '\n';
    line[len + 1] = '\0';
    return line;
}

#else

int tool_json_need(const struct tool_args *args)
{
    return tool_failed(args, NULL,
                       "--json: this tong was built without JSON; build it again with jansson "
                       "(libjansson-dev) installed");
}

char *tool_json_object(const struct tool_field *fields, size_t n)
{
    (void)fields;
    (void)n;
    return NULL;
}

#endif

static void print_plain(const struct tool_field *field, int width)
{
    char name[64];
    snprintf(name, sizeof(name), "%s", field->name);
    for (char *p = name; *p; p++) {
        if (*p == '_') {
            *p = '-';
        }
    }
    printf("%-*s ", width, name);
    switch (field->kind) {
    case TOOL_TEXT:
        printf("%s\n", field->text ? field->text : "-");
        break;
    case TOOL_SIGNED:
        printf("%lld\n", (long long)field->number);
        break;
    case TOOL_TRUTH:
        printf("%s\n", field->number ? "yes" : "no");
        break;
    case TOOL_NO_LIMIT:
        printf("unbounded\n");
        break;
    case TOOL_NUMBER:
    case TOOL_BYTES:
        printf("%llu\n", (unsigned long long)field->number);
        break;
    }
}

int tool_print_fields(const struct tool_args *args, const struct tool_field *fields, size_t n)
{
    if (tool_given(args, "--json")) {
        char *const line = tool_json_object(fields, n);
        if (!line) {
            return tool_error(args, NULL, -ENOMEM, NULL);
        }
        fputs(line, stdout);
        free(line);
        return TOOL_DONE;
    }
    size_t width = 0;
    for (size_t i = 0; i < n; i++) {
        width = strlen(fields[i].name) > width ? strlen(fields[i].name) : width;
    }
    for (size_t i = 0; i < n; i++) {
        print_plain(&fields[i], (int)width);
    }
    return TOOL_DONE;
}

int tool_flush(const struct tool_args *args, int code)
{
    errno = 0;
    /* A stop signal disturbs the write that it meets: then it is the reason, and said by the exit code. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == TOOL_DONE && !tool_stop_signal()) {
        return tool_file_error(args, "standard output", errno ? errno : EIO);
    }
    return code;
}
