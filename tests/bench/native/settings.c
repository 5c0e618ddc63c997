/* A command is a line of words, each `key=value`. */
#include <stdlib.h>
#include <string.h>

#include "load.h"

struct settings settings_of(char *line)
{
    struct settings settings = {0};
    char *at = NULL;
    for (char *word = strtok_r(line, " \n", &at); word; word = strtok_r(NULL, " \n", &at)) {
        if (settings.count == (int)(sizeof settings.words / sizeof *settings.words))
            fail("a command of too many words");
        settings.words[settings.count++] = word;
    }
    return settings;
}

const char *text_of(const struct settings *settings, const char *key, const char *otherwise)
{
    size_t length = strlen(key);
    for (int i = 0; i < settings->count; i++)
        if (!strncmp(settings->words[i], key, length) && settings->words[i][length] == '=')
            return settings->words[i] + length + 1;
    return otherwise;
}

double number_of(const struct settings *settings, const char *key, double otherwise)
{
    const char *text = text_of(settings, key, NULL);
    if (!text)
        return otherwise;
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end)
        fail("%s=%s is not a number", key, text);
    return number;
}
