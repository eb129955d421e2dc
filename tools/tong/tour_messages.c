/* tour_messages.c - the steps of `tong tour` about messages: section 3 of the textbook. */
#include "tour.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE TONG_SEC(30)

/* ---- 3: fixed and variable size */

static void send_eight(struct tour *tour)
{
    tong_mailbox *const fixed = tour_open(tour, "fixed", TONG_SEND, NULL);
    tong_mailbox *const variable = tour_open(tour, "variable", TONG_SEND, NULL);
    tour_check(tour, "send", tong_send(fixed, "abcdefgh", 8, PATIENCE), -EMSGSIZE);
    tour_say(tour, "P --\"abcdefgh\"--| [fixed]      -EMSGSIZE");
    tour_say(tour, "P --\"abcd\", \"efgh\"--> [fixed]   %s",
             tour_in(tour, "the programmer splits", "프로그래머가 나눈다"));
    tour_send(tour, fixed, "abcd");
    tour_send(tour, fixed, "efgh");
    tour_say(tour, "P --\"abcdefgh\"--> [variable]");
    tour_send(tour, variable, "abcdefgh");
    tong_close(fixed);
    tong_close(variable);
}

static void receive_eight(struct tour *tour)
{
    char a[32];
    char b[32];
    tong_mailbox *const fixed = tour_open(tour, "fixed", TONG_RECEIVE, NULL);
    tong_mailbox *const variable = tour_open(tour, "variable", TONG_RECEIVE, NULL);
    tour_receive(tour, fixed, a);
    tour_receive(tour, fixed, b);
    tour_say(tour, "[fixed] --\"%s\", \"%s\"--> Q", a, b);
    tour_receive(tour, variable, a);
    tour_say(tour, "[variable] --\"%s\"--> Q", a);
    tong_close(fixed);
    tong_close(variable);
}

static void sizes(struct tour *tour)
{
    tong_options options = TONG_OPTIONS_INIT;
    options.message_size = 4;
    tong_close(tour_open(tour, "fixed", TONG_SEND | TONG_CREATE, &options));
    tour_create(tour, "variable", TONG_UNBOUNDED);
    tour_start(tour, receive_eight);
    tour_start(tour, send_eight);
}

/* ---- 3.1: links */

static uint32_t links_of(struct tour *tour, const char *name)
{
    tong_status status = TONG_STATUS_INIT;
    tour_check(tour, name, tong_stat(name, &status), 0);
    return status.links;
}

static void make_links(struct tour *tour)
{
    tong_mailbox *const p = tour_open(tour, "A", TONG_SEND, NULL);
    tong_mailbox *const again = tour_open(tour, "A", TONG_SEND, NULL);
    tour_say(tour, "P        [A]   %s: %u", tour_in(tour, "links", "링크"), links_of(tour, "A"));
    tour_send(tour, p, "1");
    tour_say(tour, "P -----> [A]   %s: %u", tour_in(tour, "links", "링크"), links_of(tour, "A"));
    tour_send(tour, again, "2");
    tour_say(tour, "P =====> [A]   %s: %u", tour_in(tour, "links", "링크"), links_of(tour, "A"));
    tour_check(tour, "links", links_of(tour, "A") == 2 ? 0 : -EPROTO, 0);
    tong_close(p);
    tong_close(again);
}

static void links(struct tour *tour)
{
    tour_create(tour, "A", TONG_UNBOUNDED);
    tour_start(tour, make_links);
}

/* ---- processes that have a name */

static tong_process *be(struct tour *tour, const char *name)
{
    tong_process *me = NULL;
    tour_check(tour, name, tong_process_open(name, NULL, &me), 0);
    return me;
}

static void tell(struct tour *tour, tong_process *me, const char *to, const char *text)
{
    tour_check(tour, to, tong_send_to(me, to, text, strlen(text), PATIENCE), 0);
}

static void hear(struct tour *tour, tong_process *me, const char *from, char ret_text[32])
{
    const long n = tour_check(tour, from, tong_receive_from(me, from, ret_text, 31, PATIENCE), 0);
    ret_text[n] = '\0';
}

static void send_to_box(struct tour *tour, const char *name, const char *text)
{
    tong_mailbox *const box = tour_open(tour, name, TONG_SEND, NULL);
    tour_send(tour, box, text);
    tong_close(box);
}

/* ---- 3.2: two ways */

