/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "instance.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "bridge.h"
#include "cleanup.h"
#include "control.h"
#include "guard.h"
#include "guest.h"
#include "guest-act.h"
#include "helpers.h"
#include "keyboard.h"
#include "last-run.h"
#include "manager.h"
#include "passthrough.h"
#include "plugs.h"
#include "redirections.h"
#include "port.h"
#include "quiesce.h"
#include "scale.h"
#include "display-listen.h"
#include "display.h"
#include "statistics.h"
#include "steps.h"
#include "trays.h"

/* QEMU that was killed is gone in milliseconds; what is left after this is killed with the whole cgroup. */
#define KILL_GRACE_USEC (2 * G_USEC_PER_SEC)

/* A status file holds at most GUARD_OUTPUT_MAX bytes, each escaped to four; what is larger is not ours. */
#define STATUS_MAX (64 * 1024)

#define RECORD_GROUP "Instance"

Instance *instance_new(VM *vm, Error **ret_error)
{
    g_autofree char *dir = vm_instance_dir(vm);
    dirs_remove(dir);
    if (mkdir(dir, 0700) < 0) {
        error_set_errno(ret_error, errno, dir, "the run-time folder cannot be made");
        return NULL;
    }
    Instance *instance = g_new0(Instance, 1);
    instance->vm = vm;
    instance->dir = g_steal_pointer(&dir);
    instance->uid = (uid_t) -1;
    instance->guard_pidfd = -1;
    instance->images = g_array_new(FALSE, FALSE, sizeof(ImageIdentity));
    instance->waiters = g_array_new(FALSE, FALSE, sizeof(Waiter));
    last_run_forget(vm);
    return instance;
}

void instance_free(Instance *instance, bool remove)
{
    if (!instance)
        return;
    if (remove) {
        ports_close_of_vm(instance->vm->manager, instance->vm->name);
        passthrough_give_back(instance->vm->manager, instance->vm->name);
        bridge_remove(instance);
        dirs_remove(instance->dir);
    }
    sd_event_source_disable_unref(instance->guard_end);
    sd_event_source_disable_unref(instance->kill_timer);
    close_fd(&instance->guard_pidfd);
    bridge_free(g_steal_pointer(&instance->bridge));
    bridge_set_password(instance, NULL, 0);
    display_listener_free(g_steal_pointer(&instance->listener), remove);
    displays_free(g_steal_pointer(&instance->displays), remove);
    keyboard_free(g_steal_pointer(&instance->keyboard));
    statistics_free(g_steal_pointer(&instance->statistics));
    scale_free(g_steal_pointer(&instance->scale));
    guest_acts_break(instance);
    guest_hold_break(instance);
    freezer_free(instance->freezer);
    guest_free(instance->guest);
    g_clear_pointer(&instance->guest_acts, g_ptr_array_unref);
    trays_free(instance->trays);
    usb_free_plugs(instance);
    redirections_free(g_steal_pointer(&instance->redirections));
    helpers_free(instance->helpers);
    recovery_free(g_steal_pointer(&instance->recovery));
    qmp_free(instance->qmp);
    g_free(instance->dir);
    g_free(instance->helpers_record);
    g_free(instance->listen_record);
    g_free(instance->hotplug_section);
    g_free(instance->accelerator_reason);
    g_free(instance->binary);
    g_free(instance->root);
    g_free(instance->folder);
    qemu_tree_unref(instance->tree);
    g_free(instance->version);
    g_free(instance->machine);
    g_array_free(instance->images, TRUE);
    g_array_free(instance->waiters, TRUE);
    g_free(instance);
}

