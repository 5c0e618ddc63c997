/* Paced rounds: messages leave at a fixed rate, whatever arrives, and a delivery's latency is counted from when its
 * message was due. A load that waited for a slow server would not see how long others wait behind it.
 *
 * The rooms take turns, each with its first member as the sender. Another group may flood the server meanwhile, as
 * a closed round does: what its own latency is, it has chosen; the others' is what is looked at.
 */
#define _GNU_SOURCE /* memmem */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

/* --- latencies, in nanoseconds --------------------------------------------------------------------------------- */

static struct {
    uint64_t *values;
    size_t count, capacity;
} latencies;

static uint64_t value_of(const char *text, size_t length, const char *key)
{
    const char *at = memmem(text, length, key, strlen(key));
    if (!at)
        fail("a message without %s: %.*s", key, (int)length, text);
    return strtoull(at + strlen(key), NULL, 10);
}

void delivery_timed(struct client *client, const char *text, size_t length)
{
    uint64_t number = value_of(text, length, "\"n\":"), due = value_of(text, length, "\"t\":");
    if (number <= client->last_number)
        fail("client %d: message %lu came after %lu", client->number, number, client->last_number);
    client->last_number = number;
    if (latencies.count == latencies.capacity) {
        latencies.capacity = latencies.capacity ? latencies.capacity * 2 : 1 << 16;
        latencies.values = realloc(latencies.values, latencies.capacity * sizeof *latencies.values);
        if (!latencies.values)
            fail("no memory");
    }
    uint64_t time = now() * 1e9;
    latencies.values[latencies.count++] = time > due ? time - due : 0;
}

static int by_value(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* By nearest rank, in microseconds; they must be sorted. */
static double percentile(double share)
{
    return latencies.values[(size_t)ceil(share * latencies.count) - 1] / 1e3;
}

/* --- the round ------------------------------------------------------------------------------------------------- */

static struct {
    struct group *group;
    double began, rate;
    size_t bytes;
    uint64_t sent, due; /* messages so far, and of the whole round */
} pace;

static double next_due(void)
{
    return pace.began + pace.sent / pace.rate;
}

static void send_due(double time)
{
    for (; pace.sent < pace.due && next_due() <= time; pace.sent++) {
        struct room *room = &pace.group->rooms[pace.sent % pace.group->room_count];
        publish(room->members, 1, pace.bytes, next_due() * 1e9);
    }
}

void paced_round(const struct settings *settings)
{
    struct group *group = group_of(settings, "group");
    struct group *flood = text_of(settings, "flood", NULL) ? group_of(settings, "flood") : NULL;
    traffic_begin(settings);
    latencies.count = 0;
    group->timed = true;
    if (flood)
        closed_start(flood, settings);
    double time = now(), rate = number_of(settings, "rate", 1000);
    pace = (typeof(pace)){
        .group = group,
        .began = time,
        .rate = rate,
        .bytes = number_of(settings, "bytes", 90),
        .due = rate * number_of(settings, "seconds", 2),
    };
    if (!pace.due)
        fail("a round without a message");
    for (; pace.sent < pace.due || outstanding(group) || (flood && outstanding(flood)); time = now()) {
        send_due(time);
        links_turn(0);
        if (flood && pace.sent < pace.due)
            closed_turn();
        check_moves(group, time);
    }
    group->timed = false;
    check_received(group);
    if (flood)
        check_received(flood);
    qsort(latencies.values, latencies.count, sizeof *latencies.values, by_value);
    printf("{\"seconds\":%.6f,\"events\":%lu,\"deliveries\":%zu,\"flood\":%lu,\"p50\":%.1f,\"p99\":%.1f,"
           "\"p99.9\":%.1f,\"longest\":%.1f}\n",
           time - pace.began, pace.sent, latencies.count, traffic.events - pace.sent, percentile(0.5),
           percentile(0.99), percentile(0.999), percentile(1));
}
