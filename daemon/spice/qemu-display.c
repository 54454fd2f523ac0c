/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu-display.h"

#include <errno.h>

#include "cleanup.h"
#include "qemu-listener.h"
#include "shared-screen.h"

#define CONSOLE_INTERFACE "org.qemu.Display1.Console"
#define KEYBOARD_INTERFACE "org.qemu.Display1.Keyboard"
#define MOUSE_INTERFACE "org.qemu.Display1.Mouse"
#define MAP_INTERFACE "org.qemu.Display1.Listener.Unix.Map"
#define PROPERTIES_INTERFACE "org.freedesktop.DBus.Properties"

/* What QEMU draws and what it says of its size come on two connections, each in its own time: QEMU says the size when it has nothing else to do, and may
 * draw a screen at one look of its own at it, each 30 ms, or at several. */
#define SETTLED_USEC 100000

typedef struct QemuDisplay QemuDisplay;

typedef struct Size {
    uint32_t width, height;
} Size;

typedef struct Console {
    QemuDisplay *display;
    unsigned number;
    char *path;
    QemuListener *listener;
    SharedScreen *shared; /* NULL: QEMU sends what it draws */
    Size shown, drawn, said;  /* to clients, 0: nothing; what was last drawn as a whole; by its properties */
    sd_event_source *settled; /* then what is shown is to be as large as is said */
} Console;

struct QemuDisplay {
    DisplaySource source;
    sd_event *event;
    sd_bus *bus;
    DisplayHandlers handlers;
    void *userdata;
    Console *consoles;
    unsigned n_consoles;
};

/* ---- what a console draws ---- */

static int refused(const Console *console, int r)
{
    if (r < 0)
        qemu_listener_renew(console->listener);
    return 0;
}

static int read_source(sd_bus_message *m, PictureSource *ret)
{
    return sd_bus_message_read_array(m, 'y', &ret->data, &ret->size);
}

static void forget_shared(Console *console)
{
    g_clear_pointer(&console->shared, shared_screen_free);
}

static bool is_size(Size a, Size b)
{
    return a.width == b.width && a.height == b.height;
}

/* What is there stays. */
static int take_size(Console *console, Size size)
{
    const QemuDisplay *display = console->display;
    int r = display->handlers.resize(console->number, size.width, size.height, display->userdata);
    if (r >= 0)
        console->shown = size;
    return r;
}

/* QEMU draws all of a screen that has become another one, but maybe by its parts, of which the size is only said. To be registered again would show it, too,
 * but QEMU from 8.1 on then draws for ever for who was registered before. So that is for the screen of which a part may have been cut off. */
static int on_settled(sd_event_source *source, uint64_t usec, void *userdata)
{
    Console *console = userdata;
    console->settled = sd_event_source_disable_unref(console->settled);
    if (console->shown.width == 0 || console->said.width == 0 || is_size(console->shown, console->said))
        return 0;
    forget_shared(console);
    if (is_size(console->drawn, console->said) || take_size(console, console->said) < 0)
        qemu_listener_renew(console->listener);
    return 0;
}

/* Counted from the last change of what is shown or said. */
static void settle(Console *console)
{
    console->settled = sd_event_source_disable_unref(console->settled);
    (void) sd_event_add_time_relative(console->display->event, &console->settled, CLOCK_MONOTONIC, SETTLED_USEC, 0, on_settled, console);
}

static void has_drawn(Console *console, uint32_t width, uint32_t height)
{
    console->shown = console->drawn = (Size) {width, height};
    if (!is_size(console->shown, console->said))
        settle(console);
}

/* Of a screen that has become larger, and whose size is said later. */
static int grow(Console *console, const PictureRect *rect)
{
    Size shown = console->shown;
    if (shown.width == 0)
        return -ERANGE;
    settle(console);
    return take_size(console, (Size) {MAX(shown.width, rect->x + rect->width), MAX(shown.height, rect->y + rect->height)});
}

static int on_scanout(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Console *console = userdata;
    const QemuDisplay *display = console->display;
    PictureSource source;
    uint32_t width, height;
    forget_shared(console);
    int r = sd_bus_message_read(m, "uuuu", &width, &height, &source.stride, &source.format);
    if (r >= 0)
        r = read_source(m, &source);
    if (r >= 0)
        r = display->handlers.scanout(console->number, width, height, &source, display->userdata);
    if (r >= 0)
        has_drawn(console, width, height);
    return refused(console, r);
}

