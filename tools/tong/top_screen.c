/*
 * top_screen.c - the page on a terminal, drawn by ncurses, and the keys.
 *
 * The top line says when and how much, the bottom line which keys there are; between them is the page, with
 * the selected mailbox always in sight. A key is answered at once, a look is taken when its time has come.
 * Without ncurses at build there is no terminal view, and it says so.
 */
#include "top.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef TONG_HAVE_NCURSES
#define TONG_HAVE_NCURSES 0
#endif

#if TONG_HAVE_NCURSES
#include <curses.h>

enum {
    KEY_ESCAPE = 27,
    FILTER_MAX = 64
};

static const uint64_t fastest_ns = 100000000;
static const uint64_t slowest_ns = UINT64_C(64000000000);

struct screen {
    const struct tool_args *args;
    struct top_show *show;
    uint64_t every_ns;
    struct top_look look;
    struct top_page page;
    char one[TOP_NAME];      /* the mailbox whose details are shown, "" all of them */
    char selected[TOP_NAME]; /* the selected one, "" the first */
    size_t scrolled;         /* lines of the page above the window */
    bool paused;
    bool typing; /* the filter */
    bool gone;   /* the mailbox of the details */
    char filter[FILTER_MAX];
    bool ended;
};

/* ---- drawing */

static attr_t attributes(enum top_style style)
{
    switch (style) {
    case TOP_HEAD:
        return A_REVERSE;
    case TOP_TITLE:
        return A_BOLD;
    case TOP_FAINT:
        return A_DIM;
    case TOP_RED:
        return has_colors() ? (attr_t)COLOR_PAIR(1) | A_BOLD : A_BOLD | A_UNDERLINE;
    case TOP_PLAIN:
        break;
    }
    return A_NORMAL;
}

static void put_line(int row, attr_t attr, const char *text)
{
    const int width = getmaxx(stdscr);
    attrset((int)attr);
    mvprintw(row, 0, "%-*.*s", width, width, text);
    attrset((int)A_NORMAL);
}

/* The line of the selected mailbox; SIZE_MAX: there is none to select. */
static size_t selected_line(const struct screen *s)
{
    char name[TOP_NAME];
    size_t first = SIZE_MAX;
    for (size_t i = 0; i < s->page.n; i++) {
        if (s->page.lines[i].box != SIZE_MAX) {
            first = first == SIZE_MAX ? i : first;
            if (strcmp(top_box_name(&s->look, s->page.lines[i].box, name), s->selected) == 0) {
                return i;
            }
        }
    }
    return first;
}

static void draw_top(const struct screen *s)
{
    char summary[120];
    char line[TOP_LINE + TOP_NAME];
    char clock[16];
    const time_t now = time(NULL);
    struct tm tm;
    strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &tm));
    top_summary(&s->look, summary, sizeof(summary));
    snprintf(line, sizeof(line), "tong top  %s  every %.1f s%s  %s%s%s", clock,
             (double)s->every_ns / 1e9, s->paused ? " (paused)" : "", *s->one ? s->one : summary,
             s->gone ? ": removed" : "", "");
    put_line(0, A_BOLD, line);
}

static void draw_bottom(const struct screen *s)
{
    char line[TOP_LINE];
    if (s->typing) {
        snprintf(line, sizeof(line), "filter: %s_   (Enter: take it, Esc: all)", s->filter);
    } else if (*s->one) {
        snprintf(line, sizeof(line),
                 "q quit  Esc back  up/down scroll  p pause  + - faster, slower");
    } else {
        snprintf(
            line, sizeof(line),
            "q quit  s sort: %s  r reverse%s  / filter: %s  Enter details  p pause  + - faster, "
            "slower",
            tool_top_words[s->show->sort], s->show->reverse ? "d" : "",
            *s->filter ? s->filter : "all");
    }
    put_line(getmaxy(stdscr) - 1, A_REVERSE, line);
}

