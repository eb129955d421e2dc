/*
 * main.c - one sample of one peer, as lines of JSON.
 *
 *     peer-NAME [--what trip|rate|idle] [--size N] [--mode M] [--ms N] [--count N] [--rest-us N] [--cpus A,B]
 *
 *     trip   round trips, in batches of about 30 us: the mean, and the median batch ("typical"), until --count
 *            or --ms are over; then the percentiles of as many with a clock around each (at most 100000).
 *            --rest-us: before each batch, which then is one trip, not counted.
 *     rate   one way, as fast as it goes, for --ms: the mean, and the median of batches of 1024 (long ones: fewer)
 *     idle   the answering side waits for --ms; what it costs
 *
 * Side 0 prints the figure, each side what it used: processor time, resident and proportional memory.
 * Every message carries a number in its first 8 bytes, which is checked; "over" ends a run and is
 * answered, so that the two sides need nothing but the peer itself. Exit 77: the peer cannot do this.
 */
#include "peer.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const uint64_t over = UINT64_MAX;

enum {
    most_timed = 100000,
    most_batches = 65536,
    batch_ns = 30000,  /* about */
    rate_batch = 1024, /* messages, or as many bytes as 1024 of 64 bytes are, 8 at least */
    hang_s = 60
};

static struct peer_place place = { .size = 64 };
static const char *what = "trip";
static int64_t length_ns = 300000000;
static uint64_t most_trips = 1000000;
static int64_t rest_ns;
static int cpu[2] = { 0, 1 };
static unsigned char *out, *in; /* buffers of one message */

static void fail(const char *doing, int error)
{
    if (error == -EOPNOTSUPP) {
        printf("{\"peer\":\"%s\",\"skipped\":\"%s: not possible\"}\n", peer.name, doing);
        fflush(stdout);
        _exit(77);
    }
    fprintf(stderr, "peer-%s: %s: %s\n", peer.name, doing, strerror(-error));
    _exit(1);
}

