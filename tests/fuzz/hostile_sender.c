/*
 * hostile_sender - the victim receives; a sender writes anything into every word it may write.
 *
 * Its link, its bells, the mailbox's room, its life record, names in the mailbox's folder: between
 * the victim's calls by the script, during them at every point of the library.
 */
#include "scene.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct scene scene;
    scene_open(&scene, data, size, false);
    while (!fuzz_is_over(&scene.script)) {
        scene_step(&scene);
    }
    scene_close(&scene);
    return 0;
}
