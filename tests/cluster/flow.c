/*
 * flow - numbered messages, for the tests of clusters: what happened to each is said in a line.
 *
 *   flow send NAME TAG [--size N] [--count N] [--timeout MS] [--pause MS]
 *       NUMBER RESULT FROM-MS TO-MS     0 or the name of the error; times of the clock on the wall
 *   flow receive NAME
 *       TAG NUMBER DELIVERIES TIME-MS LEN     or "error NAME TIME-MS"
 *   flow hold NAME
 *       the same, of a message that it keeps in hand
 *   flow own NAME
 *       the same, of the first one in a mailbox of its own for one message
 *   flow call NAME
 *       CALL RESULT FROM-MS TO-MS      a request, and what became of it
 *
 * They end with their standard input; of a count the sender ends behind it. What a message says of itself is
 * held against its bytes: "damaged" is said if they differ.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <tong/tong.h>

struct asked {
    const char *name;
    const char *tag;
    size_t size;
    unsigned long count;
    long timeout_ms;
    int pause_ms;
};

static long long wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Sleeps, and says whether the standard input has ended. */
static int is_over(int ms)
{
    struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
    return poll(&in, 1, ms) > 0;
}

static const char *result_name(long long r)
{
    static char text[32];
    const char *const name = r < 0 ? strerrorname_np((int)-r) : "0";
    snprintf(text, sizeof(text), "%s", name ? name : "?");
    return text;
}

static tong_mailbox *open_with(const char *name, unsigned flags, const tong_options *options)
{
    tong_mailbox *box = NULL;
    const int r = tong_open(name, flags | TONG_CREATE, options, &box);
    if (r < 0) {
        printf("error %s %lld\n", result_name(r), wall_ms());
        exit(1);
    }
    return box;
}

static tong_mailbox *open_box(const char *name, unsigned flags)
{
    return open_with(name, flags, NULL);
}

/* ------------------------------------------------------------------ what is in a message */

/* "TAG NUMBER LEN ", cut to the length, and bytes that follow from the number. */
static void fill(char *data, size_t len, const char *tag, unsigned long number)
{
    char head[96];
    const int n = snprintf(head, sizeof(head), "%s %lu %zu ", tag, number, len);
    for (size_t i = 0; i < len; i++) {
        data[i] = i < (size_t)n ? head[i] : (char)(number * 31 + i * 7 + (i >> 12));
    }
}

static void show(const char *data, size_t len, const tong_message *info)
{
    char head[96] = { 0 };
    char tag[32];
    unsigned long number;
    size_t said;
    memcpy(head, data, len < sizeof(head) - 1 ? len : sizeof(head) - 1);
    if (sscanf(head, "%31s %lu %zu", tag, &number, &said) != 3) {
        /* Too short to say what it is: its sequence does. */
        printf("- %llu %u %lld %zu\n", (unsigned long long)info->sequence, info->deliveries,
               wall_ms(), len);
        return;
    }
    char *const wanted = malloc(len + 1);
    if (wanted) {
        fill(wanted, len, tag, number);
    }
    if (!wanted || said != len || memcmp(wanted, data, len) != 0) {
        printf("damaged ");
    }
    free(wanted);
    printf("%s %lu %u %lld %zu\n", tag, number, info->deliveries, wall_ms(), len);
}

/* ------------------------------------------------------------------ the three */

static int send_all(const struct asked *asked)
{
    tong_mailbox *const box = open_box(asked->name, TONG_SEND);
    char *const data = malloc(asked->size + 1);
    for (unsigned long i = 0; data && i < asked->count && !is_over(asked->pause_ms); i++) {
        fill(data, asked->size, asked->tag, i);
        const long long from = wall_ms();
        const int r = tong_send(box, data, asked->size, TONG_MS(asked->timeout_ms));
        printf("%lu %s %lld %lld\n", i, result_name(r), from, wall_ms());
    }
    free(data);
    tong_close(box);
    return 0;
}

