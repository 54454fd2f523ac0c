/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A QEMU that says and draws the size of its screen in odd orders: what is shown at last is right, and it is not asked again without need. The other end is
 * a bus of this test's own, since no real QEMU can be told when to be late. */
#include "qemu-display.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "cleanup.h"

#define CONSOLE "/org/qemu/Display1/Console_0"
#define CONSOLE_INTERFACE "org.qemu.Display1.Console"
#define LISTENER "/org/qemu/Display1/Listener"
#define LISTENER_INTERFACE "org.qemu.Display1.Listener"
#define XRGB 0x20020888U

/* Longer than vmd-spice waits for what is said and what is drawn to be the same. */
#define SETTLED_MSEC 250

typedef struct Fixture {
    sd_event *event;
    sd_bus *qemu, *listener;
    uint32_t said_width, said_height;
    unsigned n_registered;
    DisplaySource *display;
    uint32_t width, height; /* what is shown */
    unsigned n_resized, n_drawn;
} Fixture;

/* ---- vmd-spice's side ---- */

static int on_scanout(unsigned number, uint32_t width, uint32_t height, const PictureSource *source, void *userdata)
{
    Fixture *f = userdata;
    f->width = width;
    f->height = height;
    f->n_drawn++;
    return 1;
}

static int on_resize(unsigned number, uint32_t width, uint32_t height, void *userdata)
{
    Fixture *f = userdata;
    if (width > PICTURE_BYTES_MAX / 4 / height)
        return -EINVAL;
    f->width = width;
    f->height = height;
    f->n_resized++;
    return 1;
}

static int on_update(unsigned number, const PictureRect *rect, const PictureSource *source, void *userdata)
{
    Fixture *f = userdata;
    if (rect->x + rect->width > f->width || rect->y + rect->height > f->height)
        return -ERANGE;
    f->n_drawn++;
    return 1;
}

static void on_device(unsigned number, const char *address, uint32_t output, void *userdata)
{
}

static void on_lost(void *userdata)
{
    g_assert_not_reached();
}

/* ---- QEMU's ---- */

static sd_bus *serve(Fixture *f, int fd)
{
    sd_bus *bus = NULL;
    sd_id128_t id;
    g_assert_cmpint(sd_id128_randomize(&id), >=, 0);
    g_assert_cmpint(sd_bus_new(&bus), >=, 0);
    g_assert_cmpint(sd_bus_set_fd(bus, fd, fd), >=, 0);
    g_assert_cmpint(sd_bus_set_server(bus, true, id), >=, 0);
    g_assert_cmpint(sd_bus_negotiate_fds(bus, true), >=, 0);
    g_assert_cmpint(sd_bus_start(bus), >=, 0);
    g_assert_cmpint(sd_bus_attach_event(bus, f->event, 0), >=, 0);
    return bus;
}