static void check(const char *doing, int answer)
{
    if (answer < 0) {
        fail(doing, answer);
    }
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ------------------------------------------------------------------ messages */

static void put(void *handle, uint64_t number)
{
    memcpy(out, &number, sizeof number);
    check("send", peer.send(handle, out));
}

static uint64_t take(void *handle)
{
    uint64_t number;
    check("receive", peer.receive(handle, in));
    memcpy(&number, in, sizeof number);
    return number;
}

static void expect(uint64_t number, uint64_t expected)
{
    if (number != expected) {
        fprintf(stderr, "peer-%s: message %llu was expected, %llu came\n", peer.name,
                (unsigned long long)expected, (unsigned long long)number);
        _exit(1);
    }
}

/* ------------------------------------------------------------------ what a side used */

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static long memory_kib(const char *word)
{
    char line[128];
    long kib = -1;
    FILE *f = fopen("/proc/self/smaps_rollup", "re");
    while (f != NULL && kib < 0 && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, word, strlen(word)) == 0) {
            kib = strtol(line + strlen(word), NULL, 10);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return kib;
}

/* One write, so that the lines of the two sides do not mix. */
static void tell(const char *figures, double cpu_used, uint64_t n)
{
    char line[512];
    const int len =
        snprintf(line, sizeof line,
                 "{\"peer\":\"%s\",\"version\":\"%s\",\"what\":\"%s\",\"size\":%zu,\"mode\":\"%s\","
                 "\"side\":%d,"
                 "%s\"cpu_ns\":%.1f,\"rss_kib\":%ld,\"pss_kib\":%ld}\n",
                 peer.name, peer.version != NULL ? peer.version : "", what, place.size, place.mode,
                 place.side, figures, n > 0 ? cpu_used * 1e9 / (double)n : cpu_used * 1e9,
                 memory_kib("Rss:"), memory_kib("Pss:"));
    if (write(STDOUT_FILENO, line, (size_t)len) != len) {
        _exit(1);
    }
}

/* ------------------------------------------------------------------ round trips */

static void rest(void)
{
    const struct timespec t = { rest_ns / 1000000000, rest_ns % 1000000000 };
    if (rest_ns > 0) {
        nanosleep(&t, NULL);
    }
}

static void trip(void *handle, uint64_t number)
{
    put(handle, number);
    expect(take(handle), number);
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* How many trips the time allows at the speed of the first ones: then no clock is needed in between. */
static uint64_t trips_in(void *handle, uint64_t *number)
{
    uint64_t n = 0;
    const int64_t from = now();
    while (now() - from < length_ns / 10 && n < most_trips / 10 + 1) {
        rest();
        trip(handle, (*number)++);
        n++;
    }
    n = (uint64_t)((double)n * (double)length_ns / (double)(now() - from)) + 1;
    return n < most_trips ? n : most_trips;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(double *values, size_t n)
{
    qsort(values, n, sizeof values[0], compare_doubles);
    return n == 0 ? 0 : values[n / 2];
}

/* n round trips in batches of about 30 us: the mean of all, and the median of the batches, in which what else
 * the machine does hardly shows. */
static double trips_in_batches(void *handle, uint64_t n, uint64_t *number, double *ret_mean)
{
    static double batches[most_batches];
    const int64_t rough = rest_ns > 0 ? batch_ns : length_ns / (int64_t)n;
    uint64_t batch = (uint64_t)(batch_ns / (rough > 0 ? rough : 1)) + 1;
    batch = n / batch > most_batches ? n / most_batches + 1 : batch;
    double sum = 0;
    size_t k = 0;
    uint64_t done = 0;
    for (; done + batch <= n || k == 0; done += batch) {
        rest();
        const int64_t from = now();
        for (uint64_t i = 0; i < batch; i++) {
            trip(handle, (*number)++);
        }
        const double ns = (double)(now() - from);
        sum += ns;
        batches[k++] = ns / (double)batch;
    }
    *ret_mean = sum / (double)done;
    return median_of(batches, k);
}

static void ask(void *handle)
{
    static int64_t each[most_timed];
    uint64_t number = 0;
    const uint64_t n = trips_in(handle, &number);
    const double cpu_before = cpu_seconds();
    double mean;
    const double typical = trips_in_batches(handle, n, &number, &mean);
    const double used = cpu_seconds() - cpu_before;

    const uint64_t timed = n < most_timed ? n : most_timed;
    for (uint64_t i = 0; i < timed; i++) {
        rest();
        const int64_t t = now();
        trip(handle, number++);
        each[i] = now() - t;
    }
    put(handle, over);
    expect(take(handle), over);
    qsort(each, timed, sizeof each[0], compare);
    char figures[256];
    snprintf(figures, sizeof figures,
             "\"typical_ns\":%.2f,\"mean_ns\":%.2f,\"n\":%llu,\"p50_ns\":%lld,\"p99_ns\":%lld,"
             "\"p999_ns\":%lld,"
             "\"timed\":%llu,",
             typical, mean, (unsigned long long)n, (long long)each[timed / 2],
             (long long)each[timed * 99 / 100], (long long)each[timed * 999 / 1000],
             (unsigned long long)timed);
    tell(figures, used, n);
}

static void answer(void *handle)
{
    uint64_t n = 0;
    double cpu_before = 0;
    for (;; n++) {
        const uint64_t number = take(handle);
        if (n == 0) {
            cpu_before = cpu_seconds();
        }
        put(handle, number);
        if (number == over) {
            break;
        }
    }
    tell("", cpu_seconds() - cpu_before, n);
}

/* ------------------------------------------------------------------ one way */

static void pour(void *handle)
{
    uint64_t n = 0;
    /* A tenth goes before; the receiver begins to count at message `over - 1`. */
    for (int part = 0; part < 2; part++) {
        const int64_t until = now() + (part == 0 ? length_ns / 10 : length_ns);
        const uint64_t step = place.size > 16384 ? 1 : 64;
        do {
            for (uint64_t i = 0; i < step; i++) {
                put(handle, n++);
            }
        } while (now() < until);
        put(handle, part == 0 ? over - 1 : over);
    }
    const double before = cpu_seconds();
    double ns;
    const uint64_t bits = take(handle);
    memcpy(&ns, &bits, sizeof ns);
    char figures[128];
    snprintf(figures, sizeof figures, "\"ns\":%.3f,\"sent\":%llu,", ns, (unsigned long long)n);
    tell(figures, before, n);
}

static void drain(void *handle)
{
    static double batches[most_batches];
    const uint64_t fewer = rate_batch * 64 / place.size;
    const uint64_t batch = fewer > rate_batch ? rate_batch : fewer < 8 ? 8 : fewer;
    uint64_t n = 0, counted = 0, next = 0, lost = 0;
    size_t k = 0;
    int64_t from = now(), then = from;
    double cpu_before = cpu_seconds();
    for (;;) {
        const uint64_t number = take(handle);
        if (number == over) {
            break;
        }
        if (number == over - 1) {
            from = then = now();
            cpu_before = cpu_seconds();
            counted = 0;
            k = 0;
            continue;
        }
        lost += number - next;
        next = number + 1;
        counted++;
        n++;
        if (counted % batch == 0 && k < most_batches) {
            const int64_t t = now();
            batches[k++] = (double)(t - then) / (double)batch;
            then = t;
        }
    }
    const double ns = (double)(now() - from) / (double)(counted > 0 ? counted : 1);
    const double typical = k > 0 ? median_of(batches, k) : ns;
    uint64_t bits;
    memcpy(&bits, &ns, sizeof bits);
    char figures[128];
    snprintf(figures, sizeof figures, "\"typical_ns\":%.3f,\"received\":%llu,\"lost\":%llu,",
             typical, (unsigned long long)n, (unsigned long long)lost);
    tell(figures, cpu_seconds() - cpu_before, counted);
    put(handle, bits);
}

/* ------------------------------------------------------------------ nothing to do */

static void be_idle(void *handle)
{
    if (place.side == 0) {
        const struct timespec t = { length_ns / 1000000000, length_ns % 1000000000 };
        trip(handle, 1);
        nanosleep(&t, NULL);
        put(handle, over);
        expect(take(handle), over);
        return;
    }
    put(handle, take(handle));
    const double before = cpu_seconds();
    const uint64_t number = take(handle);
    char figures[64];
    snprintf(figures, sizeof figures, "\"idle_percent\":%.3f,",
             (cpu_seconds() - before) * 1e11 / (double)length_ns);
    tell(figures, 0, 0);
    put(handle, number);
}

/* ------------------------------------------------------------------ processes */

static void pin(int which)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)which, &set);
    sched_setaffinity(0, sizeof set, &set);
}

