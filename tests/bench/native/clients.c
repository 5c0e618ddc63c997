/* Groups of clients: connected some at a time, each in one room, with one token each. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

struct group groups[MOST_GROUPS];
int group_count;

/* --- tokens ---------------------------------------------------------------------------------------------------- */

static char **tokens;
static size_t token_count;

/* Reads the file, one token a line, at the first group; all groups take theirs from it. */
static void read_tokens(const char *path)
{
    if (tokens || !path)
        return;
    FILE *file = fopen(path, "r");
    if (!file)
        fail("%s: %s", path, strerror(errno));
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    while ((length = getline(&line, &room, file)) > 0) {
        if (!(token_count & (token_count - 1))) /* a power of two: double it */
            tokens = realloc(tokens, (token_count ? token_count * 2 : 1) * sizeof *tokens);
        line[strcspn(line, "\n")] = 0;
        if (!tokens || !(tokens[token_count++] = strdup(line)))
            fail("no memory");
    }
    free(line);
    fclose(file);
    if (!token_count)
        fail("%s: no tokens", path);
}

const char *client_token(const struct client *client)
{
    size_t number = client->group->first_token + client->number;
    if (number >= token_count)
        fail("there are %zu tokens, client %d would need the one at %zu", token_count, client->number, number);
    return tokens[number];
}

/* --- groups ---------------------------------------------------------------------------------------------------- */

/* Writes the pattern with its {} replaced by the number. */
static void name_room(struct room *room, const char *pattern, int number)
{
    const char *mark = strstr(pattern, "{}");
    int head = mark ? mark - pattern : (int)strlen(pattern);
    if (mark)
        snprintf(room->name, sizeof room->name, "%.*s%d%s", head, pattern, number, mark + 2);
    else
        snprintf(room->name, sizeof room->name, "%s", pattern);
}

static struct group *new_group(const struct settings *settings)
{
    if (group_count == MOST_GROUPS)
        fail("too many groups");
    struct group *group = &groups[group_count++];
    const char *protocol = text_of(settings, "protocol", "socketio");
    char namespace[128] = ""; /* "/" is left out in packets */
    if (strcmp(text_of(settings, "namespace", "/"), "/"))
        snprintf(namespace, sizeof namespace, "%s,", text_of(settings, "namespace", "/"));
    *group = (struct group){
        .place = {
            .host = strdup(text_of(settings, "host", "127.0.0.1")),
            .port = number_of(settings, "port", 0),
            .tls = number_of(settings, "tls", 0),
            .addresses = number_of(settings, "addresses", 8),
        },
        .protocol = strcmp(protocol, "nchan") ? SOCKETIO : NCHAN,
        .count = number_of(settings, "clients", 0),
        .size = number_of(settings, "size", 1),
        .first_token = number_of(settings, "first", 0),
        .join = number_of(settings, "join", 1),
        .polling = number_of(settings, "polling", 0),
        .websocket_senders = number_of(settings, "websocket_senders", 0),
        .keep_post = number_of(settings, "keep_post", 1),
    };
    if (group->size < 1 || group->count < 1 || group->count % group->size || group->first_token % group->size)
        fail("clients and first must be multiples of size");
    memcpy(group->namespace, namespace, sizeof namespace);
    group->delivery_length = group->protocol == NCHAN
        ? snprintf(group->delivery, sizeof group->delivery, "{\"n\":")
        : snprintf(group->delivery, sizeof group->delivery, "42%s[\"message\",", namespace);
    return group;
}

/* Client i is in room i / size. The room's number counts from token 0, as the tokens' own groups do. */
static void place_clients(struct group *group, const char *pattern)
{
    group->room_count = group->count / group->size;
    group->rooms = allocate(group->room_count, sizeof *group->rooms);
    group->clients = allocate(group->count, sizeof *group->clients);
    for (int i = 0; i < group->room_count; i++) {
        struct room *room = &group->rooms[i];
        name_room(room, pattern, group->first_token / group->size + i);
        room->size = group->size;
        room->members = &group->clients[i * group->size];
    }
    for (int i = 0; i < group->count; i++)
        group->clients[i] = (struct client){
            .group = group,
            .room = &group->rooms[i / group->size],
            .number = i,
            .polls = group->polling && i % group->size >= group->websocket_senders,
            .next_id = 1,
            .link.fd = -1,
            .post.link.fd = -1,
        };
}

struct group *group_of(const struct settings *settings, const char *key)
{
    int number = number_of(settings, key, 0);
    if (number < 0 || number >= group_count)
        fail("there is no group %d", number);
    return &groups[number];
}

void client_ready(struct client *client)
{
    client->ready = true;
    client->group->ready++;
}

void client_queue(struct client *client, const char *text, size_t length)
{
    if (client->polls)
        polling_queue(client, text, length);
    else
        websocket_queue(text, length);
}

void client_flush(struct client *client)
{
    if (client->polls)
        polling_flush(client);
    else
        websocket_flush(client);
}

static void begin(struct client *client)
{
    if (client->polls)
        polling_begin(client);
    else
        websocket_begin(client);
}

/* `at_once` of them are on their way at any time, as long as there are so many. */
void clients_connect(const struct settings *settings)
{
    int at_once = number_of(settings, "at_once", 20);
    double patience = number_of(settings, "patience", 20); /* seconds in which somebody has to become ready */
    read_tokens(text_of(settings, "tokens", NULL));
    struct group *group = new_group(settings);
    place_clients(group, text_of(settings, "room", "room-{}"));
    double began = now(), moved = began;
    int seen = 0;
    while (group->ready < group->count) {
        while (group->started < group->count && group->started - group->ready < at_once)
            begin(&group->clients[group->started++]);
        links_turn(0);
        if (group->ready > seen) {
            seen = group->ready;
            moved = now();
        } else if (now() > moved + patience)
            fail("only %d of %d clients became ready", group->ready, group->count);
    }
    printf("{\"group\":%d,\"clients\":%d,\"rooms\":%d,\"seconds\":%.6f}\n", group_count - 1, group->count,
           group->room_count, now() - began);
}

void clients_close(void)
{
    int closed = 0;
    while (next_changed_room()) /* none may be in the list when it is freed */
        ;
    for (; group_count; group_count--) {
        struct group *group = &groups[group_count - 1];
        for (int i = 0; i < group->count; i++, closed++) {
            link_close(&group->clients[i].link);
            link_close(&group->clients[i].post.link);
            free(group->clients[i].post.body);
        }
        free((char *)group->place.host);
        free(group->clients);
        free(group->rooms);
    }
    printf("{\"closed\":%d}\n", closed);
}
