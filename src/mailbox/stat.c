/* Looking at mailboxes, and after them: stat, list, doctor. Readers only, but for repairs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/name.h"
#include "mailbox/box.h"

/* ---- stat */

struct handle {
    uint64_t owner;
    uint32_t number;
};

struct count {
    struct tg_root *root;
    const struct tg_box_view *view;
    tong_status *status;
    struct handle *handles; /* that send, where one has several links */
    uint32_t n_handles;
    uint32_t handles_room;
    uint8_t
        seen[TG_LINKS_MAX / 8]; /* a name that comes anew while the folder is read is told twice */
};

static bool is_known(const struct count *count, const struct handle *handle)
{
    for (uint32_t i = 0; i < count->n_handles; i++) {
        if (count->handles[i].owner == handle->owner &&
            count->handles[i].number == handle->number) {
            return true;
        }
    }
    return false;
}

/* The first link found of its handle. Without memory for them each is one. */
static bool is_first(struct count *count, const struct tg_link_look *look)
{
    const struct handle handle = { look->owner, look->handle };
    if (tg_load_relaxed(&count->view->head->by_priority) == 0 || look->handle == 0) {
        return true;
    }
    if (is_known(count, &handle)) {
        return false;
    }
    if (count->n_handles == count->handles_room) {
        const uint32_t room = count->handles_room == 0 ? 16 : 2 * count->handles_room;
        struct handle *handles = realloc(count->handles, room * sizeof *handles);
        if (handles == NULL) {
            return true;
        }
        count->handles = handles;
        count->handles_room = room;
    }
    count->handles[count->n_handles++] = handle;
    return true;
}

static void count_link(struct count *count, int fd, uint32_t uid, uint32_t row)
{
    struct tg_link_look look;
    tong_status *s = count->status;
    if (!tg_link_look(count->root, count->view, fd, uid, row, &look)) {
        return;
    }
    s->links++;
    s->dropped += look.dropped;
    s->backstop_finds += look.finds;
    s->senders += look.alive && is_first(count, &look);
    s->senders_blocked += look.blocked;
    s->waiting += look.waiting;
}

static int count_file(const char *name, unsigned char type, void *arg)
{
    struct count *count = arg;
    (void)type;
    tg_fd fd = tg_sys_open(count->view->dir, name, O_RDONLY | O_NONBLOCK, 0);
    struct stat st;
    if (fd < 0 || tg_sys_fstat(fd, &st) < 0) {
        return 0;
    }
    count->status->bytes += (uint64_t)st.st_blocks * 512;
    const int row = tg_link_row(name);
    if (row >= 0 && (count->seen[row / 8] & (1u << (row % 8))) == 0) {
        count->seen[row / 8] |= (uint8_t)(1u << (row % 8));
        count_link(count, fd, st.st_uid, (uint32_t)row);
    }
    return 0;
}

static void count_entries(const struct tg_box_file *file, uint32_t slot, tong_status *s)
{
    const struct tg_box_entry *e = &file->entries[(size_t)slot * TG_CLAIMS_MAX];
    const uint32_t used = tg_load_acquire(&file->slots[slot].entries);
    for (uint32_t k = 0; k < used && k < TG_CLAIMS_MAX; k++) {
        const uint32_t state = TG_ENTRY_STATE(tg_load_relaxed(&e[k].state));
        s->claimed += state == TG_CLAIMED || state == TG_RELEASED;
        s->waiting += state == TG_RETURNED;
        s->set_aside += state == TG_PARKED;
    }
}

static void count_slots(struct tg_root *root, const struct tg_box_view *view, tong_status *s)
{
    const uint32_t n = tg_load_acquire(&view->head->n_slots);
    const struct tg_box_file box = { view->head, view->slots, view->rows, view->entries };
    for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX && view->books == NULL; i++) {
        const uint64_t owner = tg_load_acquire(&view->slots[i].owner);
        count_entries(&box, i, s);
        if (owner != 0 && tg_life_is_alive_of(root, owner, view->uid)) {
            s->receivers++;
            s->receivers_asleep += tg_load_relaxed(&view->slots[i].ticket) != 0;
        }
    }
}

