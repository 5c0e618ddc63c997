/* Closed rounds: what is sent next waits for what was sent before to arrive.
 *
 * Each sender has at most `window` events under way and sends them `batch` at a time, in one write. Its next batch
 * waits for the acks of as many, and for the deliveries to the whole room: so no server is ever asked to queue more
 * than the window, and nobody becomes slow. A window of one to a room of hundreds is one message at a time; a
 * window of many keeps the server saturated.
 */
#include <stdio.h>

#include "load.h"

static struct {
    struct group *group;
    int rooms; /* the first so many of the group */
    int senders, window, batch;
    size_t bytes;
    uint64_t left; /* events that may still be sent */
    bool in_turn; /* one room after the other, instead of all at once */
    int turn;
} round;

/* The bound on a room's deliveries leaves its other senders their windows. */
static void refill(struct room *room)
{
    int64_t others = (int64_t)(round.senders - 1) * round.window;
    int64_t owed = (others + round.window - round.batch) * recipients(room);
    for (int i = 0; i < round.senders && round.left; i++) {
        struct client *client = &room->members[i];
        if (client->sent - client->acked + round.batch > (uint64_t)round.window || room->undelivered > owed)
            continue;
        publish(client, round.batch, round.bytes, 0);
        round.left -= round.left < (uint64_t)round.batch ? round.left : (uint64_t)round.batch;
    }
}

void closed_turn(void)
{
    struct room *room;
    while ((room = next_changed_room())) {
        if (room->members->group != round.group)
            continue;
        if (!round.in_turn)
            refill(room);
        else if (room == &round.group->rooms[round.turn] && !room->undelivered && !round.group->unacked) {
            round.turn = (round.turn + 1) % round.rooms;
            refill(&round.group->rooms[round.turn]);
        }
    }
}

void closed_start(struct group *group, const struct settings *settings)
{
    round = (typeof(round)){
        .group = group,
        .rooms = number_of(settings, "rooms", group->room_count),
        .senders = number_of(settings, "senders", 1),
        .window = number_of(settings, "window", 1),
        .batch = number_of(settings, "batch", 1),
        .bytes = number_of(settings, "bytes", 90),
        .left = number_of(settings, "events", 1e18),
        .in_turn = number_of(settings, "in_turn", 0),
    };
    if (round.rooms < 1 || round.rooms > group->room_count)
        fail("there are %d rooms", group->room_count);
    if (round.senders > group->size || round.batch > round.window)
        fail("at most as many senders as members, and batches within the window");
    for (int i = 0; i < (round.in_turn ? 1 : round.rooms); i++)
        refill(&group->rooms[i]);
}

void closed_round(const struct settings *settings)
{
    struct group *group = group_of(settings, "group");
    traffic_begin(settings);
    double began = now(), ends = began + number_of(settings, "seconds", 2), time = began;
    for (closed_start(group, settings); (time < ends && round.left) || outstanding(group); time = now()) {
        links_turn(0);
        if (time < ends)
            closed_turn();
        check_moves(group, time);
    }
    check_received(group);
    printf("{\"seconds\":%.6f,\"events\":%lu,\"acks\":%lu,\"deliveries\":%lu}\n", time - began, traffic.events,
           traffic.acks, traffic.deliveries);
}
