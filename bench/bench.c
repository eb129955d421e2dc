/*
 * bench.c - command line, rounds and printing of the measuring programs.
 *
 * Order of one round over the measures a, b with the raw sides A, B:
 *
 *     A a A b A      when both have the same raw side (one raw figure serves two neighbours)
 *     A a A B b B    otherwise
 *
 * A round of a measure counts when its two raw figures agree within 10 % and are not ten times the best
 * one of the run (both sides were put off). Rounds go on until enough count, or three times as many
 * were tried. Time slips by in between, so that a slow minute of the
 * machine hits all measures alike.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "bench.h"

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <tong/tong.h>

enum {
    max_rounds = 512,
    max_measures = 64
};

struct bench_settings bench;

static const char *program;
static char folder[64];
static bool header_printed;

/* ------------------------------------------------------------------ failing */

void bench_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", program);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    fflush(stdout);
    _exit(1);
}

void bench_check(const char *what, int64_t answer)
{
    if (answer < 0) {
        bench_fail("%s: %s", what, tong_strerror((int)answer));
    }
}

/* ------------------------------------------------------------------ a folder of its own */

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    remove(path);
    return 0;
}

static pid_t worker;

static void pass_on(int signal_number)
{
    kill(worker, signal_number);
}

/* The keeper waits for the process that measures and removes the folder, however that one ended. */
_Noreturn static void keep(void)
{
    int status;
    while (waitpid(worker, &status, 0) < 0) {
        if (errno != EINTR) {
            status = 1 << 8;
            break;
        }
    }
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "%s: ended by signal %d\n", program, WTERMSIG(status));
    }
    exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void folder_make(void)
{
    snprintf(folder, sizeof folder, "/dev/shm/tong-bench-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        bench_fail("cannot make a folder in /dev/shm: %s", strerror(errno));
    }
    setenv("TONG_DIR", folder, 1);
    const pid_t keeper = getpid();
    worker = fork();
    if (worker < 0) {
        bench_fail("fork: %s", strerror(errno));
    }
    if (worker > 0) {
        signal(SIGINT, pass_on);
        signal(SIGTERM, pass_on);
        signal(SIGHUP, pass_on);
        keep();
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper) {
        _exit(1);
    }
}

/* ------------------------------------------------------------------ what else the machine did */

struct machine_time {
    double busy;  /* seconds of all CPUs */
    double steal; /* seconds taken by the host */
    double own;   /* seconds of this program and its processes */
    int64_t at;
};

