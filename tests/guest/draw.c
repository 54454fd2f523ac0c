/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* draw RED GREEN BLUE: has the graphics processor fill the guest's first screen with that colour (0 to 255 each), and shows it for as long as it
 * is there. Not one pixel is written here: a command is, as Mesa's virgl driver writes them, so what is seen was drawn by the host. */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* What Linux takes, as <drm/drm_mode.h> and <drm/virtgpu_drm.h> have it, which come with no C library. */
typedef struct Mode {
    uint32_t clock;
    uint16_t width, horizontal[4], height, vertical[4];
    uint32_t refresh, flags, type;
    char name[32];
} Mode;
typedef struct Resources {
    uint64_t fbs, crtcs, connectors, encoders;
    uint32_t n_fbs, n_crtcs, n_connectors, n_encoders, limits[4];
} Resources;
typedef struct Connector {
    uint64_t encoders, modes, properties, values;
    uint32_t n_modes, n_properties, n_encoders, encoder, id, type, type_id, connection, size[2], subpixel, pad;
} Connector;
typedef struct Crtc {
    uint64_t connectors;
    uint32_t n_connectors, id, fb, x, y, gamma, has_mode;
    Mode mode;
} Crtc;
typedef struct Frame {
    uint32_t id, width, height, pitch, bpp, depth, handle;
} Frame;
typedef struct Parameter {
    uint64_t number, value;
} Parameter;
typedef struct Picture {
    uint32_t target, format, bind, width, height, depth, array_size, last_level, samples, flags, handle, resource, size, stride;
} Picture;
typedef struct Execution {
    uint32_t flags, size;
    uint64_t commands, handles;
    uint32_t n_handles;
    int32_t fence;
} Execution;
typedef struct Wait {
    uint32_t handle, flags;
} Wait;
#define GET_RESOURCES _IOWR('d', 0xa0, Resources)
#define SET_CRTC _IOWR('d', 0xa2, Crtc)
#define GET_CONNECTOR _IOWR('d', 0xa7, Connector)
#define ADD_FRAME _IOWR('d', 0xae, Frame)
#define EXECUTE _IOWR('d', 0x42, Execution)
#define GET_PARAMETER _IOWR('d', 0x43, Parameter)
#define CREATE_PICTURE _IOWR('d', 0x44, Picture)
#define WAIT _IOWR('d', 0x48, Wait)
#define PARAMETER_3D 1

/* virgl's protocol: length, object and command are a word's upper half and its two lower bytes. */
#define COMMAND(command, object, length) ((uint32_t) (length) << 16 | (object) << 8 | (command))
#define CREATE_OBJECT 1U
#define SET_FRAMEBUFFER 5U
#define CLEAR 7U
#define SURFACE 8U
#define SURFACE_HANDLE 1U
#define CLEAR_COLOUR 4U
#define FORMAT_BGRX 2U
#define TARGET_2D 2U
#define BIND_RENDER_TARGET (1U << 1)
#define BIND_SCANOUT (1U << 18)

static int card;

static void call(const char *what, unsigned long request, void *argument)
{
    if (ioctl(card, request, argument) == 0)
        return;
    printf("GUEST CANNOT DRAW: %s: %m\n", what);
    exit(1);
}

static uint32_t bits_of(const char *text)
{
    float value = (float) atoi(text) / 255;
    uint32_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static Picture draw(const Mode *mode, char **colour)
{
    Picture picture = {.target = TARGET_2D, .format = FORMAT_BGRX, .bind = BIND_RENDER_TARGET | BIND_SCANOUT, .width = mode->width, .height = mode->height,
            .depth = 1, .array_size = 1, .size = 4U * mode->width * mode->height};
    call("a picture", CREATE_PICTURE, &picture);

    const uint32_t commands[] = {
            COMMAND(CREATE_OBJECT, SURFACE, 5), SURFACE_HANDLE, picture.resource, FORMAT_BGRX, 0, 0,
            COMMAND(SET_FRAMEBUFFER, 0, 3), 1, 0, SURFACE_HANDLE,
            COMMAND(CLEAR, 0, 8), CLEAR_COLOUR, bits_of(colour[0]), bits_of(colour[1]), bits_of(colour[2]), bits_of("255"), 0, 0, 0,
    };
    Execution execution = {.size = sizeof(commands), .commands = (uintptr_t) commands, .handles = (uintptr_t) &picture.handle, .n_handles = 1};
    Wait wait = {.handle = picture.handle};
    call("a command", EXECUTE, &execution);
    call("waiting for it", WAIT, &wait);
    return picture;
}

int main(int argc, char **argv)
{
    uint32_t crtcs[16], connectors[16], gl = 0;
    Mode modes[64];
    Resources resources = {.crtcs = (uintptr_t) crtcs, .n_crtcs = 16, .connectors = (uintptr_t) connectors, .n_connectors = 16};
    Parameter parameter = {.number = PARAMETER_3D, .value = (uintptr_t) &gl};

    card = open("/dev/dri/card0", O_RDWR);
    if (argc != 4 || card < 0)
        return 2;
    call("the card", GET_PARAMETER, &parameter);
    if (!gl) {
        puts("GUEST CANNOT DRAW: the card has no GL");
        return 1;
    }
    call("the resources", GET_RESOURCES, &resources);
    Connector connector = {.id = connectors[0]};
    call("the connector", GET_CONNECTOR, &connector); /* looks for modes */
    connector = (Connector){.id = connectors[0], .modes = (uintptr_t) modes, .n_modes = 64};
    call("the modes", GET_CONNECTOR, &connector);

    Picture picture = draw(modes, argv + 1);
    Frame frame = {.width = picture.width, .height = picture.height, .pitch = 4 * picture.width, .bpp = 32, .depth = 24, .handle = picture.handle};
    call("a frame", ADD_FRAME, &frame);
    Crtc crtc = {.id = crtcs[0], .fb = frame.id, .connectors = (uintptr_t) connectors, .n_connectors = 1, .mode = modes[0], .has_mode = 1};
    call("the screen", SET_CRTC, &crtc);
    puts("GUEST HAS DRAWN");
    fflush(stdout);
    pause();
    return 0;
}
