/*
 * top.c - a look at everything, and what two looks tell: how fast messages move, since when one sleeps.
 *
 * Rates. Every message that came is finished, or still there: what came between two looks is the growth of
 * done + claimed + waiting + set aside. So no link that was left meanwhile takes anything away. Words read
 * one after the other may miss a message on its way, which the next look makes good; less than nothing is 0.
 *
 * Since when. Nobody writes down when a sleep began, for that would cost a look at the clock. What is told
 * is since when it has certainly lasted: the first look of a row in which the party was asleep and nothing
 * moved that would have woken it. For a sender that is its own number of messages; for a receiver the messages
 * handed out in its mailbox, by whomever they were taken. A wait that was ended by its time and begun again
 * looks like one.
 */
#include "top.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t top_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the same thing in the look before */

static const struct tool_scene_box *former_box(const struct top_look *former,
                                               const tong_status *status)
{
    for (size_t i = 0; former && i < former->scene.n_boxes; i++) {
        const tong_status *const s = &former->scene.boxes[i].status;
        if (memcmp(s->id, status->id, sizeof(s->id)) == 0 &&
            strcmp(s->carrier, status->carrier) == 0 && strcmp(s->name, status->name) == 0) {
            return &former->scene.boxes[i];
        }
    }
    return NULL;
}

/* Parties stand in the order of their roles and numbers. */
static int compare_parties(const void *a, const void *b)
{
    const tong_party *const x = &((const struct tool_scene_party *)a)->party;
    const tong_party *const y = &((const struct tool_scene_party *)b)->party;
    if (x->role != y->role) {
        return x->role == TONG_RECEIVE ? -1 : 1;
    }
    return (x->number > y->number) - (x->number < y->number);
}

/* Its place in the look before, or SIZE_MAX. */
static size_t former_party(const struct top_look *former, const struct tool_scene_box *box,
                           const struct tool_scene_party *party)
{
    if (!box || box->n == 0) {
        return SIZE_MAX;
    }
    const struct tool_scene_party *const parties = former->scene.parties;
    const struct tool_scene_party *const found =
        bsearch(party, &parties[box->first], box->n, sizeof(*parties), compare_parties);
    return found && found->party.process == party->party.process ? (size_t)(found - parties)
                                                                 : SIZE_MAX;
}

/* ---- what they tell */

static uint64_t per_second(uint64_t before, uint64_t now, uint64_t passed_ns)
{
    if (passed_ns == 0) {
        return TOP_UNKNOWN;
    }
    return now > before ? (uint64_t)((double)(now - before) * 1e9 / (double)passed_ns + 0.5) : 0;
}

static uint64_t came(const tong_status *s)
{
    return s->done + s->claimed + s->waiting + s->set_aside;
}

static uint64_t handed_out(const tong_status *s)
{
    return s->done + s->claimed + s->redelivered;
}

static void compare_boxes(struct top_look *look, size_t i, const struct tool_scene_box *before)
{
    const tong_status *const s = &look->scene.boxes[i].status;
    struct top_box *const box = &look->boxes[i];
    box->in_rate = before ? per_second(came(&before->status), came(s), look->passed_ns)
                          : per_second(0, came(s), look->passed_ns);
    box->out_rate = before ? per_second(before->status.done, s->done, look->passed_ns)
                           : per_second(0, s->done, look->passed_ns);
}

static void compare_party(struct top_look *look, const struct top_look *former, size_t i,
                          const struct tool_scene_box *before)
{
    const struct tool_scene_party *const here = &look->scene.parties[i];
    const tong_party *const p = &here->party;
    const size_t at = former_party(former, before, here);
    const tong_party *const was = at == SIZE_MAX ? NULL : &former->scene.parties[at].party;
    struct top_party *const party = &look->parties[i];
    party->rate = was ? per_second(was->sent, p->sent, look->passed_ns) : TOP_UNKNOWN;
    if (!p->asleep) {
        return;
    }
    party->since_ns = look->at_ns;
    if (was && was->asleep) {
        const bool same =
            p->role == TONG_SEND
                ? was->sent == p->sent
                : handed_out(&before->status) == handed_out(&look->scene.boxes[here->box].status);
        party->since_ns = same ? former->parties[at].since_ns : look->at_ns;
    }
}

static void compare(struct top_look *look, const struct top_look *former)
{
    for (size_t i = 0; i < look->scene.n_boxes; i++) {
        const struct tool_scene_box *const box = &look->scene.boxes[i];
        const struct tool_scene_box *const before = former_box(former, &box->status);
        compare_boxes(look, i, before);
        for (size_t k = box->first; k < box->first + box->n; k++) {
            compare_party(look, former, k, before);
            look->boxes[i].in_circle |=
                look->scene.parties[k].party.asleep &&
                look->scene.processes[look->scene.parties[k].process].in_circle;
        }
    }
    for (size_t i = 0; i < look->scene.n_processes; i++) {
        look->n_circle += look->scene.processes[i].in_circle;
    }
}

/* ---- taking it */

static int add_link(const tong_link *link, void *arg)
{
    struct top_look *const look = arg;
    const size_t n = look->n_links;
    if ((n & (n - 1)) == 0) {
        tong_link *const links = realloc(look->links, (n ? 2 * n : 1) * sizeof(*links));
        if (!links) {
            return -ENOMEM;
        }
        look->links = links;
    }
    look->links[look->n_links++] = *link;
    return 0;
}

int top_look_take(const struct tool_args *args, const struct top_look *former,
                  struct top_look *ret_look)
{
    struct top_look look = { .at_ns = top_now_ns() };
    look.passed_ns = former ? look.at_ns - former->at_ns : 0;
    int r = tool_scene_take(args, &look.scene);
    if (r == 0) {
        r = tong_links(add_link, &look);
    }
    if (r == 0) {
        look.boxes = calloc(look.scene.n_boxes + 1, sizeof(*look.boxes));
        look.parties = calloc(look.scene.n_parties + 1, sizeof(*look.parties));
        r = look.boxes && look.parties ? 0 : -ENOMEM;
    }
    if (r < 0) {
        top_look_free(&look);
        return r;
    }
    compare(&look, former);
    *ret_look = look;
    return 0;
}

void top_look_free(struct top_look *look)
{
    tool_scene_free(&look->scene);
    free(look->boxes);
    free(look->parties);
    free(look->links);
    *look = (struct top_look){ .at_ns = 0 };
}
