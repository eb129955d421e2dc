/*
 * The server of a test over nats: nats-server on a free port of this computer, with a folder of its own, from the
 * beginning of the test's program to its end. With TONG_NATS_URL in the environment that one is used.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"
#include "kit_private.h"

static pid_t server;
static char folder[PATH_MAX];

static _Noreturn void become_server(const char *config)
{
    char log[PATH_MAX + 16];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(log, sizeof(log), "%s/log", folder);
    const int fd = open(log, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    dup2(fd, 1);
    dup2(fd, 2);
    char *const words[] = { (char *)"nats-server", (char *)"-c", (char *)config, NULL };
    /* It lies where an ordinary user's PATH does not look. */
    execvp(words[0], words);
    execv("/usr/sbin/nats-server", words);
    _exit(127);
}

/* The server says its port in a file FOLDER/nats-server_PID.ports, when it listens. */
static bool read_port(char *ret_url, size_t size)
{
    char path[PATH_MAX + 64];
    char text[1024];
    snprintf(path, sizeof(path), "%s/nats-server_%d.ports", folder, (int)server);
    FILE *file = fopen(path, "re");
    const size_t n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
    if (file) {
        fclose(file);
    }
    text[n] = '\0';
    const char *url = strstr(text, "nats://");
    const char *end = url ? strchr(url, '"') : NULL;
    if (!end) {
        return false;
    }
    snprintf(ret_url, size, "%.*s", (int)(end - url), url);
    return true;
}

static void write_config(const char *path)
{
    FILE *file = fopen(path, "we");
    if (!file) {
        kit_fail("%s: %s", path, strerror(errno));
    }
    fprintf(file,
            "server_name: \"kit\"\nlisten: \"127.0.0.1:-1\"\nports_file_dir: \"%s\"\n"
            "jetstream { store_dir: \"%s/data\", max_mem: 2G, max_file: 8G }\n",
            folder, folder);
    fclose(file);
}

void kit_nats_begin(const char *base)
{
    char path[PATH_MAX + 16];
    char url[256];
    if (strcmp(kit_carrier(), "nats") != 0 || getenv("TONG_NATS_URL")) {
        return;
    }
    snprintf(folder, sizeof(folder), "%s-nats", base);
    mkdir(folder, 0700);
    snprintf(path, sizeof(path), "%s/conf", folder);
    write_config(path);
    server = fork();
    if (server == 0) {
        become_server(path);
    }
    struct kit_poll poll = kit_poll_begin();
    while (!read_port(url, sizeof(url))) {
        int status = 0;
        if (waitpid(server, &status, WNOHANG) == server) {
            server = 0;
            kit_nats_end();
            if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
                fprintf(stderr, "skipped: nats-server is not installed\n");
                exit(77);
            }
            kit_fail("nats-server ended by itself: status %#x", (unsigned)status);
        }
        kit_poll_next(&poll, __FILE__, __LINE__, "nats-server listens");
    }
    setenv("TONG_NATS_URL", url, 1);
}

void kit_nats_end(void)
{
    if (server > 0) {
        kill(server, SIGKILL);
        while (waitpid(server, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    if (folder[0] != '\0' && !getenv("KIT_KEEP")) {
        kit_remove_tree(folder);
    }
}

void kit_nats_test(void)
{
    char space[32];
    snprintf(space, sizeof(space), "t%d", (int)getpid());
    setenv("TONG_NATS_SPACE", space, 1);
}
