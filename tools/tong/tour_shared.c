/* tour_shared.c - the steps of `tong tour` about shared memory: sections 1 and 2 of the textbook. */
#include "tour.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define PATIENCE TONG_SEC(30)

/* ---- 1: separate address spaces */

static int x = 1;

static void change_and_tell(struct tour *tour)
{
    char text[16];
    x = 2;
    tong_mailbox *const box = tour_open(tour, "hello", TONG_SEND, NULL);
    tour_say(tour, "Q: x = %d --\"x is %d\"--> [hello]", x, x);
    snprintf(text, sizeof(text), "x is %d", x);
    tour_send(tour, box, text);
    tong_close(box);
}

static void hear_of_it(struct tour *tour)
{
    char text[32];
    tong_mailbox *const box = tour_open(tour, "hello", TONG_RECEIVE, NULL);
    tour_receive(tour, box, text);
    tour_say(tour, "P: x = %d still     [hello] --\"%s\"--> P", x, text);
    tong_close(box);
}

static void overview(struct tour *tour)
{
    tour_create(tour, "hello", TONG_UNBOUNDED);
    tour_say(tour, "P: x = %d     %s", x,
             tour_in(tour, "P and Q begin with the same memory", "P와 Q는 같은 메모리에서 출발"));
    tour_start(tour, change_and_tell);
    tour_start(tour, hear_of_it);
}

/* ---- 1.1: a region */

struct board {
    _Atomic int written;
    char text[16];
};

static struct board *map(struct tour *tour, tong_region **ret_region)
{
    tour_check(tour, "region", tong_region_open("board", 0, TONG_WRITE, NULL, ret_region), 0);
    return tong_region_data(*ret_region);
}

static void make_board(struct tour *tour)
{
    tong_region *region;
    tour_check(
        tour, "region",
        tong_region_open("board", sizeof(struct board), TONG_WRITE | TONG_CREATE, NULL, &region),
        0);
    tong_region_close(region);
}

static void write_board(struct tour *tour)
{
    tong_region *region;
    struct board *const b = map(tour, &region);
    tour_say(tour, "A --write \"hello\"--> |board|");
    strcpy(b->text, "hello");
    atomic_store(&b->written, 1);
    tour_check(tour, "notify", tong_region_notify(region), 0);
    tong_region_close(region);
}

static void read_board(struct tour *tour)
{
    tong_region *region;
    uint32_t seen = 0;
    struct board *const b = map(tour, &region);
    while (!atomic_load(&b->written)) {
        tour_check(tour, "wait", tong_region_wait(region, &seen, PATIENCE), 0);
    }
    tour_say(tour, "                      |board| --read \"%s\"--> B", b->text);
    tong_region_close(region);
}

static void shared_memory_model(struct tour *tour)
{
    make_board(tour);
    tour_start(tour, read_board);
    tour_start(tour, write_board);
}

/* ---- 1.2: messages */

static void send_m(struct tour *tour)
{
    tong_mailbox *const box = tour_open(tour, "A", TONG_SEND, NULL);
    tour_say(tour, "P --\"M\"--> [A]");
    tour_send(tour, box, "M");
    tong_close(box);
}

static void receive_m(struct tour *tour)
{
    char text[32];
    tong_mailbox *const box = tour_open(tour, "A", TONG_RECEIVE, NULL);
    tour_receive(tour, box, text);
    tour_say(tour, "            [A] --\"%s\"--> Q", text);
    tong_close(box);
}

static void message_model(struct tour *tour)
{
    tour_create(tour, "A", TONG_UNBOUNDED);
    tour_start(tour, receive_m);
    tour_start(tour, send_m);
}

/* ---- 2: where shared memory lies */

static void tell_address(struct tour *tour)
{
    tong_region *shift;
    tong_region *region;
    /* So that the next mapping lies elsewhere than in A. */
    tour_check(tour, "region",
               tong_region_open("shift", 65536, TONG_WRITE | TONG_CREATE, NULL, &shift), 0);
    const struct board *const b = map(tour, &region);
    tour_say(tour, "B: |board| %s %p: \"%s\"", tour_in(tour, "at", "주소"), (const void *)b,
             b->text);
    tong_region_close(region);
    tong_region_close(shift);
}

