/*
 * signals.c - a stop signal ends the tool through its own clean-up.
 *
 * The handler notes the signal, ends a wait of the library with tong_interrupt(), and rings again
 * every second: a system call entered between the last look at the note and its own sleep is then
 * disturbed all the same. The second signal of a kind has its usual effect, death. The end of the
 * program that a mailbox is held for ends waits in the same way.
 */
#include "tool.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static volatile sig_atomic_t stop_signal;
static volatile sig_atomic_t was_sent;
static volatile sig_atomic_t child_ended;
static _Atomic(tong_mailbox *) interrupted;

static void end_waits(void)
{
    tong_mailbox *const box = atomic_load_explicit(&interrupted, memory_order_relaxed);
    if (box) {
        (void)tong_interrupt(box);
    }
    alarm(1);
}

static void on_stop(int signal, siginfo_t *info, void *context)
{
    (void)context;
    was_sent = info->si_code == SI_USER;
    stop_signal = signal;
    end_waits();
}

static void on_child(int signal)
{
    (void)signal;
    child_ended = 1;
    end_waits();
}

static void on_alarm(int signal)
{
    (void)signal;
    alarm(1);
}

void tool_signals_catch(void)
{
    static const int stops[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction action = { .sa_handler = on_alarm };
    sigemptyset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    action.sa_sigaction = on_stop;
    action.sa_flags = (int)(SA_RESETHAND | SA_SIGINFO);
    for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++) {
        struct sigaction before;
        /* nohup, or a shell that put us into the background, wants it ignored. */
        if (sigaction(stops[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
            sigaction(stops[i], &action, NULL);
        }
    }
    action.sa_handler = SIG_IGN;
    action.sa_flags = 0;
    sigaction(SIGPIPE, &action, NULL);
}

void tool_signals_watch_child(void)
{
    struct sigaction action = { .sa_handler = on_child, .sa_flags = SA_NOCLDSTOP };
    sigemptyset(&action.sa_mask);
    sigaction(SIGCHLD, &action, NULL);
}

bool tool_stopping(void)
{
    return stop_signal || child_ended;
}

int tool_stop_signal(void)
{
    return stop_signal;
}

bool tool_stop_was_sent(void)
{
    return was_sent;
}

void tool_signals_interrupt(tong_mailbox *box)
{
    atomic_store_explicit(&interrupted, box, memory_order_relaxed);
    if (box && tool_stopping()) {
        (void)tong_interrupt(box);
    }
}

bool tool_again(ssize_t answer)
{
    return (answer == -EINTR || answer == -ECANCELED) && !tool_stopping();
}