static void draw(struct screen *s)
{
    const size_t rows = getmaxy(stdscr) > 2 ? (size_t)getmaxy(stdscr) - 2 : 0;
    const size_t at = *s->one ? SIZE_MAX : selected_line(s);
    if (at != SIZE_MAX && at < s->scrolled) {
        s->scrolled = at > 0 ? at - 1 : 0;
    } else if (at != SIZE_MAX && at >= s->scrolled + rows) {
        s->scrolled = at + 1 - rows;
    }
    if (s->page.n <= rows) {
        s->scrolled = 0;
    } else if (s->scrolled > s->page.n - rows) {
        s->scrolled = s->page.n - rows;
    }
    erase();
    draw_top(s);
    for (size_t i = 0; i < rows && s->scrolled + i < s->page.n; i++) {
        const struct top_line *const line = &s->page.lines[s->scrolled + i];
        attr_t attr = attributes(line->style);
        if (s->scrolled + i == at) {
            attr |= A_REVERSE;
        }
        put_line((int)i + 1, attr, line->text);
    }
    draw_bottom(s);
    refresh();
}

/* ---- what is drawn */

static int make_page(struct screen *s)
{
    struct top_page page = { .lines = NULL };
    const size_t box = *s->one ? top_find_box(&s->look, s->one) : SIZE_MAX;
    s->gone = *s->one && box == SIZE_MAX;
    const int r = s->gone   ? 0
                  : *s->one ? top_page_one(&s->look, box, &page)
                            : top_page_all(&s->look, s->show, &page);
    if (r == 0) {
        top_page_free(&s->page);
        s->page = page;
    }
    return r;
}

static int take_look(struct screen *s)
{
    struct top_look look;
    const int r = top_look_take(NULL, s->look.at_ns ? &s->look : NULL, &look);
    if (r == 0) {
        top_look_free(&s->look);
        s->look = look;
    }
    return r == 0 ? make_page(s) : r;
}

/* ---- keys */

/* Selects the mailbox n lines further down, or up. */
static void move_selection(struct screen *s, long n)
{
    if (*s->one) {
        const long to = (long)s->scrolled + n;
        s->scrolled = to < 0 ? 0 : (size_t)to;
        return;
    }
    size_t at = selected_line(s);
    while (n != 0 && at != SIZE_MAX) {
        const size_t next = n > 0 ? at + 1 : at - 1;
        if (next >= s->page.n || s->page.lines[next].box == SIZE_MAX) {
            break;
        }
        at = next;
        n += n > 0 ? -1 : 1;
    }
    if (at != SIZE_MAX) {
        top_box_name(&s->look, s->page.lines[at].box, s->selected);
    }
    /* At the last one the page goes on to what stands below. */
    if (n > 0) {
        s->scrolled += (size_t)n;
    }
}

static void open_details(struct screen *s)
{
    const size_t at = selected_line(s);
    if (!*s->one && at != SIZE_MAX) {
        top_box_name(&s->look, s->page.lines[at].box, s->one);
        memcpy(s->selected, s->one, sizeof(s->selected));
        s->scrolled = 0;
    }
}

static void type_key(struct screen *s, int key)
{
    const size_t len = strlen(s->filter);
    if (key == '\n' || key == '\r' || key == KEY_ENTER) {
        s->typing = false;
    } else if (key == KEY_ESCAPE) {
        s->typing = false;
        s->filter[0] = '\0';
    } else if ((key == KEY_BACKSPACE || key == 127 || key == '\b') && len > 0) {
        s->filter[len - 1] = '\0';
    } else if (key > ' ' && key <= '~' && len + 1 < sizeof(s->filter)) {
        s->filter[len] = (char)key;
        s->filter[len + 1] = '\0';
    }
}

static void change_pace(struct screen *s, bool faster)
{
    s->every_ns = faster ? s->every_ns / 2 : s->every_ns * 2;
    s->every_ns = s->every_ns < fastest_ns   ? fastest_ns
                  : s->every_ns > slowest_ns ? slowest_ns
                                             : s->every_ns;
}

