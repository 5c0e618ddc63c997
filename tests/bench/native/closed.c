/* Closed rounds: what is sent next waits for what was sent before to arrive.
 *
 * Each sender has at most `window` events under way and sends them `batch` at a time, in one write. Its next batch
 * waits for the acks of as many, and for the deliveries to the whole room: so no server is ever asked to queue more
 * than the window, and nobody becomes slow. A window of one to a room of hundreds is one message at a time; a
 * window of many keeps the server saturated.
 */
#include <stdio.h>

#include "load.h"

enum { PATIENCE = 20 }; /* seconds in which nothing arrives although something is owed */

static struct {
    int senders, window, batch;
    size_t bytes;
    uint64_t events, most_events, acks, deliveries;
    struct room *changed;
    bool in_turn; /* one room after the other, instead of all at once */
    int turn;
} round;

/* --- what arrives ---------------------------------------------------------------------------------------------- */

static void mark(struct room *room)
{
    if (room->changed)
        return;
    room->changed = true;
    room->next_changed = round.changed;
    round.changed = room;
}

void acked(struct client *client)
{
    client->acked++;
    round.acks++;
    mark(client->room);
}

void delivered(struct client *client, uint64_t count)
{
    client->received += count;
    client->room->undelivered -= count;
    round.deliveries += count;
    mark(client->room);
}

/* --- what is sent ---------------------------------------------------------------------------------------------- */

/* How many deliveries a message makes: nchan sends it to its sender, too. */
static int recipients(const struct room *room)
{
    return room->members->group->protocol == NCHAN ? room->size : room->size - 1;
}

static uint64_t unacked(const struct client *client)
{
    return client->group->protocol == NCHAN ? 0 : client->sent - client->acked;
}

static void send_batch(struct client *client)
{
    char text[round.bytes + 512];
    for (int i = 0; i < round.batch; i++, client->sent++)
        client_queue(client, text, packet_publish(client, text, round.bytes));
    client->room->sent += round.batch;
    client->room->undelivered += (int64_t)round.batch * recipients(client->room);
    round.events += round.batch;
    client_flush(client);
}

/* The bound on a room's deliveries leaves its other senders their windows. */
static void refill(struct room *room)
{
    int64_t others = (int64_t)(round.senders - 1) * round.window;
    int64_t owed = (others + round.window - round.batch) * recipients(room);
    for (int i = 0; i < round.senders && round.events < round.most_events; i++) {
        struct client *client = &room->members[i];
        if (unacked(client) + round.batch <= (uint64_t)round.window && room->undelivered <= owed)
            send_batch(client);
    }
}

/* Who was just given something may send again; one room in turn hands over to the next when all has arrived. */
static void refill_changed(struct group *group)
{
    while (round.changed) {
        struct room *room = round.changed;
        round.changed = room->next_changed;
        room->changed = false;
        if (!round.in_turn)
            refill(room);
        else if (room == &group->rooms[round.turn] && !room->undelivered && !unacked(room->members)) {
            round.turn = (round.turn + 1) % group->room_count;
            refill(&group->rooms[round.turn]);
        }
    }
}

/* --- the round ------------------------------------------------------------------------------------------------- */

static bool outstanding(const struct group *group)
{
    for (int i = 0; i < group->room_count; i++) {
        struct room *room = &group->rooms[i];
        if (room->undelivered)
            return true;
        for (int j = 0; j < round.senders; j++)
            if (unacked(&room->members[j]))
                return true;
    }
    return false;
}

static void check_received(const struct group *group)
{
    for (int i = 0; i < group->count; i++) {
        const struct client *client = &group->clients[i];
        uint64_t own = group->protocol == NCHAN ? 0 : client->sent;
        uint64_t due = client->room->sent - own;
        if (client->received != due)
            fail("client %d of %s received %lu of %lu messages, and %lu acks of %lu", client->number,
                 client->room->name, client->received, due, client->acked, client->sent);
    }
}

static void run(struct group *group, double ends)
{
    double moved = now();
    uint64_t arrived = 0;
    if (round.in_turn)
        refill(&group->rooms[round.turn]);
    else
        for (int i = 0; i < group->room_count; i++)
            refill(&group->rooms[i]);
    for (;;) {
        links_turn(0);
        double time = now();
        if (time < ends && round.events < round.most_events)
            refill_changed(group);
        else if (!outstanding(group))
            return;
        if (round.acks + round.deliveries != arrived) {
            arrived = round.acks + round.deliveries;
            moved = time;
        } else if (time > moved + PATIENCE) {
            check_received(group);
            fail("nothing arrives any more");
        }
    }
}

void closed_round(const struct settings *settings)
{
    int number = number_of(settings, "group", 0);
    if (number >= group_count)
        fail("there is no group %d", number);
    struct group *group = &groups[number];
    round = (typeof(round)){
        .senders = number_of(settings, "senders", 1),
        .window = number_of(settings, "window", 1),
        .batch = number_of(settings, "batch", 1),
        .bytes = number_of(settings, "bytes", 90),
        .most_events = number_of(settings, "events", 1e18),
        .in_turn = number_of(settings, "in_turn", 0),
    };
    if (round.senders > group->size || round.batch > round.window)
        fail("at most as many senders as members, and batches within the window");
    for (int i = 0; i < group->room_count; i++)
        group->rooms[i].changed = false; /* what came last in the round before was not asked about any more */
    double began = now();
    run(group, began + number_of(settings, "seconds", 2));
    check_received(group);
    printf("{\"seconds\":%.6f,\"events\":%lu,\"acks\":%lu,\"deliveries\":%lu}\n", now() - began, round.events,
           round.acks, round.deliveries);
}