static struct machine_time began;

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static struct machine_time machine_look(void)
{
    struct machine_time look = { .at = bench_now() };
    double v[8] = { 0 };
    char line[512];
    FILE *f = fopen("/proc/stat", "re");
    if (f != NULL && fgets(line, sizeof line, f) != NULL) {
        char *at = line + strcspn(line, " ");
        for (int i = 0; i < 8; i++) {
            v[i] = (double)strtoull(at, &at, 10) / (double)sysconf(_SC_CLK_TCK);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    look.busy = v[0] + v[1] + v[2] + v[5] + v[6];
    look.steal = v[7];
    for (int who = 0; who < 2; who++) {
        struct rusage usage;
        getrusage(who == 0 ? RUSAGE_SELF : RUSAGE_CHILDREN, &usage);
        look.own += seconds(usage.ru_utime) + seconds(usage.ru_stime);
    }
    return look;
}

/* ------------------------------------------------------------------ printing */

static const char *with_unit(char *text, size_t size, double ns, enum bench_show show)
{
    static const struct {
        double from;
        const char *unit[3]; /* as enum bench_show */
    } steps[] = {
        { 1e9, { "s", "G/s", "GB/s" } },
        { 1e6, { "ms", "M/s", "MB/s" } },
        { 1e3, { "us", "k/s", "kB/s" } },
        { 1, { "ns", "/s", "B/s" } },
    };
    const double value = show == BENCH_NS ? ns : ns > 0 ? 1e9 / ns : 0;
    size_t i = 0;
    while (i < 3 && value < steps[i].from) {
        i++;
    }
    snprintf(text, size, "%.3g %s", value / steps[i].from, steps[i].unit[show]);
    return text;
}

static void print_header(void)
{
    if (header_printed || bench.json) {
        return;
    }
    header_printed = true;
    printf("%-62s %7s  %-13s %6s %10s %10s  %-8s %s\n", "measure", "ratio", "min..max", "n", "tong",
           "raw", "goal", "");
}

/* The rounds of one measure. */
struct rounds {
    size_t n, tried;
    double best; /* raw figure */
    double ratio[max_rounds], tong[max_rounds], raw[max_rounds];
};

static const char *verdict_of(const struct bench_measure *m, double ratio, size_t n)
{
    if (n < bench.rounds) {
        return "unsteady";
    }
    if (m->goal <= 0) {
        return "";
    }
    return (m->sense == BENCH_TIME ? ratio <= m->goal : ratio >= m->goal) ? "reached" : "missed";
}

static void print_measure(const struct bench_measure *m, struct rounds *r)
{
    char tong[32], raw[32], goal[32] = "", spread[32] = "-";
    const double ratio = bench_median_of(r->ratio, r->n);
    const double tong_ns = bench_median_of(r->tong, r->n);
    const double raw_ns = bench_median_of(r->raw, r->n);
    const double low = r->n > 0 ? r->ratio[0] : 0;
    const double high = r->n > 0 ? r->ratio[r->n - 1] : 0;
    const char *verdict = verdict_of(m, ratio, r->n);
    if (bench.json) {
        printf("{\"measure\":\"%s\",\"ratio\":%.4f,\"min\":%.4f,\"max\":%.4f,\"n\":%zu,"
               "\"tried\":%zu,\"tong_ns\":%.3f,\"raw_ns\":%.3f,\"sense\":\"%s\",\"goal\":%.2f,"
               "\"verdict\":\"%s\"}\n",
               m->name, ratio, low, high, r->n, r->tried, tong_ns, raw_ns,
               m->sense == BENCH_TIME ? "time" : "speed", m->goal, verdict);
        return;
    }
    if (r->n > 0) {
        snprintf(spread, sizeof spread, "%.2f..%.2f", low, high);
    }
    if (m->goal > 0) {
        snprintf(goal, sizeof goal, "%s %.2g", m->sense == BENCH_TIME ? "<=" : ">=", m->goal);
    }
    char count[16];
    snprintf(count, sizeof count, "%zu/%zu", r->n, r->tried);
    printf("%-62s %6.2fx  %-13s %6s %10s %10s  %-8s %s\n", m->name, ratio, spread, count,
           with_unit(tong, sizeof tong, tong_ns, m->show),
           with_unit(raw, sizeof raw, raw_ns, m->show), goal, verdict);
}

static void print_raw(const struct bench_measure *m, struct rounds *r)
{
    char middle[32], low[32], high[32];
    const double raw_ns = bench_median_of(r->raw, r->n);
    if (bench.json) {
        printf("{\"raw_of\":\"%s\",\"raw_ns\":%.3f,\"min_ns\":%.3f,\"max_ns\":%.3f,\"n\":%zu}\n",
               m->name, raw_ns, r->raw[0], r->raw[r->n - 1], r->n);
        return;
    }
    printf("%-62s raw %10s  %10s .. %-10s n %zu\n", m->name,
           with_unit(middle, sizeof middle, raw_ns, m->show),
           with_unit(low, sizeof low, r->raw[0], m->show),
           with_unit(high, sizeof high, r->raw[r->n - 1], m->show), r->n);
}

void bench_value(const char *name, double value, const char *unit, double at_most)
{
    const char *verdict = at_most <= 0 ? "" : value <= at_most ? "reached" : "missed";
    print_header();
    if (bench.json) {
        printf("{\"measure\":\"%s\",\"value\":%.3f,\"unit\":\"%s\",\"goal\":%.2f,"
               "\"verdict\":\"%s\"}\n",
               name, value, unit, at_most, verdict);
        return;
    }
    char text[32], goal[32] = "";
    snprintf(text, sizeof text, "%.6g %s", value, unit);
    if (at_most > 0) {
        snprintf(goal, sizeof goal, "<= %.3g", at_most);
    }
    printf("%-62s %7s  %-13s %6s %10s %10s  %-8s %s\n", name, "", "", "", text, "", goal, verdict);
    fflush(stdout);
}

/* ------------------------------------------------------------------ rounds */

static bool same_raw(const struct bench_measure *a, const struct bench_measure *b)
{
    return a != NULL && b != NULL && a->raw == b->raw && a->raw_arg == b->raw_arg;
}

static bool wanted(const struct bench_measure *m)
{
    for (const char *part = bench.only; part != NULL;) {
        const char *end = strchr(part, '|');
        const size_t len = end == NULL ? strlen(part) : (size_t)(end - part);
        if (memmem(m->name, strlen(m->name), part, len) != NULL) {
            return true;
        }
        part = end == NULL ? NULL : end + 1;
    }
    return bench.only == NULL;
}

static bool is_time_up(void)
{
    return bench.minutes != 0 && bench_now() - began.at > (int64_t)bench.minutes * 60 * 1000000000;
}

static void one_round(struct bench_measure *m, struct rounds *r, double *raw_before)
{
    const double before = *raw_before > 0 ? *raw_before : m->raw(m->raw_arg);
    const double tong = m->tong(m->tong_arg);
    const double after = m->raw(m->raw_arg);
    *raw_before = after;
    r->tried++;
    const double smaller = before < after ? before : after;
    const double larger = before < after ? after : before;
    r->best = r->best > 0 && r->best < smaller ? r->best : smaller;
    if (larger > smaller * 1.1 || smaller > r->best * 10) {
        return;
    }
    const double raw = (before + after) / 2;
    r->ratio[r->n] = m->sense == BENCH_TIME ? tong / raw : raw / tong;
    r->tong[r->n] = tong;
    r->raw[r->n] = raw;
    r->n++;
}

static void raw_rounds(struct bench_measure *measures, size_t n, struct rounds *all)
{
    for (unsigned round = 0; round < bench.rounds; round++) {
        for (size_t i = 0; i < n; i++) {
            if (wanted(&measures[i]) && (i == 0 || !same_raw(&measures[i], &measures[i - 1]))) {
                all[i].raw[all[i].n++] = measures[i].raw(measures[i].raw_arg);
            }
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (all[i].n > 0) {
            print_raw(&measures[i], &all[i]);
        }
    }
}

void bench_run(struct bench_measure *measures, size_t n)
{
    if (n > max_measures) {
        bench_fail("more than %d measures", max_measures);
    }
    struct rounds *all = calloc(n, sizeof *all);
    if (all == NULL) {
        bench_fail("no memory");
    }
    if (bench.raw_only) {
        raw_rounds(measures, n, all);
        free(all);
        return;
    }
    print_header();
    bool more = true;
    struct bench_measure *last = NULL;
    double raw_before = 0;
    while (more && !is_time_up()) {
        more = false;
        for (size_t i = 0; i < n; i++) {
            if (!wanted(&measures[i]) || all[i].n >= bench.rounds ||
                all[i].tried >= (size_t)bench.rounds * 3) {
                continue;
            }
            if (!same_raw(last, &measures[i])) {
                raw_before = 0;
            }
            last = &measures[i];
            one_round(&measures[i], &all[i], &raw_before);
            more = true;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (wanted(&measures[i])) {
            print_measure(&measures[i], &all[i]);
        }
    }
    fflush(stdout);
    free(all);
}

int bench_end(void)
{
    const struct machine_time now = machine_look();
    const double wall = (double)(now.at - began.at) / 1e9 * (double)sysconf(_SC_NPROCESSORS_ONLN);
    double others = (now.busy - began.busy) - (now.own - began.own);
    if (others < 0) {
        others = 0;
    }
    const double others_percent = wall > 0 ? 100 * others / wall : 0;
    const double steal_percent = wall > 0 ? 100 * (now.steal - began.steal) / wall : 0;
    if (bench.json) {
        printf("{\"others_percent\":%.1f,\"steal_percent\":%.1f}\n", others_percent, steal_percent);
    } else {
        printf("meanwhile other programs used %.0f %% of the CPUs, the host took %.0f %%%s\n",
               others_percent, steal_percent,
               others_percent + steal_percent > 5 ? ": the machine was not quiet" : "");
    }
    return fflush(stdout) == 0 ? 0 : 1;
}

/* ------------------------------------------------------------------ command line */

static void usage(FILE *out, const char *about)
{
    fprintf(out,
            "%s: %s\n\n"
            "  --quick        short samples, few rounds: a look, not a figure to publish\n"
            "  --json         one JSON object a line\n"
            "  --raw          time the raw sides alone: is this machine steady?\n"
            "  --only TEXT    the measures whose name contains TEXT, or one of A|B|C\n"
            "  --minutes N    no round begins later\n"
            "  --rounds N     how many rounds must count\n"
            "  --count N      how many operations, where the program has a number\n"
            "  --cpus A,B     the two CPUs to use (default: the first two allowed)\n"
            "  --tong PATH    the tong command (default: $TONG_COMMAND, else tong from PATH)\n",
            program, about);
}

static unsigned long number_of(const char *text, const char *what)
{
    char *end;
    errno = 0;
    const unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text || value == 0) {
        fprintf(stderr, "%s: %s: \"%s\" is not a number above 0\n", program, what, text);
        exit(2);
    }
    return value;
}

static void choose_cpus(const char *asked)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) < 0) {
        bench_fail("sched_getaffinity: %s", strerror(errno));
    }
    if (asked != NULL) {
        char *end;
        const unsigned long first = strtoul(asked, &end, 10);
        const unsigned long second = *end == ',' ? strtoul(end + 1, &end, 10) : CPU_SETSIZE;
        if (*end != '\0' || first == second || first >= CPU_SETSIZE || second >= CPU_SETSIZE ||
            !CPU_ISSET(first, &set) || !CPU_ISSET(second, &set)) {
            fprintf(stderr, "%s: --cpus %s: give two different CPUs that are allowed here\n",
                    program, asked);
            exit(2);
        }
        bench.cpu[0] = (int)first;
        bench.cpu[1] = (int)second;
        return;
    }
    int n = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++) {
        if (CPU_ISSET((unsigned)cpu, &set)) {
            bench.cpu[n++] = cpu;
        }
    }
    if (n < 2) {
        printf("%s: skipped: this machine has one CPU, the measures need two\n", program);
        exit(77);
    }
}