static int on_update(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Console *console = userdata;
    const QemuDisplay *display = console->display;
    PictureSource source;
    int32_t x, y, width, height;
    int r = sd_bus_message_read(m, "iiiiuu", &x, &y, &width, &height, &source.stride, &source.format);
    if (r >= 0)
        r = read_source(m, &source);
    if (r >= 0 && (x < 0 || y < 0 || width < 0 || height < 0))
        r = -ERANGE;
    if (r >= 0) {
        const PictureRect rect = {(uint32_t) x, (uint32_t) y, (uint32_t) width, (uint32_t) height};
        r = display->handlers.update(console->number, &rect, &source, display->userdata);
        if (r == -ERANGE && grow(console, &rect) >= 0)
            r = display->handlers.update(console->number, &rect, &source, display->userdata);
    }
    return refused(console, r);
}

static int on_disable(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Console *console = userdata;
    console->shown = (Size) {0};
    console->display->handlers.disable(console->number, console->display->userdata);
    return 0;
}

static int on_mouse_set(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    const Console *console = userdata;
    int32_t x, y, visible;
    if (sd_bus_message_read(m, "iii", &x, &y, &visible) >= 0)
        console->display->handlers.place_cursor(console->number, x, y, visible != 0, console->display->userdata);
    return 0;
}

/* One that cannot be shown is left out. */
static int on_cursor_define(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    const Console *console = userdata;
    int32_t width, height, hot_x, hot_y;
    const void *data;
    size_t size;
    if (sd_bus_message_read(m, "iiii", &width, &height, &hot_x, &hot_y) >= 0 && sd_bus_message_read_array(m, 'y', &data, &size) >= 0 && width > 0 &&
        height > 0 && hot_x >= 0 && hot_y >= 0)
        (void) console->display->handlers.define_cursor(console->number, (uint32_t) width, (uint32_t) height, (uint32_t) hot_x, (uint32_t) hot_y, data, size,
            console->display->userdata);
    return 0;
}

/* ---- what it draws in memory that it shares ---- */

/* QEMU waits for the answer, and sends what it draws where that is an error. */
static int on_scanout_map(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Console *console = userdata;
    const QemuDisplay *display = console->display;
    g_autoptr(SharedScreen) shared = NULL;
    PictureSource source;
    forget_shared(console);
    int r = shared_screen_read(m, &shared);
    if (r < 0)
        return r;
    const PictureRect whole = shared_screen_whole(shared);
    r = shared_screen_fetch(shared, &whole, &source);
    if (r >= 0)
        r = display->handlers.scanout(console->number, whole.width, whole.height, &source, display->userdata);
    if (r < 0)
        return r;
    has_drawn(console, whole.width, whole.height);
    console->shared = g_steal_pointer(&shared);
    return sd_bus_reply_method_return(m, NULL);
}

static int on_update_map(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    const Console *console = userdata;
    const QemuDisplay *display = console->display;
    PictureSource source;
    int32_t x, y, width, height;
    int r = sd_bus_message_read(m, "iiii", &x, &y, &width, &height);
    if (r >= 0 && (x < 0 || y < 0 || width < 0 || height < 0 || !console->shared))
        r = -ERANGE;
    if (r >= 0) {
        const PictureRect rect = {(uint32_t) x, (uint32_t) y, (uint32_t) width, (uint32_t) height};
        r = shared_screen_fetch(console->shared, &rect, &source);
        if (r >= 0)
            r = display->handlers.update(console->number, &rect, &source, display->userdata);
    }
    return refused(console, r);
}

static int get_interfaces(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *unused)
{
    return sd_bus_message_append(reply, "as", 1, MAP_INTERFACE);
}

/* Pictures in the memory of a graphics card: none are sent to who does not say that it takes them. */
static int on_dmabuf(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    return 0;
}