static void write_and_tell_address(struct tour *tour)
{
    tong_region *region;
    struct board *const b = map(tour, &region);
    strcpy(b->text, "hello");
    tour_say(tour, "A: |board| %s %p: \"%s\"", tour_in(tour, "at", "주소"), (void *)b, b->text);
    tour_start(tour, tell_address);
    tong_region_close(region);
}

static void where_it_lies(struct tour *tour)
{
    tong_region *region;
    make_board(tour);
    tour_start(tour, write_and_tell_address);
    tour_check(tour, "processes", tour_join(tour) ? 0 : -ECHILD, 0);
    const struct board *const b = map(tour, &region);
    tour_say(tour, "A, B %s: \"%s\"", tour_in(tour, "have ended, |board| has", "종료, |board|에는"),
             b->text);
    tong_region_close(region);
}

/* ---- 2.1: producer and consumer with in and out */

enum {
    SLOTS = 4,
    ITEMS = 6
};

struct buffer {
    _Atomic unsigned in;
    _Atomic unsigned out;
    int item[SLOTS];
};

static void show(struct tour *tour, const char *who, int item, unsigned in, unsigned out)
{
    char slots[SLOTS + 1];
    for (unsigned i = 0; i < SLOTS; i++) {
        slots[i] = (i + SLOTS - out) % SLOTS < (in + SLOTS - out) % SLOTS ? '#' : '.';
    }
    slots[SLOTS] = '\0';
    tour_say(tour, "%s %d  |%s| in=%u out=%u", who, item, slots, in, out);
}

static struct buffer *map_buffer(struct tour *tour, tong_region **ret_region)
{
    tour_check(tour, "region",
               tong_region_open("buffer", sizeof(struct buffer), TONG_WRITE | TONG_CREATE, NULL,
                                ret_region),
               0);
    return tong_region_data(*ret_region);
}

static void produce(struct tour *tour)
{
    tong_region *region;
    uint32_t seen = 0;
    struct buffer *const b = map_buffer(tour, &region);
    for (int i = 1; i <= ITEMS; i++) {
        const unsigned in = atomic_load(&b->in);
        while ((in + 1) % SLOTS == atomic_load(&b->out)) {
            tour_check(tour, "wait", tong_region_wait(region, &seen, PATIENCE), 0);
        }
        b->item[in] = i;
        show(tour, "P +", i, (in + 1) % SLOTS, atomic_load(&b->out));
        atomic_store(&b->in, (in + 1) % SLOTS);
        tour_check(tour, "notify", tong_region_notify(region), 0);
    }
    tong_region_close(region);
}

static void consume(struct tour *tour)
{
    tong_region *region;
    uint32_t seen = 0;
    struct buffer *const b = map_buffer(tour, &region);
    for (int i = 1; i <= ITEMS; i++) {
        const unsigned out = atomic_load(&b->out);
        while (out == atomic_load(&b->in)) {
            tour_check(tour, "wait", tong_region_wait(region, &seen, PATIENCE), 0);
        }
        tour_check(tour, "item", b->item[out] == i ? 0 : -EPROTO, 0);
        show(tour, "     C -", b->item[out], atomic_load(&b->in), (out + 1) % SLOTS);
        atomic_store(&b->out, (out + 1) % SLOTS);
        tour_check(tour, "notify", tong_region_notify(region), 0);
    }
    tong_region_close(region);
}

static void producer_consumer(struct tour *tour)
{
    tour_start(tour, consume);
    tour_start(tour, produce);
}

/* ---- the problem: nothing is consumed that was not produced */

static void consume_too_early(struct tour *tour)
{
    char text[32];
    tong_mailbox *const go = tour_open(tour, "go", TONG_SEND, NULL);
    tong_mailbox *const box = tour_open(tour, "A", TONG_RECEIVE, NULL);
    tour_check(tour, "receive", tong_receive(box, text, sizeof(text), 0), -EAGAIN);
    tour_say(
        tour, "[A] ........ C   %s",
        tour_in(tour, "nothing there: -EAGAIN, now C waits", "비어 있음: -EAGAIN, C는 기다린다"));
    tour_send(tour, go, "go");
    tour_receive(tour, box, text);
    tour_say(tour, "[A] --\"%s\"--> C", text);
    tong_close(box);
    tong_close(go);
}

