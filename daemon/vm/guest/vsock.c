/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vsock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vhost.h>
#include <linux/vm_sockets.h>

#include "cleanup.h"
#include "manager.h"

#define DEVICE "/dev/vhost-vsock"
#define CID_MIN 3U
#define CID_MAX 0x7fffffffU
#define ATTEMPTS 64

/* The system's vmd has this one, a user's the one that is its uid further on; so a guest finds the vmd that comes after a crash. */
#define PORT 0x766d6431U

/* What systemd says is a few lines. Who says more, or nothing, or is connected more often than that, is not listened to. */
#define SAID_MAX 4096
#define SAY_USEC (10 * G_USEC_PER_SEC)
#define CONNECTIONS_OF_VM 4U

typedef struct Saying {
    VsockListener *listener;
    uint32_t cid;
    int fd;
    sd_event_source *io, *timer;
    GString *said;
} Saying;

struct VsockListener {
    Manager *manager;
    int fd;
    sd_event_source *io;
    GPtrArray *sayings;
};

static void saying_free(void *userdata)
{
    Saying *saying = userdata;
    sd_event_source_disable_unref(saying->io);
    sd_event_source_disable_unref(saying->timer);
    close_fd(&saying->fd);
    (void) g_string_free(saying->said, TRUE);
    g_free(saying);
}

static VM *find_vm(const Manager *manager, uint32_t cid)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, manager->vms);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        VM *vm = value;
        if (vm->instance && vm->instance->cid == cid)
            return vm;
    }
    return NULL;
}

void vm_set_booted(VM *vm, bool booted)
{
    if (!vm->instance || vm->instance->booted == booted)
        return;
    vm->instance->booted = booted;
    (void) instance_write_record(vm->instance, NULL);
    vm_changed(vm, "Booted", NULL);
}

/* ---- what is said ---- */

static void listen_to(const Saying *saying)
{
    g_auto(GStrv) lines = g_strsplit(saying->said->str, "\n", -1);
    VM *vm = find_vm(saying->listener->manager, saying->cid);
    if (vm && g_strv_contains((const char *const *) lines, "READY=1"))
        vm_set_booted(vm, true);
}

static int on_saying(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Saying *saying = userdata;
    char buffer[SAID_MAX];
    ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n > 0 && !memchr(buffer, '\0', (size_t) n) && saying->said->len + (size_t) n <= SAID_MAX) {
        g_string_append_len(saying->said, buffer, n);
        return 0;
    }
    if (n == 0)
        listen_to(saying);
    g_ptr_array_remove(saying->listener->sayings, saying);
    return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
    Saying *saying = userdata;
    listen_to(saying);
    g_ptr_array_remove(saying->listener->sayings, saying);
    return 0;
}

static unsigned count_of(const VsockListener *listener, uint32_t cid)
{
    unsigned n = 0;
    for (guint i = 0; i < listener->sayings->len; i++)
        n += ((const Saying *) listener->sayings->pdata[i])->cid == cid;
    return n;
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    VsockListener *listener = userdata;
    struct sockaddr_vm peer;
    socklen_t length = sizeof peer;
    fd_cleanup int connection = accept4(fd, (struct sockaddr *) &peer, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0 || length < sizeof peer || !find_vm(listener->manager, peer.svm_cid) || count_of(listener, peer.svm_cid) >= CONNECTIONS_OF_VM)
        return 0;
    Saying *saying = g_new0(Saying, 1);
    saying->listener = listener;
    saying->cid = peer.svm_cid;
    saying->fd = steal_fd(&connection);
    saying->said = g_string_new(NULL);
    g_ptr_array_add(listener->sayings, saying);
    sd_event *event = listener->manager->event;
    if (sd_event_add_io(event, &saying->io, saying->fd, EPOLLIN, on_saying, saying) < 0 ||
        sd_event_add_time_relative(event, &saying->timer, CLOCK_MONOTONIC, SAY_USEC, 0, on_timeout, saying) < 0)
        g_ptr_array_remove(listener->sayings, saying);
    return 0;
}

/* ---- the port ---- */

static uint32_t port_of(const Manager *manager)
{
    return PORT + (manager->user ? (uint32_t) getuid() : 0);
}

void vsock_free(VsockListener *listener)
{
    if (!listener)
        return;
    g_ptr_array_unref(listener->sayings);
    sd_event_source_disable_unref(listener->io);
    close_fd(&listener->fd);
    g_free(listener);
}

static int listen_for_all(Manager *manager)
{
    const struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port_of(manager)};
    fd_cleanup int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *) &address, sizeof address) < 0 || listen(fd, 64) < 0)
        return -errno;
    VsockListener *listener = g_new0(VsockListener, 1);
    int r = sd_event_add_io(manager->event, &listener->io, fd, EPOLLIN, on_connection, listener);
    listener->manager = manager;
    listener->sayings = g_ptr_array_new_with_free_func(saying_free);
    listener->fd = steal_fd(&fd);
    if (r < 0)
        vsock_free(listener);
    else
        manager->vsock = listener;
    return r;
}

/* The guest runs as well without it. */
static void ensure_listener(Manager *manager)
{
    int r = manager->vsock ? 0 : listen_for_all(manager);
    if (r < 0)
        g_warning("no guest can say that it has booted: port %u of vsock: %s", port_of(manager), g_strerror(-r));
}

void vsock_recover(Manager *manager)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, manager->vms);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (((const VM *) value)->instance && ((const VM *) value)->instance->cid > 0)
            return ensure_listener(manager);
}

/* ---- the device ---- */

/* The same for each start, where it is free: what has been saved finds it again. */
static uint32_t choose_cid(const VM *vm, unsigned attempt)
{
    uint64_t n = attempt;
    for (size_t i = 0; i < sizeof vm->uuid.bytes; i++)
        n = n * 131 + vm->uuid.bytes[i];
    return CID_MIN + (uint32_t) (n % (CID_MAX - CID_MIN));
}

static int set_cid(int fd, uint64_t cid)
{
    return ioctl(fd, VHOST_VSOCK_SET_GUEST_CID, &cid) < 0 ? -errno : 0;
}

bool vsock_open(Instance *instance, const Settings *settings, MachineParts *parts, Error **ret_error)
{
    if (!settings_get_bool(settings, "VM", "VSock"))
        return true;
    const char *from = settings_origin(settings, "VM", "VSock");
    fd_cleanup int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(ret_error, errno, from, "VSock=yes needs " DEVICE " (modprobe vhost_vsock), which cannot be opened");
    uint32_t wish = (uint32_t) settings_get_number(settings, "VM", "VSockCID"), cid = wish;
    int r = -EADDRINUSE;
    for (unsigned attempt = 0; r == -EADDRINUSE && attempt < (wish > 0 ? 1 : ATTEMPTS); attempt++) {
        if (wish == 0)
            cid = choose_cid(instance->vm, attempt);
        r = set_cid(fd, cid);
    }
    if (r == -EADDRINUSE && wish > 0)
        return error_set(ret_error, ERROR_IN_USE, settings_origin(settings, "VM", "VSockCID"), "Remove VSockCID=, and a free one is taken",
            "another VM has the CID %u", wish);
    if (r < 0)
        return error_set_errno(ret_error, r, from, "the guest cannot be given a CID");
    ensure_listener(instance->vm->manager);
    instance->cid = parts->vsock_cid = cid;
    parts->vsock_port = port_of(instance->vm->manager);
    parts->vsock_fd = steal_fd(&fd);
    vm_changed(instance->vm, "VSockCID", NULL);
    return true;
}
