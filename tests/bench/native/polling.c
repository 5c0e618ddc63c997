/* Engine.IO over HTTP: there is a GET open at all times, which brings what the server has; a POST takes what the
 * client has, one at a time. Each has a connection of its own, as in a browser. */
#define _GNU_SOURCE /* memmem */
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

#define KEPT "Connection: keep-alive\r\n"

enum { SEPARATOR = 0x1e };

static void path_of(const struct client *client, char path[160])
{
    /* `t` keeps caches away. A session that there is not yet has no id. */
    snprintf(path, 160, "/socket.io/?EIO=4&transport=polling&t=%08x%s%s", client->number, *client->sid ? "&sid=" : "",
             client->sid);
}

/* --- POST ------------------------------------------------------------------------------------------------------ */

void polling_queue(struct client *client, const char *text, size_t length)
{
    struct post *post = &client->post;
    post->body = realloc(post->body, post->length + length + 1);
    if (!post->body)
        fail("no memory");
    if (post->length)
        post->body[post->length++] = SEPARATOR;
    memcpy(post->body + post->length, text, length);
    post->length += length;
}

static void send_post(struct link *link)
{
    struct post *post = &link->client->post;
    char path[160], headers[128];
    path_of(link->client, path);
    snprintf(headers, sizeof headers, KEPT "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n",
             post->length);
    post->under_way = true;
    http_request(link, "POST", path, headers, post->body, post->length);
    post->length = 0;
}

static size_t read_post(struct link *link, const unsigned char *bytes, size_t length)
{
    struct answer answer = http_answer(link, bytes, length);
    if (!answer.length)
        return 0;
    if (answer.status != 200)
        fail("client %d: a POST was answered %.*s", link->client->number, (int)length, (const char *)bytes);
    struct client *client = link->client;
    client->post.under_way = false;
    if (client->post.length)
        send_post(link);
    else if (!client->group->keep_post)
        link_close(link);
    return answer.length;
}

/* Servers close connections on which nobody asks for anything any more. */
static void post_closed(struct link *link, const char *why)
{
    if (link->client->post.under_way)
        fail("client %d was disconnected while its POST was under way: %s", link->client->number, why);
    link_close(link);
}

void polling_flush(struct client *client)
{
    struct link *link = &client->post.link;
    if (client->post.under_way || !client->post.length)
        return;
    if (link->fd >= 0) {
        if (link->open)
            send_post(link);
        return;
    }
    link->client = client;
    link->opened = send_post;
    link->consume = read_post;
    link->closed = post_closed;
    link_connect(link, &client->group->place, client->number);
}

/* --- GET ------------------------------------------------------------------------------------------------------- */

static void send_get(struct link *link)
{
    char path[160];
    path_of(link->client, path);
    http_request(link, "GET", path, KEPT "Accept: */*\r\n", "", 0);
}

static void take_id(struct client *client, const char *text, size_t length)
{
    static const char key[] = "\"sid\":\"";
    const char *id = memmem(text, length, key, sizeof key - 1);
    if (!id)
        fail("client %d: no session id in %.*s", client->number, (int)length, text);
    id += sizeof key - 1;
    snprintf(client->sid, sizeof client->sid, "%.*s", (int)strcspn(id, "\""), id);
}

static void read_packets(struct client *client, const char *body, size_t length)
{
    uint64_t deliveries = 0;
    const char *end = body + length;
    while (body < end) {
        const char *next = memchr(body, SEPARATOR, end - body);
        size_t size = (next ? next : end) - body;
        if (is_delivery(client, body, size))
            deliveries++;
        else {
            if (!*client->sid)
                take_id(client, body, size);
            packet_received(client, body, size);
        }
        body += size + 1;
    }
    if (deliveries)
        delivered(client, deliveries);
}

static size_t read_get(struct link *link, const unsigned char *bytes, size_t length)
{
    struct answer answer = http_answer(link, bytes, length);
    if (!answer.length)
        return 0;
    if (answer.status != 200)
        fail("client %d: a GET was answered %.*s", link->client->number, (int)length, (const char *)bytes);
    read_packets(link->client, answer.body, answer.body_length);
    send_get(link);
    return answer.length;
}

static void get_closed(struct link *link, const char *why)
{
    fail("client %d was disconnected while its GET was open: %s", link->client->number, why);
}

void polling_begin(struct client *client)
{
    client->link.client = client;
    client->link.opened = send_get;
    client->link.consume = read_get;
    client->link.closed = get_closed;
    link_connect(&client->link, &client->group->place, client->number);
}
