/*
 * Where another way carries the messages: what a handle has for it, what stands in the folder, and
 * the sending side. The receiving side, and why it is right, is in carried.c.
 *
 * A record is {head, extension, payload} in the queue, or the head alone and all three in a file of its
 * own, the body, which is made before the record is sent: so one receiver gets a message whole, whatever its
 * length. Body: the rights and the owner of its sender's link, read by system calls alone.
 */
#include "mailbox/carry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mqueue.h"
#include "mailbox/box.h"

#define QUEUE_PREFIX "/tong."

/* ---- the folder */

static int write_queue_file(int dir, const char *queue)
{
    tg_fd fd = tg_sys_open(dir, TG_QUEUE_FILE, O_RDWR | O_CREAT | O_EXCL, 0600);
    return fd < 0 ? fd : tg_sys_pwrite(fd, queue, strlen(queue), 0);
}

static int make_stage(const struct tg_box *box, int dir, uint32_t record_size)
{
    tg_fd fd = -1;
    const uint64_t size = TG_STAGE_RECORD_OFF + (uint64_t)record_size;
    int r = tg_file_make(dir, TG_STAGE_FILE, size, size, 0600, &fd);
    void *p = NULL;
    if (r == 0) {
        r = tg_sys_map(fd, 0, TG_PAGE, true, &p);
    }
    if (r < 0) {
        return r;
    }
    struct tg_stage *stage = p;
    memcpy(stage->box_id, box->id, sizeof stage->box_id);
    tg_store_relaxed(&stage->record_size, record_size);
    tg_store_relaxed(&stage->version, TG_BOX_VERSION);
    tg_store_release(&stage->magic, TG_STAGE_MAGIC);
    tg_sys_unmap(p, TG_PAGE);
    return 0;
}

/* The file first: whoever finds the folder of a dead maker finds the queue by it. */
int tg_carry_make(struct tg_box *box, int dir, const tong_options *o)
{
    char queue[TG_QUEUE_NAME];
    uint32_t record_size = 0;
    struct stat st;
    box->way->name(box->id, queue);
    int r = tg_sys_fstat(dir, &st);
    r = r == 0 ? write_queue_file(dir, queue) : r;
    if (r == 0) {
        r = box->way->make(queue, o, st.st_gid, &record_size);
    }
    return r == 0 ? make_stage(box, dir, record_size) : r;
}

void tg_carry_unmake(const struct tg_box *box)
{
    char queue[TG_QUEUE_NAME];
    if (box->way != NULL) {
        box->way->name(box->id, queue);
        (void)tg_mq_unlink(queue);
    }
}

/* Whether it is that user's: 1, 0, -errno. */
static int is_of(int fd, uid_t uid)
{
    struct stat st;
    const int r = tg_sys_fstat(fd, &st);
    return r < 0 ? r : st.st_uid == uid;
}

/* 1: what that user's file says; 0: there is none of that user, or it says nothing of ours; -errno. */
static int read_queue_file(int dir, uid_t uid, char ret_queue[TG_QUEUE_NAME])
{
    struct stat st;
    tg_fd fd = tg_sys_open(dir, TG_QUEUE_FILE, O_RDONLY, 0);
    if (fd == -EACCES && tg_sys_stat(dir, TG_QUEUE_FILE, &st) == 0 && st.st_uid != uid) {
        return 0;
    }
    if (fd < 0) {
        return fd == -ENOENT || fd == -ELOOP ? 0 : fd;
    }
    const int r = is_of(fd, uid);
    const ssize_t n = r == 1 ? tg_sys_pread_some(fd, ret_queue, TG_QUEUE_NAME - 1, 0) : r;
    if (n <= 0) {
        return (int)n;
    }
    ret_queue[n] = '\0';
    return strncmp(ret_queue, QUEUE_PREFIX, strlen(QUEUE_PREFIX)) == 0;
}

/* Others may have put the file there, or named a queue in it that is not theirs: who takes it away may
 * be root, or its user. */
int tg_carry_forget_queue(int dir)
{
    char queue[TG_QUEUE_NAME];
    struct stat folder;
    int r = tg_sys_fstat(dir, &folder);
    r = r == 0 ? read_queue_file(dir, folder.st_uid, queue) : r;
    if (r != 1) {
        return r;
    }
    tg_fd fd = tg_mq_open(queue, O_RDONLY);
    r = fd < 0 ? fd : is_of(fd, folder.st_uid);
    r = r == 1 ? tg_mq_unlink(queue) : r;
    return r == -ENOENT || r == -EACCES ? 0 : r;
}

