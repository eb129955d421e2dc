/*
 * top.h - what `tong top` is made of.
 *
 * Nouns: look (everything there was at one moment, and what the one before tells of it), page (lines of
 * text with a style, the same for a terminal and for a file), screen (the terminal).
 */
#ifndef TONG_TOP_H
#define TONG_TOP_H

#include "tool.h"

/* ------------------------------------------------------------------ top.c: looking */

#define TOP_UNKNOWN UINT64_MAX

struct top_box {
    uint64_t in_rate;  /* messages a second that came, TOP_UNKNOWN at the first look */
    uint64_t out_rate; /* that were finished */
    bool in_circle;    /* somebody waits here in a circle of waiting */
};

struct top_party {
    uint64_t rate;     /* of a sender: messages a second, TOP_UNKNOWN at its first look */
    uint64_t since_ns; /* asleep, at one and the same thing, since then or longer; 0: awake */
};

struct top_look {
    struct tool_scene scene;
    struct top_box *boxes;     /* as scene.boxes */
    struct top_party *parties; /* as scene.parties */
    tong_link *links;
    size_t n_links;
    uint64_t at_ns;
    uint64_t passed_ns; /* since the look before, 0: there was none */
    size_t n_circle;    /* processes in a circle of waiting */
};

/* Looks; former is the look before, or NULL. Returns 0 or a negative errno. */
int top_look_take(const struct tool_args *args, const struct top_look *former,
                  struct top_look *ret_look);
void top_look_free(struct top_look *look);

/* Monotonic nanoseconds. */
uint64_t top_now_ns(void);

/* ------------------------------------------------------------------ top_order.c: what is shown */

struct top_show {
    uint32_t sort; /* index of tool_top_words */
    bool reverse;
    const char *filter; /* part of a name, "" all */
};

/* A mailbox as the tool calls it: without the carrier for shared memory. */
#define TOP_NAME (2 * TONG_NAME_MAX)
const char *top_box_name(const struct top_look *look, size_t box, char buffer[TOP_NAME]);

/* The boxes that pass the filter, in order. ret_order has room for scene.n_boxes. Returns how many. */
size_t top_order_boxes(const struct top_look *look, const struct top_show *show, size_t *ret_order);

/* The box of that name, or SIZE_MAX. */
size_t top_find_box(const struct top_look *look, const char *name);

/* ------------------------------------------------------------------ top_page.c: lines of text */

#define TOP_LINE 240

enum top_style {
    TOP_PLAIN,
    TOP_HEAD,  /* of a table */
    TOP_TITLE, /* of a part */
    TOP_FAINT, /* dead, closed */
    TOP_RED    /* in a circle of waiting */
};

struct top_line {
    char text[TOP_LINE];
    enum top_style style;
    size_t box; /* the mailbox of this line, SIZE_MAX none */
};

struct top_page {
    struct top_line *lines;
    size_t n;
};

/* All mailboxes, who waits for whom, the links of processes. 0 or -ENOMEM. */
int top_page_all(const struct top_look *look, const struct top_show *show,
                 struct top_page *ret_page);

/* One mailbox: its fields, and all who use it. */
int top_page_one(const struct top_look *look, size_t box, struct top_page *ret_page);
void top_page_free(struct top_page *page);

/* "3 mailboxes, 5 processes, 2 in a circle of waiting" */
void top_summary(const struct top_look *look, char *out, size_t size);

/* Who could end the sleep of a party, each process once: their pids in the order they are met, at most
 * room of them; returns how many there are. */
size_t top_wakers(const struct top_look *look, size_t party, int32_t *ret_pids, size_t room);

/* ------------------------------------------------------------------ top_screen.c: the terminal */

/* Draws until a key or a signal ends it. name: the mailbox to begin with, or NULL. Returns an exit code. */
int top_screen_run(const struct tool_args *args, struct top_show *show, uint64_t every_ns,
                   const char *name);

#endif
