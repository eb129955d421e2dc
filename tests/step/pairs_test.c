/*
 * Two processes on a message's path, each stopped anywhere.
 *
 * A is brought to place i of its call and stopped there; B then runs its call until it is over or
 * asleep, or for j instructions only. Then both are let go, or one of them is killed and the other let
 * go. What B did while A was between two instructions must not have been for nothing: who sleeps is
 * woken without the back-stop, and C2 to C6 of crash_test.h hold.
 *
 * The short form takes i before and behind each change of the shared bytes that A makes and before its
 * system calls, some others, and some (i, j), by KIT_SEED. TONG_TEST_LONG=1 takes 400 to 800 others, each
 * with nobody killed, A killed and B killed, and all (i, j) with both around a change. STEP_SCENE=n with
 * STEP_PAIR="i j killed" does one again.
 */
#include "pairs.h"

#include <stdio.h>
#include <stdlib.h>

#include "watch.h"

#define SHORT_FORM 10u /* places of A in the short form, beside the marked ones */
#define GRID 36u       /* and pairs (i, j) */
#define LONG_FORM 400u /* the same of the long form */
#define NEAR 1500u     /* B is stepped so far; beyond by breakpoints */
#define WHOLE UINT32_MAX

static struct step_trace way_a;
static struct step_trace way_b;
static struct pair_case now;
static struct watch shared;

/* ---- one pair of places */

static int side(struct pair_case *c, const struct pair_side *mine)
{
    struct crash_stage *s = &c->stage;
    if (mine->ready != NULL) {
        mine->ready(s);
    }
    step_begin();
    mine->act(s);
    step_end();
    /* To close may repair what should have come by itself before. */
    kit_event_wait(&s->world->event[3]);
    kit_ok(tong_close(s->mine));
    return 0;
}

static int side_a(void *arg)
{
    struct pair_case *c = arg;
    return side(c, &c->scene->a);
}

static int side_b(void *arg)
{
    struct pair_case *c = arg;
    return side(c, &c->scene->b);
}

/* It sleeps for a time only. */
static void sleeps_on(void *arg)
{
    (void)arg;
}

static void begin(const struct pair_scene *scene, struct crash_world *world, unsigned variant)
{
    struct pair_case *c = &now;
    struct crash_stage *s = &c->stage;
    *c = (struct pair_case){ .scene = scene, .crash = { .options = scene->options } };
    memset(world, 0, sizeof(*world));
    s->scene = &c->crash;
    s->world = world;
    s->variant = variant;
    s->options = scene->options();
    kit_ok(tong_close(kit_create(CRASH_BOX, &s->options)));
    if (scene->before != NULL) {
        scene->before(s);
    }
    c->b = step_spawn(side_b, c, scene->b.calls);
    c->a = step_spawn(side_a, c, scene->a.calls);
    c->a.wake = scene->sleeps_on ? sleeps_on : NULL;
    step_until_ready(&c->a);
    step_until_ready(&c->b);
}

static bool let_go(struct pair_case *c)
{
    const bool a = step_release(&c->a);
    return step_release(&c->b) && a;
}

static bool all_ended(const struct pair_case *c)
{
    const struct crash_stage *s = &c->stage;
    bool all = step_has_ended(&c->a.child) && step_has_ended(&c->b.child);
    for (int i = 0; i < 2; i++) {
        all = all && (s->helper[i].pid == 0 || step_has_ended(&s->helper[i]));
    }
    return all && step_has_ended(&c->finisher);
}

static int finish(void *arg)
{
    struct pair_case *c = arg;
    if (c->scene->finish != NULL) {
        c->scene->finish(c);
    }
    return 0;
}

