/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vmd-spice: see spice-protocol.h. This is where the rooms beside it meet: what QEMU shows (display-source.h) is drawn on heads (head.h), what clients do
 * (input.h) is told to QEMU, devices are ports (qemu-port.h), and vmd says who may look (contact.h). */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <spice.h>
#include <systemd/sd-event.h>

#include "cleanup.h"
#include "contact.h"
#include "core.h"
#include "display-source.h"
#include "guard.h"
#include "head.h"
#include "input.h"
#include "qemu-display.h"
#include "qemu-port.h"
#include "qemu-sound.h"
#include "spice-protocol.h"
#include "vnc-display.h"

#define EXIT_USAGE GUARD_EXIT_USAGE

/* spice-server wants a port for TLS, in a network namespace with nobody in it. */
#define TLS_PORT 5900

/* What a client wants of all the screens comes within this, and is asked of QEMU at once: of two of its events in a row virtio-gpu's driver may lose the second. */
#define WISHES_USEC 100000

/* What a larger screen needed, or a client that has left, goes back to the kernel so long afterwards; malloc would keep it. */
#define TRIM_USEC 2000000

typedef struct Wish {
    bool made;
    uint32_t width, height;
} Wish;

typedef struct Bridge {
    int listen_fd;
    const char *name;
    char **port_names;
    unsigned n_heads;
    bool clipboard, files, sounds, tls;
    DisplaySourceNew display_new;

    sd_event *event;
    SpiceServer *server;
    Contact *contact;
    DisplaySource *display; /* NULL: vmd has not given it, or QEMU has left */
    Sound *sound;          /* NULL: this QEMU has none */
    QemuSound *qemu_sound; /* while there is a display, and a sound */
    Input *input;
    Head *heads[SPICE_HEADS_MAX];
    Wish wishes[SPICE_HEADS_MAX]; /* for how large each is to be */
    sd_event_source *wishing;     /* until QEMU is asked; NULL: there is no wish */
    struct {
        uint32_t width, height;
    } sizes[SPICE_HEADS_MAX];
    sd_event_source *trimming; /* NULL: nothing has become less */
    GPtrArray *ports; /* Port */
} Bridge;

/* spice-server's core interface knows of one loop; this is its. */
static Bridge bridge = {.listen_fd = -1, .name = "", .n_heads = 1, .clipboard = true, .files = true, .display_new = qemu_display_new};

/* ---- memory ---- */

static int on_trim(sd_event_source *source, uint64_t usec, void *userdata)
{
    bridge.trimming = sd_event_source_disable_unref(bridge.trimming);
    (void) malloc_trim(0);
    return 0;
}

static void trim_soon(void)
{
    if (!bridge.trimming)
        (void) sd_event_add_time_relative(bridge.event, &bridge.trimming, CLOCK_MONOTONIC, TRIM_USEC, 0, on_trim, NULL);
}

/* ---- QEMU's display ---- */

static void has_size(unsigned number, uint32_t width, uint32_t height)
{
    if (number == 0)
        input_set_size(bridge.input, width, height);
    if (bridge.sizes[number].width == width && bridge.sizes[number].height == height)
        return;
    bridge.sizes[number].width = width;
    bridge.sizes[number].height = height;
    trim_soon();
}

static int on_scanout(unsigned number, uint32_t width, uint32_t height, const PictureSource *source, void *userdata)
{
    has_size(number, width, height);
    return head_scanout(bridge.heads[number], width, height, source);
}

static int on_resize(unsigned number, uint32_t width, uint32_t height, void *userdata)
{
    has_size(number, width, height);
    return head_resize(bridge.heads[number], width, height);
}

static int on_update(unsigned number, const PictureRect *rect, const PictureSource *source, void *userdata)
{
    return head_update(bridge.heads[number], rect, source);
}

static void on_disable(unsigned number, void *userdata)
{
    head_disable(bridge.heads[number]);
}

static int on_cursor(unsigned number, uint32_t width, uint32_t height, uint32_t hot_x, uint32_t hot_y, const void *data, size_t size, void *userdata)
{
    return head_define_cursor(bridge.heads[number], width, height, hot_x, hot_y, data, size);
}

static void on_place_cursor(unsigned number, int x, int y, bool visible, void *userdata)
{
    head_place_cursor(bridge.heads[number], x, y, visible);
}