static int on_guard_end(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Instance *instance = userdata;
    (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
    vm_instance_ended(instance->vm);
    return 0;
}

int instance_watch_guard(Instance *instance, pid_t pid, int pidfd)
{
    instance->guard = pid;
    instance->guard_pidfd = pidfd;
    /* The guard is systemd's child, not ours: its pidfd is polled, never waited for. */
    int r = sd_event_add_io(instance->vm->manager->event, &instance->guard_end, pidfd, EPOLLIN, on_guard_end, instance);
    if (r < 0)
        return r;
    /* After the monitor, so that its last events are read first. */
    return sd_event_source_set_priority(instance->guard_end, SD_EVENT_PRIORITY_NORMAL + 10);
}

bool instance_guard_is_gone(const Instance *instance)
{
    struct pollfd end = {.fd = instance->guard_pidfd, .events = POLLIN};
    return poll(&end, 1, 0) > 0;
}

/* The folder's name can be longer than a socket address: go through a descriptor of it, which is `ret_dir`. */
static int make_socket(const char *dir_path, const char *name, int type, struct sockaddr_un *ret, int *ret_dir)
{
    *ret_dir = open(dir_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*ret_dir < 0)
        return -errno;
    *ret = (struct sockaddr_un) {.sun_family = AF_UNIX};
    (void) snprintf(ret->sun_path, sizeof ret->sun_path, "/proc/self/fd/%d/%s", *ret_dir, name);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

int instance_connect(const Instance *instance, const char *name, int type)
{
    struct sockaddr_un address;
    fd_cleanup int dir = -1, fd = make_socket(instance->dir, name, type | SOCK_NONBLOCK, &address, &dir);
    if (fd < 0)
        return fd;
    if (connect(fd, (struct sockaddr *) &address, sizeof address) < 0)
        return -errno;
    return steal_fd(&fd);
}

int instance_listen(const char *dir_path, const char *name, int type)
{
    struct sockaddr_un address;
    fd_cleanup int dir = -1, fd = make_socket(dir_path, name, type, &address, &dir);
    if (fd < 0)
        return fd;
    if (bind(fd, (struct sockaddr *) &address, sizeof address) < 0 || listen(fd, 8) < 0)
        return -errno;
    return steal_fd(&fd);
}

int instance_connect_monitor(Instance *instance)
{
    int fd = instance_connect(instance, "monitor", SOCK_STREAM);
    return fd < 0 ? fd : qmp_new(instance->vm->manager->event, fd, &instance_qmp_handlers, instance, &instance->qmp);
}

static char *record_images(const Instance *instance)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < instance->images->len; i++) {
        const ImageIdentity *image = &g_array_index(instance->images, ImageIdentity, i);
        g_string_append_printf(text, "%s%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT ":%d:%s", i > 0 ? " " : "", image->dev, image->inode,
            image->read_only, image->disk);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void read_images(Instance *instance, const char *text)
{
    g_auto(GStrv) words = g_strsplit(text ? text : "", " ", -1);
    for (size_t i = 0; words[i]; i++) {
        ImageIdentity image = {.dev = 0};
        int read_only;
        if (sscanf(words[i], "%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT ":%d:%32s", &image.dev, &image.inode, &read_only, image.disk) < 3)
            continue;
        image.read_only = read_only;
        g_array_append_val(instance->images, image);
    }
}

char *instance_settings_path(const Instance *instance)
{
    return g_build_filename(instance->dir, "settings", NULL);
}

bool instance_write_record(const Instance *instance, Error **ret_error)
{
    g_autoptr(GKeyFile) record = g_key_file_new();
    g_autofree char *images = record_images(instance), *helpers = helpers_record(instance->helpers), *usb = usb_record(instance);
    g_autofree char *redirections = redirections_record(instance);
    const VM *vm = instance->vm;
    const struct {
        const char *key, *value;
    } strings[] = {
        {"Binary", instance->binary}, {"Root", instance->root}, {"Tree", instance->folder}, {"Version", instance->version}, {"Machine", instance->machine},
        {"AcceleratorReason", instance->accelerator_reason}, {"Images", images}, {"Helpers", helpers}, {"USB", usb}, {"Redirections", redirections}, {"SPICE", instance->spice > MACHINE_SPICE_QEMU ? machine_spice_to_string(instance->spice) : NULL}, {"Listen", instance->listen_record}, {"Hotplug", instance->hotplug_section}, {"Description", vm->description},
        {"State", vm_state_to_string(vm->state)}, {"Reason", vm_reason_to_string(vm->reason)}, {"Message", vm->message},
    };
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {
        {"Guard", (uint64_t) instance->guard}, {"Uid", instance->uid}, {"Kvm", instance->kvm}, {"StopTimeout", instance->stop_timeout},
        {"PressInterval", instance->press_interval}, {"TerminateAtTimeout", instance->terminate_at_timeout},
        {"Console", instance->console}, {"VSockCID", instance->cid}, {"Booted", instance->booted}, {"Replugged", instance->replugged}, {"Pinned", instance->pinned}, {"Frozen", instance->frozen}, {"HotplugAttaches", instance->hotplug_attaches}, {"CPUs", vm->cpus}, {"Memory", vm->memory}, {"CPUsMax", vm->cpus_max}, {"MemoryMax", vm->memory_max}, {"Since", vm->since},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(strings); i++)
        if (strings[i].value)
            g_key_file_set_string(record, RECORD_GROUP, strings[i].key, strings[i].value);
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
        g_key_file_set_uint64(record, RECORD_GROUP, numbers[i].key, numbers[i].value);
    char uuid[SD_ID128_STRING_MAX];
    g_key_file_set_string(record, RECORD_GROUP, "UUID", sd_id128_to_string(vm->uuid, uuid));

    g_autofree char *path = g_build_filename(instance->dir, "record", NULL);
    g_autofree char *text = g_key_file_to_data(record, NULL, NULL);
    /* On a tmpfs that a crash of the host takes along: whole files matter here, fsync does not. */
    g_autoptr(GError) error = NULL;
    if (!g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &error))
        return error_set(ret_error, ERROR_FAILED, path, NULL, "it cannot be written: %s", error->message);
    return true;
}

bool instance_read_record(Instance *instance, Error **ret_error)
{
    VM *vm = instance->vm;
    g_autoptr(GKeyFile) record = g_key_file_new();
    g_autofree char *path = g_build_filename(instance->dir, "record", NULL);
    g_autoptr(GError) error = NULL;
    if (!g_key_file_load_from_file(record, path, G_KEY_FILE_NONE, &error))
        return error_set(ret_error, ERROR_FAILED, path, NULL, "it cannot be read: %s", error->message);

#define RECORD_STRING(key) g_key_file_get_string(record, RECORD_GROUP, key, NULL)
#define RECORD_NUMBER(key) g_key_file_get_uint64(record, RECORD_GROUP, key, NULL)
    instance->binary = RECORD_STRING("Binary");
    instance->root = RECORD_STRING("Root");
    instance->folder = RECORD_STRING("Tree");
    instance->version = RECORD_STRING("Version");
    instance->machine = RECORD_STRING("Machine");
    instance->accelerator_reason = RECORD_STRING("AcceleratorReason");
    instance->guard = (pid_t) RECORD_NUMBER("Guard");
    instance->uid = (uid_t) RECORD_NUMBER("Uid");
    instance->kvm = RECORD_NUMBER("Kvm");
    instance->stop_timeout = RECORD_NUMBER("StopTimeout");
    instance->press_interval = RECORD_NUMBER("PressInterval");
    instance->terminate_at_timeout = RECORD_NUMBER("TerminateAtTimeout");
    instance->console = RECORD_NUMBER("Console");
    instance->cid = (uint32_t) RECORD_NUMBER("VSockCID");
    instance->booted = RECORD_NUMBER("Booted");
    instance->replugged = RECORD_NUMBER("Replugged");
    instance->pinned = RECORD_NUMBER("Pinned");
    instance->frozen = RECORD_NUMBER("Frozen");
    instance->listen_record = RECORD_STRING("Listen");
    g_autofree char *spice = RECORD_STRING("SPICE");
    instance->spice = spice ? machine_spice_from_string(spice) : MACHINE_SPICE_QEMU;
    instance->helpers_record = RECORD_STRING("Helpers");
    instance->hotplug_section = RECORD_STRING("Hotplug");
    instance->hotplug_attaches = RECORD_NUMBER("HotplugAttaches");
    g_autofree char *images = RECORD_STRING("Images");
    read_images(instance, images);
    g_autofree char *usb = RECORD_STRING("USB");
    usb_read_record(instance, usb);
    g_autofree char *redirections = RECORD_STRING("Redirections");
    redirections_read_record(instance, redirections);

    g_free(vm->description);
    vm->description = RECORD_STRING("Description");
    vm->cpus = (uint32_t) RECORD_NUMBER("CPUs");
    vm->memory = RECORD_NUMBER("Memory");
    vm->cpus_max = MAX(vm->cpus, (uint32_t) RECORD_NUMBER("CPUsMax"));
    vm->memory_max = MAX(vm->memory, RECORD_NUMBER("MemoryMax"));
    vm->since = RECORD_NUMBER("Since");
    g_autofree char *state = RECORD_STRING("State"), *reason = RECORD_STRING("Reason");
    vm->state = state ? vm_state_from_string(state) : VM_STARTING;
    vm->reason = vm_reason_from_string(reason);
    g_free(vm->message);
    vm->message = RECORD_STRING("Message");
    g_autofree char *uuid = RECORD_STRING("UUID");
    if (!uuid || sd_id128_from_string(uuid, &vm->uuid) < 0 || instance->guard <= 1)
        return error_set(ret_error, ERROR_FAILED, path, NULL, "it is not whole");
#undef RECORD_STRING
#undef RECORD_NUMBER
    return true;
}

GKeyFile *instance_read_status(const Instance *instance, const char *name)
{
    g_autofree char *path = g_build_filename(instance->dir, name, NULL), *text = NULL;
    gsize length;
    g_autoptr(GKeyFile) status = g_key_file_new();
    struct stat st;
    if (stat(path, &st) < 0 || st.st_size > STATUS_MAX || !g_file_get_contents(path, &text, &length, NULL) ||
        !g_key_file_load_from_data(status, text, length, G_KEY_FILE_NONE, NULL))
        return NULL;
    return g_steal_pointer(&status);
}

pid_t instance_read_qemu(Instance *instance)
{
    if (instance->qemu > 0)
        return instance->qemu;
    g_autoptr(GKeyFile) status = instance_read_status(instance, "status");
    if (status)
        instance->qemu = g_key_file_get_integer(status, GUARD_STATUS_GROUP, "Pid", NULL);
    return instance->qemu;
}

void instance_read_end(Instance *instance, InstanceEnd *ret)
{
    g_autoptr(GKeyFile) status = instance_read_status(instance, "status");
    *ret = (InstanceEnd){.code = -1};
    if (status && g_key_file_has_key(status, GUARD_STATUS_GROUP, "Ended", NULL)) {
        g_autoptr(GError) error = NULL;
        ret->known = true;
        ret->code = g_key_file_get_integer(status, GUARD_STATUS_GROUP, "Code", &error);
        if (error)
            ret->code = -1;
        ret->signal = g_key_file_get_integer(status, GUARD_STATUS_GROUP, "Signal", NULL);
        ret->panicked = g_key_file_has_key(status, GUARD_STATUS_GROUP, "Panicked", NULL);
        ret->reason = g_key_file_get_value(status, GUARD_STATUS_GROUP, "Reason", NULL);
        g_autofree char *output = g_key_file_get_value(status, GUARD_STATUS_GROUP, "Output", NULL);
        ret->output = output ? g_strcompress(output) : NULL;
    }
    ret->reason = ret->reason ?: g_strdup("");
    ret->output = ret->output ?: g_strdup("");
    ret->helper = helpers_why_failed(instance->helpers);
}

void instance_end_clear(InstanceEnd *end)
{
    g_free(end->reason);
    g_free(end->output);
    g_free(end->helper);
}

/* QEMU's parent is the guard for as long as its PID means QEMU. */
static bool is_child_of(pid_t pid, pid_t parent)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int) pid), *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return false;
    const char *after_name = strrchr(text, ')');
    int ppid;
    return after_name && sscanf(after_name + 1, " %*c %d", &ppid) == 1 && ppid == parent;
}