static void named_both_ways(struct tour *tour)
{
    char text[32];
    tong_process *const me = be(tour, "Q");
    tong_mailbox *const box = tour_open(tour, "A", TONG_RECEIVE, NULL);
    hear(tour, me, "P", text);
    tour_say(tour, "              --\"%s\"--> Q", text);
    tour_receive(tour, box, text);
    tour_say(tour, "          [A] --\"%s\"--> Q", text);
    tong_close(box);
    tong_process_close(me);
}

static void send_both_ways(struct tour *tour)
{
    tong_process *const me = be(tour, "P");
    tour_say(tour, "P --\"to Q\"-->         %s",
             tour_in(tour, "direct: the name of Q", "직접: Q의 이름"));
    tell(tour, me, "Q", "to Q");
    tour_say(tour, "P --\"to A\"--> [A]     %s",
             tour_in(tour, "indirect: the name of A", "간접: 메일박스 A의 이름"));
    send_to_box(tour, "A", "to A");
    tong_process_close(me);
}

static void naming(struct tour *tour)
{
    tour_create(tour, "A", TONG_UNBOUNDED);
    tour_start(tour, named_both_ways);
    tour_start(tour, send_both_ways);
}

/* ---- 3.2.1: both name each other */

static int count_link(const tong_link *link, void *arg)
{
    int *const n = arg;
    *n += strcmp(link->a, "P") == 0 && strcmp(link->b, "Q") == 0 ? 1 : 100;
    return 0;
}

static void p_asks_q(struct tour *tour)
{
    char text[32];
    int n = 0;
    tong_process *const me = be(tour, "P");
    tour_say(tour, "P --\"2 + 3?\"--> Q     send(Q, message)");
    tell(tour, me, "Q", "2 + 3?");
    hear(tour, me, "Q", text);
    tour_say(tour, "P <--\"%s\"-- Q          receive(Q, message)", text);
    tour_check(tour, "links", tong_links(count_link, &n), 0);
    tour_check(tour, "links", n == 1 ? 0 : -EPROTO, 0);
    tour_say(tour, "P <-> Q                %s: %d",
             tour_in(tour, "links, made by themselves", "저절로 생긴 링크"), n);
    tell(tour, me, "Q", "bye");
    tong_process_close(me);
}

static void q_answers_p(struct tour *tour)
{
    char text[32];
    tong_process *const me = be(tour, "Q");
    hear(tour, me, "P", text);
    tour_check(tour, "question", strcmp(text, "2 + 3?") == 0 ? 0 : -EPROTO, 0);
    tell(tour, me, "P", "5");
    hear(tour, me, "P", text);
    tong_process_close(me);
}

static void symmetric(struct tour *tour)
{
    tour_start(tour, q_answers_p);
    tour_start(tour, p_asks_q);
}

/* ---- 3.2.2: the receiver learns who it was */

static void be_p1(struct tour *tour)
{
    tong_process *const me = be(tour, "P1");
    tell(tour, me, "Q", "from P1");
    tong_process_close(me);
}

static void be_p2(struct tour *tour)
{
    tong_process *const me = be(tour, "P2");
    tell(tour, me, "Q", "from P2");
    tong_process_close(me);
}

static void receive_and_learn(struct tour *tour)
{
    tong_process *const me = be(tour, "Q");
    for (int i = 0; i < 2; i++) {
        char text[32] = "";
        char id[TONG_NAME_MAX] = "";
        tour_check(tour, "receive", tong_receive_any(me, text, 31, PATIENCE, id), 0);
        tour_check(tour, "sender", strcmp(text + strlen("from "), id) == 0 ? 0 : -EPROTO, 0);
        tour_say(tour, "? --\"%s\"--> Q     receive(id, message): id = %s", text, id);
    }
    tong_process_close(me);
}

static void asymmetric(struct tour *tour)
{
    tour_start(tour, receive_and_learn);
    tour_start(tour, be_p1);
    tour_start(tour, be_p2);
}

/* ---- 3.2.3: the trouble with names */

