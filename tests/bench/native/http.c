/* HTTP/1.1, the client's side, as far as answers of a known length go; browsers' headers go out. */
#define _GNU_SOURCE /* memmem, strcasestr */
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

static const char browser[] =
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "
    "Safari/537.36\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-US,en;q=0.9\r\n";

void http_request(struct link *link, const char *method, const char *path, const char *headers, const char *body,
                  size_t length)
{
    const struct place *place = &link->client->group->place;
    char request[2048 + length];
    int head = snprintf(request, 2048,
                        "%s %s HTTP/1.1\r\n"
                        "Host: %s:%d\r\n"
                        "Origin: %s://%s:%d\r\n"
                        "%s%s\r\n",
                        method, path, place->host, place->port, place->tls ? "https" : "http", place->host,
                        place->port, browser, headers);
    memcpy(request + head, body, length);
    link_send(link, request, head + length);
}

struct answer http_answer(const struct link *link, const unsigned char *bytes, size_t length)
{
    struct answer answer = {0};
    const unsigned char *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (!end)
        return answer;
    char head[end + 3 - bytes];
    memcpy(head, bytes, sizeof head);
    head[sizeof head - 1] = 0;
    const char *size = strcasestr(head, "\r\nContent-Length:");
    if (strncmp(head, "HTTP/1.1 ", 9))
        fail("client %d: not HTTP: %.80s", link->client->number, head);
    answer.status = atoi(head + 9);
    answer.body = (const char *)end + 4;
    if (answer.status != 101 && !size)
        fail("client %d: an answer without a length: %s", link->client->number, head);
    answer.body_length = size ? strtoul(size + 17, NULL, 10) : 0;
    if ((size_t)(bytes + length - (end + 4)) < answer.body_length)
        return answer;
    answer.length = end + 4 - bytes + answer.body_length;
    return answer;
}