/* To everyone: what each receiver there has counted, beside those who are gone. */
static void count_books(struct tg_root *root, const struct tg_box_view *view, tong_status *s)
{
    const uint64_t missed = tg_load_relaxed(&view->head->missed);
    s->done -= missed < s->done ? missed : s->done;
    s->dropped += missed;
    for (uint32_t i = 0; view->books != NULL && i < view->books->n; i++) {
        struct tg_book *book = &view->books->all[i];
        const struct tg_box_head *head = book->file.head;
        const uint64_t dropped = tg_book_dropped(&book->file);
        if (!tg_book_counts(book, root, view)) {
            continue;
        }
        count_entries(&book->file, book->slot, s);
        s->receivers++;
        s->receivers_asleep += tg_load_relaxed(&book->file.slots[book->slot].ticket) != 0;
        s->dropped += dropped;
        s->done += tg_load_relaxed(&head->done_total) - dropped;
        s->redelivered += tg_load_relaxed(&head->redelivered);
        s->dead_letters += tg_load_relaxed(&head->dead_letters);
        s->expired += tg_load_relaxed(&head->expired);
        s->backstop_finds += tg_load_relaxed(&head->finds);
    }
}

static void copy_options(struct tg_root *root, const struct tg_box_head *head, tong_status *s)
{
    const uint64_t owner = TG_OWNER(tg_load_acquire(&head->owner));
    memcpy(s->id, head->id, 16);
    s->delivery = TG_DELIVERY(tg_choice_read(head, s->policy));
    s->owner = owner != 0 ? TONG_PROCESS : TONG_SYSTEM;
    s->owner_pid = (int32_t)tg_box_pid_of(root, head, owner);
    s->full = tg_load_relaxed(&head->full);
    s->capacity = tg_load_relaxed(&head->capacity);
    s->link_capacity = tg_load_relaxed(&head->link_capacity);
    s->message_size = tg_load_relaxed(&head->message_size);
    s->mode = tg_load_relaxed(&head->mode);
    s->max_bytes = tg_load_relaxed(&head->max_bytes);
    s->done = tg_load_relaxed(&head->done_total);
    s->redelivered = tg_load_relaxed(&head->redelivered);
    s->deaths = tg_load_relaxed(&head->deaths);
    s->backstop_finds = tg_load_relaxed(&head->finds);
    s->dead_letters = tg_load_relaxed(&head->dead_letters);
    s->expired = tg_load_relaxed(&head->expired);
    s->max_deliveries = tg_load_relaxed(&head->max_deliveries);
    s->by_priority = tg_load_relaxed(&head->by_priority);
    memcpy(s->dead_letter, head->dead_letter, sizeof s->dead_letter);
    s->dead_letter[sizeof s->dead_letter - 1] = '\0';
}

/* What receivers found dropped; passed, too, but not done. */
static void count_dropped(const struct tg_box_view *view, tong_status *s)
{
    const uint32_t n = tg_load_acquire(&view->head->n_rows);
    for (uint32_t i = 0; i < n && i < TG_LINKS_MAX; i++) {
        const uint32_t dropped = (uint32_t)tg_load_relaxed(&view->rows[i].dropped);
        s->dropped += dropped;
        s->done -= dropped < s->done ? dropped : s->done;
    }
}

/* -ENOENT: also of one for replies, if it is not asked for. */
static int look(struct tg_root *root, const char *name, bool any, tong_status *s)
{
    struct tg_box_view view;
    const int r = tg_box_view_open(root, name, false, &view);
    if (r < 0) {
        return r;
    }
    if (!any && tg_load_relaxed(&view.head->process) == TG_FOR_REPLIES) {
        tg_box_view_close(&view);
        return -ENOENT;
    }
    const bool dead = tg_box_view_is_dead(root, &view);
    struct count count = { .root = root, .view = &view, .status = s };
    (void)tg_box_view_books(&view); /* of what cannot be opened now nothing is told */
    s->owner_uid = view.uid;
    copy_options(root, view.head, s);
    count_slots(root, &view, s);
    count_books(root, &view, s);
    (void)tg_sys_list(view.dir, count_file, &count);
    free(count.handles);
    s->sent = s->done + s->claimed + s->set_aside + (s->capacity == 0 ? 0 : s->waiting);
    if (s->full == TONG_DROP_OLDEST && s->capacity != 0) {
        if (view.books == NULL) {
            count_dropped(&view, s);
        }
        s->sent = s->done + s->dropped + s->claimed + s->set_aside + s->waiting;
    }
    tg_box_view_close(&view);
    return dead ? -ENOENT : 0;
}

