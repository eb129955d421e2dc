/* exec() is the end of all that was open: no descriptor goes through, and to the others it is a death. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"

/* Left open on purpose. */
static tong_mailbox *box;
static tong_region *region;

/* Open whatever can be open: a link written, a link read, a claim, a lock. */
static void open_all(uint32_t owner)
{
    tong_options options = kit_options();
    options.owner = owner;
    box = kit_open(kit_name("run"), TONG_SEND | TONG_RECEIVE | TONG_CREATE, &options);
    kit_ok(kit_send_u64(box, 1, 0));
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, 0, &message));
    char *large = calloc(1, 3 << 20);
    kit_true(large != NULL);
    kit_ok(tong_send(box, large, 3 << 20, 0));
    free(large);
    kit_ok(tong_region_open("run", 100, TONG_WRITE | TONG_CREATE, NULL, &region));
    kit_ok(tong_region_lock(region, 0));
}

static int list_descriptors_after_exec(void *arg)
{
    open_all(TONG_SYSTEM);
    execl("/bin/sh", "sh", "-c", "ls -l /proc/self/fd >\"$0\"", (const char *)arg, NULL);
    return 1;
}

static void no_descriptor_goes_through_exec(void)
{
    char path[4096];
    char line[4096];
    (void)snprintf(path, sizeof(path), "%s-descriptors", getenv("TONG_DIR"));
    struct kit_child child = kit_spawn(list_descriptors_after_exec, path);
    kit_join(&child);
    FILE *file = fopen(path, "re");
    kit_true(file != NULL);
    unsigned lines = 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        lines++;
        const char *to = strstr(line, "-> ");
        if (to != NULL && strstr(to, getenv("TONG_DIR")) != NULL && strstr(to, path) == NULL) {
            kit_fail("open after exec: %s", line);
        }
    }
    kit_true(lines > 3);
    (void)fclose(file);
    kit_ok(unlink(path));
    kit_ok(tong_remove(kit_name("run")));
    kit_ok(tong_region_remove("run"));
}

/* Not one of them only by luck: the flag is on each. */
static int look_at_the_flags(void *arg)
{
    (void)arg;
    open_all(TONG_SYSTEM);
    DIR *folder = opendir("/proc/self/fd");
    kit_true(folder != NULL);
    unsigned n = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char link[64];
        char to[4096];
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%.20s", entry->d_name);
        const ssize_t len = readlink(link, to, sizeof(to) - 1);
        to[len > 0 ? len : 0] = '\0';
        if (strncmp(to, getenv("TONG_DIR"), strlen(getenv("TONG_DIR"))) == 0) {
            n++;
            kit_true((fcntl(atoi(entry->d_name), F_GETFD) & FD_CLOEXEC) != 0);
        }
    }
    (void)closedir(folder);
    kit_true(n >= 3);
    return 0;
}

static void every_descriptor_is_closed_on_exec(void)
{
    struct kit_child child = kit_spawn(look_at_the_flags, NULL);
    kit_join(&child);
    kit_ok(tong_remove(kit_name("run")));
    kit_ok(tong_region_remove("run"));
}

/* ------------------------------------------------------------------ as a death */

struct run {
    uint32_t owner;
    kit_event go;
};

static int open_and_exec(void *arg)
{
    struct run *run = arg;
    open_all(run->owner);
    kit_report("o", 1);
    kit_event_wait(&run->go);
    execl("/bin/sleep", "sleep", "1000", NULL);
    return 1;
}

static struct kit_child start(struct run *run)
{
    struct kit_child child = kit_spawn(open_and_exec, run);
    char c;
    kit_read_report(&child, &c, 1);
    return child;
}

static void exec_gives_back_what_was_claimed_and_locked(void)
{
    struct run *run = kit_shared(sizeof(*run));
    run->owner = TONG_SYSTEM;
    struct kit_child child = start(run);
    box = kit_open(kit_name("run"), TONG_RECEIVE, NULL);
    kit_gives(tong_skip(box), 3 << 20);
    kit_event_set(&run->go);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_equal(message.deliveries, 2);
    kit_equal(*(const uint64_t *)message.data, 1);
    kit_ok(tong_done(box, &message));
    kit_ok(tong_region_open("run", 0, TONG_WRITE, NULL, &region));
    kit_gives(tong_region_lock(region, KIT_PATIENCE), TONG_RECOVERED);
    kit_ok(tong_region_unlock(region));
    kit_ok(tong_region_close(region));
    kit_ok(tong_region_remove("run"));
    /* The process itself lives on. */
    kit_equal(waitpid(child.pid, NULL, WNOHANG), 0);
    kit_kill(&child);
    kit_end(box, kit_name("run"));
}

static void exec_ends_what_the_process_owned(void)
{
    struct run *run = kit_shared(sizeof(*run));
    run->owner = TONG_PROCESS;
    struct kit_child child = start(run);
    box = kit_open(kit_name("run"), TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    tong_death death = TONG_DEATH_INIT;
    kit_gives(tong_watch(box, 0, &death), -EAGAIN);
    kit_event_set(&run->go);
    kit_gives(tong_watch(box, KIT_PATIENCE, &death), -EOWNERDEAD);
    kit_gives(kit_send_u64(box, 1, 0), -EOWNERDEAD);
    kit_equal(waitpid(child.pid, NULL, WNOHANG), 0);
    kit_kill(&child);
    kit_ok(tong_close(box));
    tong_mailbox *again = NULL;
    kit_gives(tong_open(kit_name("run"), TONG_SEND, NULL, &again), -ENOENT);
    kit_ok(tong_region_remove("run"));
}

static const struct kit_test tests[] = {
    KIT_TEST(no_descriptor_goes_through_exec),
    KIT_TEST(every_descriptor_is_closed_on_exec),
    KIT_TEST(exec_gives_back_what_was_claimed_and_locked),
    KIT_TEST(exec_ends_what_the_process_owned),
};

KIT_MAIN(tests)
