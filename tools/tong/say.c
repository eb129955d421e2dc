/*
 * say.c - what the tool says on standard error.
 *
 * One form: `tong: what: why; what to do`. What is the command and the mailbox, why is the library's
 * own sentence, what to do is the way out. The usual ways out stand in one table, by error; a place
 * that knows better says so itself. A line is written with one call, so that the lines of several
 * processes do not mix.
 */
#include "tool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool tool_on_terminal(void)
{
    static int known = -1;
    if (known < 0) {
        known = isatty(STDERR_FILENO);
    }
    return known == 1;
}

bool tool_has_colour(int fd)
{
    const char *const no = getenv("NO_COLOR");
    return (!no || !*no) && isatty(fd) == 1;
}

const char *tool_shown(const char *name)
{
    enum {
        LONGEST = 160
    };
    static _Thread_local char buffers[4][LONGEST * 4 + 8];
    static _Thread_local unsigned turn;
    bool plain = name[0] != '\0';
    for (const char *p = name; *p; p++) {
        plain = plain && *p > ' ' && *p < 0x7f && *p != '"' && *p != '\\';
    }
    if (plain && strlen(name) <= LONGEST) {
        return name;
    }
    char *const buffer = buffers[turn++ % 4];
    char *out = buffer;
    *out++ = '"';
    for (size_t i = 0; i < LONGEST && name[i]; i++) {
        const unsigned char c = (unsigned char)name[i];
        if (c < ' ' || c >= 0x7f) {
            out += sprintf(out, "\\x%02x", c);
        } else {
            if (c == '"' || c == '\\') {
                *out++ = '\\';
            }
            *out++ = (char)c;
        }
    }
    memcpy(out, strlen(name) > LONGEST ? "...\"" : "\"", strlen(name) > LONGEST ? 5 : 2);
    return buffer;
}

static void write_line(const char *line, size_t len)
{
    while (len > 0) {
        const ssize_t n = write(STDERR_FILENO, line, len);
        if (n < 0 && errno != EINTR) {
            return; /* There is nowhere left to say it. */
        }
        if (n > 0) {
            line += n;
            len -= (size_t)n;
        }
    }
}

__attribute__((format(printf, 3, 0))) static void
say_args(const struct tool_args *args, const char *name, const char *format, va_list list)
{
    const char *const red = tool_has_colour(STDERR_FILENO) ? "\033[31m" : "";
    const char *const plain = *red ? "\033[0m" : "";
    char line[1024];
    int n =
        snprintf(line, sizeof(line), "%stong:%s %s", red, plain, args ? args->command->name : "");
    size_t len = (size_t)n;
    if (name) {
        len += (size_t)snprintf(line + len, sizeof(line) - len, "%s%s", args ? " " : "",
                                tool_shown(name));
    }
    if (args || name) {
        len += (size_t)snprintf(line + len, sizeof(line) - len, ": ");
    }
    n = vsnprintf(line + len, sizeof(line) - len - 1, format, list);
    len += n < 0 ? 0 : (size_t)n;
    if (len > sizeof(line) - 2) {
        len = sizeof(line) - 2;
    }
    line[len++] = '\n';
    tool_watch_hide();
    write_line(line, len);
    tool_watch_show();
}

void tool_say(const struct tool_args *args, const char *name, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    say_args(args, name, format, list);
    va_end(list);
}

int tool_failed(const struct tool_args *args, const char *name, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    say_args(args, name, format, list);
    va_end(list);
    return TOOL_FAILED;
}

int tool_wrong_usage(const struct tool_args *args, const char *format, ...)
{
    char why[512];
    va_list list;
    va_start(list, format);
    vsnprintf(why, sizeof(why), format, list);
    va_end(list);
    tool_say(args, NULL, "%s%s\"tong help %s\" shows how", why, strchr(why, ';') ? ", " : "; ",
             args->command->name);
    return TOOL_USAGE;
}