static void kill_all(Instance *instance)
{
    g_autofree char *unit = vm_scope(instance->vm);
    fd_cleanup int cgroup = scope_cgroup_open(instance->vm->manager->scopes, unit);
    if (cgroup < 0 || scope_cgroup_kill(cgroup) < 0)
        (void) syscall(SYS_pidfd_send_signal, instance->guard_pidfd, SIGKILL, NULL, 0);
}

static int on_kill_grace(sd_event_source *source, uint64_t usec, void *userdata)
{
    kill_all(userdata);
    return 0;
}

void instance_kill(Instance *instance)
{
    instance->terminating = true;
    (void) syscall(SYS_pidfd_send_signal, instance->guard_pidfd, SIGUSR1, NULL, 0);

    pid_t pid = instance_read_qemu(instance);
    fd_cleanup int qemu = pid > 0 ? (int) syscall(SYS_pidfd_open, pid, 0) : -1;
    if (qemu < 0 || !is_child_of(pid, instance->guard) || syscall(SYS_pidfd_send_signal, qemu, SIGKILL, NULL, 0) < 0) {
        kill_all(instance);
        return;
    }
    if (!instance->kill_timer)
        (void) sd_event_add_time_relative(instance->vm->manager->event, &instance->kill_timer, CLOCK_MONOTONIC, KILL_GRACE_USEC,
            G_USEC_PER_SEC / 10, on_kill_grace, instance);
}