static void produce_after_that(struct tour *tour)
{
    char text[32];
    tong_mailbox *const go = tour_open(tour, "go", TONG_RECEIVE, NULL);
    tong_mailbox *const box = tour_open(tour, "A", TONG_SEND, NULL);
    tour_receive(tour, go, text);
    tour_say(tour, "P --\"item\"--> [A]");
    tour_send(tour, box, "item");
    tong_close(box);
    tong_close(go);
}

static void the_problem(struct tour *tour)
{
    tour_create(tour, "A", TONG_UNBOUNDED);
    tour_create(tour, "go", TONG_UNBOUNDED);
    tour_start(tour, consume_too_early);
    tour_start(tour, produce_after_that);
}

/* ---- buffers */

static void fill(struct tour *tour, const char *name)
{
    tong_mailbox *const box = tour_open(tour, name, TONG_SEND, NULL);
    int n = 0;
    int r = 0;
    while (n < 20 && r == 0) {
        r = tong_send(box, "x", 1, 0);
        n += r == 0;
    }
    tour_check(tour, name, r, n == 20 ? 0 : -EAGAIN);
    tour_say(tour, "P --20 x \"x\"--> [%s]   %d %s%s", name, n,
             tour_in(tour, "were taken", "개를 받음"), r == 0 ? "" : ", -EAGAIN");
    tong_close(box);
}

static void fill_both(struct tour *tour)
{
    fill(tour, "unbounded");
    fill(tour, "bounded");
}

static void two_kinds(struct tour *tour)
{
    tour_create(tour, "unbounded", TONG_UNBOUNDED);
    tour_create(tour, "bounded", 3);
    tour_start(tour, fill_both);
}

static void put_thousand(struct tour *tour)
{
    char text[32];
    tong_mailbox *const box = tour_open(tour, "A", TONG_SEND, NULL);
    for (int i = 1; i <= 1000; i++) {
        snprintf(text, sizeof(text), "%d", i);
        tour_check(tour, "send", tong_send(box, text, strlen(text), 0), 0);
    }
    tour_say(tour, "P --1, 2, ... 1000--> [A]   %s",
             tour_in(tour, "P never waited", "P는 한 번도 기다리지 않았다"));
    tour_send(tour, box, "end");
    tong_close(box);
}

static void take_thousand(struct tour *tour)
{
    char text[32];
    char wanted[32];
    tong_mailbox *const end = tour_open(tour, "A", TONG_RECEIVE, NULL);
    for (int i = 1; i <= 1000; i++) {
        snprintf(wanted, sizeof(wanted), "%d", i);
        tour_receive(tour, end, text);
        tour_check(tour, "order", strcmp(text, wanted) == 0 ? 0 : -EPROTO, 0);
    }
    tour_receive(tour, end, text);
    tour_say(tour, "                      [A] --1, 2, ... 1000--> C");
    tong_close(end);
}

static void unbounded_buffer(struct tour *tour)
{
    tong_options options = TONG_OPTIONS_INIT;
    options.link_capacity = TONG_UNBOUNDED;
    tong_close(tour_open(tour, "A", TONG_SEND | TONG_CREATE, &options));
    tour_start(tour, put_thousand);
    tour_start(tour, take_thousand);
}

static void put_five(struct tour *tour)
{
    char text[16];
    tong_mailbox *const box = tour_open(tour, "A", TONG_SEND, NULL);
    tong_mailbox *const go = tour_open(tour, "go", TONG_SEND, NULL);
    for (int i = 1; i <= 5; i++) {
        snprintf(text, sizeof(text), "%d", i);
        if (i <= 3) {
            tour_send(tour, box, text);
            tour_say(tour, "P --%d--> [A]", i);
            continue;
        }
        tour_check(tour, "send", tong_send(box, text, 1, 0), -EAGAIN);
        tour_say(tour, "P --%d--| [A]   %s", i,
                 tour_in(tour, "full: P waits", "가득 참: P는 기다린다"));
        tour_send(tour, go, "go");
        tour_send(tour, box, text);
        tour_say(tour, "P --%d--> [A]   %s", i, tour_in(tour, "there is room", "자리가 생김"));
    }
    tour_send(tour, go, "go");
    tong_close(go);
    tong_close(box);
}

