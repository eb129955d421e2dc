/* Every answer of tong is in the table once, with a sentence of its own. */
#include "base/err.h"

#include <limits.h>
#include <string.h>

#include "kit.h"

struct row {
    int code;
    const char *name;
    const char *text;
};

#define ROW(code, text) { code, #code, text },
static const struct row rows[] = { TG_ERRORS(ROW) };
#undef ROW

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static void what_tong_never_answers_has_no_text(void)
{
    static const int others[] = { 0, -1, -EAGAIN, ENOTTY, EPIPE, 4095, INT_MAX, INT_MIN };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        kit_true(tg_err_text(others[i]) == NULL);
    }
}

static void every_code_gives_its_own_text(void)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        const char *text = tg_err_text(rows[i].code);
        if (text == NULL || strcmp(text, rows[i].text) != 0) {
            kit_fail("%s: %s", rows[i].name, text != NULL ? text : "no text");
        }
    }
}

static void every_code_and_every_text_stands_once(void)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        for (size_t k = 0; k < i; k++) {
            if (rows[i].code == rows[k].code || strcmp(rows[i].text, rows[k].text) == 0) {
                kit_fail("%s and %s", rows[i].name, rows[k].name);
            }
        }
    }
}

static void a_text_is_one_short_sentence(void)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        const size_t len = strlen(rows[i].text);
        if (len < 8 || len > 79 || strpbrk(rows[i].text, "\n\t%") != NULL) {
            kit_fail("%s: %s", rows[i].name, rows[i].text);
        }
    }
}

static void tong_strerror_reads_the_table_with_both_signs(void)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        kit_true(strcmp(tong_strerror(rows[i].code), rows[i].text) == 0);
        kit_true(strcmp(tong_strerror(-rows[i].code), rows[i].text) == 0);
    }
    kit_true(tong_strerror(0) != NULL && tong_strerror(INT_MIN) != NULL);
}

static const struct kit_test tests[] = {
    KIT_TEST(what_tong_never_answers_has_no_text),
    KIT_TEST(every_code_gives_its_own_text),
    KIT_TEST(every_code_and_every_text_stands_once),
    KIT_TEST(a_text_is_one_short_sentence),
    KIT_TEST(tong_strerror_reads_the_table_with_both_signs),
};

KIT_MAIN(tests)
