/*
 * A process on a message's path is killed behind every instruction of it.
 *
 * The library is the one that is shipped: optimised, without crash points. Its way through an
 * operation is recorded once; then, for every place of it, a fresh mailbox and a victim that is brought
 * there and killed. What the survivors must find is C1 to C6 of crash_test.h.
 *
 * The short form takes the places before and behind each change of the shared bytes, and every k-th of
 * the others from one on that KIT_SEED says. TONG_TEST_LONG=1 takes all, of a loop all of its first
 * turns and then one in eight. The survivor's mailbox is open before the death or not, and every other
 * time it claims. STEP_SCENE=n with STEP_AT=place and CRASH_VARIANT does one again.
 */
#include "scenes.h"

#include <stdlib.h>

#include "watch.h"

#define TURNS 8u      /* of a loop, with all their places; then one place in so many */
#define SHORT_FORM 8u /* places of a variant, and up to twice as many, beside the marked ones */

/* With the survivor's mailbox open before the death, and without: one receiver more or less. */
static struct step_trace ways[2];
static struct step_case now;
static struct watch shared;

static void record(const struct step_scene *scene, struct crash_world *world, unsigned variant)
{
    struct step_trace *way = &ways[variant & 1];
    step_case_begin(&now, scene, world, variant);
    step_record(&now.stepper, &shared, way);
    watch_close(&shared);
    step_kill(&now.stepper);
    step_case_end(&now);
    if (way->n < 20) {
        kit_fail("%u instructions are no operation", way->n);
    }
}

/* True if it was killed at that place, false if so many steps led to another one. */
static bool kill_at(const struct step_scene *scene, struct crash_world *world, uint32_t place,
                    unsigned variant)
{
    static const enum step_way ways_there[] = { STEP_BY_BREAKPOINT, STEP_BY_STEPS, STEP_BY_STEPS,
                                                STEP_ANY_WAY };
    static char where[240];
    snprintf(where, sizeof(where), "%s, %s: STEP_AT=%u CRASH_VARIANT=%u", scene->crash.operation,
             scene->crash.role, place, variant);
    kit_test_name = where;
    for (uint32_t i = 0;; i++) {
        step_case_begin(&now, scene, world, variant);
        const bool reached = step_reach(&now.stepper, &ways[variant & 1], place, ways_there[i]);
        step_kill(&now.stepper);
        step_case_end(&now);
        if (reached || ways_there[i] == STEP_ANY_WAY) {
            return ways_there[i] != STEP_ANY_WAY;
        }
    }
}

struct account {
    uint64_t places;
    uint64_t kills;
    uint64_t strays; /* of the kills, those at another place than the recorded one */
};

/* Whether this form takes the place. */
static bool is_taken(const struct step_trace *way, uint32_t place, uint32_t first, unsigned variant)
{
    const struct step_place *p = &way->place[place];
    if (!crash_long()) {
        const uint32_t stride = way->n < SHORT_FORM ? 1 : way->n / SHORT_FORM;
        return (p->is_mark && (place + variant / 2) % 2 == 0) || place % stride == first % stride;
    }
    return place % 2 == variant / 2 && (p->nth <= TURNS || p->is_mark || place / 2 % TURNS == 0);
}

static void kill_all(const struct step_scene *scene, struct crash_world *world, uint32_t first,
                     unsigned variant, struct account *account)
{
    const struct step_trace *way = &ways[variant & 1];
    for (uint32_t i = 0; i < way->n; i++) {
        if (is_taken(way, i, first, variant)) {
            account->strays += !kill_at(scene, world, i, variant);
            account->kills++;
        }
    }
}

static void say(const struct step_scene *scene, const struct account *account, int64_t began_ns)
{
    const struct kit_deaths deaths = { .operation = scene->crash.operation,
                                       .role = scene->crash.role,
                                       .kind = "steps",
                                       .points = account->places,
                                       .kills = account->kills };
    printf("%s | %s: %llu places, %llu kills (%llu on another way), %.2f s\n", deaths.operation,
           deaths.role, (unsigned long long)account->places, (unsigned long long)account->kills,
           (unsigned long long)account->strays, (double)(kit_now_ns() - began_ns) / 1e9);
    kit_account(&deaths, began_ns);
}

static void run(const struct step_scene *scene, uint64_t nth)
{
    const int64_t began_ns = kit_now_ns();
    struct crash_world *world = kit_shared(sizeof(*world));
    struct kit_random random = kit_random_stream(nth);
    record(scene, world, 0);
    record(scene, world, 1);
    struct account account = { .places = (uint64_t)ways[0].n + ways[1].n };
    for (unsigned variant = 0; variant < 4; variant++) {
        kill_all(scene, world, (uint32_t)kit_random_below(&random, STEP_MOST), variant, &account);
    }
    say(scene, &account, began_ns);
}

static void one(const struct step_scene *scene, const char *at)
{
    const char *text = getenv("CRASH_VARIANT");
    const unsigned variant = text != NULL ? (unsigned)strtoul(text, NULL, 10) % 4 : 0;
    struct crash_world *world = kit_shared(sizeof(*world));
    record(scene, world, variant);
    (void)kill_at(scene, world, (uint32_t)strtoul(at, NULL, 10) % ways[variant & 1].n, variant);
}

static void killed_behind_every_instruction(void)
{
    const char *only = getenv("STEP_SCENE");
    const char *at = getenv("STEP_AT");
    step_prepare();
    setenv("TONG_TEST_NO_BACKSTOP", "1", 1);
    for (uint32_t i = 0; i < step_n_scenes; i++) {
        if (only != NULL && strtoul(only, NULL, 10) != i) {
            continue;
        }
        if (at != NULL) {
            one(&step_scenes[i], at);
        } else {
            run(&step_scenes[i], i);
        }
    }
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(killed_behind_every_instruction, 3000),
};

KIT_MAIN(tests)
