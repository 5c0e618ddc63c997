/* The load generator's commands: lines on standard input, one line of JSON on standard output for each.
 *
 *   connect host= port= tokens= clients= size= room=  ...   a group of clients, in rooms of `size`
 *   closed group= rooms= senders= window= batch= bytes= seconds= events= in_turn= patience=
 *   paced group= rate= bytes= seconds= flood= window= batch= patience=
 *   close                                                   all groups
 *
 * Between two commands it sleeps, and answers what servers ask of idle clients.
 */
#define _GNU_SOURCE /* sched_setaffinity */
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "load.h"

void fail(const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    printf("{\"error\":\"");
    for (const char *at = text; *at; at++)
        printf(*at == '"' || *at == '\\' ? "\\%c" : (unsigned char)*at < ' ' ? "\\u%04x" : "%c", *at);
    printf("\"}\n");
    fflush(stdout);
    exit(1);
}

double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory)
        fail("no memory");
    return memory;
}

static void execute(char *line)
{
    char *rest = line;
    const char *command = strsep(&rest, " \n");
    struct settings settings = settings_of(rest ? rest : line);
    if (!strcmp(command, "connect"))
        clients_connect(&settings);
    else if (!strcmp(command, "closed"))
        closed_round(&settings);
    else if (!strcmp(command, "paced"))
        paced_round(&settings);
    else if (!strcmp(command, "close"))
        clients_close();
    else
        fail("no such command: %s", command);
    fflush(stdout);
}

static void prepare(const char *core)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(atoi(core), &cores);
    if (sched_setaffinity(0, sizeof cores, &cores) < 0)
        fail("there is no core %s", core);
}

int main(int count, char **arguments)
{
    char *line = NULL;
    size_t room = 0;
    setvbuf(stdin, NULL, _IONBF, 0); /* what stdio holds back, epoll would not tell of */
    prepare(count > 1 ? arguments[1] : "1");
    links_start();
    for (;;) {
        if (!links_turn(-1))
            continue;
        if (getline(&line, &room, stdin) <= 0)
            return 0; /* whoever gave commands has gone */
        execute(line);
    }
}