static void on_device(unsigned number, const char *address, uint32_t output, void *userdata)
{
    head_set_device(bridge.heads[number], address, output);
}

static void on_absolute(bool absolute, void *userdata)
{
    input_set_absolute(bridge.input, absolute);
}

static void on_leds(uint32_t leds, void *userdata)
{
    input_set_leds(bridge.input, leds);
}

static void leave_qemu(void)
{
    g_clear_pointer(&bridge.qemu_sound, qemu_sound_free);
    g_clear_pointer(&bridge.display, display_source_free);
}

static void on_lost(void *userdata)
{
    leave_qemu();
    contact_say(bridge.contact, "display-lost");
}

/* ---- what clients do ---- */

static void on_key(uint32_t key, bool down, void *userdata)
{
    if (bridge.display)
        bridge.display->verbs->key(bridge.display, key, down);
}

static void on_button(uint32_t button, bool down, void *userdata)
{
    if (bridge.display)
        bridge.display->verbs->button(bridge.display, 0, button, down);
}

static void on_move_to(uint32_t x, uint32_t y, void *userdata)
{
    if (bridge.display)
        bridge.display->verbs->move_to(bridge.display, 0, x, y);
}

static void on_move_by(int dx, int dy, void *userdata)
{
    if (bridge.display)
        bridge.display->verbs->move_by(bridge.display, 0, dx, dy);
}

static int on_wishes(sd_event_source *source, uint64_t usec, void *userdata)
{
    bridge.wishing = sd_event_source_disable_unref(bridge.wishing);
    for (unsigned i = 0; i < bridge.n_heads; i++) {
        Wish wish = bridge.wishes[i];
        bridge.wishes[i].made = false;
        if (wish.made && bridge.display)
            bridge.display->verbs->resize(bridge.display, i, wish.width, wish.height);
    }
    return 0;
}

static void on_wanted(unsigned number, uint32_t width, uint32_t height, void *userdata)
{
    bridge.wishes[number] = (Wish) {.made = true, .width = width, .height = height};
    if (!bridge.wishing)
        (void) sd_event_add_time_relative(bridge.event, &bridge.wishing, CLOCK_MONOTONIC, WISHES_USEC, 0, on_wishes, NULL);
}

/* ---- who they are ---- */

static const char *or_none(const char *text)
{
    return text[0] ? text : "-";
}