static void end(struct pair_case *c, enum pair_killed killed)
{
    struct crash_stage *s = &c->stage;
    c->killed = killed;
    if (killed != PAIR_NONE) {
        struct stepper *victim = killed == PAIR_A ? &c->a : &c->b;
        step_kill(victim);
        kit_until(step_has_ended(&victim->child));
    }
    kit_until(((void)let_go(c), c->scene->settled == NULL || c->scene->settled(c)));
    kit_event_set(&s->world->event[3]);
    c->finisher = kit_spawn(finish, c);
    kit_until((let_go(c), all_ended(c)));
    kit_join(&c->finisher);
    kit_equal(crash_dies(&c->a.child), killed == PAIR_A);
    kit_equal(crash_dies(&c->b.child), killed == PAIR_B);
    for (int i = 0; i < 2; i++) {
        if (s->helper[i].pid != 0) {
            kit_join(&s->helper[i]);
        }
    }
    s->killed = killed != PAIR_NONE;
    c->crash.lost = killed == PAIR_A ? c->scene->a.lost : killed == PAIR_B ? c->scene->b.lost : 0;
    crash_check(s);
}

static void run_b(struct stepper *b, uint32_t j)
{
    if (j == WHOLE) {
        (void)step_to_end(b);
        return;
    }
    if (j >= NEAR) {
        (void)step_reach(b, &way_b, j, STEP_BY_BREAKPOINT);
        return;
    }
    if (step_to_call(b) != STEP_STOPPED) {
        return;
    }
    for (uint32_t i = 0; i < j && b->frame != 0 && step_one(b) == STEP_STOPPED; i++) {
    }
}

static void pair_at(const struct pair_scene *scene, struct crash_world *world, uint32_t i,
                    uint32_t j, enum pair_killed killed)
{
    static const char *const names[] = { "nobody", "A", "B" };
    static char where[240];
    snprintf(where, sizeof(where), "%s, %s: STEP_PAIR=\"%u %u %d\" (%s is killed)",
             scene->operation, scene->role, i, j, (int)killed, names[killed]);
    kit_test_name = where;
    begin(scene, world, (i + j) << 1 & 2);
    (void)step_reach(&now.a, &way_a, i, STEP_BY_BREAKPOINT);
    if (scene->between != NULL) {
        scene->between(&now.stage);
    }
    run_b(&now.b, j);
    now.b_over = now.b.state == STEP_OVER;
    if (j != WHOLE && killed == PAIR_NONE && !now.a.running && now.a.state != STEP_OVER) {
        /* Now it is A that goes on while B stands still; it may have to wait for B. */
        now.a.wake = NULL;
        (void)step_to_end(&now.a);
    }
    end(&now, killed);
}

/* ---- their ways */

/* B's way while A is at place i. Returns its length. */
static uint32_t record_b(const struct pair_scene *scene, struct crash_world *world, uint32_t i)
{
    begin(scene, world, 0);
    (void)step_reach(&now.a, &way_a, i, STEP_BY_BREAKPOINT);
    step_record(&now.b, &shared, &way_b);
    watch_close(&shared);
    end(&now, PAIR_NONE);
    return way_b.n;
}

/* A asleep, so that B has something to do for it; or, if its sleep may be over too soon for that, the
 * place where B has most to do; else its first one. */
static uint32_t where_b_meets_a(const struct pair_scene *scene, struct crash_world *world)
{
    uint32_t best = 0;
    uint32_t most = 0;
    for (uint32_t i = 0; i < way_a.n; i++) {
        if (way_a.place[i].asleep) {
            return i;
        }
        const uint32_t n =
            scene->sleeps_on && way_a.place[i].is_mark ? record_b(scene, world, i) : 0;
        best = n > most ? i : best;
        most = n > most ? n : most;
    }
    return best;
}

static void record(const struct pair_scene *scene, struct crash_world *world)
{
    begin(scene, world, 0);
    step_record(&now.a, &shared, &way_a);
    watch_close(&shared);
    end(&now, PAIR_NONE);
    (void)record_b(scene, world, where_b_meets_a(scene, world));
    if (way_a.n < 20 || way_b.n < 20) {
        kit_fail("%u and %u instructions are no operations", way_a.n, way_b.n);
    }
}

/* ---- all of a pair of roles */

struct account {
    uint64_t pairs;
    uint64_t kills;
};

static void count(const struct pair_scene *scene, struct crash_world *world, uint32_t i, uint32_t j,
                  int killed, struct account *account)
{
    pair_at(scene, world, i, j, (enum pair_killed)killed);
    account->pairs++;
    account->kills += killed != PAIR_NONE;
}

