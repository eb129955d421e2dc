/*
 * A program that loads the library as a plug-in and unloads it: its code stays, since a thread's end, a
 * fork and the kernel's list of robust words may still lead there.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

struct plugin {
    void *library;
    int (*open)(const char *name, unsigned flags, const tong_options *options,
                tong_mailbox **ret_box);
    int (*send)(tong_mailbox *box, const void *data, size_t len, int64_t timeout_ns);
    int (*close)(tong_mailbox *box);
};

/* lib/libtong.so beside the folder of this program. */
static void library_path(char *ret_path, size_t size)
{
    char self[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    kit_true(n > 0);
    self[n] = '\0';
    for (int up = 0; up < 2; up++) {
        *strrchr(self, '/') = '\0';
    }
    kit_true(snprintf(ret_path, size, "%s/lib/libtong.so", self) < (int)size);
    if (access(ret_path, R_OK) != 0) {
        kit_skip("there is no %s", ret_path);
    }
}

/* POSIX lets a pointer to data be one to a function here; C does not. */
static void find(const struct plugin *plugin, const char *name, void *ret_function)
{
    void *symbol = dlsym(plugin->library, name);
    kit_true(symbol != NULL);
    memcpy(ret_function, &symbol, sizeof(symbol));
}

static void load(struct plugin *plugin)
{
    char path[PATH_MAX + 32];
    library_path(path, sizeof(path));
    plugin->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (plugin->library == NULL) {
        kit_fail("dlopen: %s", dlerror());
    }
    find(plugin, "tong_open", &plugin->open);
    find(plugin, "tong_send", &plugin->send);
    find(plugin, "tong_close", &plugin->close);
}

struct use {
    struct plugin plugin;
    tong_mailbox *box;
    pthread_barrier_t opened;
    pthread_barrier_t unloaded;
};

static void *open_and_end(void *arg)
{
    struct use *use = arg;
    kit_ok(use->plugin.open("plugin", TONG_SEND | TONG_RECEIVE | TONG_CREATE, NULL, &use->box));
    kit_ok(use->plugin.send(use->box, "x", 1, 0));
    (void)pthread_barrier_wait(&use->opened);
    (void)pthread_barrier_wait(&use->unloaded);
    return NULL; /* the end of the thread takes its words out of its list */
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int use_and_unload(void *arg)
{
    (void)arg;
    static struct use use;
    pthread_t thread;
    load(&use.plugin);
    kit_equal(pthread_barrier_init(&use.opened, NULL, 2), 0);
    kit_equal(pthread_barrier_init(&use.unloaded, NULL, 2), 0);
    kit_equal(pthread_create(&thread, NULL, open_and_end, &use), 0);
    (void)pthread_barrier_wait(&use.opened);
    const struct plugin before = use.plugin;
    kit_equal(dlclose(use.plugin.library), 0);
    (void)pthread_barrier_wait(&use.unloaded);
    kit_equal(pthread_join(thread, NULL), 0);
    struct kit_child child = kit_spawn(do_nothing, NULL);
    kit_join(&child);
    load(&use.plugin);
    kit_true(use.plugin.close == before.close);
    kit_ok(use.plugin.send(use.box, "y", 1, 0));
    return use.plugin.close(use.box);
}

static void an_unloaded_library_stays_until_the_process_ends(void)
{
    char path[PATH_MAX + 32];
    library_path(path, sizeof(path));
    struct kit_child child = kit_spawn(use_and_unload, NULL);
    kit_join(&child);
    tong_mailbox *box = kit_open("plugin", TONG_RECEIVE, NULL);
    kit_gives(tong_skip(box), 1);
    kit_gives(tong_skip(box), 1);
    kit_is_empty(box);
    kit_end(box, "plugin");
}

static const struct kit_test tests[] = {
    KIT_TEST(an_unloaded_library_stays_until_the_process_ends),
};

KIT_MAIN(tests)
