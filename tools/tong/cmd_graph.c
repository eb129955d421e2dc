/*
 * cmd_graph.c - `tong graph`: who talks to whom, as text for Graphviz, or by it as an SVG.
 *
 * A mailbox is a box, a process an ellipse. An arrow from a process is a link, one to a process a
 * receiver; a dotted line joins the mailboxes of two processes that have sent to each other. Names of mailboxes need no escape in quotes; those of programs get one.
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RED "#c0392b"
#define GREY "#999999"

static void print_quoted(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            putc('\\', out);
        }
        putc(*text, out);
    }
}

static void print_box(FILE *out, const struct tool_scene_box *box)
{
    const tong_status *const s = &box->status;
    fprintf(
        out,
        "    \"%s:%s\" [shape=box style=\"rounded,filled\" fillcolor=\"#dbe9f6\" label=\"%s%s%s",
        s->carrier, s->name, strcmp(s->carrier, "shm") ? s->carrier : "",
        strcmp(s->carrier, "shm") ? ":" : "", s->name);
    if (s->capacity == 0) {
        fprintf(out, "\\nrendezvous");
    } else if (s->capacity == TONG_UNBOUNDED) {
        fprintf(out, "\\n%llu waiting", (unsigned long long)s->waiting);
    } else {
        fprintf(out, "\\n%llu of %u waiting", (unsigned long long)s->waiting, s->capacity);
    }
    if (s->claimed > 0) {
        fprintf(out, "\\n%u claimed", s->claimed);
    }
    if (s->dropped > 0) {
        fprintf(out, "\\n%llu dropped", (unsigned long long)s->dropped);
    }
    fprintf(out, "\"]\n");
}

static void print_process(FILE *out, size_t i, const struct tool_scene_process *process)
{
    char program[17];
    if (process->number == 0) {
        fprintf(out, "    \"process:%zu\" [shape=plain fontcolor=\"%s\" label=\"closed\"]\n", i,
                GREY);
        return;
    }
    tool_scene_program(process, program);
    fprintf(out, "    \"process:%zu\" [shape=ellipse style=filled ", i);
    if (!process->alive) {
        fprintf(out, "color=\"%s\" fontcolor=\"%s\" fillcolor=white label=\"pid %d\\ndead", GREY,
                GREY, process->pid);
    } else {
        fprintf(out, "fillcolor=\"%s\" %slabel=\"pid %d", process->asleep ? "#eeeeee" : "#d5f0d5",
                process->in_circle ? "color=\"" RED "\" penwidth=2 " : "", process->pid);
        fprintf(out, "%s", *program ? "\\n" : "");
        print_quoted(out, program);
    }
    fprintf(out, "\"]\n");
}

/* Whether the arrow of this party is a part of a circle: it waits, or is waited for. */
static bool is_red(const struct tool_scene *scene, const struct tool_scene_party *party)
{
    const struct tool_scene_box *const box = &scene->boxes[party->box];
    if (!party->party.alive || !scene->processes[party->process].in_circle) {
        return false;
    }
    bool red = party->party.asleep;
    for (size_t i = box->first; !red && i < box->first + box->n; i++) {
        const struct tool_scene_party *const other = &scene->parties[i];
        red = other->party.role != party->party.role && other->party.asleep &&
              scene->processes[other->process].in_circle;
    }
    return red;
}

static void print_arrow(FILE *out, const struct tool_scene *scene,
                        const struct tool_scene_party *party)
{
    const tong_party *const p = &party->party;
    const tong_status *const s = &scene->boxes[party->box].status;
    if (p->role == TONG_SEND) {
        fprintf(out, "    \"process:%zu\" -> \"%s:%s\" [label=\"", party->process, s->carrier,
                s->name);
        if (s->capacity != 0) {
            fprintf(out, "%llu waiting", (unsigned long long)p->waiting);
        }
        fprintf(out, "%s", p->asleep ? (s->capacity != 0 ? "\\nblocked" : "blocked") : "");
    } else {
        fprintf(out, "    \"%s:%s\" -> \"process:%zu\" [label=\"", s->carrier, s->name,
                party->process);
        if (p->claimed > 0) {
            fprintf(out, "%u claimed%s", p->claimed, p->asleep ? "\\n" : "");
        }
        fprintf(out, "%s", p->asleep ? "asleep" : "");
    }
    const bool red = is_red(scene, party);
    fprintf(out, "\"%s%s]\n", red ? " color=\"" RED "\" fontcolor=\"" RED "\" penwidth=2" : "",
            p->alive ? "" : " style=dashed color=\"" GREY "\"");
}

/* ---- processes that name each other */

struct links {
    FILE *out;
    const struct tool_scene *scene;
};