/* A at all places that this form takes, all of B's call meanwhile. */
static void run_places(const struct pair_scene *scene, struct crash_world *world,
                       struct kit_random *random, struct account *account)
{
    const uint32_t most = crash_long() ? LONG_FORM : SHORT_FORM;
    const uint32_t stride = way_a.n < most ? 1 : way_a.n / most;
    const uint32_t first = (uint32_t)kit_random_below(random, stride);
    for (uint32_t i = 0; i < way_a.n; i++) {
        if (!way_a.place[i].is_mark && i % stride != first) {
            continue;
        }
        count(scene, world, i, WHOLE, PAIR_NONE, account);
        const int killed = PAIR_A + (int)kit_random_below(random, 2);
        count(scene, world, i, WHOLE, killed, account);
        if (crash_long()) {
            count(scene, world, i, WHOLE, PAIR_A + PAIR_B - killed, account);
        }
    }
}

/* The places around changes of the shared bytes, of the one with those of the other. */
static void run_marks(const struct pair_scene *scene, struct crash_world *world,
                      struct account *account)
{
    for (uint32_t i = 0; i < way_a.n; i++) {
        for (uint32_t j = 0; j < way_b.n && way_a.place[i].is_mark; j++) {
            if (way_b.place[j].is_mark) {
                count(scene, world, i, j, PAIR_NONE, account);
                count(scene, world, i, j, PAIR_A + (int)(account->pairs / 2 % 2), account);
            }
        }
    }
}

/* One of the marked places of a way, two times of three; else any. */
static uint32_t some_place(const struct step_trace *way, struct kit_random *random)
{
    uint32_t i = (uint32_t)kit_random_below(random, way->n);
    const bool any = kit_random_below(random, 3) == 0;
    while (!any && !way->place[i].is_mark) {
        i = (uint32_t)kit_random_below(random, way->n);
    }
    return i;
}

static void run(const struct pair_scene *scene, struct crash_world *world, uint64_t nth)
{
    const int64_t began_ns = kit_now_ns();
    struct kit_random random = kit_random_stream(nth);
    struct account account = { 0 };
    record(scene, world);
    run_places(scene, world, &random, &account);
    if (crash_long()) {
        run_marks(scene, world, &account);
    }
    for (uint32_t g = 0; g < GRID; g++) {
        const uint32_t i = some_place(&way_a, &random);
        count(scene, world, i, some_place(&way_b, &random), (int)(g % 3), &account);
    }
    printf("%s | %s: %u and %u places, %llu pairs, %llu kills, %.2f s\n", scene->operation,
           scene->role, way_a.n, way_b.n, (unsigned long long)account.pairs,
           (unsigned long long)account.kills, (double)(kit_now_ns() - began_ns) / 1e9);
    const struct kit_deaths deaths = { .operation = scene->operation,
                                       .role = scene->role,
                                       .kind = "pairs",
                                       .points = account.pairs,
                                       .kills = account.kills };
    kit_account(&deaths, began_ns);
}

static void one(const struct pair_scene *scene, struct crash_world *world, const char *at)
{
    unsigned i = 0;
    unsigned j = 0;
    int killed = 0;
    if (sscanf(at, "%u %u %d", &i, &j, &killed) != 3) {
        kit_fail("STEP_PAIR=\"%s\" is not \"i j killed\"", at);
    }
    record(scene, world);
    pair_at(scene, world, i % way_a.n, j, (enum pair_killed)(killed % 3));
}

static void two_stopped_anywhere(void)
{
    const char *only = getenv("STEP_SCENE");
    const char *at = getenv("STEP_PAIR");
    struct crash_world *world = kit_shared(sizeof(*world));
    step_prepare();
    setenv("TONG_TEST_NO_BACKSTOP", "1", 1);
    for (uint32_t i = 0; i < pair_n_scenes; i++) {
        if (only != NULL && strtoul(only, NULL, 10) != i) {
            continue;
        }
        if (at != NULL) {
            one(&pair_scenes[i], world, at);
        } else {
            run(&pair_scenes[i], world, i);
        }
    }
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(two_stopped_anywhere, 3000),
};

KIT_MAIN(tests)
