/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rfb.h"

#include <errno.h>
#include <pixman.h>
#include <string.h>

#define VERSION "RFB 003.008\n"
#define HEAD 0

#define CURSOR_MAX 512U
/* Large enough for any row of a picture, too, which is of 65535 pixels at most. */
#define ROOM_SIZE ((size_t) CURSOR_MAX * CURSOR_MAX * 4 + 4)
#define TEXT_MAX (1U << 20)
/* What is pressed while the server does not read is lost beyond this. */
#define ANSWERS_MAX 65536U

/* RFC 6143's numbers, and those of its registry. */
enum { AUTH_NONE = 1 };
enum { SERVER_UPDATE = 0, SERVER_BELL = 2, SERVER_TEXT = 3 };
enum { CLIENT_FORMAT = 0, CLIENT_ENCODINGS = 2, CLIENT_REQUEST = 3, CLIENT_POINTER = 5, CLIENT_SIZE = 251, CLIENT_QEMU = 255 };
enum { QEMU_KEY = 0 };
enum { SIZE_OF_MINE = 1 };
enum { BUTTONS = 5 }; /* left, middle, right and the wheel: as QEMU numbers them, too */
#define ENCODING_RAW 0
#define ENCODING_POINTER (-257)
#define ENCODING_KEYS (-258)
#define ENCODING_LEDS (-261)
#define ENCODING_SIZE (-308)
#define ENCODING_CURSOR (-314)

/* Where a pointer that tells movements stands still. */
#define STILL 0x7fff

#define U16(value) (uint8_t) ((uint32_t) (value) >> 8), (uint8_t) (value)
#define U32(value) U16((uint32_t) (value) >> 16), U16(value)
#define SAY(rfb, ...) say(rfb, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* `data`: as many bytes as it has expected, or more, of which there are `size`. How many it has taken; or a negative errno. */
typedef ssize_t (*Step)(Rfb *rfb, const uint8_t *data, size_t size);

struct Rfb {
    DisplayHandlers handlers;
    void *userdata;

    uint8_t *room;
    size_t filled;
    size_t need;
    Step step;
    GByteArray *answers;

    uint32_t width, height;
    uint8_t *fresh;  /* of a size that is not shown yet: all of its pixels, until there are some; else NULL */
    bool drawn;      /* there are */
    unsigned n_rects; /* that are still to come of an update */
    PictureRect rect; /* this one, or what is still to come of it */
    uint32_t skip;

    bool asks, whole; /* another picture is to be asked for, and all of it */
    bool has_keys, has_sizes, absolute;
    uint32_t x, y, buttons;
};

static uint32_t get_u16(const uint8_t *from)
{
    return (uint32_t) from[0] << 8 | from[1];
}

static uint32_t get_u32(const uint8_t *from)
{
    return get_u16(from) << 16 | get_u16(from + 2);
}

static bool say(Rfb *rfb, const uint8_t *data, size_t size)
{
    if (rfb->answers->len + size > ANSWERS_MAX)
        return false;
    g_byte_array_append(rfb->answers, data, (guint) size);
    return true;
}

static void expect(Rfb *rfb, size_t need, Step step)
{
    rfb->need = need;
    rfb->step = step;
}

static ssize_t on_message(Rfb *rfb, const uint8_t *data, size_t size);

static ssize_t on_skipped(Rfb *rfb, const uint8_t *data, size_t size)
{
    size_t n = MIN(size, rfb->skip);
    rfb->skip -= (uint32_t) n;
    expect(rfb, 1, rfb->skip > 0 ? on_skipped : on_message);
    return (ssize_t) n;
}

/* What is of no use here. */
static int skip(Rfb *rfb, uint32_t n)
{
    if (n > TEXT_MAX)
        return -EBADMSG;
    rfb->skip = n;
    expect(rfb, MIN(n, 1), on_skipped);
    return 0;
}

/* ---- pictures ---- */

/* Shown when something of it has come. */
static int set_size(Rfb *rfb, uint32_t width, uint32_t height)
{
    if (width == 0 || height == 0 || height > PICTURE_BYTES_MAX / 4 / width)
        return -EBADMSG;
    if (width == rfb->width && height == rfb->height)
        return 0;
    rfb->width = width;
    rfb->height = height;
    g_free(rfb->fresh);
    rfb->fresh = g_malloc0_n((size_t) width * height, 4);
    rfb->drawn = false;
    rfb->whole = true;
    return 0;
}