/* It takes one when P says that it waits, the others when P has said all. */
static void take_five(struct tour *tour)
{
    char text[32];
    tong_mailbox *const go = tour_open(tour, "go", TONG_RECEIVE, NULL);
    tong_mailbox *const box = tour_open(tour, "A", TONG_RECEIVE, NULL);
    for (int i = 1; i <= 5; i++) {
        if (i <= 3) {
            tour_receive(tour, go, text);
        }
        tour_say(tour, "          [A] --%d--> C", i);
        tour_receive(tour, box, text);
        tour_check(tour, "order", text[0] == '0' + i ? 0 : -EPROTO, 0);
    }
    tong_close(box);
    tong_close(go);
}

static void bounded_buffer(struct tour *tour)
{
    tour_create(tour, "A", 3);
    tour_create(tour, "go", TONG_UNBOUNDED);
    tour_start(tour, put_five);
    tour_start(tour, take_five);
}

const struct tour_step tour_steps_shared[] = {
    { "1",
      { "Overview", "개요" },
      { "Processes have address spaces of their own; to talk they need a third place.",
        "프로세스는 주소 공간이 따로 있어서, 대화하려면 둘 사이에 있는 무언가가 필요하다." },
      "tong send hello 'x is 2'",
      "tong_open",
      "mailbox",
      overview },
    { "1.1",
      { "The shared-memory model", "공유 메모리 모델 개요" },
      { "Both have the same bytes in their memory: one writes, the other reads.",
        "같은 바이트를 두 프로세스가 함께 가진다. 하나가 쓰고 다른 하나가 읽는다." },
      "tong region write board",
      "tong_region_open",
      "region",
      shared_memory_model },
    { "1.2",
      { "The message-passing model", "메시지 전달 모델 개요" },
      { "One sends, the other receives; a message is whole or not there.",
        "하나가 보내고 다른 하나가 받는다. 메시지는 전부 오거나 아예 오지 않는다." },
      "tong send A M; tong receive A",
      "tong_send, tong_receive",
      "pipe",
      message_model },
    { "2",
      { "Shared memory", "공유 메모리" },
      { "The pages lie in no process: each maps them where it likes, and they outlive both.",
        "페이지는 어느 프로세스에도 속하지 않는다. 각자 원하는 주소에 붙이며, 둘이 끝나도 "
        "남는다." },
      "tong region create board --size 4K",
      "tong_region_data",
      "region_by_hand",
      where_it_lies },
    { "2.1",
      { "Producer and consumer", "생산자-소비자 문제" },
      { "A buffer of 4 slots, of which 3 are used: in == out is empty, in + 1 == out full.",
        "칸이 4개인 버퍼에서 3개만 쓴다. in == out이면 비었고, in + 1 == out이면 가득 찼다." },
      "tong region create buffer --size 64",
      "tong_region_wait, tong_region_notify",
      "producer_consumer",
      producer_consumer },
    { "problem",
      { "What is the problem in it?", "무엇이 문제일까?" },
      { "The consumer must not consume what was not produced: it waits for it.",
        "소비자는 아직 생산되지 않은 것을 소비하면 안 된다. 생산될 때까지 기다린다." },
      "tong receive A --timeout 0",
      "tong_receive with timeout_ns",
      "blocking",
      the_problem },
    { "kinds",
      { "Two kinds of buffers", "버퍼의 종류 2가지" },
      { "One without a limit takes all; one with 3 places takes 3.",
        "한도가 없는 버퍼는 모두 받고, 자리가 3개인 버퍼는 3개를 받는다." },
      "tong create bounded --capacity 3",
      "tong_options.capacity",
      "bounded",
      two_kinds },
    { "unbounded",
      { "Unbounded buffer", "무한 버퍼" },
      { "The producer never waits; only the consumer does, while there is nothing.",
        "생산자는 기다리지 않는다. 버퍼가 비어 있을 때 소비자만 기다린다." },
      "tong create A --capacity unbounded",
      "TONG_UNBOUNDED, max_bytes",
      "unbounded",
      unbounded_buffer },
    { "bounded",
      { "Bounded buffer", "유한 버퍼" },
      { "The consumer waits while it is empty, the producer while it is full.",
        "비어 있으면 소비자가 기다리고, 가득 차면 생산자가 기다린다." },
      "tong create A --capacity 3",
      "tong_options.capacity",
      "bounded",
      bounded_buffer },
    { NULL, { NULL, NULL }, { NULL, NULL }, NULL, NULL, NULL, NULL },
};
