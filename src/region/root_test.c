/* The folder that holds everything: what is refused, made, shared and locked. */
#include "region/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/point.h"
#include "kit.h"

/* A path below the test's own folder, wherever TONG_DIR points by now. */
static const char *below(const char *name)
{
    static char paths[4][4096];
    static unsigned next;
    static char own[2048];
    if (own[0] == '\0') {
        snprintf(own, sizeof(own), "%s", getenv("TONG_DIR"));
    }
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", own, name);
    return path;
}

/* Look at another folder. */
static const char *use(const char *path)
{
    (void)below(""); /* before TONG_DIR changes */
    kit_ok(setenv("TONG_DIR", path, 1));
    return path;
}

static int try_root(bool create)
{
    struct tg_root *root = NULL;
    const int r = tg_root_get(create, &root);
    if (r == 0) {
        tg_root_put(root);
    } else {
        kit_true(root == NULL);
    }
    return r;
}

/* mkdir and chmod: the umask does not count. */
static const char *make(const char *name, mode_t mode)
{
    const char *path = below(name);
    kit_ok(mkdir(path, 0700));
    kit_ok(chmod(path, mode));
    return path;
}

/* ---- refused */

static void a_relative_path_is_refused(void)
{
    use("tong");
    kit_gives(try_root(true), -EACCES);
    use("./tong");
    kit_gives(try_root(true), -EACCES);
}

static void a_path_that_is_too_long_is_refused(void)
{
    static char path[5000];
    char small[8];
    memset(path, 'x', sizeof(path) - 1);
    path[0] = '/';
    use(path);
    kit_gives(try_root(true), -ENAMETOOLONG);
    use("/eight+1");
    kit_gives(tg_root_path(small, sizeof(small)), -ENAMETOOLONG);
    use("/seven.");
    kit_gives(tg_root_path(small, sizeof(small)), 7);
}

static void a_link_is_refused(void)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s", make("real", 0700));
    kit_ok(symlink(path, below("alias")));
    use(below("alias"));
    kit_gives(try_root(false), -EACCES);
    kit_gives(try_root(true), -EACCES);
    kit_ok(unlink(below("alias")));
    kit_ok(symlink(below("nowhere"), below("alias")));
    kit_gives(try_root(true), -EACCES);
    kit_gives(access(below("nowhere"), F_OK), -1); /* nothing was made through it */
    kit_ok(unlink(below("alias")));
    kit_ok(rmdir(path));
}

static void a_file_is_refused(void)
{
    const char *path = use(below("file"));
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    kit_gives(try_root(true), -EACCES);
    kit_ok(unlink(path));
}

static void a_folder_others_may_take_files_out_of_is_refused(void)
{
    static const mode_t modes[] = { 0777, 01777, 0702, 01702, 0770, 0720, 02770 };
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        const char *path = use(make("open", modes[i]));
        kit_gives(try_root(false), -EACCES);
        kit_ok(rmdir(path));
    }
}

static void another_users_folder_is_refused(void)
{
    kit_needs_root();
    const char *path = use(make("foreign", 0700));
    kit_ok(chown(path, KIT_ANN, KIT_ANN));
    kit_gives(try_root(true), -EACCES);
    kit_ok(rmdir(path));
}

/* ---- made and found */

static void without_create_a_missing_one_is_enoent(void)
{
    use(below("missing"));
    kit_gives(try_root(false), -ENOENT);
    kit_ok(try_root(true));
    struct stat st;
    kit_ok(stat(below("missing"), &st));
    kit_equal(st.st_mode & 07777, 0700);
    kit_ok(try_root(false));
    use(below("missing/too/deep"));
    kit_gives(try_root(false), -ENOENT);
    kit_gives(try_root(true), -EACCES); /* nothing to make it in */
    kit_ok(rmdir(below("missing")));
}

static void without_the_variable_it_is_in_dev_shm_by_user(void)
{
    char path[64];
    char wanted[64];
    const int len = snprintf(wanted, sizeof(wanted), "/dev/shm/tong-%u", (unsigned)geteuid());
    use("");
    kit_gives(tg_root_path(path, sizeof(path)), len);
    kit_true(strcmp(path, wanted) == 0);
    kit_ok(unsetenv("TONG_DIR"));
    kit_gives(tg_root_path(path, sizeof(path)), len);
    kit_true(strcmp(path, wanted) == 0);
}

static void all_handles_of_a_folder_share_it(void)
{
    struct tg_root *one;
    struct tg_root *two;
    struct tg_root *other;
    char path[4096];
    snprintf(path, sizeof(path), "%s", getenv("TONG_DIR"));
    kit_ok(tg_root_get(true, &one));
    kit_ok(tg_root_get(false, &two));
    kit_true(one == two);
    use(make("other", 0700));
    kit_ok(tg_root_get(false, &other));
    kit_true(other != one);
    tg_root_put(other);
    tg_root_put(one);
    kit_ok(faccessat(tg_root_fd(two), "other", F_OK, 0)); /* one put, it is open still */
    tg_root_put(two);
    tg_root_put(NULL);
    kit_ok(rmdir(getenv("TONG_DIR")));
    use(path);
}

