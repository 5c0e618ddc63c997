/* What a text means to a client: Engine.IO v4 and Socket.IO v5, with the requests that all measured servers know.
 *
 *   server  0{"sid":...}                               client  40{"token":"..."}
 *   server  40{"sid":...}                              client  420["join","room:50-3",{}]
 *   server  430[{"ok":true,...}]                       ready
 *   client  42N["publish","room:50-3","message",{...}] server  43N[{"ok":true}], to the others 42["message",{...},{...}]
 *
 * nchan knows none of this: a text goes as it is to everyone in the room that the path names.
 */
#include <stdio.h>

#include "load.h"

static const char ok[] = "[{\"ok\":true";

static bool begins(const char *text, size_t length, const char *with)
{
    size_t size = strlen(with);
    return length >= size && !memcmp(text, with, size);
}

static void send_packet(struct client *client, const char *text, size_t length)
{
    client_queue(client, text, length);
    client_flush(client);
}

static void connect_session(struct client *client)
{
    const char *token = client_token(client);
    char text[strlen(token) + sizeof client->group->namespace + 32];
    send_packet(client, text, sprintf(text, "40%s{\"token\":\"%s\"}", client->group->namespace, token));
}

static void join(struct client *client)
{
    char text[sizeof client->room->name + sizeof client->group->namespace + 32];
    send_packet(client, text,
                sprintf(text, "42%s0[\"join\",\"%s\",{}]", client->group->namespace, client->room->name));
}

static void ack_received(struct client *client, const char *text, size_t length)
{
    const char *answer = memchr(text, '[', length);
    if (!answer || !begins(answer, text + length - answer, ok))
        fail("client %d was refused: %.*s", client->number, (int)length, text);
    if (client->ready)
        acked(client);
    else
        client_ready(client);
}

void packet_received(struct client *client, const char *text, size_t length)
{
    if (client->group->protocol == NCHAN)
        fail("client %d: nchan says %.*s", client->number, (int)length, text);
    if (begins(text, length, "43"))
        ack_received(client, text, length);
    else if (begins(text, length, "2"))
        send_packet(client, "3", 1);
    else if (begins(text, length, "0"))
        connect_session(client);
    else if (begins(text, length, "40")) {
        if (client->group->join)
            join(client);
        else
            client_ready(client);
    } else
        fail("client %d received %.*s", client->number, (int)length, text);
}

size_t packet_publish(struct client *client, char *there, size_t bytes, uint64_t due)
{
    static const char padding[] = "the quick brown fox jumps over the lazy dog, and does so again, and then once more, "
                                  "because every event has to have a certain length, whatever is in it";
    uint64_t number = 10000000 + client->sent; /* eight digits, so that all events are of one length */
    size_t length = 0;
    if (client->group->protocol == SOCKETIO)
        length = sprintf(there, "42%s%u[\"publish\",\"%s\",\"message\",", client->group->namespace,
                         client->next_id++, client->room->name);
    length += sprintf(there + length, "{\"n\":%lu,", number);
    if (due)
        length += sprintf(there + length, "\"t\":%lu,", due);
    length += sprintf(there + length, "\"text\":\"");
    size_t foot = client->group->protocol == SOCKETIO ? 3 : 2;
    if (length + foot < bytes) {
        size_t text = bytes - length - foot;
        while (text) {
            size_t part = text < sizeof padding - 1 ? text : sizeof padding - 1;
            memcpy(there + length, padding, part);
            length += part;
            text -= part;
        }
    }
    memcpy(there + length, client->group->protocol == SOCKETIO ? "\"}]" : "\"}", foot);
    return length + foot;
}
