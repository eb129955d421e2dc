/*
 * cmd_bench.c - `tong bench`: how fast tong is on this machine, beside what the machine can do at all.
 *
 * Each row is run in rounds, bare, tong, bare: a round counts when the two bare figures agree within
 * 10 %. Shown is the median of the ratios that count, and of all where none does, which is said.
 */
#include "bench.h"

#include <errno.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MOST_ROUNDS = 100,
    BAR = 36 /* letters of the longer bar */
};

struct row {
    const char *name; /* for programs */
    const char *what;
    const struct bench_way *bare, *tong;
    size_t size;
    uint64_t share; /* operations: --count through this */
    int64_t rest_ns;
    bool rate;
    bool one_cpu;
};

static const struct row rows[] = {
    { "trip_64", "round trip, 64 B", &bench_line, &bench_box, 64, 1, 0, false, false },
    { "trip_64_one_cpu", "round trip, 64 B, both on one processor", &bench_futex, &bench_box, 64, 8,
      0, false, true },
    { "trip_64_asleep", "round trip, 64 B, after a rest of 0.3 ms", &bench_futex, &bench_box, 64,
      400, 300000, false, false },
    { "trip_64k", "round trip, 64 KiB", &bench_copy, &bench_box, 65536, 20, 0, false, false },
    { "trip_1m", "round trip, 1 MiB", &bench_copy, &bench_box, 1048576, 400, 0, false, false },
    { "rate_64", "one way, 64 B, one by one", &bench_ring, &bench_box, 64, 1, 0, true, false },
    { "rate_64_many", "one way, 64 B, 32 at once", &bench_ring_many, &bench_box_many, 64, 1, 0,
      true, false },
    { "rate_64k", "one way, 64 KiB", &bench_ring, &bench_box, 65536, 20, 0, true, false },
    { "rate_1m", "one way, 1 MiB", &bench_ring, &bench_box, 1048576, 400, 0, true, false },
};

enum {
    N_ROWS = sizeof(rows) / sizeof(rows[0])
};

struct figures {
    double ratios[MOST_ROUNDS], tong[MOST_ROUNDS], bare[MOST_ROUNDS];
    size_t n, counted;
};

struct bench {
    const struct tool_args *args;
    uint64_t rounds, count;
    int cpu[2];
    bool one_cpu; /* there is no second one */
    bool colour;
};

/* ------------------------------------------------------------------ a folder of its own */

static char folder[1024];

static int take_away(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    (void)remove(path);
    return 0;
}

static int make_folder(const struct tool_args *args)
{
    const char *const chosen = getenv("TMPDIR");
    const char *const bases[] = { chosen && *chosen ? chosen : "/dev/shm", "/dev/shm", "/tmp" };
    for (size_t i = 0; i < 3; i++) {
        const int len = snprintf(folder, sizeof(folder), "%s/tong-bench.XXXXXX", bases[i]);
        if (len < (int)sizeof(folder) && mkdtemp(folder)) {
            return setenv("TONG_DIR", folder, 1);
        }
    }
    return tool_file_error(args, folder, errno);
}

