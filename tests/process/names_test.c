/*
 * Many names, one after the other: of a process that was opened, used and closed nothing is left, and of
 * one that died nothing is left once somebody came by. TONG_TEST_NAMES=10000 makes so many instead of 1,000.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

enum {
    NAMES = 1000,
    PEERS_MOST = 65, /* one more than stay open, see tong_process_open() */
};

static const char *numbered(uint64_t i)
{
    char name[32];
    snprintf(name, sizeof(name), "name%llu", (unsigned long long)i);
    return kit_name(name);
}

static tong_process *opens(const char *name)
{
    tong_process *me = NULL;
    kit_ok(tong_process_open(name, NULL, &me));
    return me;
}

/* ------------------------------------------------------------------ what is in use */

struct use {
    uint64_t descriptors;
    uint64_t mappings;
    uint64_t memory; /* of this process alone, KiB */
};

static uint64_t lines_of(const char *path)
{
    FILE *f = fopen(path, "re");
    uint64_t n = 0;
    kit_true(f != NULL);
    for (int c; (c = fgetc(f)) != EOF;) {
        n += c == '\n';
    }
    fclose(f);
    return n;
}

static uint64_t private_kib(void)
{
    FILE *f = fopen("/proc/self/status", "re");
    unsigned long long kib = 0;
    char line[128];
    kit_true(f != NULL);
    while (fgets(line, sizeof(line), f) != NULL && sscanf(line, "RssAnon: %llu", &kib) != 1) {
    }
    fclose(f);
    return kib;
}

static struct use now_in_use(void)
{
    struct use use = { .mappings = lines_of("/proc/self/maps"), .memory = private_kib() };
    DIR *folder = opendir("/proc/self/fd");
    kit_true(folder != NULL);
    while (readdir(folder) != NULL) {
        use.descriptors++;
    }
    closedir(folder);
    return use;
}

/* Names and hidden files, and how many records of the living there are. */
static void only_these_are_there(const char *names, uint64_t alive)
{
    const char *all = kit_entries(kit_path("."));
    char shown[64];
    snprintf(shown, sizeof(shown), ".life .lock .tmp%s%s", names[0] != '\0' ? " " : "", names);
    if (strcmp(all, shown) != 0) {
        kit_fail("there is \"%s\", not \"%s\"", all, shown);
    }
    kit_equal(strlen(kit_entries(kit_path(".tmp"))), 0);
    const char *lives = kit_entries(kit_path(".life"));
    uint64_t n = lives[0] != '\0';
    for (; *lives != '\0'; lives++) {
        n += *lives == ' ';
    }
    kit_equal(n, alive);
}

/* ------------------------------------------------------------------ closed */

/* P sends to each, which answers: a link each way. */
static void talk(tong_process *p, const char *name)
{
    char from[TONG_NAME_MAX];
    uint64_t value = 7;
    tong_process *me = opens(name);
    kit_ok(tong_send_to(p, name, &value, sizeof(value), 0));
    kit_gives(tong_receive_any(me, &value, sizeof(value), KIT_PATIENCE, from), sizeof(value));
    kit_ok(tong_send_to(me, kit_name("P"), &value, sizeof(value), 0));
    kit_ok(tong_process_close(me));
    kit_gives(tong_receive_any(p, &value, sizeof(value), KIT_PATIENCE, from), sizeof(value));
    kit_equal(strcmp(from, name), 0);
}

static void opened_and_closed_they_leave_nothing(void)
{
    const uint64_t n = kit_count("TONG_TEST_NAMES", NAMES);
    tong_process *p = opens(kit_name("P"));
    for (uint64_t i = 0; i < 2 * PEERS_MOST; i++) {
        talk(p, numbered(i));
    }
    const struct use before = now_in_use();
    for (uint64_t i = 0; i < n; i++) {
        talk(p, numbered(i));
    }
    const struct use after = now_in_use();
    kit_equal(after.descriptors, before.descriptors);
    kit_true(after.mappings <= before.mappings + 64); /* the C library's own, or a sanitizer's */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    kit_true(after.memory <= before.memory + 256); /* of 1,000 names 262 bytes each, of 10,000 26 */
#endif
    /* No file has a name any more, and none is open or mapped: their memory is free. */
    only_these_are_there("P", 1);
    kit_ok(tong_process_close(p));
    only_these_are_there("", 0);
}

/* ------------------------------------------------------------------ dead */

static int speak_and_die(void *arg)
{
    const char *name = arg;
    uint64_t value = 7;
    tong_process *me = opens(name);
    kit_ok(tong_send_to(me, kit_name("P"), &value, sizeof(value), KIT_PATIENCE));
    _exit(0); /* nothing is closed */
}

static void of_those_that_died_nothing_is_left_either(void)
{
    const uint64_t n = kit_count("TONG_TEST_NAMES", NAMES) / 10 + 1;
    char from[TONG_NAME_MAX];
    uint64_t value;
    tong_process *p = opens(kit_name("P"));
    for (uint64_t i = 0; i < n; i++) {
        char name[TONG_NAME_MAX];
        snprintf(name, sizeof(name), "%s", numbered(i));
        struct kit_child child = kit_spawn(speak_and_die, name);
        kit_gives(tong_receive_any(p, &value, sizeof(value), KIT_PATIENCE, from), sizeof(value));
        kit_equal(strcmp(from, name), 0);
        kit_join(&child);
    }
    /* Who comes finds the last one dead; who goes takes away what it left. */
    kit_ok(tong_process_close(opens(kit_name("Q"))));
    kit_ok(tong_process_close(p));
    kit_ok(tong_process_close(opens(kit_name("Q"))));
    only_these_are_there("", 0);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(opened_and_closed_they_leave_nothing, 300),
    KIT_TEST_LONG(of_those_that_died_nothing_is_left_either, 300),
};

KIT_MAIN(tests)
