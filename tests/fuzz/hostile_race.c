/*
 * hostile_race - as hostile_sender, but the hostile one is a process that strikes at any moment.
 *
 * So it also comes between two loads of one word: what the victim checks and what it uses may differ.
 * Nothing here can be repeated exactly; an input that failed once is worth many runs. Names and sizes
 * are left alone, so that a fault is the fault of a word.
 */
#include "scene.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEPS 300 /* of the same script, again and again */

static void strike(struct forge *f, const struct fuzz_bytes *bytes)
{
    switch (fuzz_u8(bytes) % 8) {
    case 0:
        forge_message(f, fuzz_u8(bytes));
        break;
    case 1:
    case 2:
        forge_scribble(f, &f->link, sizeof(struct tg_link_head), bytes);
        break;
    case 3:
        forge_scribble(f, &f->room, 8192, bytes);
        break;
    case 4:
        forge_scribble(f, &f->life, TG_LIFE_SIZE, bytes);
        break;
    default:
        forge_scribble(f, &f->link, 20 * 4096, bytes);
        break;
    }
}

static _Noreturn void strike_on(struct forge *forge, const uint8_t *data, size_t size)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(20);
    for (;;) {
        struct fuzz_input input = { data, data + size };
        const struct fuzz_bytes bytes = { &input, true };
        while (!fuzz_is_over(&bytes)) {
            strike(forge, &bytes);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct scene scene;
    scene_open(&scene, data, size / 2, true);
    const pid_t pid = fork();
    fuzz_true(pid >= 0);
    if (pid == 0) {
        strike_on(&scene.forge, data + size / 2, size - size / 2);
    }
    for (int steps = 0; steps < STEPS; steps++) {
        if (fuzz_is_over(&scene.script)) {
            scene.input.at = data;
        }
        scene_step(&scene);
    }
    fuzz_true(kill(pid, SIGKILL) == 0);
    while (waitpid(pid, NULL, 0) < 0) {
        fuzz_true(errno == EINTR);
    }
    scene_close(&scene);
    return 0;
}