static int show_fresh(Rfb *rfb)
{
    const PictureSource source = {.data = rfb->fresh, .size = (size_t) rfb->width * rfb->height * 4, .stride = rfb->width * 4, .format = PIXMAN_x8r8g8b8};
    if (!rfb->fresh || !rfb->drawn)
        return 0;
    int r = rfb->handlers.scanout(HEAD, rfb->width, rfb->height, &source, rfb->userdata);
    g_clear_pointer(&rfb->fresh, g_free);
    return r;
}

static int draw(Rfb *rfb, const PictureRect *rect, const uint8_t *data)
{
    const PictureSource source = {.data = data, .size = (size_t) rect->width * rect->height * 4, .stride = rect->width * 4, .format = PIXMAN_x8r8g8b8};
    rfb->drawn = true;
    if (!rfb->fresh)
        return rfb->handlers.update(HEAD, rect, &source, rfb->userdata);
    for (uint32_t i = 0; i < rect->height; i++)
        memcpy(rfb->fresh + ((size_t) (rect->y + i) * rfb->width + rect->x) * 4, data + (size_t) i * source.stride, source.stride);
    return 0;
}

static ssize_t on_rectangle(Rfb *rfb, const uint8_t *data, size_t size);

static int next_rectangle(Rfb *rfb)
{
    if (rfb->n_rects-- > 0) {
        expect(rfb, 12, on_rectangle);
        return 0;
    }
    expect(rfb, 1, on_message);
    rfb->asks = true;
    return show_fresh(rfb);
}

static ssize_t then_next(Rfb *rfb, size_t taken)
{
    int r = next_rectangle(rfb);
    return r < 0 ? r : (ssize_t) taken;
}

/* As many as there are. */
static ssize_t on_rows(Rfb *rfb, const uint8_t *data, size_t size)
{
    size_t row = (size_t) rfb->rect.width * 4;
    uint32_t n = (uint32_t) MIN(size / row, rfb->rect.height);
    const PictureRect rect = {rfb->rect.x, rfb->rect.y, rfb->rect.width, n};
    int r = draw(rfb, &rect, data);
    if (r < 0)
        return r;
    rfb->rect.y += n;
    rfb->rect.height -= n;
    return rfb->rect.height == 0 ? then_next(rfb, n * row) : (ssize_t) (n * row);
}

static int begin_rows(Rfb *rfb)
{
    const PictureRect *rect = &rfb->rect;
    if (rect->x > rfb->width || rect->width > rfb->width - rect->x || rect->y > rfb->height || rect->height > rfb->height - rect->y)
        return -EBADMSG;
    if (rect->width == 0 || rect->height == 0)
        return next_rectangle(rfb);
    expect(rfb, (size_t) rect->width * 4, on_rows);
    return 0;
}

/* ---- what is told in the form of pictures ---- */

static ssize_t on_screens(Rfb *rfb, const uint8_t *data, size_t size)
{
    size_t screens = (size_t) data[0] * 16, taken = 4 + screens;
    if (size < taken) {
        expect(rfb, taken, on_screens);
        return 0;
    }
    /* One that was wished for, and that there is not; its number says why. */
    bool refused = rfb->rect.x == SIZE_OF_MINE && rfb->rect.y != 0;
    int r = refused ? 0 : set_size(rfb, rfb->rect.width, rfb->rect.height);
    rfb->has_sizes = true;
    return r < 0 ? r : then_next(rfb, taken);
}

static int begin_screens(Rfb *rfb)
{
    expect(rfb, 4, on_screens);
    return 0;
}

/* QEMU has its pixels as it has all others, whatever the registry says of this encoding. */
static ssize_t on_cursor(Rfb *rfb, const uint8_t *data, size_t size)
{
    const PictureRect *rect = &rfb->rect;
    size_t pixels = (size_t) rect->width * rect->height * 4;
    if (get_u32(data) != ENCODING_RAW)
        return -EBADMSG;
    if (pixels > 0)
        (void) rfb->handlers.define_cursor(HEAD, rect->width, rect->height, rect->x, rect->y, data + 4, pixels, rfb->userdata);
    return then_next(rfb, 4 + pixels);
}

