/* Request and reply between users of one group: a reply is the server's, a death is told, and nobody else answers. */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

enum {
    GROUP = 65530,
    CAROL = 65533
};

struct scene {
    const char *folder;
    kit_event made;
    kit_event asked;  /* Ann has the request */
    kit_event forged; /* Carol has answered it */
    tong_message request;
    bool claims;
    bool forges;
    bool dies;
};

static void become(const struct scene *scene, uid_t uid)
{
    kit_ok(setenv("TONG_DIR", scene->folder, 1));
    kit_become(uid, GROUP);
}

/* Serves one request. */
static int be_ann(void *arg)
{
    struct scene *scene = arg;
    tong_mailbox *box = NULL;
    tong_options options = kit_options();
    tong_message request = TONG_MESSAGE_INIT;
    char data[8];
    become(scene, KIT_ANN);
    options.mode = 0660;
    kit_ok(tong_open("service", TONG_RECEIVE | TONG_CREATE, &options, &box));
    kit_event_set(&scene->made);
    if (scene->claims) {
        kit_ok(tong_claim(box, KIT_PATIENCE, &request));
        memcpy(data, request.data, request.len);
    } else {
        kit_gives(tong_receive_with(box, data, sizeof(data), NULL, KIT_PATIENCE, &request), 5);
    }
    kit_true(memcmp(data, "hello", 5) == 0);
    kit_true(request.uid == KIT_BOB && request.verified == TONG_VERIFIED_UID);
    scene->request = request;
    kit_event_set(&scene->asked);
    if (scene->forges) {
        kit_event_wait(&scene->forged);
    }
    if (scene->dies) {
        kit_until(kit_stat("service").waiting == 0);
        kit_ok(raise(SIGKILL));
    }
    kit_ok(tong_reply(box, &request, "yours", 5, KIT_PATIENCE));
    kit_ok(tong_close(box));
    return 0;
}

static int be_bob(void *arg)
{
    struct scene *scene = arg;
    tong_mailbox *box = NULL;
    tong_message info = TONG_MESSAGE_INIT;
    char reply[8];
    become(scene, KIT_BOB);
    kit_event_wait(&scene->made);
    kit_ok(tong_open("service", TONG_SEND, NULL, &box));
    const ssize_t n =
        tong_call_with(box, "hello", 5, NULL, reply, sizeof(reply), KIT_PATIENCE, &info);
    if (scene->dies) {
        kit_gives(n, -EOWNERDEAD);
    } else {
        kit_gives(n, 5);
        kit_true(memcmp(reply, "yours", 5) == 0 && info.uid == KIT_ANN);
    }
    kit_ok(tong_close(box));
    return 0;
}

/* Knows all that Ann knows, and sends to Bob what Ann would. */
static int be_carol(void *arg)
{
    struct scene *scene = arg;
    tong_mailbox *box = NULL;
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    become(scene, CAROL);
    kit_event_wait(&scene->asked);
    kit_ok(tong_open(scene->request.reply_to, TONG_SEND, NULL, &box));
    with.call = scene->request.call;
    kit_ok(tong_send_with(box, "mine!", 5, &with, 0));
    kit_ok(tong_close(box));
    kit_event_set(&scene->forged);
    return 0;
}

static void play(bool claims, bool forges, bool dies)
{
    kit_needs_root();
    struct scene *scene = kit_shared(sizeof(*scene));
    *scene = (struct scene){
        .folder = kit_make_folder(0, GROUP, 03770), .claims = claims, .forges = forges, .dies = dies
    };
    struct kit_child ann = kit_spawn(be_ann, scene);
    struct kit_child bob = kit_spawn(be_bob, scene);
    if (forges) {
        struct kit_child carol = kit_spawn(be_carol, scene);
        kit_join(&carol);
    }
    kit_join(&bob);
    if (dies) {
        (void)kit_join_status(&ann);
    } else {
        kit_join(&ann);
    }
    kit_remove_folder(scene->folder);
}

static void another_users_server_answers(void)
{
    play(true, false, false);
    play(false, false, false);
}

static void its_death_is_told(void)
{
    play(true, false, true);
    play(false, false, true);
}

static void nobody_but_the_mailboxs_user_answers(void)
{
    play(true, true, false);
    play(false, true, false);
}

static const struct kit_test tests[] = {
    KIT_TEST(another_users_server_answers),
    KIT_TEST(its_death_is_told),
    KIT_TEST(nobody_but_the_mailboxs_user_answers),
};

KIT_MAIN(tests)