static void a_sticky_folder_of_a_group_is_shared(void)
{
    struct tg_root *root;
    const char *path = use(make("shared", 03770));
    kit_ok(tg_root_get(false, &root));
    kit_true(tg_root_is_shared(root));
    tg_root_put(root);
    kit_ok(chmod(path, 0700));
    kit_ok(tg_root_get(false, &root));
    kit_true(!tg_root_is_shared(root));
    tg_root_put(root);
    kit_ok(rmdir(path));
}

static int uses_roots_folder(void *arg)
{
    const char *path = arg;
    kit_become(KIT_ANN, KIT_ANN);
    use(path);
    kit_ok(try_root(false));
    return 0;
}

static void roots_folder_is_safe_for_its_group(void)
{
    kit_needs_root();
    const char *path = kit_make_folder(0, KIT_ANN, 03770);
    struct kit_child child = kit_spawn(uses_roots_folder, (void *)(uintptr_t)path);
    kit_join(&child);
    kit_remove_folder(path);
}

/* ---- the lock under which names go */

static int locks(void *arg)
{
    kit_event *locked = arg;
    struct tg_root *root;
    int fd;
    kit_ok(tg_root_get(false, &root));
    kit_ok(tg_root_lock(root, true, &fd));
    kit_event_set(locked);
    kit_await_death();
}

static void the_lock_excludes_and_goes_with_its_holder(void)
{
    kit_event *locked = kit_shared(sizeof(*locked));
    struct tg_root *root;
    int fd = -7;
    kit_ok(tg_root_get(true, &root));
    struct kit_child child = kit_spawn(locks, locked);
    kit_event_wait(locked);
    kit_gives(tg_root_lock(root, false, &fd), -EAGAIN);
    kit_equal(fd, -7);
    kit_kill(&child);
    kit_ok(tg_root_lock(root, true, &fd));
    int again;
    kit_gives(tg_root_lock(root, false, &again), -EAGAIN);
    tg_sys_close(fd);
    kit_ok(tg_root_lock(root, false, &fd));
    tg_sys_close(fd);
    tg_root_put(root);
}

/* ---- temporary names */

struct name {
    char text[64];
};

static int makes_a_name(void *arg)
{
    struct name *name = arg;
    struct tg_root *root;
    uint64_t id;
    kit_ok(tg_root_get(false, &root));
    kit_ok(tg_life_join(root, &id));
    tg_root_temp_name(root, "new", name->text, sizeof(name->text));
    kit_report("m", 1);
    kit_await_death();
}

static void temporary_names_are_unique_and_die_with_their_process(void)
{
    struct name *name = kit_shared(sizeof(*name));
    struct tg_root *root;
    char one[64];
    char two[64];
    char made;
    uint64_t id;
    kit_ok(tg_root_get(true, &root));
    kit_ok(tg_life_join(root, &id));
    tg_root_temp_name(root, "new", one, sizeof(one));
    tg_root_temp_name(root, "new", two, sizeof(two));
    kit_true(strncmp(one, ".tmp/new.", 9) == 0 && strcmp(one, two) != 0);
    struct kit_child child = kit_spawn(makes_a_name, name);
    kit_read_report(&child, &made, 1);
    kit_true(!tg_root_temp_is_dead(root, one + 5, geteuid()));
    kit_true(!tg_root_temp_is_dead(root, name->text + 5, geteuid()));
    kit_kill(&child);
    kit_true(tg_root_temp_is_dead(root, name->text + 5, geteuid()));
    kit_true(!tg_root_temp_is_dead(root, "foreign", geteuid()));
    kit_true(!tg_root_temp_is_dead(root, "new.x", geteuid()));
    tg_life_leave(root);
    tg_root_put(root);
}

/* ---- files */