static int begin_cursor(Rfb *rfb)
{
    if (rfb->rect.width > CURSOR_MAX || rfb->rect.height > CURSOR_MAX)
        return -EBADMSG;
    expect(rfb, 4 + (size_t) rfb->rect.width * rfb->rect.height * 4, on_cursor);
    return 0;
}

static ssize_t on_leds(Rfb *rfb, const uint8_t *data, size_t size)
{
    rfb->handlers.leds(data[0] & 7, rfb->userdata);
    return then_next(rfb, 1);
}

static int begin_leds(Rfb *rfb)
{
    expect(rfb, 1, on_leds);
    return 0;
}

static int hear_keys(Rfb *rfb)
{
    rfb->has_keys = true;
    return next_rectangle(rfb);
}

/* A viewer that tells movements cannot know where the cursor is. */
static int hear_pointer(Rfb *rfb)
{
    rfb->absolute = rfb->rect.x != 0;
    rfb->x = rfb->y = rfb->absolute ? 0 : STILL;
    rfb->handlers.absolute(rfb->absolute, rfb->userdata);
    rfb->handlers.place_cursor(HEAD, 0, 0, rfb->absolute, rfb->userdata);
    return next_rectangle(rfb);
}

static const struct {
    int32_t number;
    int (*begin)(Rfb *rfb);
} encodings[] = {
    {ENCODING_RAW, begin_rows},
    {ENCODING_SIZE, begin_screens},
    {ENCODING_CURSOR, begin_cursor},
    {ENCODING_LEDS, begin_leds},
    {ENCODING_KEYS, hear_keys},
    {ENCODING_POINTER, hear_pointer},
};

static ssize_t on_rectangle(Rfb *rfb, const uint8_t *data, size_t size)
{
    int32_t number = (int32_t) get_u32(data + 8);
    int r = -EBADMSG;
    rfb->rect = (PictureRect) {get_u16(data), get_u16(data + 2), get_u16(data + 4), get_u16(data + 6)};
    for (size_t i = 0; i < G_N_ELEMENTS(encodings); i++)
        if (encodings[i].number == number)
            r = encodings[i].begin(rfb);
    return r < 0 ? r : 12;
}

/* ---- messages ---- */

static ssize_t on_update(Rfb *rfb, const uint8_t *data, size_t size)
{
    rfb->n_rects = get_u16(data + 1);
    return then_next(rfb, 3);
}

static ssize_t on_text(Rfb *rfb, const uint8_t *data, size_t size)
{
    int r = skip(rfb, get_u32(data + 3));
    return r < 0 ? r : 7;
}

static ssize_t on_message(Rfb *rfb, const uint8_t *data, size_t size)
{
    switch (data[0]) {
    case SERVER_UPDATE:
        expect(rfb, 3, on_update);
        return 1;
    case SERVER_TEXT:
        expect(rfb, 7, on_text);
        return 1;
    case SERVER_BELL:
        return 1;
    }
    return -EBADMSG;
}

/* ---- the beginning ---- */

static void say_format(Rfb *rfb)
{
    SAY(rfb, CLIENT_FORMAT, 0, 0, 0, 32, 24, false, true, U16(255), U16(255), U16(255), 16, 8, 0, 0, 0, 0);
}

static void say_encodings(Rfb *rfb)
{
    SAY(rfb, CLIENT_ENCODINGS, 0, U16(G_N_ELEMENTS(encodings)));
    for (size_t i = 0; i < G_N_ELEMENTS(encodings); i++)
        SAY(rfb, U32(encodings[i].number));
}

static ssize_t on_init(Rfb *rfb, const uint8_t *data, size_t size)
{
    int r = set_size(rfb, get_u16(data), get_u16(data + 2));
    if (r >= 0)
        r = skip(rfb, get_u32(data + 20)); /* its name */
    if (r < 0)
        return r;
    say_format(rfb);
    say_encodings(rfb);
    rfb->asks = true;
    return 24;
}

/* One who does not put out the others. */
static ssize_t on_result(Rfb *rfb, const uint8_t *data, size_t size)
{
    if (get_u32(data) != 0)
        return -EACCES;
    SAY(rfb, true);
    expect(rfb, 24, on_init);
    return 4;
}