static struct meeting {
    _Atomic uint32_t opened; /* sides that are open, or dead */
    _Atomic uint32_t joined;
} * meeting; /* NULL: the sides came by themselves */

static void wait_until(_Atomic uint32_t *count, uint32_t enough)
{
    while (meeting != NULL && atomic_load(count) < enough) {
        usleep(500);
    }
}

static void arrive(_Atomic uint32_t *count)
{
    if (meeting != NULL) {
        atomic_fetch_add(count, 1);
    }
}

static void *open_side(int side)
{
    void *handle;
    wait_until(&meeting->opened, side == 0 ? 1 : 0);
    check("open", peer.open(&place, &handle));
    arrive(&meeting->opened);
    wait_until(&meeting->opened, 2);
    if (peer.join != NULL) {
        check("join", peer.join(handle));
    }
    arrive(&meeting->joined);
    wait_until(&meeting->joined, 2);
    return handle;
}

static void run_side(int side)
{
    place.side = side;
    pin(cpu[side]);
    alarm(hang_s);
    out = aligned_alloc(64, (place.size + 63) / 64 * 64);
    in = aligned_alloc(64, (place.size + 63) / 64 * 64);
    if (out == NULL || in == NULL) {
        fail("memory", -ENOMEM);
    }
    memset(out, 1, place.size);
    memset(in, 2, place.size);
    void *handle = open_side(side);
    if (strcmp(what, "idle") == 0) {
        be_idle(handle);
    } else if (strcmp(what, "rate") == 0) {
        (side == 0 ? pour : drain)(handle);
    } else {
        (side == 0 ? ask : answer)(handle);
    }
    peer.close(handle);
    free(out);
    free(in);
}

