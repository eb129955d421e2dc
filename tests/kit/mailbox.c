/* Mailboxes of the tests: short ways to look, to end and to pass numbers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kit.h"
#include "kit_private.h"

char kit_folder[PATH_MAX];

tong_status kit_stat(const char *name)
{
    tong_status status = TONG_STATUS_INIT;
    kit_ok(tong_stat(name, &status));
    return status;
}

void kit_end_at(const char *file, int line, tong_mailbox *box, const char *name)
{
    const tong_status status = kit_stat(name);
    if (status.backstop_finds != 0) {
        kit_fail_at(file, line, "the back-stop ended %llu sleeps in %s",
                    (unsigned long long)status.backstop_finds, name);
    }
    kit_gives_at(file, line, "tong_close(box)", tong_close(box), 0);
    /* One of a process goes with the handle that made it; otherwise it is still there. */
    const int r = tong_remove(name);
    const int want = r == -ENOENT && status.owner == TONG_PROCESS ? r : 0;
    kit_gives_at(file, line, "tong_remove(name)", r, want);
}

int kit_send_u64(tong_mailbox *box, uint64_t value, int64_t timeout_ns)
{
    return tong_send(box, &value, sizeof(value), timeout_ns);
}

uint64_t kit_receive_u64_at(const char *file, int line, tong_mailbox *box)
{
    uint64_t value = 0;
    const ssize_t n = tong_receive(box, &value, sizeof(value), KIT_PATIENCE);
    if (n != (ssize_t)sizeof(value)) {
        kit_fail_at(file, line, "tong_receive gave %zd: %s", n, n < 0 ? tong_strerror((int)n) : "");
    }
    return value;
}

void kit_receive_many_at(const char *file, int line, tong_mailbox *box,
                         const struct iovec buffers[], size_t n_buffers, size_t ret_lens[],
                         size_t n)
{
    const bool at_once = strcmp(kit_carrier(), "nats") != 0;
    size_t got = 0;
    while (got < n) {
        const ssize_t r = tong_receive_many(box, buffers + got, n_buffers - got,
                                            at_once ? 0 : KIT_PATIENCE, ret_lens + got);
        if (r <= 0 || (size_t)r > n - got || (at_once && (size_t)r != n)) {
            kit_fail_at(file, line, "tong_receive_many gave %zd behind %zu of %zu", r, got, n);
        }
        got += (size_t)r;
    }
}

int kit_ignore_mailbox(const tong_status *status, int error, void *arg)
{
    (void)status;
    (void)error;
    (void)arg;
    return 0;
}

int kit_ignore_region(const tong_region_status *status, int error, void *arg)
{
    (void)status;
    (void)error;
    (void)arg;
    return 0;
}

int kit_ignore_finding(const tong_finding *finding, void *arg)
{
    (void)finding;
    (void)arg;
    return 0;
}
