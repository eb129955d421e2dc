/*
 * spawn.c - programs the tool runs: the command of `hold`, and those of `receive --exec` and `serve`.
 *
 * posix_spawn does not copy the mappings of the mailbox, and the child has the usual signals again.
 * A stop signal from the terminal reaches the child as well; one that was sent to the tool alone is
 * handed on while it waits.
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int tool_spawn(const char *const *argv, int input, int output, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t usual;
    int r = posix_spawn_file_actions_init(&actions);
    if (r != 0) {
        return -r;
    }
    r = posix_spawnattr_init(&attr);
    if (r != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return -r;
    }
    /* SIGINT and SIGTERM are caught, and thereby usual again in the child. */
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    posix_spawnattr_setsigdefault(&attr, &usual);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
    r = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    if (r == 0 && output >= 0) {
        r = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    }
    if (r == 0) {
        r = posix_spawnp(ret_pid, argv[0], &actions, &attr, (char *const *)(uintptr_t)argv,
                         environ);
    }
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

int tool_spawn_wait(pid_t pid)
{
    int status;
    bool told = false;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
        if (tool_stop_signal() && tool_stop_was_sent() && !told) {
            told = true;
            (void)kill(pid, tool_stop_signal());
        }
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Writes the message until it is through or the command reads no more, which it need not. False if
 * a stop signal came in between: the command must not take the part for the whole. */
static bool feed(int fd, const char *data, size_t len)
{
    while (len > 0) {
        const ssize_t n = write(fd, data, len);
        if (n < 0 && !tool_again(-errno)) {
            return errno == EPIPE;
        }
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return true;
}

/* Of a dead letter: TONG_ORIGIN_MAILBOX and the others, as the fields of --json. */
static void describe_origin(const struct tool_box *box, const tong_message *message)
{
    static const char *const names[] = { "MAILBOX", "ID", "SEQUENCE", "DELIVERIES", "UID", "PID" };
    tong_origin origin = TONG_ORIGIN_INIT;
    struct tool_field fields[TOOL_ORIGIN_FIELDS_MAX];
    char words[TOOL_STATUS_WORDS];
    const bool is_one = tong_origin_of(box->box, message, &origin) == 1;
    const size_t n = tool_origin_fields(&origin, fields, words);
    for (size_t i = 0; i < n; i++) {
        char name[32];
        char number[32];
        snprintf(name, sizeof(name), "TONG_ORIGIN_%s", names[i]);
        snprintf(number, sizeof(number), "%lld", (long long)fields[i].number);
        if (is_one) {
            (void)setenv(name, fields[i].kind == TOOL_TEXT ? fields[i].text : number, 1);
        } else {
            (void)unsetenv(name);
        }
    }
}

static void describe_message(const struct tool_box *box, const tong_message *message)
{
    char number[32];
    (void)setenv("TONG_MAILBOX", box->name, 1);
    snprintf(number, sizeof(number), "%u", message->deliveries);
    (void)setenv("TONG_DELIVERIES", number, 1);
    snprintf(number, sizeof(number), "%llu", (unsigned long long)message->sequence);
    (void)setenv("TONG_SEQUENCE", number, 1);
    snprintf(number, sizeof(number), "%d", message->pid);
    (void)setenv("TONG_SENDER_PID", number, 1);
    snprintf(number, sizeof(number), "%u", message->uid);
    (void)setenv("TONG_SENDER_UID", number, 1);
    describe_origin(box, message);
}

int tool_receive_exec(const struct tool_box *box, const char *command, const tong_message *message,
                      int output, int *ret_code)
{
    const char *const argv[] = { "sh", "-c", command, NULL };
    int ends[2];
    pid_t pid = -1;
    describe_message(box, message);
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return tool_file_error(box->args, "pipe", errno);
    }
    const int r = tool_spawn(argv, ends[0], output, &pid);
    close(ends[0]);
    if (r < 0) {
        close(ends[1]);
        return tool_file_error(box->args, "sh", r);
    }
    const bool whole = feed(ends[1], message->data, message->len);
    if (!whole) {
        (void)kill(pid, SIGTERM);
    }
    close(ends[1]);
    const int code = tool_spawn_wait(pid);
    if (tool_stopping() && (code != 0 || !whole)) {
        return TOOL_FAILED;
    }
    *ret_code = code;
    return TOOL_DONE;
}