/* The usual way out of an error; %s is the name. */
static const struct way_out {
    int error;
    int exit_code;
    const char *text;
} ways_out[] = {
    { EINVAL, TOOL_USAGE,
      "a name has 1 to 127 of A-Z a-z 0-9 . _ - and begins with none of . and -" },
    { ENAMETOOLONG, TOOL_USAGE, "take a name of at most 127 characters" },
    { ENOENT, TOOL_NO_NAME, "\"tong ls\" shows what there is, \"tong create %s\" makes it" },
    { EEXIST, TOOL_FAILED, "take another name, or remove it first with \"tong rm %s\"" },
    { EBUSY, TOOL_FAILED,
      "end its receiver first, or make it with --delivery first-come for several" },
    { EUSERS, TOOL_FAILED, "close some of them first; \"tong stat %s\" counts them" },
    { EACCES, TOOL_FAILED, "\"tong doctor\" looks at the folder and says what is wrong" },
    { EPERM, TOOL_FAILED, "ask the user it belongs to; \"tong stat %s\" shows owner-uid" },
    { EPROTO, TOOL_FAILED,
      "\"tong doctor\" says which file, \"tong rm %s\" takes the mailbox away" },
    { EHOSTUNREACH, TOOL_FAILED, "is it running there? TONG_NATS_URL says where nats:NAME is" },
    { ENOTCONN, TOOL_FAILED, "look at the server and the way to it, then try again" },
    { EKEYREJECTED, TOOL_FAILED, "TONG_NATS_CA names the file with who signs its certificate" },
    { ELIBACC, TOOL_FAILED, "install the package libtong-nats0, of the same version as this tong" },
    { EOPNOTSUPP, TOOL_FAILED, "\"tong help\" lists what this tong can do" },
    { ENOSPC, TOOL_FAILED, "receive what waits, remove mailboxes, or enlarge the shared memory" },
    { ENOMEM, TOOL_FAILED, "end other programs, or raise the limit (\"ulimit -v\")" },
    { EMFILE, TOOL_FAILED, "raise the limit of open files (\"ulimit -n\")" },
    { ENFILE, TOOL_FAILED, "close files of other programs; the whole system is at its limit" },
    { EMSGSIZE, TOOL_FAILED, "\"tong stat %s\" shows the message-size it takes" },
    { EIDRM, TOOL_FAILED, "\"tong create %s\" makes a new one" },
    { EOWNERDEAD, TOOL_FAILED,
      "start its process again, or make one that stays: \"tong create %s\"" },
    { EAGAIN, TOOL_LATE, "wait longer with --timeout, or without a limit by leaving it away" },
    { ETIMEDOUT, TOOL_LATE, "wait longer with --timeout, or without a limit by leaving it away" },
    { EBADF, TOOL_FAILED, "\"tong stat %s\" shows its mode" },
    { ENOBUFS, TOOL_FAILED, "finish messages before taking more" },
};

static const struct way_out *find_way_out(int error)
{
    for (size_t i = 0; i < sizeof(ways_out) / sizeof(ways_out[0]); i++) {
        if (ways_out[i].error == (error < 0 ? -error : error)) {
            return &ways_out[i];
        }
    }
    return NULL;
}

int tool_exit_code(int error)
{
    const struct way_out *const row = find_way_out(error);
    return row ? row->exit_code : TOOL_FAILED;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
int tool_error(const struct tool_args *args, const char *name, int error, const char *way_out)
{
    const struct way_out *const row = find_way_out(error);
    char usual[256];
    if (!way_out && row) {
        snprintf(usual, sizeof(usual), row->text, name ? tool_shown(name) : "NAME");
        way_out = usual;
    }
    tool_say(args, name, "%s%s%s", tong_strerror(error), way_out ? "; " : "",
             way_out ? way_out : "");
    return tool_exit_code(error);
}
#pragma GCC diagnostic pop

int tool_file_error(const struct tool_args *args, const char *file, int error)
{
    /* Not tool_shown(): a path is printed as it is, blanks included. */
    char path[512];
    snprintf(path, sizeof(path), "%s", file);
    for (char *p = path; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f) {
            *p = '?';
        }
    }
    return tool_failed(args, NULL, "%s: %s", path, strerror(error < 0 ? -error : error));
}

const char *tool_amount(uint64_t bytes)
{
    static _Thread_local char buffers[4][32];
    static _Thread_local unsigned turn;
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    char *const buffer = buffers[turn++ % 4];
    size_t unit = 0;
    double amount = (double)bytes;
    while (amount >= 1024.0) {
        amount /= 1024.0;
        unit++;
    }
    snprintf(buffer, sizeof(buffers[0]), unit == 0 ? "%.0f %s" : "%.1f %s", amount, units[unit]);
    return buffer;
}