static bool is_drawn(const struct tool_scene *scene, const char *name)
{
    for (size_t i = 0; i < scene->n_boxes; i++) {
        if (strcmp(scene->boxes[i].status.carrier, "shm") == 0 &&
            strcmp(scene->boxes[i].status.name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* One of the two may be gone; it is there as long as the other one has messages of it. */
static void print_end(const struct links *links, const char *name)
{
    if (!is_drawn(links->scene, name)) {
        fprintf(links->out, "    \"shm:%s\" [shape=plain fontcolor=\"%s\" label=\"%s\"]\n", name,
                GREY, name);
    }
}

static int print_link(const tong_link *link, void *arg)
{
    const struct links *const links = arg;
    const bool there = (link->lanes & TONG_LANE_THERE) != 0;
    const bool back = (link->lanes & TONG_LANE_BACK) != 0;
    print_end(links, link->a);
    print_end(links, link->b);
    fprintf(links->out,
            "    \"shm:%s\" -> \"shm:%s\" [constraint=false style=dotted dir=%s label=\"", link->a,
            link->b,
            there && back ? "both"
            : there       ? "forward"
                          : "back");
    fprintf(links->out, "%s <-> %s\"]\n", link->a, link->b);
    return 0;
}

static void print_title(FILE *out, const struct tool_scene *scene)
{
    bool any = false;
    for (size_t i = 0; i < scene->n_processes; i++) {
        if (scene->processes[i].in_circle) {
            fprintf(out, "%s%d",
                    any ? ", "
                        : "    labelloc=t fontcolor=\"" RED "\"\n"
                          "    label=\"circle of waiting: pid ",
                    scene->processes[i].pid);
            any = true;
        }
    }
    fprintf(out, "%s", any ? "\"\n" : "");
}

static int print_graph(FILE *out, const struct tool_scene *scene)
{
    struct links links = { .out = out, .scene = scene };
    fprintf(out, "digraph tong {\n"
                 "    rankdir=LR\n"
                 "    fontname=\"Helvetica\"\n"
                 "    node [fontname=\"Helvetica\" fontsize=11]\n"
                 "    edge [fontname=\"Helvetica\" fontsize=10 arrowsize=0.7]\n");
    print_title(out, scene);
    for (size_t i = 0; i < scene->n_boxes; i++) {
        print_box(out, &scene->boxes[i]);
    }
    for (size_t i = 0; i < scene->n_processes; i++) {
        print_process(out, i, &scene->processes[i]);
    }
    for (size_t i = 0; i < scene->n_parties; i++) {
        print_arrow(out, scene, &scene->parties[i]);
    }
    const int r = tong_links(print_link, &links);
    fprintf(out, "}\n");
    return r;
}

/* Hands the text to dot, which writes the file. */
static int draw(const struct tool_args *args, const char *text, size_t len, const char *svg)
{
    const char *const argv[] = { "dot", "-Tsvg", "-o", svg, NULL };
    int ends[2];
    pid_t pid = -1;
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return tool_file_error(args, "pipe", errno);
    }
    const int r = tool_spawn(argv, ends[0], -1, &pid);
    close(ends[0]);
    if (r < 0) {
        close(ends[1]);
        return r == -ENOENT ? tool_failed(args, NULL,
                                          "--svg: dot was not found; install the package graphviz, "
                                          "or draw the text elsewhere: tong graph >FILE.dot")
                            : tool_file_error(args, "dot", r);
    }
    while (len > 0) {
        const ssize_t n = write(ends[1], text, len);
        if (n < 0 && !tool_again(-errno)) {
            break;
        }
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
    close(ends[1]);
    const int code = tool_spawn_wait(pid);
    return code == 0 && len == 0
               ? TOOL_DONE
               : tool_failed(args, NULL, "--svg %s: dot ended with %d; it says why above",
                             tool_shown(svg), code);
}

static int run(const struct tool_args *args)
{
    struct tool_scene scene;
    char *text = NULL;
    size_t len = 0;
    if (tool_need_words(args, 0, "")) {
        return TOOL_USAGE;
    }
    const int r = tool_scene_take(args, &scene);
    if (r < 0) {
        return tool_error(args, NULL, r, NULL);
    }
    int code = scene.unseen ? TOOL_FAILED : TOOL_DONE;
    const char *const svg = tool_value(args, "--svg");
    FILE *const out = svg ? open_memstream(&text, &len) : stdout;
    if (!out) {
        code = tool_error(args, NULL, -ENOMEM, NULL);
    } else {
        const int linked = print_graph(out, &scene);
        code = linked < 0 ? tool_error(args, NULL, linked, NULL) : code;
        if (!svg) {
            code = tool_flush(args, code);
        } else if (fclose(out) != 0) {
            code = tool_error(args, NULL, -ENOMEM, NULL);
        } else {
            const int drawn = draw(args, text, len, svg);
            code = drawn == TOOL_DONE ? code : drawn;
        }
        free(text);
    }
    tool_scene_free(&scene);
    return code;
}

const struct tool_command tool_graph = {
    .name = "graph",
    .line = "draw who talks to whom, and where a circle of waiting stands",
    .usage = "graph [--svg FILE]",
    .examples = "tong graph --svg talk.svg        a picture, drawn by Graphviz\n"
                "tong graph | dot -Tx11           the text for it, to be drawn elsewhere",
    .about =
        "Boxes are mailboxes, ellipses processes: green awake, grey asleep; dotted lines join\n"
        "processes that have sent to each other by their names. Red: senders that\n"
        "wait for room, and all they wait for, where none of them can go on by itself; a\n"
        "time-out, another thread or a newcomer may still end it.",
    .options =
        (const struct tool_option[]){
            { "--svg", "FILE", "have dot write it to FILE" },
            { NULL, NULL, NULL },
        },
    .run = run,
};
