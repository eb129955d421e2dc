/*
 * region_by_hand - the same as region, with what the system offers: shm_open() and mmap().
 *
 * What has to be done by hand: a name that nobody else uses, the size, waiting (here a process-shared
 * semaphore), and clearing away. If A dies in between, B waits for ever and the name stays.
 */
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct page {
    sem_t written;
    char text[64];
};

static void fail_if(int failed, const char *what)
{
    if (failed) {
        perror(what);
        exit(1);
    }
}

static struct page *map(int fd)
{
    void *p = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    fail_if(p == MAP_FAILED, "mmap");
    return p;
}

int main(void)
{
    char name[64];
    snprintf(name, sizeof(name), "/region_by_hand.%d", (int)getpid());
    const int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    fail_if(fd < 0, "shm_open");
    fail_if(ftruncate(fd, sizeof(struct page)) != 0, "ftruncate");
    struct page *page = map(fd);
    fail_if(sem_init(&page->written, 1, 0) != 0, "sem_init");
    const pid_t b = fork();
    fail_if(b < 0, "fork");
    if (b == 0) {
        struct page *mine = map(shm_open(name, O_RDWR, 0));
        sem_wait(&mine->written);
        printf("B reads: %s\n", mine->text);
        return 0;
    }
    strcpy(page->text, "what A wrote");
    printf("A wrote %zu bytes into shared memory\n", strlen(page->text));
    fflush(stdout);
    sem_post(&page->written);
    waitpid(b, NULL, 0);
    munmap(page, sizeof(*page));
    close(fd);
    fail_if(shm_unlink(name) != 0, "shm_unlink");
    return 0;
}