static int on_register(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Fixture *f = userdata;
    int fd;
    g_assert_cmpint(sd_bus_message_read_basic(m, 'h', &fd), >=, 0);
    sd_bus_close_unref(f->listener);
    f->listener = serve(f, fcntl(fd, F_DUPFD_CLOEXEC, 3));
    f->n_registered++;
    return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable console_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("RegisterListener", "h", NULL, on_register, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_PROPERTY("Width", "u", NULL, offsetof(Fixture, said_width), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Height", "u", NULL, offsetof(Fixture, said_height), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_VTABLE_END,
};

static void says(Fixture *f, uint32_t width, uint32_t height)
{
    f->said_width = width;
    f->said_height = height;
    g_assert_cmpint(sd_bus_emit_properties_changed(f->qemu, CONSOLE, CONSOLE_INTERFACE, "Width", "Height", NULL), >=, 0);
}

static sd_bus_message *begin_drawing(Fixture *f, const char *member)
{
    sd_bus_message *m = NULL;
    g_assert_cmpint(sd_bus_message_new_method_call(f->listener, &m, NULL, LISTENER, LISTENER_INTERFACE, member), >=, 0);
    return m;
}

/* So many pixels, of what has been said. */
static void end_drawing(Fixture *f, sd_bus_message *begun, uint32_t width, uint32_t height)
{
    g_autoptr(sd_bus_message) m = begun;
    g_autofree uint32_t *pixels = g_new0(uint32_t, (size_t) width * height);
    g_assert_cmpint(sd_bus_message_append(m, "uu", width * 4, XRGB), >=, 0);
    g_assert_cmpint(sd_bus_message_append_array(m, 'y', pixels, (size_t) width * height * 4), >=, 0);
    g_assert_cmpint(sd_bus_message_set_expect_reply(m, false), >=, 0);
    (void) sd_bus_send(f->listener, m, NULL); /* who has just hung up does not hear it */
}

static void draws(Fixture *f, uint32_t width, uint32_t height)
{
    sd_bus_message *m = begin_drawing(f, "Scanout");
    g_assert_cmpint(sd_bus_message_append(m, "uu", width, height), >=, 0);
    end_drawing(f, m, width, height);
}

static void draws_part(Fixture *f, int x, int y, uint32_t width, uint32_t height)
{
    sd_bus_message *m = begin_drawing(f, "Update");
    g_assert_cmpint(sd_bus_message_append(m, "iiii", x, y, (int) width, (int) height), >=, 0);
    end_drawing(f, m, width, height);
}

static void passes(const Fixture *f, unsigned msec)
{
    for (gint64 end = g_get_monotonic_time() + (gint64) msec * 1000, now; (now = g_get_monotonic_time()) < end;)
        g_assert_cmpint(sd_event_run(f->event, (uint64_t) (end - now)), >=, 0);
}

/* ---- both ---- */

static void set_up(Fixture *f, gconstpointer unused)
{
    static const DisplayHandlers handlers = {.scanout = on_scanout, .resize = on_resize, .update = on_update, .device = on_device, .lost = on_lost};
    int fds[2];
    g_assert_cmpint(sd_event_new(&f->event), >=, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    f->said_width = 64;
    f->said_height = 40;
    f->qemu = serve(f, fds[0]);
    g_assert_cmpint(sd_bus_add_object_vtable(f->qemu, NULL, CONSOLE, CONSOLE_INTERFACE, console_vtable, f), >=, 0);
    f->display = qemu_display_new(f->event, fds[1], 1, &handlers, f);
    g_assert_nonnull(f->display);
    passes(f, 100);
    g_assert_cmpuint(f->n_registered, ==, 1);
    draws(f, 64, 40);
    passes(f, SETTLED_MSEC);
    g_assert_cmpuint(f->n_drawn, ==, 1);
}

static void shows(const Fixture *f, uint32_t width, uint32_t height)
{
    g_assert_cmpuint(f->width, ==, width);
    g_assert_cmpuint(f->height, ==, height);
}

static void tear_down(Fixture *f, gconstpointer unused)
{
    display_source_free(f->display);
    sd_bus_close_unref(f->listener);
    sd_bus_close_unref(f->qemu);
    sd_event_unref(f->event);
}

static void is_said_before_it_is_drawn(Fixture *f, gconstpointer unused)
{
    says(f, 32, 20);
    passes(f, 50);
    draws(f, 32, 20);
    passes(f, SETTLED_MSEC);
    shows(f, 32, 20);
    g_assert_cmpuint(f->n_resized, ==, 0);
    g_assert_cmpuint(f->n_registered, ==, 1);
}

static void is_said_after_it_is_drawn(Fixture *f, gconstpointer unused)
{
    draws(f, 128, 80);
    passes(f, 50);
    says(f, 128, 80);
    passes(f, SETTLED_MSEC);
    shows(f, 128, 80);
    g_assert_cmpuint(f->n_resized, ==, 0);
    g_assert_cmpuint(f->n_registered, ==, 1);
}

static void a_smaller_one_is_drawn_by_its_parts(Fixture *f, gconstpointer unused)
{
    draws_part(f, 0, 0, 32, 10);
    draws_part(f, 0, 10, 32, 10);
    says(f, 32, 20);
    passes(f, SETTLED_MSEC);
    shows(f, 32, 20);
    g_assert_cmpuint(f->n_drawn, ==, 3);
    g_assert_cmpuint(f->n_registered, ==, 1);
}

static void a_larger_one_is_drawn_by_its_parts(Fixture *f, gconstpointer unused)
{
    for (int y = 0; y < 80; y += 10)
        draws_part(f, 0, y, 48, 10);
    passes(f, 20);
    says(f, 48, 80);
    passes(f, SETTLED_MSEC);
    shows(f, 48, 80);
    g_assert_cmpuint(f->n_drawn, ==, 9);
    g_assert_cmpuint(f->n_registered, ==, 1);
}

/* What is cut off in error is asked for. */
static void is_said_much_too_late(Fixture *f, gconstpointer unused)
{
    says(f, 32, 20);
    draws(f, 64, 40);
    passes(f, SETTLED_MSEC);
    shows(f, 32, 20);
    says(f, 64, 40);
    passes(f, SETTLED_MSEC + 250);
    g_assert_cmpuint(f->n_registered, ==, 2);
    draws(f, 64, 40);
    passes(f, SETTLED_MSEC);
    shows(f, 64, 40);
    g_assert_cmpuint(f->n_registered, ==, 2);
}

/* A part of what cannot be is not drawn, and the whole is asked for, but not without pause. */
static void a_part_is_nowhere(Fixture *f, gconstpointer unused)
{
    for (int i = 0; i < 10; i++) {
        draws_part(f, INT32_MAX, INT32_MAX, 1, 1);
        passes(f, 100);
    }
    shows(f, 64, 40);
    g_assert_cmpuint(f->n_registered, >=, 2);
    g_assert_cmpuint(f->n_registered, <=, 4);
    g_assert_cmpuint(f->n_drawn, ==, 1);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(Fixture *f, gconstpointer unused);
    } tests[] = {
        {"is-said-before-it-is-drawn", is_said_before_it_is_drawn},
        {"is-said-after-it-is-drawn", is_said_after_it_is_drawn},
        {"a-smaller-one-is-drawn-by-its-parts", a_smaller_one_is_drawn_by_its_parts},
        {"a-larger-one-is-drawn-by-its-parts", a_larger_one_is_drawn_by_its_parts},
        {"is-said-much-too-late", is_said_much_too_late},
        {"a-part-is-nowhere", a_part_is_nowhere},
    };
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/qemu-display/%s", tests[i].name);
        g_test_add(path, Fixture, NULL, set_up, tests[i].run, tear_down);
    }
    return g_test_run();
}
