/*
 * cmd_tour.c - `tong tour`: the textbook, live. One step for each of its headings.
 *
 * Everything happens in a folder of its own, which is taken away afterwards: the user's mailboxes are not
 * touched. The steps are in tour_shared.c and tour_messages.c, what they share in tour.c.
 */
#include "tour.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- the folder */

static int take_away(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    (void)remove(path);
    return 0;
}

static int make_folder(const struct tool_args *args, char ret_path[PATH_MAX])
{
    const char *const chosen = getenv("TMPDIR");
    const char *const bases[] = { chosen && *chosen ? chosen : "/dev/shm", "/tmp" };
    for (size_t i = 0; i < 2; i++) {
        const int len = snprintf(ret_path, PATH_MAX, "%s/tong-tour.XXXXXX", bases[i]);
        if (len < PATH_MAX && mkdtemp(ret_path)) {
            return setenv("TONG_DIR", ret_path, 1);
        }
    }
    return tool_file_error(args, ret_path, errno);
}

static int remove_mailbox(const tong_status *status, int error, void *arg)
{
    (void)error;
    (void)arg;
    char name[TOOL_NAME_TEXT];
    (void)tong_remove(tool_name_text(status, name));
    return 0;
}

static int remove_region(const tong_region_status *status, int error, void *arg)
{
    (void)error;
    (void)arg;
    (void)tong_region_remove(status->name);
    return 0;
}

/* ---- telling */

static void pause_for(const struct tour *tour, long ms)
{
    const struct timespec moment = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    if (tour->paced && !tool_stopping()) {
        (void)nanosleep(&moment, NULL);
    }
}

/* Prints what the processes say until all of them have ended. False: one of them failed. */
static bool tell(struct tour *tour, int heard)
{
    bool good = true;
    char line[256];
    FILE *const lines = fdopen(heard, "r");
    if (!lines) {
        close(heard);
        good = false;
    }
    while (lines && fgets(line, sizeof(line), lines)) {
        good = good && strncmp(line, "!!", 2) != 0;
        printf("    %s%s%s", tour->colour ? "\033[32m" : "", line, tour->colour ? "\033[0m" : "");
        fflush(stdout);
        pause_for(tour, 250);
    }
    if (tool_stopping()) {
        (void)kill(tour->pids[0], SIGKILL);
    }
    good = tour_join(tour) && good;
    if (lines) {
        fclose(lines);
    }
    return good;
}

static void print_head(const struct tour *tour, const struct tour_step *step)
{
    const bool numbered = step->number[0] >= '0' && step->number[0] <= '9';
    printf("%s%s%s%s%s\n", tour->colour ? "\033[1;36m" : "", numbered ? step->number : "",
           numbered ? "  " : "", step->title[tour->korean], tour->colour ? "\033[0m" : "");
}

static void print_foot(const struct tour *tour, const struct tour_step *step)
{
    const char *const dim = tour->colour ? "\033[2m" : "";
    const char *const usual = tour->colour ? "\033[0m" : "";
    printf("  %s\n", step->sentence[tour->korean]);
    printf("  %s%s%s %s\n", dim, tour_in(tour, "command", "명령"), usual, step->command);
    printf("  %s%s%s %s\n", dim, tour_in(tour, "call", "함수"), usual, step->call);
    printf("  %s%s%s %s\n\n", dim, tour_in(tour, "example", "예제"), usual, step->example);
    fflush(stdout);
}

/* A process of its own leads the step: what fails there ends that one, and it has no handles open when
 * the next one begins. */
static int run_step(struct tour *tour, const struct tour_step *step)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return tool_file_error(tour->args, "pipe", errno);
    }
    print_head(tour, step);
    tour->said = ends[1];
    tour_start(tour, step->run);
    close(ends[1]);
    const bool good = tell(tour, ends[0]);
    (void)tong_list(remove_mailbox, NULL);
    (void)tong_region_list(remove_region, NULL);
    if (tool_stopping()) {
        return TOOL_FAILED;
    }
    print_foot(tour, step);
    if (!good) {
        return tool_failed(tour->args, NULL, "step %s went wrong; what failed stands behind !!",
                           step->number);
    }
    pause_for(tour, 1500);
    return TOOL_DONE;
}

/* ---- the command */

static bool is_korean(const struct tool_args *args)
{
    const char *const names[] = { "LC_ALL", "LC_MESSAGES", "LANG" };
    for (size_t i = 0; i < 3; i++) {
        const char *const value = getenv(names[i]);
        if (value && *value) {
            return tool_given(args, "--ko") || strncmp(value, "ko", 2) == 0;
        }
    }
    return tool_given(args, "--ko");
}

static const struct tour_step *step_at(size_t i)
{
    for (size_t k = 0; tour_steps_shared[k].number; k++) {
        if (i-- == 0) {
            return &tour_steps_shared[k];
        }
    }
    return tour_steps_messages[i].number ? &tour_steps_messages[i] : NULL;
}

static int no_such_step(const struct tool_args *args)
{
    char all[256] = "";
    const struct tour_step *step;
    for (size_t i = 0; (step = step_at(i)) != NULL; i++) {
        snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? ", " : "", step->number);
    }
    return tool_wrong_usage(args, "there is no step %s; say one of %s", tool_shown(args->words[0]),
                            all);
}

static int run(const struct tool_args *args)
{
    const char *const wanted = args->n_words > 0 ? args->words[0] : NULL;
    const struct tour_step *step;
    bool known = wanted == NULL;
    char folder[PATH_MAX];
    struct tour tour = { .args = args, .korean = is_korean(args) };
    if (args->n_words > 1) {
        return tool_need_words(args, 1, "the STEP");
    }
    for (size_t i = 0; !known && (step = step_at(i)) != NULL; i++) {
        known = strcmp(step->number, wanted) == 0;
    }
    if (!known) {
        return no_such_step(args);
    }
    tour.paced = isatty(STDOUT_FILENO) == 1;
    tour.colour = tool_has_colour(STDOUT_FILENO);
    int code = make_folder(args, folder);
    if (code != TOOL_DONE) {
        return TOOL_FAILED;
    }
    for (size_t i = 0; code == TOOL_DONE && (step = step_at(i)) != NULL; i++) {
        if (!wanted || strcmp(step->number, wanted) == 0) {
            code = run_step(&tour, step);
        }
    }
    (void)nftw(folder, take_away, 8, FTW_DEPTH | FTW_PHYS);
    return tool_flush(args, code);
}

static void complete(const struct tool_cursor *cursor)
{
    const struct tour_step *step;
    for (size_t i = 0; cursor->args->n_words == 0 && (step = step_at(i)) != NULL; i++) {
        tool_offer(cursor, step->number, step->title[0]);
    }
}

const struct tool_command tool_tour = {
    .name = "tour",
    .line = "show the ideas of the textbook, live",
    .usage = "tour [STEP] [--ko]",
    .examples = "tong tour                        all of them, in the order of the textbook\n"
                "tong tour 3.2.6                  one: three processes share a mailbox",
    .about =
        "Each step starts processes, tells what they do, and names the command, the call and the\n"
        "example to go on with. It happens in a folder of its own. In Korean with --ko, or where\n"
        "the language of the terminal is Korean.",
    .options =
        (const struct tool_option[]){
            { "--ko", NULL, "in Korean" },
            { NULL, NULL, NULL },
        },
    .run = run,
    .complete = complete,
};