static void rename_itself(struct tour *tour)
{
    char text[32];
    tong_process *const me = be(tour, "Q");
    hear(tour, me, "P", text);
    tour_say(tour, "P --\"%s\"--> Q", text);
    tour_check(tour, "rename", tong_rename(me, "R"), 0);
    tour_say(tour, "            Q %s R", tour_in(tour, "is now called", "의 이름이 바뀜:"));
    tell(tour, me, "P", "go");
    hear(tour, me, "P", text);
    tour_say(tour, "P --\"%s\"--> R   %s", text,
             tour_in(tour, "P had to be changed, and all others", "P도, 다른 모두도 고쳐야 했다"));
    tong_process_close(me);
}

static void send_to_old_name(struct tour *tour)
{
    char text[32];
    tong_process *const me = be(tour, "P");
    tell(tour, me, "Q", "1");
    hear(tour, me, "R", text);
    tour_check(tour, "Q", tong_send_to(me, "Q", "2", 1, 0), -ENOENT);
    tour_say(tour, "P --\"2\"--| Q    -ENOENT");
    tell(tour, me, "R", "2");
    tong_process_close(me);
}

static void renaming(struct tour *tour)
{
    tour_start(tour, rename_itself);
    tour_start(tour, send_to_old_name);
}

/* ---- 3.2.4: a mailbox between them */

static void be_one_p(struct tour *tour)
{
    tour_say(tour, "P (pid %d) --\"hello\"--> [A]", (int)getpid());
    send_to_box(tour, "A", "hello");
}

static void hear_both(struct tour *tour)
{
    char text[32];
    tong_mailbox *const box = tour_open(tour, "A", TONG_RECEIVE, NULL);
    for (int i = 0; i < 2; i++) {
        tour_receive(tour, box, text);
        tour_say(tour, "                        [A] --\"%s\"--> Q", text);
    }
    tong_close(box);
}

static void indirect(struct tour *tour)
{
    tour_create(tour, "A", TONG_UNBOUNDED);
    tour_start(tour, hear_both);
    tour_start(tour, be_one_p);
    tour_start(tour, be_one_p);
}

/* ---- 3.2.5: more than two, and more than one */

static void use_one(struct tour *tour)
{
    send_to_box(tour, "A", "x");
    send_to_box(tour, "ready", "r");
}

static void use_two(struct tour *tour)
{
    char text[32];
    tong_mailbox *const ready = tour_open(tour, "ready", TONG_RECEIVE, NULL);
    tong_mailbox *const a = tour_open(tour, "A", TONG_SEND, NULL);
    tong_mailbox *const b = tour_open(tour, "B", TONG_SEND, NULL);
    tour_send(tour, a, "x");
    tour_send(tour, b, "x");
    tour_receive(tour, ready, text);
    tour_receive(tour, ready, text);
    tour_say(tour, "P1 -+-> [A] <-- P2, P3   %s: 3", tour_in(tour, "processes", "프로세스"));
    tour_say(tour, "    +-> [B]              %s: 2", tour_in(tour, "links of P1", "P1의 링크"));
    tour_check(tour, "links", links_of(tour, "B") == 1 ? 0 : -EPROTO, 0);
    tong_close(ready);
    tong_close(a);
    tong_close(b);
}

static void several(struct tour *tour)
{
    tour_create(tour, "A", TONG_UNBOUNDED);
    tour_create(tour, "B", TONG_UNBOUNDED);
    tour_create(tour, "ready", TONG_UNBOUNDED);
    tour_start(tour, use_one);
    tour_start(tour, use_one);
    tour_start(tour, use_two);
}

/* ---- 3.2.6: who gets it? */

static void take(struct tour *tour, const char *name, const char *box_name, const char *why)
{
    char text[32];
    tong_mailbox *const box = tour_open(tour, box_name, TONG_RECEIVE, NULL);
    tour_receive(tour, box, text);
    tour_say(tour, "            [%s] --\"%s\"--> %s   %s", box_name, text, name, why);
    tong_close(box);
}

static void first_waits(struct tour *tour)
{
    take(tour, "P2", "A", tour_in(tour, "it waited first", "먼저 기다렸다"));
}

static void second_waits(struct tour *tour)
{
    take(tour, "P3", "A", tour_in(tour, "it came after", "나중에 왔다"));
}

static void send_two(struct tour *tour)
{
    tong_mailbox *const box = tour_open(tour, "A", TONG_SEND, NULL);
    tour_say(tour, "P1 --\"1\", \"2\"--> [A]     %s",
             tour_in(tour, "first come, first served", "먼저 온 순서대로"));
    tour_send(tour, box, "1");
    tour_send(tour, box, "2");
    tong_close(box);
}

