/* The load generator: one process, one thread, many clients.
 *
 *   settings.c   the words of a command, `key=value`
 *   link.c       a TCP or TLS connection: non-blocking, watched by one epoll
 *   http.c       requests as browsers make them, and their answers
 *   websocket.c  handshake, frames out, frames in
 *   polling.c    the same by GET and POST
 *   packets.c    Engine.IO and Socket.IO: what a text means to a client
 *   clients.c    groups of clients: connect them, join their rooms, close them
 *   traffic.c    what was published and what has arrived
 *   closed.c     rounds whose next event waits for the deliveries of the last
 *   paced.c      rounds at a fixed rate, and their latencies
 *   load.c       commands in, one line of JSON out for each
 *
 * Nothing here ever sleeps while a round runs: a receiver that sleeps makes the server pay for waking it, and the
 * server is what is measured.
 */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* --- settings.c ------------------------------------------------------------------------------------------------ */

struct settings {
    int count;
    char *words[64];
};

struct settings settings_of(char *line);
const char *text_of(const struct settings *settings, const char *key, const char *otherwise);
double number_of(const struct settings *settings, const char *key, double otherwise);

/* --- link.c ---------------------------------------------------------------------------------------------------- */

struct client;

struct link {
    int fd; /* -1: there is none */
    SSL *ssl; /* NULL: plain TCP */
    bool open; /* TCP, and TLS where wanted, are through */
    bool watched_for_room; /* EPOLLOUT is asked for */
    struct client *client;
    void (*opened)(struct link *);
    /* Takes whole frames or answers off the front of what was read, and returns how many bytes those were. */
    size_t (*consume)(struct link *, const unsigned char *bytes, size_t length);
    void (*closed)(struct link *, const char *why);
    unsigned char *rest; /* read, not whole yet */
    size_t rest_length;
    unsigned char *unsent; /* what the kernel had no room for */
    size_t unsent_length;
};

struct place {
    const char *host;
    int port;
    bool tls;
    int addresses; /* from how many loopback addresses the clients come */
};

void links_start(void);
void link_connect(struct link *link, const struct place *place, int number);
void link_send(struct link *link, const void *bytes, size_t length);
void link_close(struct link *link);
/* Waits for what happens, at most so many milliseconds (0 looks and returns, -1 waits), and handles it. Returns
 * whether a command waits on standard input. */
bool links_turn(int milliseconds);

/* --- clients.c ------------------------------------------------------------------------------------------------- */

enum protocol { SOCKETIO, NCHAN };
enum { MOST_GROUPS = 16 };

struct room {
    char name[256];
    struct client *members; /* `size` of them, in a row; the first `senders` may publish */
    int size;
    uint64_t sent;
    int64_t undelivered; /* deliveries that are owed to members */
    struct room *next_changed; /* the rooms where something arrived in this turn, in a list */
    bool changed;
};

/* What a polling client sends: what waits for the POST that is under way goes with the next one. */
struct post {
    struct link link;
    bool under_way;
    char *body;
    size_t length;
};

struct client {
    struct link link; /* what it receives by; the WebSocket, or the GET of polling */
    bool polls;
    struct post post; /* of polling alone */
    char sid[64];
    struct room *room;
    struct group *group;
    int number; /* in its group */
    bool ready;
    uint32_t next_id;
    uint64_t sent, acked, received;
    uint64_t last_number; /* of the messages whose latency was noted */
};

struct group {
    struct place place;
    enum protocol protocol;
    int count, size, room_count;
    int first_token;
    bool join;
    bool polling; /* the transport, but for the first `websocket_senders` of a room */
    int websocket_senders;
    bool keep_post; /* a connection whose POST was answered stays open */
    int started, ready;
    int64_t undelivered, unacked;
    bool timed; /* each delivery's latency is noted */
    struct client *clients;
    struct room *rooms;
    char namespace[128]; /* as it stands in a packet: "" or "/name," */
    char delivery[160]; /* how a message to a room begins */
    size_t delivery_length;
};

extern struct group groups[MOST_GROUPS];
extern int group_count;

struct group *group_of(const struct settings *settings, const char *key);
void clients_connect(const struct settings *settings);
void clients_close(void);
void client_ready(struct client *client);
const char *client_token(const struct client *client);
/* Sends what was queued for this client since the last flush, in one write or POST. */
void client_queue(struct client *client, const char *text, size_t length);
void client_flush(struct client *client);

/* --- http.c ---------------------------------------------------------------------------------------------------- */

struct answer {
    size_t length; /* of all of it; 0: it is not whole yet */
    int status;
    const char *body;
    size_t body_length;
};

void http_request(struct link *link, const char *method, const char *path, const char *headers, const char *body,
                  size_t length);
struct answer http_answer(const struct link *link, const unsigned char *bytes, size_t length);

/* --- websocket.c ----------------------------------------------------------------------------------------------- */

void websocket_begin(struct client *client);
void websocket_queue(const char *text, size_t length);
void websocket_flush(struct client *client);

/* --- polling.c ------------------------------------------------------------------------------------------------- */

void polling_begin(struct client *client);
void polling_queue(struct client *client, const char *text, size_t length);
void polling_flush(struct client *client);

/* --- packets.c ------------------------------------------------------------------------------------------------- */

void packet_received(struct client *client, const char *text, size_t length);
/* Writes the packet by which a client publishes, `bytes` long or a little longer, and returns its length. */
size_t packet_publish(struct client *client, char *there, size_t bytes, uint64_t due);

/* --- traffic.c ------------------------------------------------------------------------------------------------- */

struct traffic {
    uint64_t events, acks, deliveries;
    uint64_t arrived; /* acks and deliveries when it was last looked, */
    double moved; /* and since when they are no more */
    double patience; /* seconds in which something must arrive while something is owed */
};

extern struct traffic traffic;

void traffic_begin(const struct settings *settings);
int recipients(const struct room *room);
/* Lets a client publish so many events at once; `due`, in nanoseconds, stands in each unless it is 0. */
void publish(struct client *client, int count, size_t bytes, uint64_t due);
void acked(struct client *client);
void delivered(struct client *client, uint64_t count);
struct room *next_changed_room(void); /* each room where something arrived since it was last returned */
bool outstanding(const struct group *group);
void check_received(const struct group *group);
void check_moves(const struct group *group, double time);

/* --- closed.c -------------------------------------------------------------------------------------------------- */

void closed_round(const struct settings *settings);
void closed_start(struct group *group, const struct settings *settings);
void closed_turn(void);

/* --- paced.c --------------------------------------------------------------------------------------------------- */

void paced_round(const struct settings *settings);
void delivery_timed(struct client *client, const char *text, size_t length);

/* Tells whether a text is a message to a room; there may be ten million of them in a second. */
static inline bool is_delivery(struct client *client, const char *text, size_t length)
{
    const struct group *group = client->group;
    if (length <= group->delivery_length || memcmp(text, group->delivery, group->delivery_length))
        return false;
    if (group->timed)
        delivery_timed(client, text, length);
    return true;
}

/* --- load.c ---------------------------------------------------------------------------------------------------- */

/* Ends the process, after one line of JSON that says why: a load that saw something wrong has nothing to report. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
double now(void); /* seconds of the monotonic clock */
void *allocate(size_t count, size_t size);
