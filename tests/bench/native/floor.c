/* The floor: what the kernel alone costs. It answers the load as the servers do, and does nothing else: no tokens,
 * no rules, no limits, no JSON. Whatever comes in is taken to be right.
 *
 *   floor PORT each      a message is one send() for each recipient
 *   floor PORT joined    what one recv() brought goes out by one send() for each recipient
 */
#define _GNU_SOURCE /* accept4, memmem */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_ROOMS = 4096, REST = 4096, READ = 65536, TURN_EVENTS = 512 };

struct connection {
    int fd;
    bool upgraded;
    struct room *room;
    size_t rest; /* bytes of a frame that is not whole yet */
    unsigned char kept[REST];
    char *out; /* frames that leave together */
    size_t queued, capacity;
    bool touched;
};

static struct room {
    char name[64];
    struct connection **members;
    int count, capacity;
} rooms[MOST_ROOMS];

static bool joined;
static struct connection **touched; /* who has frames queued */
static size_t touched_count, touched_capacity;

static void *grown(void *memory, size_t size)
{
    memory = realloc(memory, size);
    if (!memory)
        exit(1);
    return memory;
}

/* --- out ------------------------------------------------------------------------------------------------------- */

static void write_all(struct connection *to, const char *bytes, size_t length)
{
    while (length) { /* blocks where the load is behind, which it is not */
        ssize_t taken = send(to->fd, bytes, length, MSG_NOSIGNAL);
        if (taken < 0)
            return;
        bytes += taken;
        length -= taken;
    }
}

static void queue(struct connection *to, const char *bytes, size_t length)
{
    if (to->queued + length > to->capacity)
        to->out = grown(to->out, to->capacity = (to->queued + length) * 2);
    memcpy(to->out + to->queued, bytes, length);
    to->queued += length;
    if (to->touched)
        return;
    to->touched = true;
    if (touched_count == touched_capacity)
        touched = grown(touched, (touched_capacity += 1024) * sizeof *touched);
    touched[touched_count++] = to;
}

static void flush(void)
{
    for (; touched_count; touched_count--) {
        struct connection *to = touched[touched_count - 1];
        write_all(to, to->out, to->queued);
        to->queued = 0;
        to->touched = false;
    }
}

static size_t frame(char *there, const char *text, size_t length)
{
    size_t head = length < 126 ? 2 : 4;
    there[0] = (char)0x81;
    there[1] = length < 126 ? length : 126;
    if (head == 4) {
        there[2] = length >> 8;
        there[3] = length & 255;
    }
    memcpy(there + head, text, length);
    return head + length;
}

static void answer(struct connection *to, const char *text)
{
    char framed[512];
    queue(to, framed, frame(framed, text, strlen(text)));
}

/* --- what a packet means --------------------------------------------------------------------------------------- */

static void join(struct connection *who, const char *name)
{
    struct room *room = rooms;
    while (room->count && strcmp(room->name, name))
        room++;
    snprintf(room->name, sizeof room->name, "%.63s", name);
    if (room->count == room->capacity)
        room->members = grown(room->members, (room->capacity += 512) * sizeof *room->members);
    room->members[room->count++] = who;
    who->room = room;
    answer(who, "430[{\"ok\":true}]");
}

/* 42N["publish","ROOM","message",DATA] becomes 43N[{"ok":true}] and, for the others, 42["message",DATA,{...}]. */
static void publish(struct connection *who, const char *text, size_t length)
{
    char ack[64], relay[length + 128], framed[length + 140];
    int digits = strspn(text + 2, "0123456789");
    const char *data = strstr(text, "\"message\",");
    int size = sprintf(relay, "42[%.*s,{\"room\":\"%s\",\"from\":{\"user\":\"user-00000\"}}]",
                       (int)(text + length - 1 - data), data, who->room->name);
    snprintf(ack, sizeof ack, "43%.*s[{\"ok\":true}]", digits, text + 2);
    answer(who, ack);
    size_t whole = frame(framed, relay, size);
    for (int i = 0; i < who->room->count; i++) {
        struct connection *to = who->room->members[i];
        if (to == who)
            continue;
        if (joined)
            queue(to, framed, whole);
        else
            write_all(to, framed, whole);
    }
}

static void packet(struct connection *who, char *text, size_t length)
{
    text[length] = 0;
    if (!strncmp(text, "40", 2))
        answer(who, "40{\"sid\":\"c\"}");
    else if (!strncmp(text, "420[\"join\",\"", 12))
        join(who, strtok(text + 12, "\""));
    else if (strstr(text, "[\"publish\","))
        publish(who, text, length);
}

/* --- in -------------------------------------------------------------------------------------------------------- */

/* Without the key's answer, which costs nothing beside a connection and which the load does not look at. */
static size_t handshake(struct connection *who, unsigned char *bytes, size_t length)
{
    static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    unsigned char *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (!end)
        return 0;
    who->upgraded = true;
    queue(who, head, sizeof head - 1);
    answer(who, "0{\"sid\":\"c\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000}");
    return end + 4 - bytes;
}

static size_t frames(struct connection *who, unsigned char *bytes, size_t length)
{
    char text[READ + REST];
    size_t at = 0;
    while (length - at >= 6) {
        size_t size = bytes[at + 1] & 127, head = 6;
        if (size == 126) {
            size = bytes[at + 2] << 8 | bytes[at + 3];
            head = 8;
        }
        if (length - at < head + size)
            break;
        const unsigned char *key = bytes + at + head - 4, *masked = bytes + at + head;
        for (size_t i = 0; i < size; i++)
            text[i] = masked[i] ^ key[i & 3];
        packet(who, text, size);
        at += head + size;
    }
    return at;
}

static void leave(struct connection *who)
{
    for (int i = 0; who->room && i < who->room->count; i++)
        if (who->room->members[i] == who)
            who->room->members[i] = who->room->members[--who->room->count];
    close(who->fd);
    free(who->out);
    free(who);
}

static void receive(struct connection *who)
{
    static unsigned char buffer[REST + READ];
    memcpy(buffer, who->kept, who->rest);
    ssize_t taken = recv(who->fd, buffer + who->rest, READ, 0);
    if (taken <= 0) {
        leave(who);
        return;
    }
    size_t length = who->rest + taken;
    size_t used = who->upgraded ? frames(who, buffer, length) : handshake(who, buffer, length);
    who->rest = length - used;
    if (who->rest > REST)
        exit(1);
    memcpy(who->kept, buffer + used, who->rest);
    flush();
}

int main(int count, char **arguments)
{
    if (count != 3)
        return 2;
    joined = !strcmp(arguments[2], "joined");
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0);
    struct sockaddr_in here = {AF_INET, htons(atoi(arguments[1])), {htonl(INADDR_LOOPBACK)}, {0}};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[TURN_EVENTS];
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 4096) ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event))
        return 1;
    for (;;) {
        int ready = epoll_wait(epoll, events, TURN_EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.ptr) {
                receive(events[i].data.ptr);
                continue;
            }
            struct connection *who = calloc(1, sizeof *who);
            if (!who || (who->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
                return 1;
            setsockopt(who->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            event = (struct epoll_event){.events = EPOLLIN, .data.ptr = who};
            epoll_ctl(epoll, EPOLL_CTL_ADD, who->fd, &event);
        }
    }
}
