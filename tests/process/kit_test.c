/*
 * The kit itself: what must fail fails, by its name, and nothing else does.
 *
 * The bad tests are in a table of their own. Each is run by this program run again with its name,
 * and its exit code and words are looked at.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"

/* ------------------------------------------------------------------ bad tests */

static void bad_answer(void)
{
    kit_gives(tong_remove("nothing"), 0);
}

static int fail_in_a_child(void *arg)
{
    (void)arg;
    kit_equal(1, 2);
    return 0;
}

static void bad_child(void)
{
    struct kit_child child = kit_spawn(fail_in_a_child, NULL);
    kit_join(&child);
}

static void bad_hang(void)
{
    kit_await_death();
}

static void bad_wait(void)
{
    kit_until(kit_now_ns() < 0);
}

static void bad_crash(void)
{
    raise(SIGSEGV);
}

static void bad_descriptor(void)
{
    kit_true(open("/dev/null", O_RDONLY) >= 0);
}

static void bad_mapping(void)
{
    const int fd = open(kit_path("file"), O_CREAT | O_RDWR, 0600);
    const int second = open(kit_path("second"), O_CREAT | O_RDWR, 0600);
    kit_true(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
    kit_true(mmap(NULL, 4096, PROT_READ, MAP_SHARED, second, 0) != MAP_FAILED);
    close(fd);
    close(second);
}

static void bad_mailbox(void)
{
    tong_mailbox *box = NULL;
    kit_ok(tong_open("left", TONG_SEND | TONG_CREATE, NULL, &box));
    kit_ok(tong_close(box));
}

static void bad_region(void)
{
    tong_region *region = NULL;
    kit_ok(tong_region_open("left", 1, TONG_WRITE | TONG_CREATE, NULL, &region));
    kit_ok(tong_region_close(region));
}

static int await_death(void *arg)
{
    (void)arg;
    kit_await_death();
}

static void bad_child_left(void)
{
    kit_spawn(await_death, NULL);
}

static void bad_litter(void)
{
    const int fd = open(kit_path(".half-made"), O_CREAT | O_WRONLY, 0600);
    close(fd);
}

static void skipped(void)
{
    kit_skip("a reason with %d words", 5);
}

static void good(void)
{
    tong_mailbox *box = kit_create(kit_name("good"), NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_equal(kit_receive_u64(box), 1);
    kit_end(box, kit_name("good"));
}

static const struct kit_test bad_tests[] = {
    KIT_TEST(bad_answer),     KIT_TEST(bad_child),   KIT_TEST_LONG(bad_hang, 5),
    KIT_TEST(bad_wait),       KIT_TEST(bad_crash),   KIT_TEST(bad_descriptor),
    KIT_TEST(bad_mapping),    KIT_TEST(bad_mailbox), KIT_TEST(bad_region),
    KIT_TEST(bad_child_left), KIT_TEST(bad_litter),  KIT_TEST(skipped),
    KIT_TEST(good),
};
enum {
    BAD_TESTS = sizeof(bad_tests) / sizeof(bad_tests[0])
};

/* ------------------------------------------------------------------ their runs */

static char words[65536];

static int run_again(const char *first, const char *second)
{
    int ends[2];
    kit_ok(pipe2(ends, O_CLOEXEC));
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        setenv("KIT_BAD", "1", 1);
        setenv("KIT_SECONDS", "2", 1);
        unsetenv("CMOCKA_TEST_ABORT");
        execl("/proc/self/exe", "kit", first, second, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    size_t len = 0;
    ssize_t n;
    while ((n = read(ends[0], words + len, sizeof(words) - 1 - len)) > 0) {
        len += (size_t)n;
    }
    words[len] = '\0';
    close(ends[0]);
    int status = 0;
    kit_equal(waitpid(pid, &status, 0), pid);
    kit_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect(const char *name, int code, const char *word)
{
    const int got = run_again(name, NULL);
    if (got != code || !strstr(words, word) || !strstr(words, name)) {
        kit_fail("%s: exit code %d and not %d, or not a word of \"%s\" in:\n%s", name, got, code,
                 word, words);
    }
}

static void a_good_test_passes(void)
{
    expect("good", 0, "PASSED");
}

static void a_wrong_answer_fails(void)
{
    expect("bad_answer", 1, "wanted 0");
}

static void a_failure_in_a_child_fails(void)
{
    expect("bad_child", 1, "1 is 1, wanted 2");
}

static void a_hang_is_ended_and_named(void)
{
    expect("bad_hang", 1, "hung");
}

static void a_condition_that_never_holds_fails(void)
{
    expect("bad_wait", 1, "did not happen in time: kit_now_ns() < 0");
}

static void a_crash_fails(void)
{
    /* A sanitizer makes an exit code of it. */
    kit_equal(run_again("bad_crash", NULL), 1);
}

static void what_is_left_open_fails(void)
{
    expect("bad_descriptor", 1, "/dev/null");
    expect("bad_mapping", 1, "mapped");
    expect("bad_mailbox", 1, "mailbox left is there");
    expect("bad_region", 1, "region left is there");
    expect("bad_child_left", 1, "a child runs");
    expect("bad_litter", 1, ".half-made was left");
}

static void a_skip_is_77_with_its_reason(void)
{
    expect("skipped", 77, "a reason with 5 words");
}

static void one_failure_spoils_the_run_and_stops_no_other(void)
{
    kit_equal(run_again("good", "bad_answer"), 1);
    kit_true(strstr(words, "[       OK ] good") != NULL);
    kit_equal(run_again("good", "skipped"), 0);
    kit_equal(run_again("no_such_test", NULL), 2);
}

static void a_payload_shows_every_changed_bit(void)
{
    static unsigned char data[3000];
    struct kit_payload head;
    for (size_t len = KIT_PAYLOAD_MIN; len < sizeof(data); len += 61) {
        kit_payload_write(data, len, 3, len);
        kit_true(kit_payload_read(data, len, &head) && head.sender == 3 && head.counter == len);
        kit_true(kit_payload_is(data, len, 3, len));
        kit_true(!kit_payload_is(data, len, 3, len + 1) && !kit_payload_is(data, len, 4, len));
        kit_true(!kit_payload_read(data, len - 1, &head));
        for (size_t at = 0; at < len; at += 1 + len / 50) {
            data[at] ^= (unsigned char)(1u << at % 8);
            kit_true(!kit_payload_is(data, len, 3, len));
            data[at] ^= (unsigned char)(1u << at % 8);
        }
        kit_true(kit_payload_is(data, len, 3, len));
    }
}

static const struct kit_test tests[] = {
    KIT_TEST(a_good_test_passes),
    KIT_TEST(a_wrong_answer_fails),
    KIT_TEST(a_failure_in_a_child_fails),
    KIT_TEST(a_hang_is_ended_and_named),
    KIT_TEST(a_condition_that_never_holds_fails),
    KIT_TEST(a_crash_fails),
    KIT_TEST(what_is_left_open_fails),
    KIT_TEST(a_skip_is_77_with_its_reason),
    KIT_TEST(one_failure_spoils_the_run_and_stops_no_other),
    KIT_TEST(a_payload_shows_every_changed_bit),
};

int main(int argc, char **argv)
{
    if (getenv("KIT_BAD")) {
        return kit_main(argc, argv, bad_tests, BAD_TESTS);
    }
    return kit_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
