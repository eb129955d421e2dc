/*
 * policies - P1 sends, P2 and P3 have both called receive: who gets it?
 *
 * That is the mailbox's delivery. P1 sends a letter, sees who got it, and sends the next when both wait
 * again. For each delivery a picture; where chance has a part, only what is sure.
 */
#include <errno.h>
#include <string.h>

#include "check.h"

#define BOX "policies.box"
#define REPORT "policies.report"
#define LETTERS "ABCDEF"
#define END '.'

static int keeps; /* P2 works long: it never says done */
static int keyed; /* A, B, E and F have one key, C and D another one */

static void receive_as(char me)
{
    tong_mailbox *box;
    tong_mailbox *report;
    tong_message message = TONG_MESSAGE_INIT;
    check(tong_open(BOX, TONG_RECEIVE, NULL, &box), "open");
    check(tong_open(REPORT, TONG_SEND, NULL, &report), "open");
    for (;;) {
        const int r = tong_claim(box, TONG_FOREVER, &message);
        const char letter = r == 0 ? *(const char *)message.data : r == -EBUSY ? '!' : '?';
        const char text[2] = { me, letter };
        check(tong_send(report, text, sizeof(text), TONG_FOREVER), "report");
        if (r != 0 || !keeps || me == '3' || letter == END) {
            tong_done(box, &message);
        }
        if (r != 0 || letter == END) {
            break;
        }
    }
    tong_close(report);
    tong_close(box);
}

static void p2(void)
{
    receive_as('2');
}

static void p3(void)
{
    receive_as('3');
}

static void until_waiting(unsigned n)
{
    tong_status status = TONG_STATUS_INIT;
    do {
        usleep(500);
        check(tong_stat(BOX, &status), "stat");
    } while (status.receivers_asleep != n);
}

static void read_report(tong_mailbox *report, char text[2])
{
    check(tong_receive(report, text, 2, TONG_FOREVER), "receive");
}

/* Send the letters; into which line each one goes. */
static void send_letters(tong_mailbox *box, tong_mailbox *report, unsigned receivers,
                         char lines[2][sizeof(LETTERS)])
{
    char text[2];
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    memset(lines, ' ', 2 * sizeof(LETTERS));
    for (size_t i = 0; i < sizeof(LETTERS) - 1; i++) {
        until_waiting(receivers);
        with.key = keyed ? 1 + i / 2 % 2 : 0;
        check(tong_send_with(box, &LETTERS[i], 1, &with, TONG_FOREVER), "send");
        read_report(report, text);
        lines[text[0] - '2'][i] = text[1];
    }
}

static void print_picture(const char *delivery, char lines[2][sizeof(LETTERS)])
{
    printf("%s\n  P1 sends  %s\n", delivery, LETTERS);
    for (int i = 0; i < 2; i++) {
        lines[i][sizeof(LETTERS) - 1] = '\0';
        printf("  P%d gets   %s|\n", i + 2, lines[i]);
    }
}

static void print_sum(const char *delivery, char lines[2][sizeof(LETTERS)])
{
    int once = 0;
    for (size_t i = 0; i < sizeof(LETTERS) - 1; i++) {
        once += (lines[0][i] == LETTERS[i]) + (lines[1][i] == LETTERS[i]) == 1;
    }
    printf("%s\n  P1 sends  %s: each of the %d to one of them\n", delivery, LETTERS, once);
}

static void end(tong_mailbox *box, tong_mailbox *report, pid_t *pids, unsigned receivers)
{
    const char last = END;
    char text[2];
    for (unsigned i = 0; i < receivers; i++) {
        check(tong_send(box, &last, 1, TONG_FOREVER), "send");
        read_report(report, text);
    }
    for (int i = 0; i < 2; i++) {
        if (pids[i] != 0) {
            join(pids[i]);
        }
    }
    tong_close(box);
    check(tong_remove(BOX), "remove");
}

