/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* send-pointer: what somebody does with the mouse. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connect.h"
#include "report.h"
#include "verb.h"

#define USAGE "a place is X,Y in pixels or X%%,Y%%; all else the name of a button, click, double-click, or drag before a place"

typedef struct Pointer {
    Client *client;
    const char *vm;
    uint32_t width, height; /* of the screen; 0: not known yet */
    bool drags;             /* the next place is dragged to */
} Pointer;

/* A picture of the screen knows its size: the first two numbers of a PNG. */
static int read_size(Pointer *pointer)
{
    g_autoptr(sd_bus_message) reply = NULL;
    uint8_t head[24];
    int fd = -1;
    if (pointer->width > 0)
        return EXIT_DONE;
    if (pointer->client->host)
        return report_usage("send-pointer: over -H give places as X%%,Y%%");
    int r = client_call(pointer->client, pointer->vm, VM_INTERFACE, "Screenshot", &reply, NULL);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_read(reply, "h", &fd);
    if (r < 0 || pread(fd, head, sizeof head, 0) != sizeof head)
        return report("VM \"%s\": the size of its screen cannot be read", pointer->vm);
    pointer->width = (uint32_t) head[16] << 24 | (uint32_t) head[17] << 16 | (uint32_t) head[18] << 8 | head[19];
    pointer->height = (uint32_t) head[20] << 24 | (uint32_t) head[21] << 16 | (uint32_t) head[22] << 8 | head[23];
    return pointer->width > 0 && pointer->height > 0 ? EXIT_DONE : report("VM \"%s\": its screen has no size", pointer->vm);
}

static bool parse_number(const char **text, double *ret, bool *ret_percent)
{
    char *end;
    *ret = g_ascii_strtod(*text, &end);
    bool any = end > *text;
    *ret_percent = *end == '%';
    *text = end + *ret_percent;
    return any;
}

/* False: it is no place. */
static bool parse_place(const char *text, double place[2], bool percent[2])
{
    return parse_number(&text, &place[0], &percent[0]) && *text++ == ',' && parse_number(&text, &place[1], &percent[1]) && !*text &&
        percent[0] == percent[1];
}

static int go(Pointer *pointer, double place[2], bool percent)
{
    int r = percent ? EXIT_DONE : read_size(pointer);
    if (r != EXIT_DONE)
        return r;
    /* The middle of the pixel. */
    double x = percent ? place[0] / 100 : (place[0] + 0.5) / pointer->width, y = percent ? place[1] / 100 : (place[1] + 0.5) / pointer->height;
    if (!pointer->drags)
        return client_call(pointer->client, pointer->vm, VM_INTERFACE, "MovePointer", NULL, "dd", x, y);
    pointer->drags = false;
    return client_call(pointer->client, pointer->vm, VM_INTERFACE, "DragPointer", NULL, "dds", x, y, "left");
}

static int press(const Pointer *pointer, const char *button)
{
    return client_call(pointer->client, pointer->vm, VM_INTERFACE, "SendButtons", NULL, "as", 1, button);
}

static int act(Pointer *pointer, const char *word)
{
    double place[2];
    bool percent[2];
    if (parse_place(word, place, percent))
        return go(pointer, place, percent[0]);
    if (pointer->drags || strpbrk(word, ",%"))
        return report_usage("send-pointer: \"%s\" is no place: " USAGE, word);
    if (strcmp(word, "drag") == 0) {
        pointer->drags = true;
        return EXIT_DONE;
    }
    bool twice = strcmp(word, "double-click") == 0, left = twice || strcmp(word, "click") == 0;
    int r = twice ? press(pointer, "left") : EXIT_DONE;
    return r == EXIT_DONE ? press(pointer, left ? "left" : word) : r;
}

int verb_send_pointer(Client *client)
{
    Pointer pointer = {.client = client, .vm = client->arguments[0]};
    int r = EXIT_DONE;
    for (size_t i = 1; r == EXIT_DONE && i < client->n_arguments; i++)
        r = act(&pointer, client->arguments[i]);
    if (r == EXIT_DONE && pointer.drags)
        return report_usage("send-pointer: drag needs a place behind it");
    return r;
}
