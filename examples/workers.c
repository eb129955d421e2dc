/*
 * workers - a pool of workers, and what becomes of a job that kills them.
 *
 * Three processes take jobs from one mailbox, each claims a job, works, and says done. Job 7 kills
 * whoever works on it. The master is woken by the death and starts another worker; the job comes
 * again, and when it was handed out three times it is a dead letter. All other jobs are done once.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tong/tong.h>

enum {
    WORKERS = 3,
    JOBS = 12
};

static int check(int r, const char *what)
{
    if (r < 0) {
        fprintf(stderr, "workers: %s: %s\n", what, tong_strerror(r));
        exit(1);
    }
    return r;
}

static void work(void)
{
    tong_mailbox *jobs;
    tong_message job = TONG_MESSAGE_INIT;
    const int r = tong_open("workers.jobs", TONG_RECEIVE, NULL, &jobs);
    if (r == -ENOENT) {
        _exit(0); /* all was done before this one came */
    }
    check(r, "open");
    while (tong_claim(jobs, TONG_FOREVER, &job) == 0) {
        if (*(const int *)job.data == 7) {
            raise(SIGKILL);
        }
        tong_done(jobs, &job);
    }
    tong_close(jobs); /* the mailbox was removed: no more work */
    _exit(0);
}

static void start_worker(void)
{
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        work();
    }
    check(pid < 0 ? -1 : 0, "fork");
}

static void print_dead_letter(tong_mailbox *failed, int done)
{
    tong_message letter = TONG_MESSAGE_INIT;
    tong_origin origin = TONG_ORIGIN_INIT;
    check(tong_claim(failed, TONG_SEC(10), &letter), "claim");
    check(tong_origin_of(failed, &letter, &origin), "origin");
    printf("%d jobs: %d done; job %d is a dead letter, it was handed out %u times\n", JOBS, done,
           *(const int *)letter.data, origin.deliveries);
    tong_done(failed, &letter);
}

int main(void)
{
    tong_mailbox *jobs;
    tong_mailbox *failed;
    tong_options options = TONG_OPTIONS_INIT;
    tong_status status = TONG_STATUS_INIT;
    tong_death death = TONG_DEATH_INIT;
    check(tong_open("workers.failed", TONG_RECEIVE | TONG_CREATE, NULL, &failed), "open");
    options.max_deliveries = 3;
    options.dead_letter = "workers.failed";
    check(tong_open("workers.jobs", TONG_SEND | TONG_CREATE, &options, &jobs), "open");
    tong_watch(jobs, 0, &death); /* from now on */
    for (int i = 0; i < WORKERS; i++) {
        start_worker();
    }
    for (int i = 1; i <= JOBS; i++) {
        check(tong_send(jobs, &i, sizeof(i), TONG_FOREVER), "send");
    }
    do {
        /* Wakes at the death of whoever uses the mailbox; which children are gone says waitpid(). */
        if (tong_watch(jobs, TONG_MS(50), &death) == 0) {
            printf("worker %d died\n", death.pid);
        }
        while (waitpid(-1, NULL, WNOHANG) > 0) {
            start_worker();
        }
        check(tong_stat("workers.jobs", &status), "stat");
    } while (status.done < JOBS);
    print_dead_letter(failed, (int)(status.done - status.dead_letters));
    tong_close(jobs);
    tong_close(failed);
    tong_remove("workers.jobs");
    tong_remove("workers.failed");
    while (wait(NULL) > 0) {
    }
    return 0;
}