static void start_both(pid_t *pids)
{
    pids[0] = start(p2);
    until_waiting(1);
    pids[1] = start(p3);
}

static void show(tong_mailbox *report, const char *delivery, const tong_options *options,
                 void (*print)(const char *delivery, char lines[2][sizeof(LETTERS)]))
{
    char lines[2][sizeof(LETTERS)];
    pid_t pids[2];
    tong_mailbox *box;
    check(tong_open(BOX, TONG_SEND | TONG_CREATE, options, &box), "create");
    start_both(pids);
    send_letters(box, report, 2, lines);
    print(delivery, lines);
    end(box, report, pids, 2);
}

static void show_exclusive(tong_mailbox *report)
{
    tong_options options = TONG_OPTIONS_INIT;
    char lines[2][sizeof(LETTERS)];
    pid_t pids[2] = { 0, 0 };
    tong_mailbox *box;
    tong_mailbox *second;
    options.delivery = TONG_EXCLUSIVE;
    check(tong_open(BOX, TONG_SEND | TONG_CREATE, &options, &box), "create");
    pids[0] = start(p2);
    until_waiting(1);
    const int r = tong_open(BOX, TONG_RECEIVE, NULL, &second);
    send_letters(box, report, 1, lines);
    print_picture("exclusive", lines);
    printf("  P3 opens  %s\n", r == -EBUSY ? "-EBUSY" : tong_strerror(r));
    end(box, report, pids, 1);
}

/* P3 waits already when the mailbox is made exclusive. */
static void show_switch(tong_mailbox *report)
{
    tong_options options = TONG_OPTIONS_INIT;
    char lines[2][sizeof(LETTERS)];
    char text[2];
    pid_t pids[2];
    tong_mailbox *box;
    check(tong_open(BOX, TONG_SEND | TONG_CREATE, &options, &box), "create");
    start_both(pids);
    until_waiting(2);
    options.delivery = TONG_EXCLUSIVE;
    check(tong_set(box, &options, TONG_SET_DELIVERY), "set");
    read_report(report, text);
    send_letters(box, report, 1, lines);
    print_picture("first-come, and made exclusive while both wait", lines);
    printf("  P%c is told %s\n", text[0], text[1] == '!' ? "-EBUSY" : "something else");
    end(box, report, pids, 1);
}

/* The one that came last. */
static size_t youngest(const tong_waiting *waiting, size_t n, void *arg)
{
    size_t best = 0;
    (void)arg;
    for (size_t i = 1; i < n; i++) {
        best = waiting[i].slot > waiting[best].slot ? i : best;
    }
    return best;
}

int main(void)
{
    tong_mailbox *report;
    tong_options options = TONG_OPTIONS_INIT;
    check(tong_open(REPORT, TONG_RECEIVE | TONG_CREATE, NULL, &report), "create");
    check(tong_policy_register("youngest", youngest, NULL), "register");
    show(report, "first-come: who has waited longest", &options, print_picture);
    options.delivery = TONG_ANY;
    show(report, "any: who reaches it first", &options, print_sum);
    show_exclusive(report);
    options.delivery = TONG_ROUND_ROBIN;
    show(report, "round-robin", &options, print_picture);
    options.delivery = TONG_RANDOM;
    show(report, "random", &options, print_sum);
    options.delivery = TONG_LEAST_LOADED;
    keeps = 1;
    show(report, "least-loaded: P2 is busy with its first one", &options, print_picture);
    keeps = 0;
    options.delivery = TONG_BY_KEY;
    keyed = 1;
    show(report, "by-key: A, B, E, F have one key, C and D another", &options, print_picture);
    keyed = 0;
    options.delivery = TONG_OWN;
    options.policy = "youngest";
    show(report, "own:youngest, a function of this program", &options, print_picture);
    show_switch(report);
    tong_close(report);
    check(tong_remove(REPORT), "remove");
    return 0;
}
