/* The books of a round: what was published, and what of it has arrived, for each client, room and group. */
#include <stdio.h>
#include <string.h>

#include "load.h"

struct traffic traffic;

void traffic_begin(const struct settings *settings)
{
    while (next_changed_room()) /* what came last in the round before was not asked about any more */
        ;
    traffic = (struct traffic){.moved = now(), .patience = number_of(settings, "patience", 20)};
}

/* How many deliveries a message makes: nchan sends it to its sender, too. */
int recipients(const struct room *room)
{
    return room->members->group->protocol == NCHAN ? room->size : room->size - 1;
}

void publish(struct client *client, int count, size_t bytes, uint64_t due)
{
    char text[bytes + 512];
    for (int i = 0; i < count; i++, client->sent++)
        client_queue(client, text, packet_publish(client, text, bytes, due));
    int64_t deliveries = (int64_t)count * recipients(client->room);
    client->room->sent += count;
    client->room->undelivered += deliveries;
    client->group->undelivered += deliveries;
    if (client->group->protocol == NCHAN)
        client->acked += count; /* it does not answer who publishes by a WebSocket */
    else
        client->group->unacked += count;
    traffic.events += count;
    client_flush(client);
}

/* --- what arrives ---------------------------------------------------------------------------------------------- */

static struct room *changed;

static void mark(struct room *room)
{
    if (room->changed)
        return;
    room->changed = true;
    room->next_changed = changed;
    changed = room;
}

struct room *next_changed_room(void)
{
    struct room *room = changed;
    if (room) {
        changed = room->next_changed;
        room->changed = false;
    }
    return room;
}

void acked(struct client *client)
{
    if (++client->acked > client->sent)
        fail("client %d: an ack too many", client->number);
    client->group->unacked--;
    traffic.acks++;
    mark(client->room);
}

void delivered(struct client *client, uint64_t count)
{
    client->received += count;
    client->room->undelivered -= count;
    client->group->undelivered -= count;
    traffic.deliveries += count;
    mark(client->room);
}

/* --- whether all has arrived ----------------------------------------------------------------------------------- */

bool outstanding(const struct group *group)
{
    return group->undelivered || group->unacked;
}

void check_received(const struct group *group)
{
    for (int i = 0; i < group->count; i++) {
        const struct client *client = &group->clients[i];
        uint64_t due = client->room->sent - (group->protocol == NCHAN ? 0 : client->sent);
        if (client->received != due || client->acked != client->sent)
            fail("client %d in %s received %lu of %lu messages, and %lu of %lu acks", client->number,
                 client->room->name, client->received, due, client->acked, client->sent);
    }
}

void check_moves(const struct group *group, double time)
{
    uint64_t arrived = traffic.acks + traffic.deliveries;
    if (arrived != traffic.arrived) {
        traffic.arrived = arrived;
        traffic.moved = time;
    } else if (time > traffic.moved + traffic.patience) {
        check_received(group);
        fail("nothing arrives any more");
    }
}