static void move_key(struct screen *s, int key)
{
    const long page = getmaxy(stdscr) > 3 ? getmaxy(stdscr) - 3 : 1;
    switch (key) {
    case KEY_UP:
    case 'k':
        move_selection(s, -1);
        break;
    case KEY_DOWN:
    case 'j':
        move_selection(s, 1);
        break;
    case KEY_PPAGE:
        move_selection(s, -page);
        break;
    case KEY_NPAGE:
    case ' ':
        move_selection(s, page);
        break;
    default:
        break;
    }
}

static void take_key(struct screen *s, int key)
{
    switch (key) {
    case 'q':
        s->ended = true;
        break;
    case 's':
        s->show->sort = tool_top_words[s->show->sort + 1] ? s->show->sort + 1 : 0;
        break;
    case 'r':
        s->show->reverse = !s->show->reverse;
        break;
    case '/':
        s->typing = !*s->one;
        break;
    case 'p':
        s->paused = !s->paused;
        break;
    case '+':
    case '-':
        change_pace(s, key == '+');
        break;
    case '\n':
    case '\r':
    case KEY_ENTER:
        open_details(s);
        break;
    case KEY_ESCAPE:
    case KEY_LEFT:
    case KEY_BACKSPACE:
        s->one[0] = '\0';
        s->scrolled = 0;
        break;
    default:
        move_key(s, key);
        break;
    }
}

/* Every key that has come. */
static int take_keys(struct screen *s)
{
    for (int key = getch(); key != ERR && !s->ended; key = getch()) {
        if (s->typing) {
            type_key(s, key);
        } else {
            take_key(s, key);
        }
    }
    return make_page(s);
}

/* ---- the loop */

/* Until a key, a signal, or the time of the next look. */
static void wait_for_key(const struct screen *s, uint64_t next_ns)
{
    struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
    const uint64_t now = top_now_ns();
    const int left = s->paused ? -1 : next_ns > now ? (int)((next_ns - now) / 1000000 + 1) : 0;
    const int r = poll(&in, 1, left);
    (void)r; /* Whatever it was, getch() tells. */
}

static int show_until_end(struct screen *s)
{
    int r = take_look(s);
    uint64_t next_ns = top_now_ns() + s->every_ns;
    while (r == 0 && !s->ended && !tool_stopping()) {
        draw(s);
        wait_for_key(s, next_ns);
        r = take_keys(s);
        if (r == 0 && !s->paused && top_now_ns() >= next_ns) {
            r = take_look(s);
            next_ns = top_now_ns() + s->every_ns;
        }
    }
    return r;
}

int top_screen_run(const struct tool_args *args, struct top_show *show, uint64_t every_ns,
                   const char *name)
{
    struct screen s = { .args = args, .show = show, .every_ns = every_ns };
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        return tool_failed(args, NULL,
                           "this is no terminal; --once prints one look, --json for programs");
    }
    snprintf(s.filter, sizeof(s.filter), "%s", show->filter);
    snprintf(s.one, sizeof(s.one), "%s", name ? name : "");
    show->filter = s.filter;
    SCREEN *const terminal = newterm(NULL, stdout, stdin);
    if (!terminal) {
        return tool_failed(args, NULL,
                           "TERM says no terminal that can be drawn on; --once prints one look");
    }
    cbreak();
    noecho();
    nodelay(stdscr, TRUE);
    keypad(stdscr, TRUE);
    set_escdelay(50);
    curs_set(0);
    if (tool_has_colour(STDOUT_FILENO) && has_colors()) {
        start_color();
        use_default_colors();
        init_pair(1, COLOR_RED, -1);
    }
    const int r = show_until_end(&s);
    endwin();
    delscreen(terminal);
    top_look_free(&s.look);
    top_page_free(&s.page);
    return r < 0 ? tool_error(args, NULL, r, NULL) : TOOL_DONE;
}

#else

int top_screen_run(const struct tool_args *args, struct top_show *show, uint64_t every_ns,
                   const char *name)
{
    (void)show;
    (void)every_ns;
    (void)name;
    return tool_failed(args, NULL,
                       "this tong was built without a terminal view; build it again with ncurses "
                       "(libncurses-dev) installed, or say --once");
}

#endif
