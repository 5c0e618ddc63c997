/* Connections: opened from several loopback addresses, never blocking, read and written where they are ready. */
#define _GNU_SOURCE /* SO_RCVBUFFORCE, IP_BIND_ADDRESS_NO_PORT */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum { READ_SIZE = 1 << 18, LARGEST_REST = 1 << 20, FIRST_ADDRESS = 10, TURN_EVENTS = 1024 };

static int epoll;
static SSL_CTX *tls;
/* What one link left over of its last read comes first here, what is read next comes after it. */
static unsigned char buffer[LARGEST_REST + READ_SIZE];

void links_start(void)
{
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event standard_input = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &standard_input) < 0)
        fail("epoll: %s", strerror(errno));
    tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
}

static void watch(struct link *link, int operation, bool for_room)
{
    struct epoll_event event = {.events = EPOLLIN | (for_room ? EPOLLOUT : 0), .data.ptr = link};
    if (epoll_ctl(epoll, operation, link->fd, &event) < 0)
        fail("epoll_ctl: %s", strerror(errno));
    link->watched_for_room = for_room;
}

void link_connect(struct link *link, const struct place *place, int number)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(place->port)};
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + FIRST_ADDRESS - 1 + number % place->addresses);
    if (inet_pton(AF_INET, place->host, &to.sin_addr) != 1)
        fail("not an IPv4 address: %s", place->host);
    link->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0)
        fail("socket: %s", strerror(errno));
    int on = 1, room = 1 << 20;
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* Room for what a server sends in one turn of its loop, so that the load never is what slows it down. */
    if (setsockopt(link->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0)
        setsockopt(link->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    /* A port that is taken at bind() must be free for every destination; at connect() it need only be for this one.
     * Among thousands of sockets in TIME_WAIT the first search takes so long that a server seems to hang. */
    setsockopt(link->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(link->fd, (struct sockaddr *)&from, sizeof from) < 0)
        fail("bind: %s", strerror(errno));
    if (connect(link->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        fail("connect: %s", strerror(errno));
    if (place->tls) {
        link->ssl = SSL_new(tls);
        SSL_set_fd(link->ssl, link->fd);
        SSL_set_connect_state(link->ssl);
    }
    watch(link, EPOLL_CTL_ADD, true);
}

void link_close(struct link *link)
{
    if (link->fd < 0)
        return;
    SSL_free(link->ssl);
    close(link->fd); /* which ends its watch, too */
    free(link->rest);
    free(link->unsent);
    *link = (struct link){.fd = -1, .client = link->client};
}

/* --- out ------------------------------------------------------------------------------------------------------- */

/* Returns how many bytes the kernel took, 0 if it has no room now, -1 if the connection is over. */
static ssize_t write_some(struct link *link, const void *bytes, size_t length)
{
    if (link->ssl) {
        int taken = SSL_write(link->ssl, bytes, length);
        if (taken > 0)
            return taken;
        int error = SSL_get_error(link->ssl, taken);
        return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
    }
    ssize_t taken = send(link->fd, bytes, length, MSG_NOSIGNAL);
    return taken >= 0 ? taken : errno == EAGAIN ? 0 : -1;
}

void link_send(struct link *link, const void *bytes, size_t length)
{
    if (link->unsent_length == 0) {
        ssize_t taken;
        while (length && (taken = write_some(link, bytes, length)) > 0) {
            bytes = (const char *)bytes + taken;
            length -= taken;
        }
        if (length == 0)
            return;
        if (taken < 0) {
            link->closed(link, strerror(errno));
            return;
        }
    }
    link->unsent = realloc(link->unsent, link->unsent_length + length);
    if (!link->unsent)
        fail("no memory");
    memcpy(link->unsent + link->unsent_length, bytes, length);
    link->unsent_length += length;
    if (!link->watched_for_room)
        watch(link, EPOLL_CTL_MOD, true);
}

static void send_rest(struct link *link)
{
    size_t sent = 0;
    ssize_t taken;
    while (sent < link->unsent_length &&
           (taken = write_some(link, link->unsent + sent, link->unsent_length - sent)) > 0)
        sent += taken;
    memmove(link->unsent, link->unsent + sent, link->unsent_length - sent);
    link->unsent_length -= sent;
    if (link->unsent_length == 0) {
        free(link->unsent);
        link->unsent = NULL;
        watch(link, EPOLL_CTL_MOD, false);
    }
}

/* --- in -------------------------------------------------------------------------------------------------------- */

/* Returns how many bytes were read, 0 if none are there now, -1 if the connection is over. */
static ssize_t read_some(struct link *link, void *there, size_t length)
{
    if (link->ssl) {
        int taken = SSL_read(link->ssl, there, length);
        if (taken > 0)
            return taken;
        int error = SSL_get_error(link->ssl, taken);
        return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
    }
    ssize_t taken = recv(link->fd, there, length, 0);
    return taken > 0 ? taken : taken < 0 && errno == EAGAIN ? 0 : -1;
}

static void keep(struct link *link, const unsigned char *bytes, size_t length)
{
    if (length > LARGEST_REST)
        fail("a frame or an answer of more than %d bytes", LARGEST_REST);
    if (length > link->rest_length)
        link->rest = realloc(link->rest, length);
    if (length && !link->rest)
        fail("no memory");
    memcpy(link->rest, bytes, length);
    link->rest_length = length;
}

static void receive(struct link *link)
{
    do { /* TLS may hold more of what the kernel gave it already, of which epoll says nothing */
        size_t length = link->rest_length;
        if (length)
            memcpy(buffer, link->rest, length);
        ssize_t taken = read_some(link, buffer + length, READ_SIZE);
        if (taken == 0)
            return;
        if (taken < 0) {
            link->closed(link, "by the server");
            return;
        }
        length += taken;
        size_t used = link->consume(link, buffer, length);
        if (link->fd < 0)
            return;
        if (used < length || link->rest_length)
            keep(link, buffer + used, length - used);
    } while (link->ssl && SSL_pending(link->ssl));
}

/* --- both ------------------------------------------------------------------------------------------------------ */

static void finish_opening(struct link *link)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error)
        fail("connect: %s", strerror(error));
    if (link->ssl) {
        int done = SSL_do_handshake(link->ssl);
        if (done != 1) {
            int want = SSL_get_error(link->ssl, done);
            if (want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE)
                fail("TLS: %s", ERR_reason_error_string(ERR_get_error()));
            watch(link, EPOLL_CTL_MOD, want == SSL_ERROR_WANT_WRITE);
            return;
        }
    }
    link->open = true;
    watch(link, EPOLL_CTL_MOD, false);
    link->opened(link);
}

bool links_turn(int milliseconds)
{
    struct epoll_event events[TURN_EVENTS];
    bool command = false;
    int count = epoll_wait(epoll, events, TURN_EVENTS, milliseconds);
    if (count < 0 && errno != EINTR)
        fail("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        struct link *link = events[i].data.ptr;
        if (!link)
            command = true;
        else if (!link->open)
            finish_opening(link);
        else {
            if (events[i].events & EPOLLOUT)
                send_rest(link);
            if (link->fd >= 0 && events[i].events & ~EPOLLOUT)
                receive(link);
        }
    }
    return command;
}
