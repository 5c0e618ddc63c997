/* WebSocket (RFC 6455), the client's side: one text frame is one packet. */
#define _GNU_SOURCE /* memmem */
#include <endian.h>
#include <stdio.h>
#include <string.h>

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

size_t websocket_frame(unsigned char *there, int opcode, const char *text, size_t length)
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

void websocket_send(struct client *client, const char *text, size_t length)
{
    unsigned char frame[length + 14];
    link_send(&client->link, frame, websocket_frame(frame, TEXT, text, length));
}

/* --- in -------------------------------------------------------------------------------------------------------- */

static void control(struct client *client, int opcode, const unsigned char *payload, size_t length)
{
    if (opcode == PING) {
        unsigned char frame[length + 14];
        link_send(&client->link, frame, websocket_frame(frame, PONG, (const char *)payload, length));
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
        } else if (packet_is_delivery(client, text, size))
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

static size_t read_answer(struct link *link, const unsigned char *bytes, size_t length)
{
    static const char upgraded[] = "HTTP/1.1 101 ";
    const unsigned char *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (!end)
        return 0;
    if (memcmp(bytes, upgraded, sizeof upgraded - 1))
        fail("client %d: the handshake was answered %.*s", link->client->number, (int)length, (const char *)bytes);
    size_t head = end + 4 - bytes;
    link->consume = walk_frames;
    if (link->client->group->protocol == NCHAN)
        client_ready(link->client); /* the path was the room */
    return head + walk_frames(link, bytes + head, length - head);
}

static void request_upgrade(struct link *link)
{
    struct client *client = link->client;
    const struct place *place = &client->group->place;
    const char *scheme = place->tls ? "https" : "http";
    char path[512], request[2048];
    if (client->group->protocol == NCHAN)
        snprintf(path, sizeof path, "/room/%s", client->room->name);
    else
        snprintf(path, sizeof path, "/socket.io/?EIO=4&transport=websocket");
    int length = snprintf(
        request, sizeof request,
        "GET %s HTTP/1.1\r\n"
        "Host: %s:%d\r\n"
        "Connection: Upgrade\r\n"
        "Pragma: no-cache\r\n"
        "Cache-Control: no-cache\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "
        "Safari/537.36\r\n"
        "Upgrade: websocket\r\n"
        "Origin: %s://%s:%d\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        "Accept-Encoding: gzip, deflate, br, zstd\r\n"
        "Accept-Language: en-US,en;q=0.9\r\n"
        "Sec-WebSocket-Key: %08x7bJqJvyxOWdmDw==\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
        path, place->host, place->port, scheme, place->host, place->port, client->number);
    link->consume = read_answer;
    link_send(link, request, length);
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
