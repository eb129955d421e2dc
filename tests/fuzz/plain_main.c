/*
 * A main for compilers without libFuzzer: runs the inputs it is given, then random variations.
 *
 *   TARGET [-runs=N] [-seed=S] [FILE | FOLDER]...
 *
 * Other options that begin with a hyphen are libFuzzer's and mean nothing here. An input that
 * takes 30 s ends the run by SIGALRM. What is tried is the same for the same seed.
 */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_MOST 4096u
#define INPUTS_MOST 4096u

static struct {
    uint8_t *data;
    size_t len;
} inputs[INPUTS_MOST];
static size_t n_inputs;
static uint64_t state = 1;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void run(const uint8_t *data, size_t len)
{
    /* A copy of exactly this length, so that a sanitizer sees a read behind it. */
    uint8_t *copy = malloc(len + (len == 0));
    fuzz_true(copy != NULL);
    memcpy(copy, data, len);
    alarm(30);
    (void)LLVMFuzzerTestOneInput(copy, len);
    alarm(0);
    free(copy);
}

static void add_file(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t *data = malloc(INPUT_MOST);
    fuzz_true(fd >= 0 && data != NULL);
    const ssize_t len = read(fd, data, INPUT_MOST);
    close(fd);
    if (len < 0 || n_inputs == INPUTS_MOST) {
        free(data);
        return;
    }
    inputs[n_inputs].data = data;
    inputs[n_inputs].len = (size_t)len;
    n_inputs++;
}

static int is_no_dot(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static void add(const char *path)
{
    struct stat st;
    struct dirent **names = NULL;
    if (stat(path, &st) != 0) {
        fuzz_fail("%s: there is no such input", path);
    }
    if (!S_ISDIR(st.st_mode)) {
        add_file(path);
        return;
    }
    const int n = scandir(path, &names, is_no_dot, alphasort);
    for (int i = 0; i < n; i++) {
        char inner[4096];
        (void)snprintf(inner, sizeof(inner), "%s/%s", path, names[i]->d_name);
        add_file(inner);
        free(names[i]);
    }
    free(names);
}

static void vary(void)
{
    static uint8_t data[INPUT_MOST];
    size_t len = 0;
    if (n_inputs != 0) {
        const size_t which = next_random() % n_inputs;
        len = inputs[which].len;
        memcpy(data, inputs[which].data, len);
    }
    if (len == 0 || next_random() % 8 == 0) {
        const size_t more = next_random() % 64 + 1;
        for (size_t i = 0; i < more && len < INPUT_MOST; i++) {
            data[len++] = (uint8_t)next_random();
        }
    }
    for (uint64_t n = next_random() % 8; n > 0; n--) {
        data[next_random() % len] = (uint8_t)next_random();
    }
    run(data, len);
}

int main(int argc, char **argv)
{
    unsigned long runs = 0;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "-runs=", 6) == 0) {
            runs = strtoul(argv[i] + 6, NULL, 10);
        } else if (strncmp(argv[i], "-seed=", 6) == 0) {
            state = strtoull(argv[i] + 6, NULL, 10) | 1;
        } else if (argv[i][0] != '-') {
            add(argv[i]);
        }
    }
    unsigned long done = 0;
    for (; done < n_inputs; done++) {
        run(inputs[done].data, inputs[done].len);
    }
    for (; done < runs; done++) {
        vary();
    }
    fprintf(stderr, "Done %lu runs\n", done);
    for (size_t i = 0; i < n_inputs; i++) {
        free(inputs[i].data);
    }
    return 0;
}
