/*
 * Which of the sleepers is first: who may take the next message, and whom TURN names. Those that ask for
 * some messages only are not asked here (select.c).
 *
 * Where a policy has no choose() it is the lowest ticket. Else the choice is made by whoever holds
 * the token, and written down in the box: `chosen` is a slot, and it is valid while that slot has a
 * ticket. It gives nothing away: no message belongs to the one chosen, who may die or give up, and
 * then there is no valid choice and the next holder that asks makes one.
 *
 *   who                          does                                  killed behind it
 *   one that enters the queue    ticket, then a choice among all       its own ticket is taken back
 *                                                                      by repair, which asks
 *   one that leaves              ticket = 0, then who asks next        the same, for the ticket that
 *                                makes a choice                        `chosen` names is 0
 *   who asks, no valid choice    `chosen`                              TURN names another than
 *                                                                      `chosen`: see I2
 *
 * I1  Only a holder writes, so two never hold for two different choices.
 * I2  A holder gives the token back only when TURN names the one chosen, or the one chosen is awake and
 *     on its way to the token. Killed before, it is one of those whom sleepers watch: who is woken
 *     repairs and rings the first, who sets TURN when it sleeps again.
 * I3  Where the policy says `again` it is asked at every look, for a claim is finished without the token: who was
 *     rung and is not the least loaded any more finds it out, and rings the one that is.
 */
#include <errno.h>

#include "mailbox/select.h"

/* The ticket of a sleeper that takes whatever comes; 0: the slot has none. */
static uint64_t ticket_of(const struct tg_box *box, uint32_t slot)
{
    const uint64_t ticket = tg_load_relaxed(&box->slots[slot].ticket);
    return ticket != 0 && !tg_select_is_asking(box, slot) ? ticket : 0;
}

/* The slot with the lowest ticket; TG_SLOTS_MAX if nobody sleeps. */
static uint32_t lowest_ticket(const struct tg_box *box)
{
    uint32_t first = TG_SLOTS_MAX;
    uint64_t lowest = UINT64_MAX;
    const uint32_t n = tg_n_slots(box->head);
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t ticket = ticket_of(box, i);
        if (ticket != 0 && ticket < lowest) {
            lowest = ticket;
            first = i;
        }
    }
    return first;
}

static uint32_t claims_of(struct tg_box *box, uint32_t slot)
{
    const struct tg_box_entry *e = tg_claims_of(box, slot);
    const uint32_t used = tg_load_acquire(&box->slots[slot].entries);
    uint32_t claims = 0;
    for (uint32_t k = 0; k < used && k < TG_CLAIMS_MAX; k++) {
        /* relaxed: one finished just now counts or does not. */
        claims += TG_ENTRY_STATE(tg_load_relaxed(&e[k].state)) == TG_CLAIMED;
    }
    return claims;
}

static uint32_t list_waiting(struct tg_box *box, struct tg_waiting waiting[TG_SLOTS_MAX])
{
    uint32_t n = 0;
    const uint32_t slots = tg_n_slots(box->head);
    for (uint32_t i = 0; i < slots; i++) {
        const uint64_t ticket = ticket_of(box, i);
        if (ticket != 0) {
            const uint32_t claims = box->policy->by_claims ? claims_of(box, i) : 0;
            waiting[n++] = (struct tg_waiting){ .ticket = ticket,
                                                .slot = i,
                                                .claims = claims,
                                                .pid = tg_load_relaxed(&box->slots[i].pid) };
        }
    }
    return n;
}

static uint32_t choose(struct tg_box *box)
{
    struct tg_waiting waiting[TG_SLOTS_MAX];
    const uint32_t n = list_waiting(box, waiting);
    uint32_t slot = TG_SLOTS_MAX;
    if (n != 0) {
        const struct tg_choice choice = { .waiting = waiting,
                                          .n = n,
                                          .served = tg_load_relaxed(&box->head->served),
                                          .random = &box->rx.random,
                                          .own = &box->rx.own };
        const uint32_t index = box->policy->choose(&choice);
        slot = index < n ? waiting[index].slot : lowest_ticket(box);
    }
    const uint32_t word = slot == TG_SLOTS_MAX ? 0 : slot + 1;
    if (tg_load_relaxed(&box->head->chosen) != word) {
        tg_store_relaxed(&box->head->chosen, word);
    }
    return slot;
}