int tg_box_stat(const struct tg_way *way, const char *name, tong_status *ret_status)
{
    int r = tg_name_check(name);
    if (r < 0) {
        return r;
    }
    struct tg_root *root;
    r = tg_way_root(way, false, &root);
    if (r < 0) {
        return r;
    }
    tong_status status = TONG_STATUS_INIT;
    memcpy(status.carrier, tg_way_prefix(way), strlen(tg_way_prefix(way)));
    memcpy(status.name, name, strlen(name));
    r = look(root, name, true, &status);
    tg_root_put(root);
    if (r == 0) {
        *ret_status = status;
    }
    return r;
}

/* ---- list */

int tg_box_list(const struct tg_way *way, tong_list_fn *each, void *arg)
{
    struct tg_root *root;
    int r = tg_way_root(way, false, &root);
    if (r < 0) {
        return r == -ENOENT ? 0 : r;
    }
    struct tg_names names = { 0 };
    r = tg_names_read(root, false, &names);
    for (size_t i = 0; r == 0 && i < names.n; i++) {
        tong_status status = TONG_STATUS_INIT;
        memcpy(status.carrier, tg_way_prefix(way), strlen(tg_way_prefix(way)));
        memcpy(status.name, names.name[i], TONG_NAME_MAX);
        const int error = look(root, names.name[i], false, &status);
        if (error != -ENOENT) {
            r = each(&status, error, arg);
        }
    }
    tg_names_free(&names);
    tg_root_put(root);
    return r;
}

/* ---- doctor */

struct doctor {
    tong_doctor_fn *each;
    void *arg;
    int found;
};

static int tell(struct doctor *doctor, uint32_t severity, const char *what, const char *why,
                const char *what_to_do)
{
    const tong_finding finding = { .struct_size = sizeof finding,
                                   .severity = severity,
                                   .what = what,
                                   .why = why,
                                   .what_to_do = what_to_do };
    if (severity != 0) {
        doctor->found++;
    }
    const int r = doctor->each(&finding, doctor->arg);
    return r < 0 ? r : 0;
}

static int tell_count(struct doctor *doctor, uint32_t n, const char *what, bool repair)
{
    if (n == 0) {
        return 0;
    }
    char why[96];
    (void)snprintf(why, sizeof why, "%u left behind by processes that are dead", (unsigned)n);
    return tell(doctor, 1, what, why, repair ? "" : "tong doctor --repair clears them away");
}

static int check_mailbox(struct doctor *doctor, struct tg_root *root, const char *name, bool repair)
{
    struct tg_box_view view;
    const int r = tg_box_view_open(root, name, false, &view);
    if (r == -ENOENT) {
        return 0;
    }
    if (r < 0) {
        return tell(doctor, 2, name,
                    r == -EPROTO ? "not a mailbox of this version, or damaged" : tg_err_text(-r),
                    "tong rm removes it");
    }
    const bool dead = tg_box_view_is_dead(root, &view);
    const uint32_t links = dead ? 0 : tg_links_sweep(root, &view, UINT32_MAX, repair);
    const uint32_t fifos = dead ? 0 : tg_poll_sweep(root, &view, repair);
    const bool to_all = TG_DELIVERY(tg_load_relaxed(&view.head->delivery)) == TONG_EVERYONE;
    const uint32_t books = dead || !to_all ? 0 : tg_everyone_sweep(root, &view, repair);
    uint8_t id[16];
    memcpy(id, view.head->id, sizeof id);
    tg_box_view_close(&view);
    if (dead) {
        if (repair) {
            (void)tg_box_take_away(root, name, TG_END_DEAD, id);
        }
        return tell(doctor, 1, name, "its owner is dead",
                    repair ? "" : "tong doctor --repair removes it");
    }
    char what[TONG_NAME_MAX + 16];
    (void)snprintf(what, sizeof what, "%s: links", name);
    int told = tell_count(doctor, links, what, repair);
    (void)snprintf(what, sizeof what, "%s: FIFOs", name);
    told = told < 0 ? told : tell_count(doctor, fifos, what, repair);
    (void)snprintf(what, sizeof what, "%s: receivers", name);
    return told < 0 ? told : tell_count(doctor, books, what, repair);
}

static int check_memory(struct doctor *doctor, const char *path)
{
    struct statvfs fs;
    if (tg_call(statvfs(path, &fs)) != 0) {
        return 0;
    }
    const uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    char why[96];
    (void)snprintf(why, sizeof why, "%llu MiB are free for messages",
                   (unsigned long long)(free_bytes >> 20));
    return free_bytes < (UINT64_C(4) << 20)
               ? tell(doctor, 2, path, why, "remove mailboxes, or make this file system larger")
               : tell(doctor, 0, path, why, "");
}

#define LOGIND "/etc/systemd/logind.conf"

