/*
 * tour.h - what the steps of `tong tour` share.
 *
 * A step starts processes; these say what they do, a line each, through one pipe. The narrator prints the
 * lines in the order in which they were written: who says before a send what it sends, and after a receive
 * what it received, is told in the order of cause and effect. A process that fails says so and fails
 * the step.
 */
#ifndef TONG_TOUR_H
#define TONG_TOUR_H

#include "tool.h"

struct tour {
    const struct tool_args *args;
    bool korean;
    bool colour;
    bool paced; /* somebody watches: a moment for each line */
    int said;   /* where the processes write */
    pid_t pids[8];
    bool dies[8]; /* its death is a part of the step */
    size_t n;
};

struct tour_step {
    const char *number;      /* of the heading, or a word for one that has none */
    const char *title[2];    /* English, Korean */
    const char *sentence[2]; /* what it shows */
    const char *command;
    const char *call;
    const char *example;
    void (*run)(struct tour *tour);
};

/* In the order of the textbook; the last one has no number. */
extern const struct tour_step tour_steps_shared[];
extern const struct tour_step tour_steps_messages[];

/* ---- the narrator's side of a step */

void tour_start(struct tour *tour, void (*act)(struct tour *tour));
/* One that is killed in the step. */
void tour_start_mortal(struct tour *tour, void (*act)(struct tour *tour));
/* Until all of them have ended. False: one failed. Comes by itself at the end. */
bool tour_join(struct tour *tour);
/* Until so many receivers are asleep there. */
void tour_until_asleep(struct tour *tour, const char *name, uint32_t n);

/* ---- anybody's */

/* One line of the picture. */
void tour_say(struct tour *tour, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Of two texts the one in the language of the tour. */
const char *tour_in(const struct tour *tour, const char *english, const char *korean);

/* r, if it is what the step is about to show: wanted, or with wanted 0 no error. Else the process ends. */
long tour_check(struct tour *tour, const char *what, long r, long wanted);

tong_mailbox *tour_open(struct tour *tour, const char *name, unsigned flags,
                        const tong_options *options);
void tour_send(struct tour *tour, tong_mailbox *box, const char *text);
/* One message as text. */
void tour_receive(struct tour *tour, tong_mailbox *box, char ret_text[32]);

/* Makes a mailbox that stays for the step. */
void tour_create(struct tour *tour, const char *name, uint32_t capacity);

#endif
