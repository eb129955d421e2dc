/* Names: 1 to 127 characters of A-Z a-z 0-9 . _ - that do not begin with a dot or a hyphen. */
#include "base/name.h"

#include <errno.h>
#include <string.h>

#include "kit.h"

static void no_name_is_refused(void)
{
    kit_gives(tg_name_check(NULL), -EINVAL);
    kit_gives(tg_name_check(""), -EINVAL);
}

static void a_name_that_begins_with_dot_or_hyphen_is_refused(void)
{
    static const char *const names[] = { ".", "..", ".life", "-", "-a", "--help", "-1" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        kit_gives(tg_name_check(names[i]), -EINVAL);
    }
}

static void every_other_character_is_refused_wherever_it_stands(void)
{
    for (int c = 1; c < 256; c++) {
        const bool good =
            c < 128 && c != 0 &&
            strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", c) != NULL;
        const char last[] = { 'a', (char)c, '\0' };
        const char middle[] = { 'a', (char)c, 'b', '\0' };
        const char first[] = { (char)c, 'a', '\0' };
        kit_gives(tg_name_check(last), good ? 0 : -EINVAL);
        kit_gives(tg_name_check(middle), good ? 0 : -EINVAL);
        kit_gives(tg_name_check(first), good && c != '.' && c != '-' ? 0 : -EINVAL);
    }
}

static void the_shortest_and_common_names_are_accepted(void)
{
    static const char *const names[] = {
        "a", "Z", "0", "_", "jobs", "a..b", "a-", "a.", "x_1.2-3"
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        kit_ok(tg_name_check(names[i]));
    }
}

static void names_have_127_characters_at_most(void)
{
    char name[4096];
    memset(name, 'n', sizeof(name));
    for (size_t len = 1; len < sizeof(name) - 1; len++) {
        name[len] = '\0';
        kit_gives(tg_name_check(name), len < TONG_NAME_MAX ? 0 : -ENAMETOOLONG);
        name[len] = 'n';
    }
}

static const struct kit_test tests[] = {
    KIT_TEST(no_name_is_refused),
    KIT_TEST(a_name_that_begins_with_dot_or_hyphen_is_refused),
    KIT_TEST(every_other_character_is_refused_wherever_it_stands),
    KIT_TEST(the_shortest_and_common_names_are_accepted),
    KIT_TEST(names_have_127_characters_at_most),
};

KIT_MAIN(tests)
