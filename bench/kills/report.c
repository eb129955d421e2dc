/*
 * report.c - the table and the file.
 */
#include "kills.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static const char *const roles[KILL_ROLES] = { "receiver", "sender" };

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The smallest value that so many of a hundred do not exceed; values are sorted. */
static double percentile(const double *values, unsigned n, unsigned percent)
{
    if (n == 0) {
        return -1;
    }
    const unsigned at = (n * percent + 99) / 100;
    return values[at > 0 ? at - 1 : 0];
}

static const char *shown(double value)
{
    static char texts[8][24];
    static unsigned next;
    char *text = texts[next++ % 8];
    if (value < 0) {
        return "-";
    }
    snprintf(text, sizeof texts[0], value < 100 ? "%.3f" : "%.0f", value);
    return text;
}

static void cure(const struct kills_result *result, char *ret_text, size_t size)
{
    ret_text[0] = '\0';
    if (result->cures[1] > 0) {
        snprintf(ret_text, size, "removal by hand (%u of %u tried)", result->cures[1],
                 result->cures[0] + result->cures[1]);
    } else if (result->cures[0] > 0) {
        snprintf(ret_text, size, "new processes");
    }
}

static void row(const struct kills_system *system, const char *role, struct kills_result *result)
{
    char help[64];
    char left[24];
    qsort(result->next_ms, result->n_next, sizeof(double), compare);
    qsort(result->silence_ms, result->n_next, sizeof(double), compare);
    qsort(result->newcomer_ms, result->n_newcomer, sizeof(double), compare);
    cure(result, help, sizeof help);
    snprintf(left, sizeof left, "%ld", result->left);
    printf("%-9s %-8s %5u %4u %5u %6llu %7llu | %8s %8s %8s %8s %8s | %8s %8s | %5s %s\n",
           system->name, role, result->kills, result->hung + result->not_started,
           result->newcomer_hung, (unsigned long long)result->broken,
           (unsigned long long)result->lost, shown(percentile(result->next_ms, result->n_next, 50)),
           shown(percentile(result->next_ms, result->n_next, 95)),
           shown(percentile(result->next_ms, result->n_next, 100)),
           result->n_next ? shown(result->worst_queued_ms) : "-",
           shown(percentile(result->silence_ms, result->n_next, 100)),
           shown(percentile(result->newcomer_ms, result->n_newcomer, 50)),
           shown(percentile(result->newcomer_ms, result->n_newcomer, 100)),
           settings.isolated ? left : "?", help);
    if (result->crashed || result->errors || result->again) {
        printf("%19s%u survivors ended by themselves, %llu calls failed (last: %s), "
               "%llu messages again and marked\n",
               "", result->crashed, (unsigned long long)result->errors,
               result->errors ? strerror(-result->last_error) : "-",
               (unsigned long long)result->again);
    }
}

void report_table(struct kills_system systems[], size_t n)
{
    printf("\n%-9s %-8s %5s %4s %5s %6s %7s | %44s | %17s | %5s\n", "", "", "", "", "new", "", "",
           "kill to the next message, ms         ", "newcomer, ms  ", "files");
    printf("%-9s %-8s %5s %4s %5s %6s %7s | %8s %8s %8s %8s %8s | %8s %8s | %5s %s\n", "system",
           "killed", "kills", "hung", "hung", "broken", "lost", "median", "95 %", "worst", "queued",
           "silence", "median", "worst", "left", "what helped");
    for (size_t i = 0; i < n; i++) {
        for (int role = 0; systems[i].present && role < KILL_ROLES; role++) {
            row(&systems[i], roles[role], &systems[i].result[role]);
        }
    }
    printf(
        "\n"
        "hung: no flow within %.0f s; not counted in the times. queued: of the worst, how long a\n"
        "survivor was ready to run and had no processor. silence: the longest pause between two\n"
        "messages from the kill until %d messages after the victim was gone. newcomer: from its\n"
        "fork() to its first message. lost: send had returned, nobody received it. 1 KiB "
        "messages,\n"
        "room for %d (POSIX queues: 10).\n",
        (double)settings.limit_ns / 1e9, KILLS_FLOW, KILLS_DEPTH);
}

/* ------------------------------------------------------------------ JSON */

static void times(FILE *file, const char *name, const double *values, unsigned n)
{
    if (n == 0) {
        fprintf(file, ", \"%s\": null", name);
        return;
    }
    fprintf(file, ", \"%s\": {\"n\": %u, \"median\": %.6f, \"p95\": %.6f, \"worst\": %.6f}", name,
            n, percentile(values, n, 50), percentile(values, n, 95), percentile(values, n, 100));
}

static void one(FILE *file, const struct kills_system *system, const char *role,
                const struct kills_result *result, const char *before)
{
    fprintf(file,
            "%s\n    {\"system\": \"%s\", \"version\": \"%s\", \"killed\": \"%s\", \"kills\": %u, "
            "\"hung\": %u, \"not_started\": %u, \"newcomer_hung\": %u, \"crashed\": %u, "
            "\"broken\": %llu, \"again_marked\": %llu, \"lost\": %llu, \"kills_with_lost\": %u, "
            "\"promised\": %llu, \"failed_calls\": %llu",
            before, system->name, system->version, role, result->kills, result->hung,
            result->not_started, result->newcomer_hung, result->crashed,
            (unsigned long long)result->broken, (unsigned long long)result->again,
            (unsigned long long)result->lost, result->rounds_lost,
            (unsigned long long)result->promised, (unsigned long long)result->errors);
    times(file, "next_message_ms", result->next_ms, result->n_next);
    fprintf(file, ", \"queued_of_worst_ms\": %.6f", result->worst_queued_ms);
    times(file, "silence_ms", result->silence_ms, result->n_next);
    times(file, "newcomer_ms", result->newcomer_ms, result->n_newcomer);
    if (settings.isolated) {
        fprintf(file, ", \"files_left\": %ld", result->left);
    }
    fprintf(file, ", \"helped_by_new_processes\": %u, \"helped_by_removal\": %u}", result->cures[0],
            result->cures[1]);
}

void report_json(const struct kills_system systems[], size_t n, FILE *file)
{
    struct utsname machine = { .sysname = "" };
    char date[32];
    const time_t now = time(NULL);
    struct tm utc;
    uname(&machine);
    machine.release[strcspn(machine.release, "-")] = '\0'; /* whose build of it says nothing */
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    fprintf(file,
            "{\n  \"date\": \"%s\", \"kernel\": \"%s\", \"machine\": \"%s\", \"processors\": %ld,\n"
            "  \"message_bytes\": %d, \"room\": %d, \"limit_s\": %.1f, \"realtime_harness\": %s,\n"
            "  \"results\": [",
            date, machine.release, machine.machine, sysconf(_SC_NPROCESSORS_ONLN), KILLS_LEN,
            KILLS_DEPTH, (double)settings.limit_ns / 1e9, settings.realtime ? "true" : "false");
    const char *before = "";
    for (size_t i = 0; i < n; i++) {
        for (int role = 0; systems[i].present && role < KILL_ROLES; role++) {
            one(file, &systems[i], roles[role], &systems[i].result[role], before);
            before = ",";
        }
    }
    fprintf(file, "\n  ]\n}\n");
}
