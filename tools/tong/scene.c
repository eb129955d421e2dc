/*
 * scene.c - everything an observer can see at once: mailboxes, who uses them, and who waits for whom.
 *
 * A process that sleeps for want of room in a mailbox waits for the receivers there; one that sleeps for
 * want of a message waits for the senders there. It goes on when any of them does something. So
 *
 *   S   the processes that cannot go on by themselves: asleep, and all they wait for, at least one, are
 *       in S, too. Found by beginning with all sleepers and taking out who is not, until nothing changes.
 *   C   of S: a sender that waits for room, and all it waits for, directly and over others: a circle
 *       of waiting, and who leads to it.
 *
 * Where all of S are receivers without a message nothing is stuck: that is how an idle system looks. Who
 * may still come, has another thread, or waits with a time-out ends a circle; nobody can see that.
 */
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- taking it */

static void *one_more(void *array, size_t n, size_t size)
{
    return n & (n - 1) ? array : realloc(array, (n ? 2 * n : 1) * size);
}

static int add_box(const tong_status *status, int error, void *arg)
{
    struct tool_scene *const scene = arg;
    char name[TOOL_NAME_TEXT];
    if (error) {
        scene->unseen++;
        if (scene->args) {
            tool_error(scene->args, tool_name_text(status, name), error, NULL);
        }
        return 0;
    }
    struct tool_scene_box *const boxes =
        one_more(scene->boxes, scene->n_boxes, sizeof(*scene->boxes));
    if (!boxes) {
        return -ENOMEM;
    }
    scene->boxes = boxes;
    boxes[scene->n_boxes++] = (struct tool_scene_box){ .status = *status };
    return 0;
}

static int add_party(const tong_party *party, void *arg)
{
    struct tool_scene *const scene = arg;
    struct tool_scene_party *const parties =
        one_more(scene->parties, scene->n_parties, sizeof(*scene->parties));
    if (!parties) {
        return -ENOMEM;
    }
    scene->parties = parties;
    parties[scene->n_parties++] = (struct tool_scene_party){ .party = *party };
    return 0;
}

static int add_parties(struct tool_scene *scene, struct tool_scene_box *box)
{
    char name[2 * TONG_NAME_MAX];
    box->first = scene->n_parties;
    snprintf(name, sizeof(name), "%s:%s", box->status.carrier, box->status.name);
    const int r = tong_parties(name, add_party, scene);
    if (r == -ENOMEM || r == -EMFILE || r == -ENFILE) {
        return r;
    }
    /* Removed meanwhile, or its carrier does not tell: it has none. */
    scene->n_parties = r < 0 ? box->first : scene->n_parties;
    box->n = scene->n_parties - box->first;
    for (size_t i = box->first; i < scene->n_parties; i++) {
        scene->parties[i].box = (size_t)(box - scene->boxes);
    }
    return 0;
}

static int by_process(const void *a, const void *b)
{
    const struct tool_scene_process *const x = a;
    const struct tool_scene_process *const y = b;
    if (x->number != y->number) {
        return x->number < y->number ? -1 : 1;
    }
    return strcmp(x->carrier, y->carrier);
}

static struct tool_scene_process process_of(const struct tool_scene *scene, size_t i)
{
    const tong_party *const p = &scene->parties[i].party;
    return (struct tool_scene_process){
        .number = p->process,
        .pid = p->pid,
        .uid = p->uid,
        .alive = p->alive,
        .carrier = scene->boxes[scene->parties[i].box].status.carrier,
    };
}

/* The processes, each once, and in each party which one it is. */
static int find_processes(struct tool_scene *scene)
{
    if (scene->n_parties == 0) {
        return 0;
    }
    scene->processes = malloc(scene->n_parties * sizeof(*scene->processes));
    if (!scene->processes) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < scene->n_parties; i++) {
        scene->processes[i] = process_of(scene, i);
    }
    qsort(scene->processes, scene->n_parties, sizeof(*scene->processes), by_process);
    for (size_t i = 0; i < scene->n_parties; i++) {
        const size_t n = scene->n_processes;
        if (n == 0 || by_process(&scene->processes[n - 1], &scene->processes[i]) != 0) {
            scene->processes[scene->n_processes++] = scene->processes[i];
        }
    }
    for (size_t i = 0; i < scene->n_parties; i++) {
        const struct tool_scene_process key = process_of(scene, i);
        const struct tool_scene_process *const found =
            bsearch(&key, scene->processes, scene->n_processes, sizeof(key), by_process);
        scene->parties[i].process = (size_t)(found - scene->processes);
        scene->processes[scene->parties[i].process].asleep |= scene->parties[i].party.asleep != 0;
    }
    return 0;
}