static int join(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "peer-%s: ended by signal %d\n", peer.name, WTERMSIG(status));
        return 1;
    }
    return WEXITSTATUS(status);
}

static pid_t fork_side(int side)
{
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(1);
        }
        run_side(side);
        fflush(stdout);
        exit(0);
    }
    if (pid < 0) {
        fail("fork", -errno);
    }
    return pid;
}

/* The two sides; when one ends badly the other one is ended, too. */
static int run_both(void)
{
    meeting =
        mmap(NULL, sizeof *meeting, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (meeting == MAP_FAILED) {
        fail("shared memory", -errno);
    }
    if (peer.shared_size != NULL) {
        place.shared = mmap(NULL, peer.shared_size(&place), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (place.shared == MAP_FAILED) {
            fail("shared memory", -errno);
        }
    }
    if (peer.prepare != NULL) {
        check("prepare", peer.prepare(&place));
    }
    const pid_t sides[2] = { fork_side(1), fork_side(0) };
    int result = 0;
    for (int i = 0; i < 2; i++) {
        int status;
        const pid_t ended = wait(&status);
        if (status != 0 && result == 0) {
            result = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
            const pid_t other = ended == sides[0] ? sides[1] : sides[0];
            if (i == 0) {
                kill(other, SIGKILL);
            }
            if (WIFSIGNALED(status)) {
                fprintf(stderr, "peer-%s: a side was ended by signal %d\n", peer.name,
                        WTERMSIG(status));
            }
        }
    }
    if (peer.remove != NULL) {
        peer.remove(&place);
    }
    return result;
}

/* ------------------------------------------------------------------ the daemon */

static pid_t main_pid;
static pid_t daemon_pid;

static bool said(int fd, const char *word)
{
    static char seen[65536];
    size_t len = 0;
    struct pollfd one = { .fd = fd, .events = POLLIN };
    while (len + 1 < sizeof seen && poll(&one, 1, PEER_START_MS) == 1) {
        const ssize_t n = read(fd, seen + len, sizeof seen - 1 - len);
        if (n <= 0) {
            break;
        }
        len += (size_t)n;
        seen[len] = '\0';
        if (strstr(seen, word) != NULL) {
            return true;
        }
    }
    return false;
}

/* Its output goes on into a file and a pipe nobody reads further; ends[0] stays open, or tee would die of it. */
static bool daemon_try(void)
{
    char command[512];
    int ends[2];
    snprintf(command, sizeof command, "%s 2>&1 | tee \"$PEER_DIR/daemon.log\"", peer.daemon);
    if (pipe(ends) < 0) {
        fail("pipe", -errno);
    }
    daemon_pid = fork();
    if (daemon_pid == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    setpgid(daemon_pid, daemon_pid);
    close(ends[1]);
    return said(ends[0], peer.ready);
}

static void daemon_end(void)
{
    kill(-daemon_pid, SIGTERM);
    for (int ms = 0; ms < 3000 && waitpid(daemon_pid, NULL, WNOHANG) == 0; ms++) {
        usleep(1000);
    }
    kill(-daemon_pid, SIGKILL);
    join(daemon_pid);
}

/* The one of the sample before may not have cleared away its things yet. */
static void daemon_start(void)
{
    char port[16];
    snprintf(port, sizeof port, "%d", 20000 + (int)(main_pid % 20000));
    setenv("PEER_DIR", place.folder, 1);
    setenv("PEER_PORT", port, 1);
    for (int tries = 0; tries < 5; tries++) {
        if (daemon_try()) {
            return;
        }
        daemon_end();
        usleep(300000);
    }
    fprintf(stderr, "peer-%s: its daemon did not say \"%s\"\n", peer.name, peer.ready);
    exit(1);
}

/* ------------------------------------------------------------------ command line */

static void remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", place.folder);
    if (getpid() == main_pid && system(command) != 0) {
        fprintf(stderr, "peer-%s: %s stays behind\n", peer.name, place.folder);
    }
}

static int64_t number_of(const char *text)
{
    char *end;
    errno = 0;
    const long long n = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || n < 0) {
        fprintf(stderr, "peer-%s: \"%s\" is no number\n", peer.name, text);
        exit(2);
    }
    return n;
}

static bool has_mode(const char *mode)
{
    const size_t len = strlen(mode);
    for (const char *at = peer.modes; (at = strstr(at, mode)) != NULL; at += len) {
        if ((at == peer.modes || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0')) {
            return true;
        }
    }
    return false;
}

static void parse(int argc, char **argv)
{
    static const struct option options[] = {
        { "what", required_argument, NULL, 'w' },
        { "size", required_argument, NULL, 's' },
        { "mode", required_argument, NULL, 'm' },
        { "ms", required_argument, NULL, 't' },
        { "count", required_argument, NULL, 'n' },
        { "rest-us", required_argument, NULL, 'r' },
        { "cpus", required_argument, NULL, 'c' },
        { "modes", no_argument, NULL, 'M' },
        { NULL, 0, NULL, 0 },
    };
    static char mode[32];
    snprintf(mode, sizeof mode, "%.*s", (int)strcspn(peer.modes, " "), peer.modes);
    place.mode = mode;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'w':
            what = optarg;
            break;
        case 's':
            place.size = (size_t)number_of(optarg);
            break;
        case 'm':
            place.mode = optarg;
            break;
        case 't':
            length_ns = number_of(optarg) * 1000000;
            break;
        case 'n':
            most_trips = (uint64_t)number_of(optarg);
            break;
        case 'r':
            rest_ns = number_of(optarg) * 1000;
            break;
        case 'c':
            if (sscanf(optarg, "%d,%d", &cpu[0], &cpu[1]) != 2) {
                exit(2);
            }
            break;
        case 'M':
            puts(peer.modes);
            exit(0);
        default:
            exit(2);
        }
    }
    if (!has_mode(place.mode) || place.size < 8 || place.size > PEER_LARGEST || most_trips == 0 ||
        length_ns == 0) {
        fprintf(stderr, "peer-%s: wrong size, count or mode (%s)\n", peer.name, peer.modes);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    static char name[64], folder[64];
    main_pid = getpid();
    const int side = peer.start != NULL ? peer.start(&argc, &argv) : -1;
    parse(argc, argv);
    place.poll = strcmp(place.mode, "poll") == 0;
    const size_t fit = ((size_t)8 << 20) / place.size;
    place.depth = fit < 4 ? 4 : fit > PEER_DEPTH ? PEER_DEPTH : fit;
    snprintf(name, sizeof name, "peer-%d", (int)getpid());
    snprintf(folder, sizeof folder, "/dev/shm/tong-peer-XXXXXX");
    place.name = name;
    place.folder = folder;
    if (peer.trips_only && strcmp(what, "trip") != 0) {
        fail(what, -EOPNOTSUPP);
    }
    if (side >= 0) {
        run_side(side);
        return 0;
    }
    if (mkdtemp(folder) == NULL) {
        fail("a folder in /dev/shm", -errno);
    }
    atexit(remove_folder);
    if (peer.daemon != NULL) {
        daemon_start();
    }
    const int result = run_both();
    if (peer.daemon != NULL) {
        daemon_end();
    }
    return result;
}
