/* WebSocket (RFC 6455), the client's side: one text frame is one packet. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

enum { TEXT = 0x1, CLOSE = 0x8, PING = 0x9, PONG = 0xA, FINAL = 0x80, MASKED = 0x80 };

/* --- out ------------------------------------------------------------------------------------------------------- */

static uint32_t new_mask(void)
{
    static uint32_t state = 2463534242; /* xorshift32: masks need to differ, nothing more, on a loopback */
    state ^= state << 13;
    state ^= state >> 17;
    return state ^= state << 5;
}

/* Puts a masked frame there and returns its length, which is at most 14 bytes more than the text's. */
static size_t frame(unsigned char *there, int opcode, const char *text, size_t length)
{
    unsigned char *at = there;
    *at++ = FINAL | opcode;
    if (length < 126)
        *at++ = MASKED | length;
    else if (length < 65536) {
        *at++ = MASKED | 126;
        *at++ = length >> 8;
        *at++ = length & 255;
    } else {
        uint64_t big = htobe64(length);
        *at++ = MASKED | 127;
        memcpy(at, &big, 8);
        at += 8;
    }
    uint32_t mask = new_mask();
    unsigned char key[4];
    memcpy(key, &mask, 4);
    memcpy(at, key, 4);
    at += 4;
    for (size_t i = 0; i < length; i++)
        at[i] = text[i] ^ key[i & 3];
    return at + length - there;
}

/* Frames that leave in one write. There is one such buffer, since a client is flushed before the next one queues. */
static struct {
    unsigned char *bytes;
    size_t length, capacity;
} outbox;

void websocket_queue(const char *text, size_t length)
{
    if (outbox.length + length + 14 > outbox.capacity) {
        outbox.capacity = (outbox.length + length + 14) * 2;
        outbox.bytes = realloc(outbox.bytes, outbox.capacity);
        if (!outbox.bytes)
            fail("no memory");
    }
    outbox.length += frame(outbox.bytes + outbox.length, TEXT, text, length);
}

void websocket_flush(struct client *client)
{
    size_t length = outbox.length;
    outbox.length = 0;
    if (length)
        link_send(&client->link, outbox.bytes, length);
}

/* --- in -------------------------------------------------------------------------------------------------------- */

static void control(struct client *client, int opcode, const unsigned char *payload, size_t length)
{
    if (opcode == PING) {
        unsigned char pong[length + 14];
        link_send(&client->link, pong, frame(pong, PONG, (const char *)payload, length));
    } else if (opcode == CLOSE)
        fail("client %d: the server sent a close frame, code %d: %.*s", client->number,
             length >= 2 ? payload[0] << 8 | payload[1] : 0, length > 2 ? (int)length - 2 : 0,
             (const char *)payload + 2);
    else if (opcode != PONG)
        fail("client %d: a frame with opcode %d", client->number, opcode);
}

/* Walks over the frames by their headers. Of a delivery no more than its first bytes are looked at, so that the
 * load keeps ahead of a server that sends hundreds of frames at a time. */
static size_t walk_frames(struct link *link, const unsigned char *bytes, size_t length)
{
    struct client *client = link->client;
    const unsigned char *at = bytes, *end = bytes + length;
    uint64_t deliveries = 0;
    while (end - at >= 2) {
        size_t head = 2, size = at[1];
        if (size == 126) {
            if (end - at < 4)
                break;
            head = 4;
            size = at[2] << 8 | at[3];
        } else if (size == 127) {
            uint64_t big;
            if (end - at < 10)
                break;
            head = 10;
            memcpy(&big, at + 2, 8);
            size = be64toh(big);
        } else if (size & MASKED)
            fail("client %d: the server masks its frames", client->number);
        if ((size_t)(end - at) < head + size)
            break;
        const char *text = (const char *)at + head;
        if (at[0] != (FINAL | TEXT)) {
            if (!(at[0] & FINAL) || at[0] & 0x70)
                fail("client %d: a fragment or a compressed frame", client->number);
            control(client, at[0] & 15, at + head, size);
        } else if (is_delivery(client, text, size))
            deliveries++;
        else
            packet_received(client, text, size);
        at += head + size;
    }
    if (deliveries)
        delivered(client, deliveries);
    return at - bytes;
}

/* --- the handshake --------------------------------------------------------------------------------------------- */

static size_t read_handshake(struct link *link, const unsigned char *bytes, size_t length)
{
    struct answer answer = http_answer(link, bytes, length);
    if (!answer.length)
        return 0;
    if (answer.status != 101)
        fail("client %d: the handshake was answered %.*s", link->client->number, (int)length, (const char *)bytes);
    link->consume = walk_frames;
    if (link->client->group->protocol == NCHAN)
        client_ready(link->client); /* the path was the room */
    return answer.length + walk_frames(link, bytes + answer.length, length - answer.length);
}

static void request_upgrade(struct link *link)
{
    struct client *client = link->client;
    char path[512] = "/socket.io/?EIO=4&transport=websocket", headers[512];
    if (client->group->protocol == NCHAN)
        snprintf(path, sizeof path, "/room/%s", client->room->name);
    snprintf(headers, sizeof headers,
             "Connection: Upgrade\r\n"
             "Pragma: no-cache\r\n"
             "Cache-Control: no-cache\r\n"
             "Upgrade: websocket\r\n"
             "Sec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: %08x7bJqJvyxOWdmDw==\r\n"
             "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
             client->number);
    link->consume = read_handshake;
    http_request(link, "GET", path, headers, "", 0);
}

static void lost(struct link *link, const char *why)
{
    fail("client %d was disconnected: %s", link->client->number, why);
}

void websocket_begin(struct client *client)
{
    client->link.client = client;
    client->link.opened = request_upgrade;
    client->link.closed = lost;
    link_connect(&client->link, &client->group->place, client->number);
}