/* ---- who waits for whom */

/* Whether b could wake a, which sleeps in the same mailbox. */
static bool could_wake(const struct tool_scene_party *a, const struct tool_scene_party *b)
{
    return b->party.alive && b->party.role != a->party.role && b->party.process != 0;
}

/* Calls each for every party that could wake one of the sleeping parties of a process, until it says
 * no. Returns how many it was called for; *ret_all: it never said no. */
static size_t each_waker(struct tool_scene *scene, size_t process,
                         bool (*each)(struct tool_scene *scene, size_t waker), bool *ret_all)
{
    size_t n = 0;
    *ret_all = true;
    for (size_t i = 0; i < scene->n_parties; i++) {
        const struct tool_scene_party *const p = &scene->parties[i];
        const struct tool_scene_box *const box = &scene->boxes[p->box];
        if (p->process != process || !p->party.asleep) {
            continue;
        }
        for (size_t k = box->first; k < box->first + box->n; k++) {
            if (could_wake(p, &scene->parties[k])) {
                n++;
                if (!each(scene, scene->parties[k].process)) {
                    *ret_all = false;
                    return n;
                }
            }
        }
    }
    return n;
}

static bool is_stuck(struct tool_scene *scene, size_t process)
{
    return scene->processes[process].stuck;
}

static bool mark_circle(struct tool_scene *scene, size_t process)
{
    scene->grew = scene->grew || !scene->processes[process].in_circle;
    scene->processes[process].in_circle = true;
    return true;
}

static void find_circles(struct tool_scene *scene)
{
    bool all;
    for (size_t i = 0; i < scene->n_processes; i++) {
        scene->processes[i].stuck = scene->processes[i].asleep;
    }
    do {
        scene->grew = false;
        for (size_t i = 0; i < scene->n_processes; i++) {
            struct tool_scene_process *const p = &scene->processes[i];
            if (p->stuck && (each_waker(scene, i, is_stuck, &all) == 0 || !all)) {
                p->stuck = false;
                scene->grew = true;
            }
        }
    } while (scene->grew);
    for (size_t i = 0; i < scene->n_parties; i++) {
        const struct tool_scene_party *const p = &scene->parties[i];
        if (p->party.role == TONG_SEND && p->party.asleep && scene->processes[p->process].stuck) {
            scene->processes[p->process].in_circle = true;
        }
    }
    do {
        scene->grew = false;
        for (size_t i = 0; i < scene->n_processes; i++) {
            if (scene->processes[i].in_circle) {
                (void)each_waker(scene, i, mark_circle, &all);
            }
        }
    } while (scene->grew);
}

int tool_scene_take(const struct tool_args *args, struct tool_scene *ret_scene)
{
    struct tool_scene scene = { .args = args };
    int r = tong_list(add_box, &scene);
    for (size_t i = 0; r == 0 && i < scene.n_boxes; i++) {
        r = add_parties(&scene, &scene.boxes[i]);
    }
    if (r == 0) {
        r = find_processes(&scene);
    }
    if (r < 0) {
        tool_scene_free(&scene);
        return r;
    }
    find_circles(&scene);
    *ret_scene = scene;
    return 0;
}

void tool_scene_free(struct tool_scene *scene)
{
    free(scene->boxes);
    free(scene->parties);
    free(scene->processes);
    *scene = (struct tool_scene){ .args = NULL };
}

/* ---- what a process is called */

/* A process says its pid itself: /proc is believed only if that one is the user's whose files they
 * are, and even then it is a name for people. */
void tool_scene_program(const struct tool_scene_process *process, char ret_name[17])
{
    char path[40];
    struct stat st;
    ret_name[0] = '\0';
    snprintf(path, sizeof(path), "/proc/%d/comm", process->pid);
    FILE *const file = process->alive ? fopen(path, "re") : NULL;
    if (!file) {
        return;
    }
    if (fstat(fileno(file), &st) == 0 && st.st_uid == process->uid && fgets(ret_name, 17, file)) {
        ret_name[strcspn(ret_name, "\n")] = '\0';
    }
    for (char *p = ret_name; *p; p++) {
        if (*p < ' ' || *p > '~') {
            *p = '?';
        }
    }
    fclose(file);
}