/* How many rounds, and how long each. */
static void choose_length(void)
{
    if (bench.rounds == 0) {
        bench.rounds = bench.quick ? 3 : 7;
    }
    if (bench.rounds > max_rounds / 3) {
        bench.rounds = max_rounds / 3;
    }
    bench.sample_ns = bench.quick ? 40000000 : 200000000;
}

static const struct option options[] = {
    { "quick", no_argument, NULL, 'q' },
    { "json", no_argument, NULL, 'j' },
    { "raw", no_argument, NULL, 'r' },
    { "only", required_argument, NULL, 'o' },
    { "rounds", required_argument, NULL, 'n' },
    { "count", required_argument, NULL, 'c' },
    { "cpus", required_argument, NULL, 'p' },
    { "tong", required_argument, NULL, 't' },
    { "minutes", required_argument, NULL, 'm' },
    { "help", no_argument, NULL, 'h' },
    { NULL, 0, NULL, 0 },
};

void bench_begin(int argc, char **argv, const char *about)
{
    program = program_invocation_short_name;
    const char *cpus = NULL;
    const char *from_env = getenv("TONG_COMMAND");
    bench.command = from_env != NULL && from_env[0] != '\0' ? from_env : "tong";
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'q':
            bench.quick = true;
            break;
        case 'j':
            bench.json = true;
            break;
        case 'r':
            bench.raw_only = true;
            break;
        case 'o':
            bench.only = optarg;
            break;
        case 'm':
            bench.minutes = (unsigned)number_of(optarg, "--minutes");
            break;
        case 'n':
            bench.rounds = (unsigned)number_of(optarg, "--rounds");
            break;
        case 'c':
            bench.count = number_of(optarg, "--count");
            break;
        case 'p':
            cpus = optarg;
            break;
        case 't':
            bench.command = optarg;
            break;
        case 'h':
            usage(stdout, about);
            exit(0);
        default:
            usage(stderr, about);
            exit(2);
        }
    }
    if (optind != argc) {
        usage(stderr, about);
        exit(2);
    }
    choose_length();
    choose_cpus(cpus);
    folder_make();
    began = machine_look();
}