static int receive_all(const struct asked *asked)
{
    tong_mailbox *const box = open_box(asked->name, TONG_RECEIVE);
    size_t size = 1 << 16;
    char *data = malloc(size);
    while (data && !is_over(0)) {
        tong_message info = TONG_MESSAGE_INIT;
        const ssize_t n = tong_receive_with(box, data, size, NULL, TONG_MS(200), &info);
        if (n == -EMSGSIZE) {
            size = info.len;
            free(data);
            data = malloc(size);
        } else if (n >= 0) {
            show(data, (size_t)n, &info);
        } else if (n != -ETIMEDOUT && n != -EAGAIN) {
            printf("error %s %lld\n", result_name(n), wall_ms());
            (void)is_over(100);
        }
    }
    free(data);
    tong_close(box);
    return 0;
}

static int hold_one(const struct asked *asked)
{
    tong_mailbox *const box = open_box(asked->name, TONG_RECEIVE);
    tong_message info = TONG_MESSAGE_INIT;
    const int r = tong_claim(box, TONG_FOREVER, &info);
    if (r < 0) {
        printf("error %s %lld\n", result_name(r), wall_ms());
    } else {
        show(info.data, info.len, &info);
    }
    while (!is_over(-1)) {
    }
    tong_close(box);
    return 0;
}

static int own_one(const struct asked *asked)
{
    char data[1024];
    tong_options options = TONG_OPTIONS_INIT;
    options.owner = TONG_PROCESS;
    options.capacity = 1;
    tong_mailbox *const box = open_with(asked->name, TONG_RECEIVE, &options);
    tong_message info = TONG_MESSAGE_INIT;
    printf("owner\n");
    const ssize_t n = tong_receive_with(box, data, sizeof(data), NULL, TONG_FOREVER, &info);
    if (n >= 0) {
        show(data, (size_t)n, &info);
    }
    while (!is_over(-1)) {
    }
    tong_close(box);
    return 0;
}

static int call_one(const struct asked *asked)
{
    char data[64];
    tong_mailbox *box = NULL;
    fill(data, sizeof(data), "c", 0);
    int r = tong_open(asked->name, TONG_SEND, NULL, &box);
    const long long from = wall_ms();
    if (r == 0) {
        r = (int)tong_call(box, data, sizeof(data), data, sizeof(data), TONG_MS(asked->timeout_ms));
    }
    printf("CALL %s %lld %lld\n", result_name(r), from, wall_ms());
    if (box != NULL) {
        tong_close(box);
    }
    return 0;
}

static int read_options(int argc, char **argv, struct asked *asked)
{
    for (int i = 0; i + 1 < argc; i += 2) {
        const unsigned long value = strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--size") == 0) {
            asked->size = value;
        } else if (strcmp(argv[i], "--count") == 0) {
            asked->count = value;
        } else if (strcmp(argv[i], "--timeout") == 0) {
            asked->timeout_ms = (long)value;
        } else if (strcmp(argv[i], "--pause") == 0) {
            asked->pause_ms = (int)value;
        } else {
            return -1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct asked asked = { .size = 64, .count = ~0ul, .timeout_ms = 30000 };
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    asked.name = argc > 2 ? argv[2] : "";
    if (argc > 3 && strcmp(argv[1], "send") == 0 && read_options(argc - 4, argv + 4, &asked) == 0) {
        asked.tag = argv[3];
        return send_all(&asked);
    }
    if (argc == 3 && strcmp(argv[1], "receive") == 0) {
        return receive_all(&asked);
    }
    if (argc == 3 && strcmp(argv[1], "hold") == 0) {
        return hold_one(&asked);
    }
    if (argc == 3 && strcmp(argv[1], "own") == 0) {
        return own_one(&asked);
    }
    if (argc == 3 && strcmp(argv[1], "call") == 0) {
        return call_one(&asked);
    }
    fprintf(stderr, "flow: flow send NAME TAG [OPTION...] | "
                    "receive|hold|own|call NAME\n");
    return 2;
}
