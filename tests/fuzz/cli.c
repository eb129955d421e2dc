/*
 * cli - the command: its words, what it reads, what it prints.
 *
 * The command runs in this process with its own main, called tool_main here. It starts no programs: the
 * linker puts what begins with __wrap_ in the place of posix_spawnp and waitpid. In the place of its
 * signals.c, a timer says stop, so that a command that waits for ever ends as by Ctrl-C.
 *
 * Input: a byte of choices, how many words, the words (from a list, or spelled), standard input.
 */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "tool.h"

#define WORDS_MOST 12
#define WORD_MOST 200
#define PATIENCE_NS 3000000

/* ---- in the place of signals.c */

static volatile sig_atomic_t stop_signal;
static _Atomic(tong_mailbox *) interrupted;

static void on_timer(int number)
{
    (void)number;
    stop_signal = SIGTERM;
    tong_mailbox *const box = atomic_load(&interrupted);
    if (box) {
        (void)tong_interrupt(box);
    }
}

void tool_signals_catch(void)
{
}

void tool_signals_watch_child(void)
{
}

bool tool_stopping(void)
{
    return stop_signal;
}

int tool_stop_signal(void)
{
    return stop_signal;
}

bool tool_stop_was_sent(void)
{
    return false;
}

void tool_signals_interrupt(tong_mailbox *box)
{
    atomic_store(&interrupted, box);
    if (box && tool_stopping()) {
        (void)tong_interrupt(box);
    }
}

bool tool_again(ssize_t answer)
{
    return (answer == -EINTR || answer == -ECANCELED) && !tool_stopping();
}

/* Every millisecond again: one may come right before a call that then waits. */
static timer_t start_timer(void)
{
    timer_t timer;
    const struct itimerspec when = { .it_value = { .tv_nsec = PATIENCE_NS },
                                     .it_interval = { .tv_nsec = 1000000 } };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
    struct sigaction action = { .sa_handler = on_timer };
    sigemptyset(&action.sa_mask);
    fuzz_true(sigaction(SIGRTMIN, &action, NULL) == 0);
    fuzz_true(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    fuzz_true(timer_settime(timer, 0, &when, NULL) == 0);
    return timer;
}

/* ---- programs: none is started; what was to be one reads nothing and ends at once */

#define NOBODY ((pid_t)0x3fffffff) /* above any number the kernel gives */

int __wrap_posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attr, char *const argv[], char *const env[]);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);

static int status_of_nobody;

int __wrap_posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attr, char *const argv[], char *const env[])
{
    (void)actions;
    (void)attr;
    (void)env;
    const char *command = strcmp(file, "sh") == 0 && argv[1] != NULL ? argv[2] : file;
    status_of_nobody = command != NULL && command[0] == 'a' ? 0 : 3 << 8;
    *pid = NOBODY;
    return command != NULL && command[0] == 'n' ? ENOENT : 0;
}

pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
    (void)options;
    *status = status_of_nobody;
    return pid;
}

/* ---- words */

static const char *const known[] = { "create",
                                     "hold",
                                     "send",
                                     "receive",
                                     "ls",
                                     "stat",
                                     "rm",
                                     "region",
                                     "doctor",
                                     "help",
                                     "version",
                                     "read",
                                     "write",
                                     "wait",
                                     "notify",
                                     "box",
                                     "jobs",
                                     "a b",
                                     "",
                                     "-",
                                     "--",
                                     "--capacity",
                                     "--link-capacity",
                                     "--message-size",
                                     "--max-bytes",
                                     "--delivery",
                                     "--full",
                                     "--mode",
                                     "--excl",
                                     "--json",
                                     "--lines",
                                     "--null",
                                     "--stream",
                                     "--exec",
                                     "--output",
                                     "--file",
                                     "--count",
                                     "--follow",
                                     "--no-create",
                                     "--timeout",
                                     "--size",
                                     "--offset",
                                     "--length",
                                     "--repair",
                                     "--ack",
                                     "--max-deliveries",
                                     "--dead-letter",
                                     "--help",
                                     "--version",
                                     "-h",
                                     "-V",
                                     "0",
                                     "1",
                                     "2",
                                     "0.001",
                                     "0.0005",
                                     "unbounded",
                                     "4K",
                                     "1M",
                                     "0660",
                                     "first-come",
                                     "any",
                                     "exclusive",
                                     "block",
                                     "drop-newest",
                                     "drop-oldest",
                                     "out",
                                     "in",
                                     "--capacity=0",
                                     "--timeout=0",
                                     "--count=2",
                                     "18446744073709551615",
                                     "4294967296",
                                     "-1",
                                     "1e9",
                                     "0x10",
                                     "--size=4096",
                                     "metrics",
                                     "graph" };