static const sd_bus_vtable listener_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Scanout", "uuuuay", NULL, on_scanout, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
    SD_BUS_METHOD("Update", "iiiiuuay", NULL, on_update, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
    SD_BUS_METHOD("ScanoutDMABUF", "huuuutb", NULL, on_dmabuf, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
    SD_BUS_METHOD("UpdateDMABUF", "iiii", NULL, on_dmabuf, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
    SD_BUS_METHOD("Disable", NULL, NULL, on_disable, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
    SD_BUS_METHOD("MouseSet", "iii", NULL, on_mouse_set, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
    SD_BUS_METHOD("CursorDefine", "iiiiay", NULL, on_cursor_define, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
    SD_BUS_PROPERTY("Interfaces", "as", get_interfaces, 0, SD_BUS_VTABLE_PROPERTY_CONST), /* which there are beside this one */
    SD_BUS_VTABLE_END,
};

static const sd_bus_vtable map_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("ScanoutMap", "huuuuu", NULL, on_scanout_map, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("UpdateMap", "iiii", NULL, on_update_map, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
    SD_BUS_VTABLE_END,
};

static const QemuListenerKind listener_kind = {
    .what = "the pictures",
    .interface = CONSOLE_INTERFACE,
    .method = "RegisterListener",
    .path = "/org/qemu/Display1/Listener",
    .interfaces = {{"org.qemu.Display1.Listener", listener_vtable}, {MAP_INTERFACE, map_vtable}},
};

/* ---- properties ---- */

static void on_size(Console *console, sd_bus_message *m, uint32_t *size)
{
    if (sd_bus_message_read(m, "u", size) >= 0)
        settle(console);
}

static void on_width(Console *console, sd_bus_message *m)
{
    on_size(console, m, &console->said.width);
}

static void on_height(Console *console, sd_bus_message *m)
{
    on_size(console, m, &console->said.height);
}

typedef struct Property {
    const char *interface, *name, *type;
    void (*handle)(Console *console, sd_bus_message *m);
} Property;

static void on_absolute(Console *console, sd_bus_message *m)
{
    int absolute;
    if (sd_bus_message_read(m, "b", &absolute) >= 0 && console->number == 0)
        console->display->handlers.absolute(absolute, console->display->userdata);
}

static void on_modifiers(Console *console, sd_bus_message *m)
{
    uint32_t leds;
    if (sd_bus_message_read(m, "u", &leds) >= 0 && console->number == 0)
        console->display->handlers.leds(leds & 7, console->display->userdata);
}

static void on_device_address(Console *console, sd_bus_message *m)
{
    const char *address;
    if (sd_bus_message_read(m, "s", &address) >= 0 && strlen(address) < 200)
        console->display->handlers.device(console->number, address, console->number, console->display->userdata);
}

static const Property properties[] = {
    {MOUSE_INTERFACE, "IsAbsolute", "b", on_absolute},
    {KEYBOARD_INTERFACE, "Modifiers", "u", on_modifiers},
    {CONSOLE_INTERFACE, "DeviceAddress", "s", on_device_address},
    {CONSOLE_INTERFACE, "Width", "u", on_width},
    {CONSOLE_INTERFACE, "Height", "u", on_height},
};

static int read_property(Console *console, const char *interface, sd_bus_message *m)
{
    const char *name, *type;
    int r = sd_bus_message_read_basic(m, 's', &name);
    if (r < 0)
        return r;
    for (size_t i = 0; i < G_N_ELEMENTS(properties); i++) {
        if (!g_str_equal(properties[i].interface, interface) || !g_str_equal(properties[i].name, name))
            continue;
        if (sd_bus_message_peek_type(m, NULL, &type) < 0 || !g_str_equal(type, properties[i].type))
            return -EBADMSG;
        r = sd_bus_message_enter_container(m, 'v', type);
        if (r < 0)
            return r;
        properties[i].handle(console, m);
        return sd_bus_message_exit_container(m);
    }
    return sd_bus_message_skip(m, "v");
}

static int read_properties(Console *console, const char *interface, sd_bus_message *m)
{
    int r = sd_bus_message_enter_container(m, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        r = read_property(console, interface, m);
        if (r >= 0)
            r = sd_bus_message_exit_container(m);
    }
    return r;
}

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    const char *interface;
    if (sd_bus_message_read_basic(m, 's', &interface) >= 0)
        (void) read_properties(userdata, interface, m);
    return 0;
}

#define GOT(name, interface)                                                                                                                                   \
    static int name(sd_bus_message *m, void *userdata, sd_bus_error *unused)                                                                                   \
    {                                                                                                                                                          \
        if (!sd_bus_message_is_method_error(m, NULL))                                                                                                          \
            (void) read_properties(userdata, interface, m);                                                                                                    \
        return 0;                                                                                                                                              \
    }
GOT(on_console, CONSOLE_INTERFACE)
GOT(on_keyboard, KEYBOARD_INTERFACE)
GOT(on_mouse, MOUSE_INTERFACE)

static int watch_properties(Console *console)
{
    static const struct {
        const char *interface;
        sd_bus_message_handler_t handler;
    } all[] = {{CONSOLE_INTERFACE, on_console}, {KEYBOARD_INTERFACE, on_keyboard}, {MOUSE_INTERFACE, on_mouse}};
    sd_bus *bus = console->display->bus;
    int r = sd_bus_match_signal(bus, NULL, NULL, console->path, PROPERTIES_INTERFACE, "PropertiesChanged", on_changed, console);
    for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(all); i++)
        r = sd_bus_call_method_async(bus, NULL, NULL, console->path, PROPERTIES_INTERFACE, "GetAll", all[i].handler, console, "s", all[i].interface);
    return r;
}

/* ---- what it hears ---- */

/* Nobody waits for an answer. Where QEMU does not read any more what is pressed is lost, and the queue is no longer than sd-bus lets it be. */
static void tell(const QemuDisplay *display, unsigned number, const char *interface, const char *member, const char *types, uint32_t a, uint32_t b)
{
    g_autoptr(sd_bus_message) m = NULL;
    if (number >= display->n_consoles)
        return;
    int r = sd_bus_message_new_method_call(display->bus, &m, NULL, display->consoles[number].path, interface, member);
    if (r >= 0)
        r = sd_bus_message_append_basic(m, types[0], &a);
    if (r >= 0 && types[1])
        r = sd_bus_message_append_basic(m, types[1], &b);
    if (r >= 0)
        r = sd_bus_message_set_expect_reply(m, false);
    if (r >= 0)
        (void) sd_bus_send(display->bus, m, NULL);
}

static QemuDisplay *of_source(DisplaySource *source)
{
    return (QemuDisplay *) source;
}

static void key(DisplaySource *source, uint32_t number, bool down)
{
    tell(of_source(source), 0, KEYBOARD_INTERFACE, down ? "Press" : "Release", "u", number, 0);
}

static void button(DisplaySource *source, unsigned number, uint32_t which, bool down)
{
    tell(of_source(source), number, MOUSE_INTERFACE, down ? "Press" : "Release", "u", which, 0);
}

static void move_to(DisplaySource *source, unsigned number, uint32_t x, uint32_t y)
{
    tell(of_source(source), number, MOUSE_INTERFACE, "SetAbsPosition", "uu", x, y);
}

static void move_by(DisplaySource *source, unsigned number, int dx, int dy)
{
    tell(of_source(source), number, MOUSE_INTERFACE, "RelMotion", "ii", (uint32_t) dx, (uint32_t) dy);
}

static void resize(DisplaySource *source, unsigned number, uint32_t width, uint32_t height)
{
    const QemuDisplay *display = of_source(source);
    if (number >= display->n_consoles)
        return;
    (void) sd_bus_call_method_async(display->bus, NULL, NULL, display->consoles[number].path, CONSOLE_INTERFACE, "SetUIInfo", NULL, NULL, "qqiiuu", 0, 0, 0, 0,
        width, height);
}

/* ---- its life ---- */

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    const QemuDisplay *display = userdata;
    display->handlers.lost(display->userdata);
    return 0;
}

static void qemu_display_free(DisplaySource *source)
{
    QemuDisplay *display = of_source(source);
    for (unsigned i = 0; i < display->n_consoles; i++) {
        sd_event_source_disable_unref(display->consoles[i].settled);
        qemu_listener_free(display->consoles[i].listener);
        forget_shared(&display->consoles[i]);
        g_free(display->consoles[i].path);
    }
    if (display->bus)
        (void) sd_bus_detach_event(display->bus);
    sd_bus_close_unref(display->bus);
    g_free(display->consoles);
    g_free(display);
}

sd_bus *qemu_display_bus(const DisplaySource *source)
{
    return ((const QemuDisplay *) source)->bus;
}

DisplaySource *qemu_display_new(sd_event *event, int fd, unsigned heads, const DisplayHandlers *handlers, void *userdata)
{
    static const DisplayVerbs verbs = {
        .free = qemu_display_free,
        .key = key,
        .button = button,
        .move_to = move_to,
        .move_by = move_by,
        .resize = resize,
    };
    QemuDisplay *display = g_new0(QemuDisplay, 1);
    g_autoptr(DisplaySource) source = &display->source;
    source->verbs = &verbs;
    display->event = event;
    display->handlers = *handlers;
    display->userdata = userdata;
    display->consoles = g_new0(Console, heads);
    display->n_consoles = heads;
    if (qemu_connect(event, fd, SD_EVENT_PRIORITY_NORMAL, &display->bus) < 0 ||
        sd_bus_match_signal(display->bus, NULL, NULL, QEMU_LOCAL_PATH, QEMU_LOCAL_INTERFACE, "Disconnected", on_disconnected, display) < 0)
        return NULL;
    for (unsigned i = 0; i < heads; i++) {
        Console *console = &display->consoles[i];
        console->display = display;
        console->number = i;
        console->path = g_strdup_printf("/org/qemu/Display1/Console_%u", i);
        if (watch_properties(console) < 0 || !(console->listener = qemu_listener_new(event, display->bus, &listener_kind, console->path, console)))
            return NULL;
    }
    return g_steal_pointer(&source);
}