/* ---- bodies */

void tg_carry_body_name(uint64_t link_id, uint32_t number, char ret_name[TG_BODY_NAME_SIZE])
{
    (void)snprintf(ret_name, TG_BODY_NAME_SIZE, "body.%016llx.%x", (unsigned long long)link_id,
                   (unsigned)number);
}

bool tg_carry_is_body(const char *name, uint64_t *ret_link_id)
{
    unsigned long long id;
    unsigned number;
    if (strncmp(name, "body.", 5) != 0 || sscanf(name, "body.%16llx.%x", &id, &number) != 2) {
        return false;
    }
    *ret_link_id = id;
    return true;
}

/* What stands there is not this message: a member of the group may have been first. */
int tg_carry_make_body(int dir, const char *name)
{
    int fd = tg_sys_open(dir, name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd == -EEXIST) {
        (void)tg_sys_unlink(dir, name);
        fd = tg_sys_open(dir, name, O_RDWR | O_CREAT | O_EXCL, 0600);
    }
    return fd == -EEXIST ? -EPROTO : fd;
}

struct forget {
    int dir;
    uint64_t link_id;
};

static int forget_body(const char *name, unsigned char type, void *arg)
{
    const struct forget *forget = arg;
    uint64_t id;
    (void)type;
    if (tg_carry_is_body(name, &id) && id == forget->link_id) {
        (void)tg_sys_unlink(forget->dir, name);
    }
    return 0;
}

void tg_carry_forget_bodies(int dir, uint64_t link_id)
{
    struct forget forget = { .dir = dir, .link_id = link_id };
    (void)tg_sys_list(dir, forget_body, &forget);
}

/* ---- the handle */

static int map_stage(struct tg_box *box)
{
    struct tg_carry *carry = box->carry;
    tg_fd fd = tg_sys_open(box->dir, TG_STAGE_FILE, O_RDWR, 0);
    struct stat st;
    int r = fd < 0 ? fd : tg_sys_fstat(fd, &st);
    if (r < 0) {
        return r == -ENOENT || r == -ELOOP || r == -EISDIR ? -EPROTO : r;
    }
    const uint64_t size = TG_STAGE_RECORD_OFF + (uint64_t)carry->record_size;
    if (!S_ISREG(st.st_mode) || st.st_uid != box->dir_uid || st.st_size != (off_t)size) {
        return -EPROTO;
    }
    void *p = NULL;
    r = tg_sys_map(fd, 0, size, true, &p);
    if (r < 0) {
        return r;
    }
    carry->stage = p;
    carry->stage_size = size;
    carry->record = (struct tg_carried *)(void *)((uint8_t *)p + TG_STAGE_RECORD_OFF);
    const bool is_stage = tg_load_acquire(&carry->stage->magic) == TG_STAGE_MAGIC &&
                          tg_load_relaxed(&carry->stage->version) == TG_BOX_VERSION &&
                          memcmp(carry->stage->box_id, box->id, 16) == 0;
    return is_stage ? 0 : -EPROTO;
}

int tg_carry_attach(struct tg_box *box)
{
    char queue[TG_QUEUE_NAME];
    struct tg_carry *carry = calloc(1, sizeof *carry);
    if (carry == NULL) {
        return -ENOMEM;
    }
    box->carry = carry;
    box->way->name(box->id, queue);
    /* Who makes a link to send may be asked to receive never, and the reverse. */
    carry->fd = box->way->open(queue, box->flags & (TONG_SEND | TONG_RECEIVE));
    if (carry->fd < 0) {
        /* In another namespace, or somebody took it away: the mailbox is not whole. */
        return carry->fd == -ENOENT ? -EPROTO : carry->fd;
    }
    struct tg_mq_status status;
    int r = tg_mq_look(carry->fd, &status);
    if (r < 0) {
        return r;
    }
    carry->record_size = status.size;
    if (carry->record_size <= sizeof(struct tg_carried)) {
        return -EPROTO;
    }
    if ((box->flags & TONG_SEND) != 0) {
        carry->out = malloc(carry->record_size);
        r = carry->out == NULL ? -ENOMEM : 0;
    }
    return r == 0 && (box->flags & TONG_RECEIVE) != 0 ? map_stage(box) : r;
}

