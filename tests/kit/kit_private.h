/* What the files of the kit share among themselves. */
#ifndef TONG_KIT_PRIVATE_H
#define TONG_KIT_PRIVATE_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

extern const char *kit_test_name;
extern char kit_folder[PATH_MAX]; /* TONG_DIR of this test */

extern pid_t kit_test_process;

/* Folders outside of kit_folder: by the process of the test, so that its runner can clear them. */
#define KIT_OUTER "/dev/shm/tong-kit-%d%s"

uint64_t kit_seed(void);
void kit_read_carriers(void); /* docs/carriers.md */
/* queues.c: of tests over mq. */
void kit_queues_lock(void);
void kit_queues_begin(void);
unsigned kit_queues_left(void);
void kit_remove_tree(const char *path);

/* nats.c: a server for the program; names of its own for each test. */
void kit_nats_begin(const char *base);
void kit_nats_end(void);
void kit_nats_test(void);

#endif