/* One of a network has a host and a port; one that vmd has made is bound to a name. */
static void on_channel_event(int event, SpiceChannelEventInfo *info)
{
    char host[NI_MAXHOST] = "", port[NI_MAXSERV] = "";
    const struct sockaddr_un *local = (const struct sockaddr_un *) (const void *) &info->laddr_ext;
    const char *address = local->sun_family == AF_UNIX && info->llen_ext > offsetof(struct sockaddr_un, sun_path) ? local->sun_path : "";
    int family = info->paddr_ext.ss_family;
    if (event == SPICE_CHANNEL_EVENT_DISCONNECTED)
        trim_soon();
    if (event == SPICE_CHANNEL_EVENT_CONNECTED || !bridge.contact)
        return;
    if (family == AF_INET || family == AF_INET6)
        (void) getnameinfo((const struct sockaddr *) &info->paddr_ext, info->plen_ext, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    contact_say(bridge.contact, "%s %s %s %s %d", event == SPICE_CHANNEL_EVENT_INITIALIZED ? "initialized" : "disconnected", or_none(address), or_none(host),
        or_none(port), info->connection_id);
}

/* ---- vmd ---- */

static bool say_display(char **words, int *fd)
{
    static const DisplayHandlers handlers = {
        .scanout = on_scanout,
        .resize = on_resize,
        .update = on_update,
        .disable = on_disable,
        .define_cursor = on_cursor,
        .place_cursor = on_place_cursor,
        .device = on_device,
        .absolute = on_absolute,
        .leds = on_leds,
        .lost = on_lost,
    };
    leave_qemu();
    bridge.display = bridge.display_new(bridge.event, steal_fd(fd), bridge.n_heads, &handlers, NULL);
    if (bridge.display && bridge.sound && bridge.display_new == qemu_display_new)
        bridge.qemu_sound = qemu_sound_new(bridge.event, qemu_display_bus(bridge.display), bridge.sound);
    return bridge.display;
}

static bool say_client(char **words, int *fd)
{
    if (spice_server_add_client(bridge.server, *fd, true) >= 0)
        *fd = -1;
    return true;
}

static bool say_stranger(char **words, int *fd)
{
    if (bridge.tls && spice_server_add_ssl_client(bridge.server, *fd, false) >= 0)
        *fd = -1;
    return bridge.tls;
}

static bool say_password(char **words, int *fd)
{
    char *end;
    unsigned long seconds = strtoul(words[1], &end, 10);
    return *end == '\0' && seconds > 0 && seconds < INT32_MAX && spice_server_set_ticket(bridge.server, words[2], (int) seconds, 0, 0) == 0;
}

static Port *find_port(const char *name)
{
    for (guint i = 0; i < bridge.ports->len; i++)
        if (g_str_equal(port_name(bridge.ports->pdata[i]), name))
            return bridge.ports->pdata[i];
    return NULL;
}

static bool say_port(char **words, int *fd)
{
    Port *port = find_port(words[1]);
    if (port)
        port_set_open(port, g_str_equal(words[2], "1"));
    return true;
}

static bool say_socket(char **words, int *fd)
{
    Port *port = find_port(words[1]);
    if (port)
        port_connected(port, steal_fd(fd));
    return port;
}

static bool say_no_socket(char **words, int *fd)
{
    Port *port = find_port(words[1]);
    if (port)
        port_connected(port, -1);
    return port;
}

static bool say_ping(char **words, int *fd)
{
    for (guint i = 0; i < bridge.ports->len; i++)
        port_remind(bridge.ports->pdata[i]);
    contact_say(bridge.contact, "pong %s", words[1]);
    return true;
}

static bool on_message(char **words, int *fd, void *userdata)
{
    static const struct {
        const char *word;
        guint n; /* words that follow */
        bool fd;
        bool (*say)(char **words, int *fd);
    } messages[] = {
        {"display", 0, true, say_display},
        {"client", 0, true, say_client},
        {"stranger", 0, true, say_stranger},
        {"password", 2, false, say_password},
        {"port", 2, false, say_port},
        {"socket", 1, true, say_socket},
        {"no-socket", 1, false, say_no_socket},
        {"ping", 1, false, say_ping},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(messages); i++)
        if (g_str_equal(words[0], messages[i].word))
            return g_strv_length(words) == messages[i].n + 1 && (*fd >= 0) == messages[i].fd && messages[i].say(words, fd);
    return false;
}

/* ---- its beginning ---- */

static bool parse_number(const char *text, unsigned min, unsigned max, unsigned *ret)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < min || value > max)
        return false;
    *ret = (unsigned) value;
    return true;
}

static bool parse_fd(const char *text, int *ret)
{
    unsigned fd;
    if (!parse_number(text, 3, INT32_MAX, &fd) || fcntl((int) fd, F_SETFD, FD_CLOEXEC) < 0)
        return false;
    *ret = (int) fd;
    return true;
}

static bool parse_boolean(const char *text, bool *ret)
{
    *ret = g_str_equal(text, "yes");
    return *ret || g_str_equal(text, "no");
}

static bool parse_source(const char *text, DisplaySourceNew *ret)
{
    static const struct {
        const char *word;
        DisplaySourceNew display_new;
    } sources[] = {{"dbus", qemu_display_new}, {"vnc", vnc_display_new}};
    size_t i = 0;
    while (i < G_N_ELEMENTS(sources) && !g_str_equal(text, sources[i].word))
        i++;
    if (i < G_N_ELEMENTS(sources))
        *ret = sources[i].display_new;
    return i < G_N_ELEMENTS(sources);
}

static bool parse_option(int option, const char *value)
{
    switch (option) {
    case 'l':
        return parse_fd(value, &bridge.listen_fd);
    case 'p':
        g_strfreev(bridge.port_names);
        bridge.port_names = g_strsplit(value, ",", -1);
        return true;
    case 'n':
        bridge.name = value;
        return true;
    case 'h':
        return parse_number(value, 1, SPICE_HEADS_MAX, &bridge.n_heads);
    case 's':
        return parse_source(value, &bridge.display_new);
    case 'c':
        return parse_boolean(value, &bridge.clipboard);
    case 'f':
        return parse_boolean(value, &bridge.files);
    case 'a':
        return parse_boolean(value, &bridge.sounds);
    case 't':
        return parse_boolean(value, &bridge.tls);
    }
    return false;
}

