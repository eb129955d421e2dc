/*
 * top_page.c - a look as lines of text, for the terminal and for a file alike.
 */
#include "top.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_WIDTH_MAX = 32,
    WAKERS_SHOWN = 6
};

/* ---- pieces */

/* One line more. Without memory page->lines is NULL, and nothing more is added. */
static void add(struct top_page *page, enum top_style style, size_t box, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void add(struct top_page *page, enum top_style style, size_t box, const char *format, ...)
{
    if (page->n > 0 && !page->lines) {
        return;
    }
    if ((page->n & (page->n - 1)) == 0) {
        struct top_line *const lines =
            realloc(page->lines, (page->n ? 2 * page->n : 1) * sizeof(*lines));
        if (!lines) {
            free(page->lines);
            *page = (struct top_page){ .lines = NULL, .n = 1 };
            return;
        }
        page->lines = lines;
    }
    struct top_line *const line = &page->lines[page->n++];
    va_list args;
    va_start(args, format);
    vsnprintf(line->text, sizeof(line->text), format, args);
    va_end(args);
    line->style = style;
    line->box = box;
}

static int finished(struct top_page *page)
{
    if (page->n > 0 && !page->lines) {
        page->n = 0;
        return -ENOMEM;
    }
    return 0;
}

void top_page_free(struct top_page *page)
{
    free(page->lines);
    *page = (struct top_page){ .lines = NULL };
}

/* A number in at most six places: 999999, 1.00M. */
#define NUMBER 16
static const char *number(char out[NUMBER], uint64_t n)
{
    static const char units[] = "MGTPE";
    double part = (double)n / 1e6;
    size_t unit = 0;
    if (n == TOP_UNKNOWN) {
        return "-";
    }
    if (n < 1000000) {
        snprintf(out, NUMBER, "%llu", (unsigned long long)n);
        return out;
    }
    while (part >= 1000 && units[unit + 1]) {
        part /= 1000;
        unit++;
    }
    snprintf(out, NUMBER, "%.*f%c", part < 10 ? 2 : part < 100 ? 1 : 0, part, units[unit]);
    return out;
}

/* A time, with one digit behind the point below ten seconds. */
static const char *duration(char out[NUMBER], uint64_t ns)
{
    const double s = (double)ns / 1e9;
    if (s < 10) {
        snprintf(out, NUMBER, "%.1f s", s);
    } else if (s < 120) {
        snprintf(out, NUMBER, "%.0f s", s);
    } else if (s < 7200) {
        snprintf(out, NUMBER, "%.0f min", s / 60);
    } else {
        snprintf(out, NUMBER, "%.0f h", s / 3600);
    }
    return out;
}

static const char *room_text(char out[NUMBER], const tong_status *s)
{
    if (s->capacity == TONG_UNBOUNDED && s->link_capacity == TONG_UNBOUNDED) {
        return "no limit";
    }
    if (s->capacity == TONG_UNBOUNDED) {
        snprintf(out, NUMBER, "%u each", s->link_capacity);
    } else {
        snprintf(out, NUMBER, "%u", s->capacity);
    }
    return out;
}

/* How wide the column of names has to be. */
static int name_width(const struct top_look *look, const size_t *order, size_t n)
{
    char name[TOP_NAME];
    size_t width = strlen("MAILBOX");
    for (size_t i = 0; i < n; i++) {
        const size_t len = strlen(top_box_name(look, order[i], name));
        width = len > width ? len : width;
    }
    return (int)(width < NAME_WIDTH_MAX ? width : NAME_WIDTH_MAX);
}

void top_summary(const struct top_look *look, char *out, size_t size)
{
    size_t living = 0;
    for (size_t i = 0; i < look->scene.n_processes; i++) {
        living += look->scene.processes[i].number != 0 && look->scene.processes[i].alive;
    }
    int n = snprintf(out, size, "%zu mailbox%s, %zu process%s", look->scene.n_boxes,
                     look->scene.n_boxes == 1 ? "" : "es", living, living == 1 ? "" : "es");
    if (look->n_circle > 0) {
        n += snprintf(out + n, size - (size_t)n, ", %zu in a circle of waiting", look->n_circle);
    }
    if (look->scene.unseen > 0) {
        snprintf(out + n, size - (size_t)n, ", %zu that cannot be looked at", look->scene.unseen);
    }
}

/* ---- who waits for whom */

size_t top_wakers(const struct top_look *look, size_t party, int32_t *ret_pids, size_t room)
{
    const struct tool_scene *const scene = &look->scene;
    const struct tool_scene_party *const p = &scene->parties[party];
    const struct tool_scene_box *const box = &scene->boxes[p->box];
    size_t n = 0;
    for (size_t i = box->first; i < box->first + box->n; i++) {
        const struct tool_scene_party *const other = &scene->parties[i];
        bool again =
            !other->party.alive || other->party.role == p->party.role || other->party.process == 0;
        for (size_t k = box->first; !again && k < i; k++) {
            again = scene->parties[k].process == other->process &&
                    scene->parties[k].party.role == other->party.role;
        }
        if (!again) {
            if (n < room) {
                ret_pids[n] = other->party.pid;
            }
            n++;
        }
    }
    return n;
}

static void wakers_text(const struct top_look *look, size_t party, char *out, size_t size)
{
    int32_t pids[WAKERS_SHOWN];
    const size_t n = top_wakers(look, party, pids, WAKERS_SHOWN);
    size_t used = (size_t)snprintf(out, size, "%s", n == 0 ? "nobody is there" : "");
    for (size_t i = 0; i < n && i < WAKERS_SHOWN; i++) {
        used += (size_t)snprintf(out + used, size - used, "%s%d", i ? " " : "", pids[i]);
    }
    if (n > WAKERS_SHOWN) {
        snprintf(out + used, size - used, " and %zu more", n - WAKERS_SHOWN);
    }
}

static const char *wanted(const struct top_look *look, size_t party)
{
    const struct tool_scene_party *const p = &look->scene.parties[party];
    if (p->party.role == TONG_RECEIVE) {
        return "a message";
    }
    return look->scene.boxes[p->box].status.capacity == 0 ? "a receiver" : "room";
}

static bool in_circle(const struct top_look *look, size_t party)
{
    return look->scene.processes[look->scene.parties[party].process].in_circle;
}

static void add_wait(struct top_page *page, const struct top_look *look, size_t party, int width)
{
    const struct tool_scene_party *const p = &look->scene.parties[party];
    char name[TOP_NAME];
    char program[17];
    char since[NUMBER];
    char wakers[120];
    tool_scene_program(&look->scene.processes[p->process], program);
    wakers_text(look, party, wakers, sizeof(wakers));
    add(page, in_circle(look, party) ? TOP_RED : TOP_PLAIN, SIZE_MAX,
        "%8d  %-16s %-10s %-*.*s %9s  %s", p->party.pid, program, wanted(look, party), width, width,
        top_box_name(look, p->box, name),
        duration(since, look->at_ns - look->parties[party].since_ns), wakers);
}

/* Those who sleep at a mailbox, or all whose mailbox passes the filter; who is in a circle first. */
static void add_waits(struct top_page *page, const struct top_look *look, size_t box,
                      const char *filter, int width)
{
    char name[TOP_NAME];
    bool any = false;
    for (int circle = 1; circle >= 0; circle--) {
        for (size_t i = 0; i < look->scene.n_parties; i++) {
            const struct tool_scene_party *const p = &look->scene.parties[i];
            if (!p->party.asleep || in_circle(look, i) != (circle == 1) ||
                (box != SIZE_MAX && p->box != box) ||
                !strstr(top_box_name(look, p->box, name), filter)) {
                continue;
            }
            if (!any) {
                add(page, TOP_PLAIN, SIZE_MAX, "%s", "");
                add(page, TOP_TITLE, SIZE_MAX, "who waits for whom");
                add(page, TOP_HEAD, SIZE_MAX, "%8s  %-16s %-10s %-*s %9s  %s", "PID", "PROGRAM",
                    "FOR", width, "AT", "SINCE", "FROM");
                any = true;
            }
            add_wait(page, look, i, width);
        }
    }
}

/* ---- all mailboxes */

static void add_box(struct top_page *page, const struct top_look *look, size_t i, int width)
{
    const tong_status *const s = &look->scene.boxes[i].status;
    const struct top_box *const box = &look->boxes[i];
    char name[TOP_NAME];
    char n[7][NUMBER];
    add(page, box->in_circle ? TOP_RED : TOP_PLAIN, i,
        "%-*.*s %7s %9s %7s %7s %7u %7u %9u %6u %7u %7s %6s %9s", width, width,
        top_box_name(look, i, name), number(n[0], s->waiting), room_text(n[1], s),
        number(n[2], box->in_rate), number(n[3], box->out_rate), s->senders, s->senders_blocked,
        s->receivers, s->receivers_asleep, s->claimed, number(n[4], s->dropped),
        number(n[5], s->deaths), tool_amount(s->bytes));
}

static void add_links(struct top_page *page, const struct top_look *look,
                      const struct top_show *show)
{
    bool any = false;
    for (size_t i = 0; i < look->n_links; i++) {
        const tong_link *const link = &look->links[i];
        if (!strstr(link->a, show->filter) && !strstr(link->b, show->filter)) {
            continue;
        }
        if (!any) {
            add(page, TOP_PLAIN, SIZE_MAX, "%s", "");
            add(page, TOP_TITLE, SIZE_MAX, "links of processes that name each other");
            any = true;
        }
        add(page, TOP_PLAIN, SIZE_MAX, "%s <-> %s   %llu waiting there, %llu back", link->a,
            link->b, (unsigned long long)link->waiting[0], (unsigned long long)link->waiting[1]);
    }
}

int top_page_all(const struct top_look *look, const struct top_show *show,
                 struct top_page *ret_page)
{
    struct top_page page = { .lines = NULL };
    size_t *const order = calloc(look->scene.n_boxes + 1, sizeof(*order));
    if (!order) {
        return -ENOMEM;
    }
    const size_t n = top_order_boxes(look, show, order);
    const int width = name_width(look, order, n);
    add(&page, TOP_HEAD, SIZE_MAX, "%-*s %7s %9s %7s %7s %7s %7s %9s %6s %7s %7s %6s %9s", width,
        "MAILBOX", "WAITING", "ROOM", "IN/S", "OUT/S", "SENDERS", "BLOCKED", "RECEIVERS", "ASLEEP",
        "CLAIMED", "DROPPED", "DEATHS", "MEMORY");
    for (size_t i = 0; i < n; i++) {
        add_box(&page, look, order[i], width);
    }
    free(order);
    if (n == 0) {
        add(&page, TOP_FAINT, SIZE_MAX, "%s",
            look->scene.n_boxes == 0 ? "no mailbox yet; tong create NAME makes one"
                                     : "no mailbox with such a name");
    }
    add_waits(&page, look, SIZE_MAX, show->filter, width);
    add_links(&page, look, show);
    const int r = finished(&page);
    if (r == 0) {
        *ret_page = page;
    }
    return r;
}

/* ---- one mailbox */

static const char *field_text(const struct tool_field *field, char out[24])
{
    if (field->kind == TOOL_TEXT) {
        return field->text ? field->text : "-";
    }
    if (field->kind == TOOL_NO_LIMIT) {
        return "unbounded";
    }
    snprintf(out, 24, field->kind == TOOL_SIGNED ? "%lld" : "%llu", (long long)field->number);
    return out;
}

/* As tong stat prints the name. */
static const char *field_name(const struct tool_field *field, char out[24])
{
    snprintf(out, 24, "%s", field->name);
    for (char *p = out; *p; p++) {
        *p = *p == '_' ? '-' : *p;
    }
    return out;
}

/* The fields of tong stat, two in a line. */
static void add_fields(struct top_page *page, const tong_status *status)
{
    struct tool_field fields[TOOL_STATUS_FIELDS_MAX];
    char words[TOOL_STATUS_WORDS];
    char text[4][24];
    const size_t n = tool_status_fields(status, fields, words);
    const size_t half = (n + 1) / 2;
    for (size_t i = 0; i < half; i++) {
        const bool both = i + half < n;
        add(page, TOP_PLAIN, SIZE_MAX, "%-16s %-34s %-16s %s", field_name(&fields[i], text[0]),
            field_text(&fields[i], text[1]), both ? field_name(&fields[i + half], text[2]) : "",
            both ? field_text(&fields[i + half], text[3]) : "");
    }
}

static const char *state_of(const tong_party *p)
{
    return p->process == 0 ? "closed" : !p->alive ? "dead" : p->asleep ? "asleep" : "awake";
}

static void add_party(struct top_page *page, const struct top_look *look, size_t i)
{
    const struct tool_scene_party *const here = &look->scene.parties[i];
    const tong_party *const p = &here->party;
    char program[17];
    char since[NUMBER] = "";
    char n[5][NUMBER];
    tool_scene_program(&look->scene.processes[here->process], program);
    const char *const asleep =
        p->asleep ? duration(since, look->at_ns - look->parties[i].since_ns) : "";
    const enum top_style style = !p->alive ? TOP_FAINT : in_circle(look, i) ? TOP_RED : TOP_PLAIN;
    if (p->role == TONG_RECEIVE) {
        add(page, style, SIZE_MAX, "receiver %5u %8d  %-16s %6u  %-7s %9s %7s %7s %7s %7s %7u",
            p->number, p->pid, program, p->uid, state_of(p), asleep, "", "", "", "", p->claimed);
        return;
    }
    add(page, style, SIZE_MAX, "sender   %5u %8d  %-16s %6u  %-7s %9s %7s %7s %7s %7s", p->number,
        p->pid, program, p->uid, state_of(p), asleep, number(n[0], p->waiting),
        number(n[1], p->sent), number(n[2], look->parties[i].rate), number(n[3], p->dropped));
}

int top_page_one(const struct top_look *look, size_t box, struct top_page *ret_page)
{
    struct top_page page = { .lines = NULL };
    const struct tool_scene_box *const b = &look->scene.boxes[box];
    char n[2][NUMBER];
    add_fields(&page, &b->status);
    add(&page, TOP_PLAIN, SIZE_MAX, "%-16s %-34s %-16s %s", "in-per-second",
        number(n[0], look->boxes[box].in_rate), "out-per-second",
        number(n[1], look->boxes[box].out_rate));
    add(&page, TOP_PLAIN, SIZE_MAX, "%s", "");
    add(&page, TOP_HEAD, SIZE_MAX, "%-8s %5s %8s  %-16s %6s  %-7s %9s %7s %7s %7s %7s %7s", "ROLE",
        "NO", "PID", "PROGRAM", "USER", "STATE", "SINCE", "WAITING", "SENT", "SENT/S", "DROPPED",
        "CLAIMED");
    for (size_t i = b->first; i < b->first + b->n; i++) {
        add_party(&page, look, i);
    }
    if (b->n == 0) {
        add(&page, TOP_FAINT, SIZE_MAX, "nobody uses it");
    }
    add_waits(&page, look, box, "", name_width(look, &box, 1));
    const int r = finished(&page);
    if (r == 0) {
        *ret_page = page;
    }
    return r;
}