void instance_add_waiter(Instance *instance, VMDone done, void *userdata)
{
    Waiter waiter = {.done = done, .userdata = userdata};
    g_array_append_val(instance->waiters, waiter);
}

GArray *instance_take_waiters(Instance *instance)
{
    GArray *waiters = instance->waiters;
    instance->waiters = g_array_new(FALSE, FALSE, sizeof(Waiter));
    return waiters;
}

void instance_tell_waiters(GArray *waiters)
{
    for (guint i = 0; i < waiters->len; i++) {
        const Waiter *waiter = &g_array_index(waiters, Waiter, i);
        waiter->done(NULL, waiter->userdata);
    }
    g_array_free(waiters, TRUE);
}

#define LAST_WORDS_LINES 3

char *instance_last_words(const char *output)
{
    g_auto(GStrv) lines = g_strsplit(output, "\n", -1);
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    for (size_t i = 0; lines[i]; i++) {
        char *line = g_strstrip(lines[i]);
        if (!*line || strstr(line, "warning:"))
            continue;
        /* "qemu-system-x86_64: -kernel x: could not ..." says the same without the program's name. */
        if (g_str_has_prefix(line, "qemu-")) {
            char *colon = strstr(line, ": ");
            line = colon ? colon + 2 : line;
        }
        g_ptr_array_add(words, line);
    }
    if (words->len == 0)
        return NULL;
    if (words->len > LAST_WORDS_LINES)
        g_ptr_array_remove_range(words, 0, words->len - LAST_WORDS_LINES);
    g_ptr_array_add(words, NULL);
    char *text = g_strjoinv("; ", (char **) words->pdata);
    return text;
}
