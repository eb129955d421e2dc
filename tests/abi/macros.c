/*
 * Every public macro, used once as a user would, in a file that is both C11 and C++17.
 *
 * header.sh compiles and runs it in both languages against libtong.so, and refuses a macro of
 * tong.h that is missing here.
 */
#include <stdio.h>
#include <string.h>

#include <tong/tong.h>

static int failed;

static void expect(int holds, const char *what)
{
    if (!holds) {
        printf("not ok - %s\n", what);
        failed = 1;
    }
}

#define EXPECT(holds) expect((holds), #holds)

TONG_API int abi_visible(void);

TONG_API int abi_visible(void)
{
    return 1;
}

/* Each INIT macro sets the size and leaves the rest as the header says. */
static void check_init(void)
{
    tong_options options = TONG_OPTIONS_INIT;
    tong_slot slot = TONG_SLOT_INIT;
    tong_message message = TONG_MESSAGE_INIT;
    tong_send_options send = TONG_SEND_OPTIONS_INIT;
    tong_receive_options receive = TONG_RECEIVE_OPTIONS_INIT;
    tong_status status = TONG_STATUS_INIT;
    tong_origin origin = TONG_ORIGIN_INIT;
    tong_death death = TONG_DEATH_INIT;
    tong_party party = TONG_PARTY_INIT;
    tong_link link = TONG_LINK_INIT;
    tong_region_options region_options = TONG_REGION_OPTIONS_INIT;
    tong_region_status region_status = TONG_REGION_STATUS_INIT;

    EXPECT(options.struct_size == sizeof(options));
    EXPECT(options.delivery == TONG_FIRST_COME && options.owner == TONG_SYSTEM);
    EXPECT(options.full == TONG_BLOCK && options.capacity == TONG_UNBOUNDED);
    EXPECT(options.link_capacity == TONG_DEFAULT && options.message_size == 0);
    EXPECT(options.mode == 0600 && options.max_bytes == 256u * 1024u * 1024u);
    EXPECT(slot.struct_size == sizeof(slot) && slot.data == NULL && slot.len == 0);
    EXPECT(message.struct_size == sizeof(message) && message.data == NULL);
    EXPECT(message.key == 0 && message.tag == 0 && message.priority == 0 && message.sent_ns == 0);
    EXPECT(message.sender[0] == '\0' && message.reply_to[0] == '\0' && message.call == 0);
    EXPECT(send.struct_size == sizeof(send) && send.priority == 0 && send.reply_to == NULL);
    EXPECT(send.tag == 0 && send.key == 0 && send.call == 0 && send.expiry_ns == 0);
    EXPECT(receive.struct_size == sizeof(receive) && receive.min_priority == 0);
    EXPECT(receive.tag == 0 && receive.from == NULL);
    EXPECT(status.struct_size == sizeof(status) && status.name[0] == '\0');
    EXPECT(status.backstop_finds == 0);
    EXPECT(options.max_deliveries == 0 && options.dead_letter == NULL && options.policy == NULL);
    EXPECT(status.max_deliveries == 0 && status.dead_letter[0] == '\0');
    EXPECT(sizeof(status.policy) == TONG_POLICY_MAX && status.policy[0] == '\0');
    EXPECT(origin.struct_size == sizeof(origin) && origin.name[0] == '\0');
    EXPECT(death.struct_size == sizeof(death) && death.roles == 0 && death.pid == 0);
    EXPECT(party.struct_size == sizeof(party) && party.process == 0 && party.dropped == 0);
    EXPECT(link.struct_size == sizeof(link) && link.lanes == 0 && link.a[0] == '\0');
    EXPECT(region_options.struct_size == sizeof(region_options));
    EXPECT(region_options.owner == TONG_SYSTEM && region_options.mode == 0600);
    EXPECT(region_status.struct_size == sizeof(region_status) && region_status.name[0] == '\0');
}

static void check_numbers(void)
{
    EXPECT(TONG_MS(5) == 5000000 && TONG_SEC(2) == 2000000000);
    EXPECT(TONG_MS(1 + 1) == 2000000 && TONG_SEC(3) == TONG_MS(3000));
    EXPECT(TONG_FOREVER < 0);
    EXPECT((TONG_SEND ^ TONG_RECEIVE ^ TONG_CREATE ^ TONG_EXCL ^ TONG_READ ^ TONG_WRITE ^
            TONG_FROM_OLDEST) == 0x7fu);
    EXPECT(TONG_CAPACITY_MAX < TONG_UNBOUNDED && TONG_MESSAGE_MAX == UINT32_MAX);
    EXPECT(TONG_PRIORITY_MAX == 31u);
    EXPECT((TONG_LANE_THERE | TONG_LANE_BACK) == 3u);
    EXPECT(TONG_SET_DELIVERY != 0);
    EXPECT(TONG_DROPPED > 0 && TONG_RECOVERED > 0 && TONG_VERIFIED_UID != 0);
    EXPECT(TONG_VERIFIED_PID != 0 && TONG_VERIFIED_GID != 0);
}

static void check_version(void)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%d.%d.%d", TONG_VERSION_MAJOR, TONG_VERSION_MINOR,
                   TONG_VERSION_PATCH);
    EXPECT(strcmp(text, tong_version()) == 0);
    EXPECT(strcmp(text, ABI_PROJECT_VERSION) == 0);
}

int main(void)
{
    char folder[4096];

    check_init();
    check_numbers();
    check_version();
    EXPECT(abi_visible() == 1 && TONG_NAME_MAX == sizeof(((tong_status *)0)->name));
    EXPECT(tong_folder(folder, sizeof(folder)) == (int)strlen(folder));
    EXPECT(tong_strerror(0) != NULL);
    return failed;
}
