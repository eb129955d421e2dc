/*
 * camera - frames of 1 MiB written and read in place: nothing is copied on the way.
 *
 * The camera reserves room for a frame in the mailbox, draws into it and commits. The viewer claims it,
 * looks at the very same bytes, and says done; then the room is free. Three frames of room: a slow viewer
 * slows the camera down (or, with full = TONG_DROP_NEWEST, loses frames and is told how many).
 */
#include <string.h>

#include "check.h"

#define NAME "camera.frames"

enum {
    FRAME = 1 << 20,
    FRAMES = 50
};

static void viewer(void)
{
    tong_mailbox *frames;
    tong_message frame = TONG_MESSAGE_INIT;
    int good = 0;
    check(tong_open(NAME, TONG_RECEIVE, NULL, &frames), "open");
    for (int i = 0; i < FRAMES; i++) {
        check(tong_claim(frames, TONG_SEC(10), &frame), "claim");
        const unsigned char *pixels = frame.data;
        good += frame.len == FRAME && pixels[0] == i && pixels[FRAME - 1] == i;
        check(tong_done(frames, &frame), "done");
    }
    printf("viewer: %d frames of %d bytes, %d as they were drawn\n", FRAMES, FRAME, good);
    tong_close(frames);
}

int main(void)
{
    tong_mailbox *frames;
    tong_options options = TONG_OPTIONS_INIT;
    options.capacity = 3;
    check(tong_open(NAME, TONG_SEND | TONG_CREATE, &options, &frames), "create");
    const pid_t pid = start(viewer);
    for (int i = 0; i < FRAMES; i++) {
        tong_slot slot = TONG_SLOT_INIT;
        check(tong_reserve(frames, FRAME, TONG_SEC(10), &slot), "reserve");
        memset(slot.data, i, FRAME);
        check(tong_commit(frames, &slot, FRAME), "commit");
    }
    join(pid);
    tong_close(frames);
    check(tong_remove(NAME), "remove");
    return 0;
}