/* ------------------------------------------------------------------ measuring */

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(double *values, size_t n)
{
    qsort(values, n, sizeof(values[0]), compare);
    return n == 0 ? 0 : n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static struct bench_job job_of(const struct bench *b, const struct row *row)
{
    struct bench_job job = {
        .args = b->args,
        .size = row->size,
        .slots = BENCH_SLOTS,
        .count = b->count / row->share + 1,
        .rest_ns = row->rest_ns,
        .rate = row->rate,
        .one_cpu = row->one_cpu,
        .cpu = { b->cpu[0], b->cpu[1] },
    };
    if (job.slots * job.size > BENCH_BYTES) {
        job.slots = BENCH_BYTES / job.size;
    }
    return job;
}

/* Ratios: time through time, or speed through speed. */
static int measure(const struct bench *b, const struct row *row, struct figures *f)
{
    struct bench_job job = job_of(b, row);
    double before;
    int code = bench_sample(&job, row->bare, &before);
    for (uint64_t tried = 0; code == 0 && tried < b->rounds; tried++) {
        double tong, behind;
        code = bench_sample(&job, row->tong, &tong);
        code = code ? code : bench_sample(&job, row->bare, &behind);
        if (code) {
            break;
        }
        const double bare = (before + behind) / 2;
        const double low = before < behind ? before : behind;
        f->tong[f->n] = tong;
        f->bare[f->n] = bare;
        f->n++;
        if ((before < behind ? behind : before) <= low * 1.1) {
            f->ratios[f->counted++] = row->rate ? bare / tong : tong / bare;
        }
        before = behind;
    }
    return code;
}

/* ------------------------------------------------------------------ showing */

static const char *amount(char *text, size_t size, double ns, bool rate)
{
    static const struct {
        double from;
        const char *unit[2];
    } steps[] = { { 1e9, { "s", "G/s" } },
                  { 1e6, { "ms", "M/s" } },
                  { 1e3, { "us", "k/s" } },
                  { 1, { "ns", "/s" } } };
    const double value = rate ? 1e9 / ns : ns;
    size_t i = 0;
    while (i < 3 && value < steps[i].from) {
        i++;
    }
    snprintf(text, size, "%.3g %s", value / steps[i].from, steps[i].unit[rate]);
    return text;
}

static void draw_bar(const struct bench *b, const char *who, double value, double most, bool rate,
                     bool tong)
{
    char text[32];
    /* A rate's bar is its speed, a trip's its time. */
    const double part = rate ? most / value : value / most;
    const int letters = (int)(part * BAR + 0.5);
    printf("  %-16s %s", who, b->colour && tong ? "\033[36m" : "");
    for (int i = 0; i < BAR; i++) {
        fputs(i < letters || i == 0 ? "\xe2\x96\x88" : " ", stdout);
    }
    printf("%s %10s", b->colour && tong ? "\033[0m" : "", amount(text, sizeof(text), value, rate));
}

static void show(const struct bench *b, const struct row *row, struct figures *f)
{
    const double tong = median_of(f->tong, f->n);
    const double bare = median_of(f->bare, f->n);
    const double most = (tong > bare) == row->rate ? bare : tong;
    printf("%s\n", row->what);
    draw_bar(b, row->bare->name, bare, most, row->rate, false);
    printf("\n");
    draw_bar(b, "tong", tong, most, row->rate, true);
    if (f->counted > 0) {
        const double ratio = median_of(f->ratios, f->counted);
        printf("  %.2f x  (%.2f to %.2f, n %zu)\n", ratio, f->ratios[0], f->ratios[f->counted - 1],
               f->counted);
    } else {
        printf("  about %.2f x: the machine is not quiet\n", row->rate ? bare / tong : tong / bare);
    }
    fflush(stdout);
}

static uint64_t per_mille(double ratio)
{
    return (uint64_t)(ratio * 1000 + 0.5);
}

static int show_json(const struct bench *b, const struct row *row, struct figures *f)
{
    const double median = median_of(f->ratios, f->counted);
    const bool counted = f->counted > 0;
    const enum tool_kind kind = counted ? TOOL_NUMBER : TOOL_NO_LIMIT;
    const struct tool_field fields[] = {
        { .name = "measure", .kind = TOOL_TEXT, .text = row->name },
        { .name = "beside", .kind = TOOL_TEXT, .text = row->bare->name },
        { .name = "kind", .kind = TOOL_TEXT, .text = row->rate ? "rate" : "time" },
        { .name = "ratio_permille", .kind = kind, .number = per_mille(median) },
        { .name = "lowest_permille",
          .kind = kind,
          .number = counted ? per_mille(f->ratios[0]) : 0 },
        { .name = "highest_permille",
          .kind = kind,
          .number = counted ? per_mille(f->ratios[f->counted - 1]) : 0 },
        { .name = "n", .kind = TOOL_NUMBER, .number = f->counted },
        { .name = "tong_ps",
          .kind = TOOL_NUMBER,
          .number = (uint64_t)(median_of(f->tong, f->n) * 1000) },
        { .name = "bare_ps",
          .kind = TOOL_NUMBER,
          .number = (uint64_t)(median_of(f->bare, f->n) * 1000) },
    };
    return tool_print_fields(b->args, fields, sizeof(fields) / sizeof(fields[0]));
}

/* ------------------------------------------------------------------ the command */

static int choose_cpus(struct bench *b)
{
    cpu_set_t set;
    int n = 0;
    if (sched_getaffinity(0, sizeof(set), &set) < 0) {
        return tool_failed(b->args, NULL, "which processors may be used: %s", strerror(errno));
    }
    for (int i = 0; i < CPU_SETSIZE && n < 2; i++) {
        if (CPU_ISSET((unsigned)i, &set)) {
            b->cpu[n++] = i;
        }
    }
    b->one_cpu = n < 2;
    return 0;
}

static int run_rows(const struct bench *b)
{
    static struct figures figures;
    const bool json = tool_given(b->args, "--json");
    int code = 0;
    for (size_t i = 0; i < N_ROWS && code == 0 && !tool_stop_signal(); i++) {
        if (b->one_cpu && !rows[i].one_cpu) {
            continue;
        }
        memset(&figures, 0, sizeof(figures));
        code = measure(b, &rows[i], &figures);
        if (code == 0 && json) {
            code = show_json(b, &rows[i], &figures);
        } else if (code == 0) {
            show(b, &rows[i], &figures);
        }
    }
    if (b->one_cpu) {
        tool_say(b->args, NULL, "only one processor may be used here: the other measures need two");
    }
    return tool_stop_signal() ? 128 + tool_stop_signal() : code;
}

static int run(const struct tool_args *args)
{
    struct bench b = { .args = args, .rounds = 7, .count = 400000 };
    if (tool_need_words(args, 0, "") || tool_value_size(args, "--rounds", MOST_ROUNDS, &b.rounds) ||
        tool_value_size(args, "--count", UINT64_C(1) << 32, &b.count)) {
        return TOOL_USAGE;
    }
    if (b.rounds == 0 || b.count == 0) {
        return tool_wrong_usage(args, "--rounds and --count are 1 at least");
    }
    if (tool_given(args, "--json") && tool_json_need(args)) {
        return TOOL_FAILED;
    }
    b.colour = tool_has_colour(STDOUT_FILENO);
    int code = choose_cpus(&b);
    code = code ? code : make_folder(args);
    if (code) {
        return code;
    }
    code = run_rows(&b);
    (void)tong_remove("side-0");
    (void)tong_remove("side-1");
    (void)nftw(folder, take_away, 16, FTW_DEPTH | FTW_PHYS);
    return code ? code : tool_flush(args, TOOL_DONE);
}

const struct tool_command tool_bench = {
    .name = "bench",
    .line = "how fast tong is here, beside what the machine can do",
    .usage = "bench [--rounds N] [--count N] [--json]",
    .examples = "tong bench                       about half a minute, on a quiet machine\n"
                "tong bench --rounds 21           more rounds: a steadier figure\n"
                "tong bench --json                for a program",
    .about = "Each bar of tong stands below one of the bare machine, which does the same without "
             "tong: two cache\n"
             "lines, a futex, a copy in and out, a ring of two indices. A ratio is the median of "
             "the rounds in\n"
             "which the bare figures before and behind agree within 10 %; of round trips less is "
             "better, of\n"
             "one way more is. Mailboxes are made in a folder of their own, which is taken away.",
    .options =
        (const struct tool_option[]){
            { "--rounds", "N", "how often each measure is taken, 7 without it" },
            { "--count", "N", "round trips of 64 bytes in a sample, 400000; others fewer" },
            { "--json", NULL, "an object a line; ratios in thousandths, times in picoseconds" },
            { NULL, NULL, NULL },
        },
    .run = run,
};