static bool parse_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"ports", required_argument, NULL, 'p'},
        {"name", required_argument, NULL, 'n'},
        {"heads", required_argument, NULL, 'h'},
        {"source", required_argument, NULL, 's'},
        {"clipboard", required_argument, NULL, 'c'},
        {"files", required_argument, NULL, 'f'},
        {"sound", required_argument, NULL, 'a'},
        {"tls", required_argument, NULL, 't'},
        {0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
        if (!parse_option(option, optarg ?: ""))
            return false;
    return optind == argc && bridge.listen_fd >= 0 && bridge.port_names;
}

static bool start_server(void)
{
    SpiceServer *server = bridge.server = spice_server_new();
    spice_server_set_name(server, bridge.name);
    spice_server_set_addr(server, "", 0);
    spice_server_set_agent_copypaste(server, bridge.clipboard);
    spice_server_set_agent_file_xfer(server, bridge.files);
    spice_server_set_streaming_video(server, SPICE_STREAM_VIDEO_FILTER);
    if (!bridge.tls)
        spice_server_set_noauth(server);
    else if (spice_server_set_tls(server, TLS_PORT, GUARD_TLS "/ca-cert.pem", GUARD_TLS "/server-cert.pem", GUARD_TLS "/server-key.pem", NULL, NULL, NULL) < 0)
        return false;
    if (spice_server_init(server, core_interface(bridge.event, on_channel_event)) < 0)
        return false;
    for (unsigned i = 0; i < bridge.n_heads; i++)
        if (!(bridge.heads[i] = head_new(bridge.event, server, i, on_wanted, NULL)))
            return false;
    if (bridge.sounds && !(bridge.sound = sound_new(server)))
        return false;
    const InputHandlers handlers = {.key = on_key, .button = on_button, .move_to = on_move_to, .move_by = on_move_by};
    bridge.input = input_new(server, &handlers, NULL);
    return bridge.input;
}

static void ask_for_socket(const char *name)
{
    if (bridge.contact)
        contact_say(bridge.contact, "wants %s", name);
}

static PortKind port_kind(const char *name)
{
    return g_str_equal(name, SPICE_SOCKET_AGENT) ? PORT_AGENT : g_str_equal(name, SPICE_SOCKET_FILES) ? PORT_FILES : PORT_USB;
}

static bool add_ports(void)
{
    bridge.ports = g_ptr_array_new_with_free_func((GDestroyNotify) port_free);
    for (char **name = bridge.port_names; *name; name++) {
        Port *port = port_new(bridge.event, bridge.server, port_kind(*name), *name, ask_for_socket);
        if (!port)
            return false;
        g_ptr_array_add(bridge.ports, port);
    }
    return true;
}

/* Of its own accord it never ends. */
static void stop(void)
{
    leave_qemu();
    g_clear_pointer(&bridge.contact, contact_free);
    g_clear_pointer(&bridge.ports, g_ptr_array_unref);
    g_clear_pointer(&bridge.port_names, g_strfreev);
    for (unsigned i = 0; i < bridge.n_heads; i++)
        head_free(bridge.heads[i]);
    input_free(bridge.input);
    sound_free(bridge.sound);
    if (bridge.server)
        spice_server_destroy(bridge.server);
    sd_event_source_disable_unref(bridge.wishing);
    sd_event_source_disable_unref(bridge.trimming);
    sd_event_unref(bridge.event);
}

int main(int argc, char **argv)
{
    sigset_t term;
    if (!parse_options(argc, argv)) {
        fprintf(stderr, "vmd-spice: wrong options; vmd starts it\n");
        return EXIT_USAGE;
    }
    (void) sigemptyset(&term);
    (void) sigaddset(&term, SIGTERM);
    (void) sigprocmask(SIG_BLOCK, &term, NULL);
    (void) signal(SIGPIPE, SIG_IGN);
    int r = sd_event_new(&bridge.event);
    if (r >= 0)
        r = sd_event_add_signal(bridge.event, NULL, SIGTERM, NULL, NULL);
    if (r < 0 || !start_server() || !add_ports() || !(bridge.contact = contact_new(bridge.event, bridge.listen_fd, on_message, NULL))) {
        fprintf(stderr, "vmd-spice: the SPICE server cannot be started\n");
        return EXIT_FAILURE;
    }
    spice_server_vm_start(bridge.server);
    r = sd_event_loop(bridge.event);
    stop();
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