uint32_t tg_choice_first(struct tg_box *box)
{
    if (box->policy->choose == NULL) {
        return lowest_ticket(box);
    }
    const uint32_t slot = tg_load_relaxed(&box->head->chosen) - 1;
    const bool valid = slot < tg_n_slots(box->head) && ticket_of(box, slot) != 0;
    return valid && !box->policy->again ? slot : choose(box);
}

void tg_choice_renew(struct tg_box *box)
{
    if (box->policy->choose != NULL) {
        (void)choose(box);
    }
}

uint32_t tg_choice_needed(struct tg_box *box, uint32_t sleepers)
{
    struct tg_arrival arrival = { .sleepers = sleepers };
    if (box->policy->by_claims) {
        struct tg_waiting waiting[TG_SLOTS_MAX];
        const uint32_t n = list_waiting(box, waiting);
        arrival.claims = claims_of(box, box->rx.slot);
        arrival.fewest = UINT32_MAX;
        for (uint32_t i = 0; i < n; i++) {
            if (waiting[i].slot != box->rx.slot && waiting[i].claims < arrival.fewest) {
                arrival.fewest = waiting[i].claims;
            }
        }
    }
    return box->policy->needed(&arrival);
}

void tg_choice_served(struct tg_box *box)
{
    const uint32_t word = box->rx.slot + 1;
    if (box->policy->choose != NULL && !box->rx.wish.selects &&
        tg_load_relaxed(&box->head->served) != word) {
        tg_store_relaxed(&box->head->served, word);
    }
}

/* ---- which policy it is: see set.c */

/* The name of the own policy that the delivery word speaks of; false: it has changed meanwhile. */
static bool read_name(const struct tg_box_head *head, uint32_t word, char name[TONG_POLICY_MAX])
{
    memcpy(name, head->policy[TG_OWN_POLICIES(word) % 2], TONG_POLICY_MAX);
    name[TONG_POLICY_MAX - 1] = '\0';
    /* The name before the word once more; partner: the release of the word behind a name. */
    tg_fence_acquire();
    return tg_load_relaxed(&head->delivery) == word;
}

uint32_t tg_choice_read(const struct tg_box_head *head, char name[TONG_POLICY_MAX])
{
    for (;;) {
        const uint32_t word = tg_load_acquire(&head->delivery);
        name[0] = '\0';
        if (TG_DELIVERY(word) != TONG_OWN || read_name(head, word, name)) {
            return word;
        }
    }
}

void tg_choice_refresh_slow(struct tg_box *box)
{
    char name[TONG_POLICY_MAX];
    const uint32_t word = tg_choice_read(box->main.head, name);
    const struct tg_policy *policy = tg_policy_of(TG_DELIVERY(word));
    if (policy != NULL) {
        box->policy = policy;
        box->rx.own = tg_policy_find_own(name);
        box->rx.is_unknown = policy == &tg_policy_own && box->rx.own.choose == NULL;
    }
    box->rx.delivery = word;
    if (box->rx.has_slot) {
        tg_choice_renew(box);
    }
}

int tg_choice_refusal(struct tg_box *box)
{
    char name[TONG_POLICY_MAX];
    const uint32_t word = tg_choice_read(box->main.head, name);
    const bool unknown = TG_DELIVERY(word) == TONG_OWN && tg_policy_find_own(name).choose == NULL;
    /* A copy of this handle's: no crash point. */
    atomic_store_explicit(&box->refused, unknown, memory_order_relaxed);
    return unknown ? -ENOSYS : 0;
}

int tg_choice_admits(struct tg_box *box)
{
    if (box->policy->max_receivers == UINT32_MAX) {
        return 0;
    }
    const uint32_t n = tg_n_slots(box->head);
    const uint32_t came = tg_load_relaxed(&box->slots[box->rx.slot].came);
    const uint64_t only = tg_load_relaxed(&box->owner);
    uint32_t before = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t owner = tg_load_relaxed(&box->slots[i].owner);
        /* One that had to give the mailbox away does not receive any more. */
        before += owner != 0 && (only == 0 || owner == only) && i != box->rx.slot &&
                  (int32_t)(came - tg_load_relaxed(&box->slots[i].came)) > 0;
    }
    return before < box->policy->max_receivers ? 0 : -EBUSY;
}