static void second_is_refused(struct tour *tour)
{
    tong_mailbox *box = NULL;
    tong_options options = TONG_OPTIONS_INIT;
    options.delivery = TONG_EXCLUSIVE;
    tong_mailbox *const mine =
        tour_open(tour, "B", TONG_SEND | TONG_RECEIVE | TONG_CREATE, &options);
    tour_check(tour, "B", tong_open("B", TONG_RECEIVE, NULL, &box), -EBUSY);
    tour_say(tour, "P1 --> [B] --> P2   |-- P3 %s: -EBUSY",
             tour_in(tour, "a link joins two", "링크는 둘만 잇는다"));
    tong_close(mine);
}

static void take_two(struct tour *tour, const char *name)
{
    char text[32];
    tong_mailbox *const box = tour_open(tour, "C", TONG_RECEIVE, NULL);
    tong_mailbox *const said = tour_open(tour, "said", TONG_SEND, NULL);
    for (int i = 0; i < 2; i++) {
        tour_receive(tour, box, text);
        tour_say(tour, "            [C] --\"%s\"--> %s", text, name);
        tour_send(tour, said, text);
    }
    tong_close(said);
    tong_close(box);
}

static void first_in_turn(struct tour *tour)
{
    take_two(tour, "P2");
}

static void second_in_turn(struct tour *tour)
{
    take_two(tour, "P3");
}

static void send_in_turn(struct tour *tour)
{
    char text[32];
    tong_mailbox *const box = tour_open(tour, "C", TONG_SEND, NULL);
    tong_mailbox *const said = tour_open(tour, "said", TONG_RECEIVE, NULL);
    tour_say(tour, "P1 --\"1\" ... \"4\"--> [C]   %s",
             tour_in(tour, "the system chooses: in turn", "시스템이 고른다: 차례대로"));
    for (int i = 1; i <= 4; i++) {
        /* Both wait, so that there is something to choose; one has had its two before the last. */
        tour_until_asleep(tour, "C", i < 4 ? 2 : 1);
        snprintf(text, sizeof(text), "%d", i);
        tour_send(tour, box, text);
        tour_receive(tour, said, text);
    }
    tong_close(said);
    tong_close(box);
}

static void three_processes(struct tour *tour)
{
    tong_options in_turn = TONG_OPTIONS_INIT;
    tour_start(tour, second_is_refused);
    tour_check(tour, "processes", tour_join(tour) ? 0 : -ECHILD, 0);

    tour_create(tour, "A", TONG_UNBOUNDED);
    tour_start(tour, first_waits);
    tour_until_asleep(tour, "A", 1);
    tour_start(tour, second_waits);
    tour_until_asleep(tour, "A", 2);
    tour_start(tour, send_two);
    tour_check(tour, "processes", tour_join(tour) ? 0 : -ECHILD, 0);

    tour_create(tour, "said", TONG_UNBOUNDED);
    in_turn.delivery = TONG_ROUND_ROBIN;
    tong_close(tour_open(tour, "C", TONG_SEND | TONG_CREATE, &in_turn));
    tour_start(tour, first_in_turn);
    tour_start(tour, second_in_turn);
    tour_start(tour, send_in_turn);
}

/* ---- 3.2.7: whose is it? */

static void own_and_be_killed(struct tour *tour)
{
    tong_options options = TONG_OPTIONS_INIT;
    options.owner = TONG_PROCESS;
    tong_mailbox *const ours = tour_open(tour, "system", TONG_SEND | TONG_CREATE, NULL);
    (void)tour_open(tour, "mine", TONG_RECEIVE | TONG_CREATE, &options);
    tour_send(tour, ours, "still here");
    tour_say(tour, "P: [mine] [system <- \"still here\"]   kill -9 P");
    (void)raise(SIGKILL);
}

static void look_after_it(struct tour *tour)
{
    tong_mailbox *box = NULL;
    char text[32];
    tong_mailbox *const system = tour_open(tour, "system", TONG_RECEIVE | TONG_CREATE, NULL);
    tour_receive(tour, system, text);
    /* Its death may not be seen at once; it is when the mailbox is. */
    tong_death death = TONG_DEATH_INIT;
    int r = tong_open("mine", TONG_SEND, NULL, &box);
    if (r == 0) {
        tour_check(tour, "watch", tong_watch(box, PATIENCE, &death), -EOWNERDEAD);
        tong_close(box);
        r = tong_open("mine", TONG_SEND, NULL, &box);
    }
    tour_check(tour, "mine", r, -ENOENT);
    tour_say(tour, "   [mine] %s: -ENOENT",
             tour_in(tour, "ended with its process", "프로세스와 함께 사라짐"));
    tour_say(tour, "   [system] --\"%s\"--> Q   %s", text, tour_in(tour, "stays", "남아 있다"));
    tong_close(system);
}