static void spell(const struct fuzz_bytes *bytes, char *word)
{
    const uint8_t what = fuzz_u8(bytes);
    if (what < 192) {
        const char *from = known[what % (sizeof(known) / sizeof(known[0]))];
        (void)snprintf(word, WORD_MOST, "%s", from);
        return;
    }
    const size_t len = (what & 63) * 3u;
    for (size_t i = 0; i < len; i++) {
        word[i] = (char)fuzz_u8(bytes);
    }
    word[len] = '\0';
    /* A path leads nowhere but into the working directory. */
    for (char *c = word; *c != '\0'; c++) {
        *c = *c == '/' ? '_' : *c;
    }
}

/* ---- standard input and output */

static int make_input(const struct fuzz_bytes *bytes, bool as_pipe)
{
    int ends[2];
    const int file = memfd_create("input", MFD_CLOEXEC);
    fuzz_true(file >= 0 && pipe2(ends, O_CLOEXEC) == 0);
    while (!fuzz_is_over(bytes)) {
        const uint8_t byte = fuzz_u8(bytes);
        fuzz_true(write(as_pipe ? ends[1] : file, &byte, 1) == 1);
    }
    close(ends[1]);
    close(as_pipe ? file : ends[0]);
    fuzz_true(as_pipe || lseek(file, 0, SEEK_SET) == 0);
    return as_pipe ? ends[0] : file;
}

/* Descriptors 0 to 2 for a while; ret_old gets what they were. */
static void redirect(int input, int ret_old[3])
{
    const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    fuzz_true(nothing >= 0);
    for (int fd = 0; fd < 3; fd++) {
        ret_old[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10);
        fuzz_true(ret_old[fd] >= 0);
        fuzz_true(dup2(fd == 0 ? input : nothing, fd) == fd);
    }
    close(nothing);
}

static void restore(const int old[3])
{
    fflush(stdout);
    fflush(stderr);
    clearerr(stdout);
    for (int fd = 0; fd < 3; fd++) {
        fuzz_true(dup2(old[fd], fd) == fd);
        close(old[fd]);
    }
}

/* So that there is something to receive, to look at, to be refused. */
static void furnish(uint8_t how)
{
    tong_mailbox *box;
    if (how % 2 != 0 && tong_open("box", TONG_SEND | TONG_CREATE, NULL, &box) == 0) {
        for (int i = 0; i < how / 2 % 8; i++) {
            (void)tong_send(box, "one\ntwo", (size_t)i, 0);
        }
        (void)tong_close(box);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char words[WORDS_MOST][WORD_MOST];
    static char program[] = "tong";
    char *argv[WORDS_MOST + 2] = { program };
    struct fuzz_input input = { data, data + size };
    const struct fuzz_bytes bytes = { &input, false };
    int old[3];
    (void)fuzz_begin();
    fuzz_enter_scratch();
    const uint8_t how = fuzz_u8(&bytes);
    furnish(how / 2);
    const int n = (int)fuzz_below(&bytes, WORDS_MOST + 1);
    for (int i = 0; i < n; i++) {
        spell(&bytes, words[i]);
        argv[i + 1] = words[i];
    }
    const int in = make_input(&bytes, how % 2 != 0);
    stop_signal = 0;
    (void)signal(SIGPIPE, SIG_IGN);
    redirect(in, old);
    const timer_t timer = start_timer();
    const int code = tool_main(n + 1, argv);
    (void)timer_delete(timer);
    restore(old);
    close(in);
    fuzz_true((code >= TOOL_DONE && code <= TOOL_NO_NAME) || code == 128 + SIGTERM);
    fuzz_end();
    return 0;
}