/* What a file of logind's says of RemoveIPC, the last time it does: 1 yes, 0 no, -1 nothing. */
static int says_remove_ipc(int dir, const char *path)
{
    static const char key[] = "RemoveIPC=";
    char text[8192];
    int says = -1;
    tg_fd fd = tg_sys_open(dir, path, O_RDONLY, 0);
    const ssize_t n = fd < 0 ? fd : tg_sys_pread_some(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += strspn(line, "\n \t");
        if (strncmp(line, key, sizeof key - 1) == 0) {
            const char *const value = line + sizeof key - 1;
            says = strncmp(value, "no", 2) != 0 && strncmp(value, "false", 5) != 0 &&
                   strncmp(value, "off", 3) != 0 && value[0] != '0';
        }
    }
    return says;
}

struct logind {
    int dir;
    int says;
};

static int look_at_part(const char *name, unsigned char type, void *arg)
{
    struct logind *logind = arg;
    const size_t len = strlen(name);
    (void)type;
    if (len > 5 && strcmp(name + len - 5, ".conf") == 0) {
        const int says = says_remove_ipc(logind->dir, name);
        logind->says = says < 0 ? logind->says : says;
    }
    return 0;
}

/* Nothing said is yes. Of several parts that differ the one that is read last is believed: it is a hint. */
static bool removes_at_logout(void)
{
    struct logind logind = { .says = says_remove_ipc(AT_FDCWD, LOGIND) };
    tg_fd dir = tg_sys_open(AT_FDCWD, LOGIND ".d", O_RDONLY | O_DIRECTORY, 0);
    if (dir >= 0) {
        logind.dir = dir;
        (void)tg_sys_list(dir, look_at_part, &logind);
    }
    return logind.says != 0;
}

/* logind removes a plain user's shared memory at log-out unless told otherwise. */
static int check_logout(struct doctor *doctor, const char *path)
{
    if (strncmp(path, "/dev/shm/", 9) != 0 || geteuid() < 1000 ||
        tg_call(access("/run/systemd/system", F_OK)) != 0 || !removes_at_logout()) {
        return 0;
    }
    return tell(doctor, 0, path,
                "systemd-logind may delete a user's shared memory at log-out (RemoveIPC=yes)",
                "set RemoveIPC=no in /etc/systemd/logind.conf, or TONG_DIR to another folder");
}

static int check_things(struct doctor *doctor, struct tg_root *root, bool repair)
{
    struct tg_names names = { 0 };
    int r = tell_count(doctor, tg_box_sweep(root, repair), ".tmp: folders", repair);
    if (r == 0) {
        r = tg_names_read(root, false, &names);
    }
    for (size_t i = 0; r == 0 && i < names.n; i++) {
        r = check_mailbox(doctor, root, names.name[i], repair);
    }
    tg_names_free(&names);
    return r;
}

static int check_all(struct doctor *doctor, struct tg_root *root, const char *path, bool repair)
{
    uint64_t me;
    int r = path != NULL ? check_memory(doctor, path) : 0;
    if (r == 0 && path != NULL) {
        r = check_logout(doctor, path);
    }
    if (r == 0) {
        r = tell_count(doctor, tg_life_sweep(root, repair), ".life: records", repair);
    }
    if (r < 0 || !repair) {
        return r < 0 ? r : check_things(doctor, root, false);
    }
    /* With a record: what it moves away carries its number, and is cleared away should it die. */
    r = tg_life_join(root, &me);
    if (r == 0) {
        r = check_things(doctor, root, true);
        tg_life_leave(root);
    }
    return r;
}

int tg_box_doctor(const struct tg_way *way, int repair, tong_doctor_fn *each, void *arg)
{
    char path[4096];
    struct doctor doctor = { .each = each, .arg = arg };
    int r = tg_root_path(path, sizeof path);
    if (r < 0) {
        return r;
    }
    struct tg_root *root;
    r = tg_way_root(way, false, &root);
    if (r == -ENOENT && way != NULL) {
        r = 0;
    } else if (r == -ENOENT) {
        r = tell(&doctor, 0, path, "there is no mailbox yet", "");
    } else if (r == -EACCES) {
        r = tell(&doctor, 2, path,
                 "not safe to use: not a folder, a link, another user's, or writable by others",
                 "remove it or its permissions, or set TONG_DIR to another folder");
    } else if (r == 0) {
        r = check_all(&doctor, root, way == NULL ? path : NULL, repair != 0);
        tg_root_put(root);
    }
    return r < 0 ? r : doctor.found;
}