static void a_file_is_made_once_whole_and_with_its_mode(void)
{
    struct stat st;
    int fd = -1;
    const int dir = open(below("."), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const mode_t mask = umask(0077);
    kit_ok(tg_file_make(dir, "file", 10000, 4096, 0660, &fd));
    umask(mask);
    kit_ok(fstat(fd, &st));
    kit_equal(st.st_size, 10000);
    kit_equal(st.st_mode & 07777, 0660);
    kit_equal(st.st_blocks, 8); /* only what was asked for is reserved */
    int other = -7;
    kit_gives(tg_file_make(dir, "file", 10, 10, 0600, &other), -EEXIST);
    kit_equal(other, -7);
    close(fd);
    kit_ok(unlinkat(dir, "file", 0));
    kit_gives(tg_file_make(dir, "file", 0, UINT64_C(1) << 60, 0600, &other), -ENOSPC);
    kit_gives(faccessat(dir, "file", F_OK, 0), -1); /* nothing half made */
    close(dir);
    kit_equal(tg_file_mode(0600, true), 0600);
    kit_equal(tg_file_mode(0660, false), 0640);
    kit_equal(tg_file_mode(0660, true), 0660);
    kit_equal(tg_file_mode(0640, false), 0640);
    kit_equal(tg_file_mode(0666, true), 0666);
    kit_equal(tg_file_mode(0666, false), 0644);
}

/* ---- the first users of a shared folder */

struct first_user {
    const char *folder;
    unsigned long point; /* to die at, 0 none */
    uid_t uid;
    kit_barrier *barrier; /* or NULL */
};

static int is_first(void *arg)
{
    const struct first_user *user = arg;
    struct tg_root *root = NULL;
    uint64_t me = 0;
    int lock = -1;
    char name[64];
    kit_become(user->uid, KIT_ANN);
    kit_ok(setenv("TONG_DIR", user->folder, 1));
    kit_ok(tg_root_get(false, &root));
    if (user->barrier != NULL) {
        kit_barrier_wait(user->barrier, 2);
    }
    tg_point_arm(user->point);
    kit_ok(tg_life_join(root, &me));
    tg_root_temp_name(root, "new", name, sizeof(name));
    kit_ok(tg_root_lock(root, true, &lock));
    tg_point_arm(0);
    tg_sys_close(lock);
    tg_life_leave(root);
    tg_root_put(root);
    return 0;
}

/* Each may use what the other one made. */
static void each_may_use_it(const char *folder)
{
    struct first_user user = { .folder = folder, .uid = KIT_BOB };
    struct kit_child bob = kit_spawn(is_first, &user);
    kit_join(&bob);
    user.uid = KIT_ANN;
    struct kit_child ann = kit_spawn(is_first, &user);
    kit_join(&ann);
}

static void who_dies_making_a_shared_folder_shuts_nobody_out(void)
{
    kit_needs_root();
    bool died = true;
    for (unsigned long point = 1; died; point++) {
        const char *folder = kit_make_folder(0, KIT_ANN, 03770);
        struct first_user user = { .folder = folder, .point = point, .uid = KIT_ANN };
        struct kit_child ann = kit_spawn(is_first, &user);
        died = WIFSIGNALED(kit_join_status(&ann));
        each_may_use_it(folder);
        if (strcmp(kit_entries(folder), ".life .lock .tmp") != 0 &&
            strncmp(kit_entries(folder), ".life .lock .new.", 17) != 0) {
            kit_fail("point %lu left %s", point, kit_entries(folder));
        }
        kit_remove_folder(folder);
    }
}

static void two_users_may_come_first_at_once(void)
{
    kit_needs_root();
    kit_barrier *barrier = kit_shared(sizeof(*barrier));
    for (int i = 0; i < 50; i++) {
        const char *folder = kit_make_folder(0, KIT_ANN, 03770);
        struct first_user user[2] = {
            { .folder = folder, .uid = KIT_ANN, .barrier = barrier },
            { .folder = folder, .uid = KIT_BOB, .barrier = barrier },
        };
        struct kit_child ann = kit_spawn(is_first, &user[0]);
        struct kit_child bob = kit_spawn(is_first, &user[1]);
        kit_join(&ann);
        kit_join(&bob);
        each_may_use_it(folder);
        kit_remove_folder(folder);
    }
}

static const struct kit_test tests[] = {
    KIT_TEST(a_relative_path_is_refused),
    KIT_TEST(a_path_that_is_too_long_is_refused),
    KIT_TEST(a_link_is_refused),
    KIT_TEST(a_file_is_refused),
    KIT_TEST(a_folder_others_may_take_files_out_of_is_refused),
    KIT_TEST(another_users_folder_is_refused),
    KIT_TEST(without_create_a_missing_one_is_enoent),
    KIT_TEST(without_the_variable_it_is_in_dev_shm_by_user),
    KIT_TEST(all_handles_of_a_folder_share_it),
    KIT_TEST(a_sticky_folder_of_a_group_is_shared),
    KIT_TEST(roots_folder_is_safe_for_its_group),
    KIT_TEST(the_lock_excludes_and_goes_with_its_holder),
    KIT_TEST(temporary_names_are_unique_and_die_with_their_process),
    KIT_TEST(a_file_is_made_once_whole_and_with_its_mode),
    KIT_TEST(who_dies_making_a_shared_folder_shuts_nobody_out),
    KIT_TEST(two_users_may_come_first_at_once),
};

KIT_MAIN(tests)
