/*
 * kills [--kills N] [--limit SECONDS] [--only NAME]... [--json FILE] [--verbose] - kill -9 in the
 * middle of a stream, tong beside other systems.
 *
 * Each system is killed in turn, one receiver and one sender, and again from the beginning, N times, so that
 * what the machine does meanwhile meets all of them alike. Exit 0 measured, 1 could not measure, 2 usage.
 */
#include "kills.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct kills_settings settings = { .kills = 20, .limit_ns = 5000000000, .queue = "tong-kills" };

static struct kills_system systems[] = {
    { .module = "tong", .package = "" },
    { .module = "boost", .package = "libboost-dev" },
    { .module = "iceoryx", .package = "iceoryx libiceoryx-binding-c-dev" },
    { .module = "zeromq", .package = "libzmq3-dev" },
    { .module = "nng", .package = "libnng-dev" },
    { .module = "posix-mq", .package = "" },
};

enum {
    n_systems = sizeof systems / sizeof systems[0]
};

int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void sleep_ns(int64_t ns)
{
    const struct timespec t = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
    nanosleep(&t, NULL);
}

int64_t queued_ns(pid_t pid)
{
    char path[64];
    char text[128];
    long long ran = 0;
    long long queued = 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    if (n <= 0) {
        return 0;
    }
    text[n] = '\0';
    return sscanf(text, "%lld %lld", &ran, &queued) == 2 ? queued : 0;
}

static void stop_all(void)
{
    for (size_t i = 0; i < n_systems; i++) {
        if (systems[i].present) {
            system_stop(&systems[i]);
        }
    }
    stage_end();
}

_Noreturn void give_up(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("kills: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static _Noreturn void usage(void)
{
    fputs("usage: kills [--kills N] [--limit SECONDS] [--only NAME]... [--json FILE] [--verbose]\n",
          stderr);
    exit(2);
}

static unsigned number(const char *text, unsigned most)
{
    char *end = NULL;
    errno = 0;
    const unsigned long n = text ? strtoul(text, &end, 10) : 0;
    if (!text || errno || *end != '\0' || end == text || n < 1 || n > most) {
        usage();
    }
    return (unsigned)n;
}

static bool wanted[n_systems];
static const char *json;

static void want(const char *name)
{
    for (size_t i = 0; name && i < n_systems; i++) {
        if (strcmp(systems[i].module, name) == 0) {
            wanted[i] = true;
            return;
        }
    }
    usage();
}

static void read_options(char **argv)
{
    bool only = false;
    for (char **arg = argv + 1; *arg; arg++) {
        if (strcmp(*arg, "--verbose") == 0) {
            settings.verbose = true;
        } else if (strcmp(*arg, "--kills") == 0) {
            settings.kills = number(*++arg, KILLS_MAX);
        } else if (strcmp(*arg, "--limit") == 0) {
            settings.limit_ns = (int64_t)number(*++arg, 3600) * 1000000000;
        } else if (strcmp(*arg, "--only") == 0) {
            want(*++arg);
            only = true;
        } else if (strcmp(*arg, "--json") == 0 && arg[1]) {
            json = *++arg;
        } else {
            usage();
        }
        if (!*arg) {
            usage();
        }
    }
    for (size_t i = 0; i < n_systems && !only; i++) {
        wanted[i] = true;
    }
}

/* The modules lie beside this program. */
static void open_modules(void)
{
    char folder[4096];
    const ssize_t n = readlink("/proc/self/exe", folder, sizeof folder - 1);
    char *end = n > 0 ? memrchr(folder, '/', (size_t)n) : NULL;
    if (!end) {
        give_up("cannot find my own folder");
    }
    *end = '\0';
    for (size_t i = 0; i < n_systems; i++) {
        char path[4200];
        snprintf(path, sizeof path, "%s/kills-%s.so", folder, systems[i].module);
        systems[i].module_fd = wanted[i] ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    }
}

static void *room_for_times(void)
{
    double *times = calloc(settings.kills, sizeof *times);
    if (!times) {
        give_up("no memory");
    }
    return times;
}

static void look_at_systems(void)
{
    for (size_t i = 0; i < n_systems; i++) {
        struct kills_system *system = &systems[i];
        system->present = wanted[i] && system_look(system);
        if (wanted[i] && !system->present) {
            printf("%s is left out: %s%s\n", system->module,
                   system->module_fd < 0 ? "it was not built" : "it cannot be loaded",
                   system->package[0] ? "; its packages are missing or were when it was built"
                                      : "");
            continue;
        }
        if (!system->present) {
            continue;
        }
        for (int role = 0; role < KILL_ROLES; role++) {
            system->result[role].next_ms = room_for_times();
            system->result[role].silence_ms = room_for_times();
            system->result[role].newcomer_ms = room_for_times();
        }
        system_start(system);
    }
}

static void play_all(void)
{
    for (unsigned k = 0; k < settings.kills; k++) {
        for (size_t i = 0; i < n_systems; i++) {
            for (int role = 0; systems[i].present && role < KILL_ROLES; role++) {
                if (!round_play(&systems[i], (enum kills_role)role)) {
                    give_up("%s does not run here; see --only %s --verbose", systems[i].module,
                            systems[i].module);
                }
            }
        }
        if (isatty(STDERR_FILENO)) {
            fprintf(stderr, "\r%u of %u", k + 1, settings.kills);
        }
    }
    if (isatty(STDERR_FILENO)) {
        fputc('\r', stderr);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    setvbuf(stdout, NULL, _IOLBF, 0);
    read_options(argv);
    FILE *file = json ? fopen(json, "we") : NULL;
    if (json && !file) {
        give_up("cannot write %s: %s", json, strerror(errno));
    }
    open_modules();
    stage_begin();
    atexit(stop_all);
    look_at_systems();
    play_all();
    report_table(systems, n_systems);
    if (!settings.isolated) {
        puts("Not in namespaces of its own (not allowed): what is left is not counted.");
    }
    if (!settings.realtime) {
        puts("Without the right to be scheduled first, the harness may have waited before a kill.");
    }
    if (file) {
        report_json(systems, n_systems, file);
        fclose(file);
    }
    return 0;
}