static void ownership(struct tour *tour)
{
    tour_start_mortal(tour, own_and_be_killed);
    tour_start(tour, look_after_it);
}

const struct tour_step tour_steps_messages[] = {
    { "3",
      { "Message passing", "메시지 전달" },
      { "Of fixed size the programmer splits; of variable size the system carries it whole.",
        "길이가 고정되면 프로그래머가 나누고, 가변이면 시스템이 통째로 나른다." },
      "tong create fixed --message-size 4",
      "tong_options.message_size",
      "fixed_size, variable_size",
      sizes },
    { "3.1",
      { "Communication links", "IPC의 통신 링크" },
      { "A link is made by itself, at the first message of each sender.",
        "링크는 보내는 쪽마다 첫 메시지에서 저절로 생긴다." },
      "tong stat A",
      "tong_stat, tong_parties",
      "several_links",
      links },
    { "3.2",
      { "Naming", "명명" },
      { "One names either the other process, or a mailbox that both know.",
        "상대 프로세스의 이름을 부르거나, 둘이 아는 메일박스의 이름을 부른다." },
      "tong send --as P --to Q hello; tong send A hello",
      "tong_send_to, tong_send",
      "mailbox",
      naming },
    { "3.2.1",
      { "Direct communication 1", "Direct Communication 1" },
      { "Symmetric: each names the other one.", "대칭: 서로 상대의 이름을 명시한다." },
      "tong send --as P --to Q '2 + 3?'",
      "tong_send_to, tong_receive_from",
      "direct_symmetric",
      symmetric },
    { "3.2.2",
      { "Direct communication 2", "Direct Communication 2" },
      { "Asymmetric: only the sender names; the receiver learns who it was.",
        "비대칭: 보내는 쪽만 이름을 명시하고, 받는 쪽은 누구인지 알게 된다." },
      "tong receive --as Q",
      "tong_receive_any",
      "direct_asymmetric",
      asymmetric },
    { "3.2.3",
      { "The trouble with direct communication", "Direct Communication의 문제점" },
      { "When a name changes, everybody who says it must change.",
        "이름이 바뀌면 그 이름을 쓰던 모두를 고쳐야 한다." },
      "tong receive --as R",
      "tong_rename",
      "renaming",
      renaming },
    { "3.2.4",
      { "Indirect communication", "Indirect Communication" },
      { "Both know the mailbox; who the other one is may change.",
        "둘은 메일박스만 안다. 상대가 누구인지는 바뀌어도 된다." },
      "tong create A",
      "tong_open",
      "mailbox",
      indirect },
    { "3.2.5",
      { "Links of indirect communication", "간접 통신에서 링크의 특성" },
      { "Any number of processes share a mailbox; a pair has a link for each it shares.",
        "여러 프로세스가 메일박스 하나를 함께 쓰고, 한 쌍은 함께 쓰는 메일박스마다 링크를 "
        "가진다." },
      "tong graph",
      "tong_parties",
      "several_links",
      several },
    { "3.2.6",
      { "Three processes share a mailbox", "3개의 프로세스가 하나의 메일박스를 공유할 때" },
      { "Who gets the message is the mailbox's choice: its delivery.",
        "누가 받을지는 메일박스가 정한 방식(delivery)에 따른다." },
      "tong create C --delivery round-robin",
      "tong_options.delivery",
      "policies",
      three_processes },
    { "3.2.7",
      { "Whose is the mailbox?", "메일박스의 소유권" },
      { "A process's mailbox ends with it; the system's stays until it is removed.",
        "프로세스의 메일박스는 프로세스와 함께 끝나고, 시스템의 것은 지울 때까지 남는다." },
      "tong hold mine; tong rm system",
      "tong_options.owner, tong_give",
      "ownership",
      ownership },
    { NULL, { NULL, NULL }, { NULL, NULL }, NULL, NULL, NULL, NULL },
};