void tg_carry_detach(struct tg_box *box)
{
    struct tg_carry *carry = box->carry;
    if (carry == NULL) {
        return;
    }
    tg_sys_unmap(carry->stage, carry->stage_size);
    tg_sys_close(carry->fd);
    tg_carry_unreserve(box);
    free(carry->out);
    free(carry);
    box->carry = NULL;
}

/* ---- in place: for the caller it is; the kernel copies when it is sent */

int tg_carry_reserve(struct tg_box *box, size_t len, uint8_t **ret_data)
{
    box->carry->reserved = malloc(len != 0 ? len : 1);
    if (box->carry->reserved == NULL) {
        if (box->tx.holds_room) {
            tg_room_give_back(box);
        }
        return -ENOMEM;
    }
    *ret_data = box->carry->reserved;
    return 0;
}

void tg_carry_unreserve(struct tg_box *box)
{
    if (box->carry != NULL) {
        free(box->carry->reserved);
        box->carry->reserved = NULL;
    }
}

/* ---- sending */

static int fill_body(struct tg_box *box, int fd, const struct tg_carried *head,
                     const struct tg_parts *parts)
{
    const uint64_t at = sizeof *head + (uint64_t)parts->extension_len;
    int r = box->tx.writer.may_grow(box->tx.writer.arg, at + parts->len);
    if (r == 0) {
        r = tg_sys_allocate(fd, 0, at + parts->len);
    }
    if (r == 0) {
        r = tg_sys_pwrite(fd, head, sizeof *head, 0);
    }
    if (r == 0 && parts->extension_len != 0) {
        r = tg_sys_pwrite(fd, parts->extension, parts->extension_len, sizeof *head);
    }
    /* The kernel writes 2 GiB at a time. */
    const uint64_t most = UINT64_C(1) << 30;
    for (uint64_t done = 0; r == 0 && done < parts->len; done += most) {
        const uint64_t rest = parts->len - done;
        r = tg_sys_pwrite(fd, (const uint8_t *)parts->data + done, rest < most ? rest : most,
                          at + done);
    }
    const uint32_t mode = tg_file_mode(box->mode, false);
    return r == 0 && mode != 0600 ? tg_sys_chmod(fd, mode) : r;
}

static int make_body(struct tg_box *box, const struct tg_carried *head,
                     const struct tg_parts *parts)
{
    char name[TG_BODY_NAME_SIZE];
    tg_carry_body_name(head->link_id, head->sequence, name);
    tg_fd fd = tg_carry_make_body(box->dir, name);
    int r = fd < 0 ? fd : fill_body(box, fd, head, parts);
    if (r < 0 && fd >= 0) {
        (void)tg_sys_unlink(box->dir, name);
    }
    return r;
}

static int put_body(struct tg_box *box, struct tg_carried *head, const struct tg_parts *parts)
{
    char name[TG_BODY_NAME_SIZE];
    head->in_body = 1;
    int r = make_body(box, head, parts);
    if (r == 0) {
        r = box->way->put(box->carry->fd, head, sizeof *head, parts->priority);
        if (r < 0) {
            tg_carry_body_name(head->link_id, head->sequence, name);
            (void)tg_sys_unlink(box->dir, name);
        }
    }
    return r;
}

int tg_carried_send(struct tg_box *box, const struct tg_parts *parts)
{
    const struct tg_writer *w = &box->tx.writer;
    struct tg_carried *head = (struct tg_carried *)(void *)box->carry->out;
    *head = (struct tg_carried){ .row = w->row,
                                 .link_id = w->link_id,
                                 .sequence = w->sequence,
                                 .length = (uint32_t)parts->len,
                                 .extension = parts->extension_len,
                                 .pid = w->pid };
    tg_store_relaxed(&head->magic, TG_CARRIED_MAGIC);
    const size_t at = sizeof *head + parts->extension_len;
    box->tx.out_of_order = box->tx.out_of_order || parts->priority != 0;
    if (at + parts->len > box->carry->record_size) {
        return put_body(box, head, parts);
    }
    tg_box_copy(box->carry->out + sizeof *head, parts->extension, parts->extension_len);
    tg_box_copy(box->carry->out + at, parts->data, parts->len);
    return box->way->put(box->carry->fd, box->carry->out, at + parts->len, parts->priority);
}