static ssize_t on_auth(Rfb *rfb, const uint8_t *data, size_t size)
{
    size_t n = data[0];
    if (n > 0 && size < 1 + n) {
        expect(rfb, 1 + n, on_auth);
        return 0;
    }
    if (!memchr(data + 1, AUTH_NONE, n))
        return -EACCES;
    SAY(rfb, AUTH_NONE);
    expect(rfb, 4, on_result);
    return (ssize_t) (1 + n);
}

static ssize_t on_version(Rfb *rfb, const uint8_t *data, size_t size)
{
    if (memcmp(data, VERSION, strlen(VERSION)) != 0)
        return -EBADMSG;
    say(rfb, (const uint8_t *) VERSION, strlen(VERSION));
    expect(rfb, 1, on_auth);
    return (ssize_t) strlen(VERSION);
}

/* ---- bytes ---- */

uint8_t *rfb_room(Rfb *rfb, size_t *ret_size)
{
    *ret_size = ROOM_SIZE - rfb->filled;
    return rfb->room + rfb->filled;
}

int rfb_take(Rfb *rfb, size_t size)
{
    size_t at = 0;
    rfb->filled += size;
    while (rfb->filled - at >= rfb->need) {
        ssize_t n = rfb->step(rfb, rfb->room + at, rfb->filled - at);
        if (n < 0)
            return (int) n;
        at += (size_t) n;
    }
    rfb->filled -= at;
    memmove(rfb->room, rfb->room + at, rfb->filled);
    return 0;
}

GByteArray *rfb_answers(Rfb *rfb)
{
    if (rfb->asks && SAY(rfb, CLIENT_REQUEST, !rfb->whole, U16(0), U16(0), U16(rfb->width), U16(rfb->height)))
        rfb->asks = rfb->whole = false;
    return rfb->answers;
}

/* ---- what is pressed ---- */

void rfb_key(Rfb *rfb, uint32_t key, bool down)
{
    if (rfb->has_keys)
        SAY(rfb, CLIENT_QEMU, QEMU_KEY, U16(down), U32(0), U32(key));
}

static void say_pointer(Rfb *rfb, uint32_t x, uint32_t y)
{
    SAY(rfb, CLIENT_POINTER, (uint8_t) rfb->buttons, U16(x), U16(y));
}

void rfb_button(Rfb *rfb, uint32_t button, bool down)
{
    if (button >= BUTTONS)
        return;
    rfb->buttons = down ? rfb->buttons | 1U << button : rfb->buttons & ~(1U << button);
    say_pointer(rfb, rfb->x, rfb->y);
}

void rfb_move_to(Rfb *rfb, uint32_t x, uint32_t y)
{
    if (!rfb->absolute)
        return;
    rfb->x = MIN(x, UINT16_MAX);
    rfb->y = MIN(y, UINT16_MAX);
    say_pointer(rfb, rfb->x, rfb->y);
}

void rfb_move_by(Rfb *rfb, int dx, int dy)
{
    if (!rfb->absolute)
        say_pointer(rfb, (uint32_t) (STILL + CLAMP(dx, -STILL, STILL)), (uint32_t) (STILL + CLAMP(dy, -STILL, STILL)));
}

void rfb_resize(Rfb *rfb, uint32_t width, uint32_t height)
{
    if (rfb->has_sizes && width > 0 && height > 0 && width <= UINT16_MAX && height <= UINT16_MAX)
        SAY(rfb, CLIENT_SIZE, 0, U16(width), U16(height), 1, 0, U32(0), U16(0), U16(0), U16(width), U16(height), U32(0));
}

/* ---- its life ---- */

Rfb *rfb_new(const DisplayHandlers *handlers, void *userdata)
{
    Rfb *rfb = g_new0(Rfb, 1);
    rfb->handlers = *handlers;
    rfb->userdata = userdata;
    rfb->room = g_malloc(ROOM_SIZE);
    rfb->answers = g_byte_array_new();
    rfb->x = rfb->y = STILL;
    expect(rfb, strlen(VERSION), on_version);
    return rfb;
}

void rfb_free(Rfb *rfb)
{
    if (!rfb)
        return;
    g_byte_array_unref(rfb->answers);
    g_free(rfb->fresh);
    g_free(rfb->room);
    g_free(rfb);
}
