/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guard-argv.h"

#include <sys/stat.h>

#include "config.h"
#include "guard.h"
#include "passthrough.h"

/* Firmware, video memory, and what else of the machine devices can reach. */
#define LOCKED_BESIDE_MEMORY (UINT64_C(1) << 30)

const char *const guard_tls_options[MACHINE_TLS_MAX] = {"tls-ca", "tls-cert", "tls-key"};

static char *fd_option(const char *name, int fd)
{
    return g_strdup_printf("--%s=%d", name, fd);
}

static void add_option(GPtrArray *argv, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void add_option(GPtrArray *argv, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_ptr_array_add(argv, g_strdup_vprintf(format, ap));
    va_end(ap);
}

/* The group that may open /dev/kvm is the only one that QEMU is in. */
static gid_t kvm_group(void)
{
    struct stat st;
    return stat("/dev/kvm", &st) < 0 || !(st.st_mode & S_IWGRP) ? 0 : st.st_gid;
}

char **guard_devices(const MachineParts *parts)
{
    char **nodes = passthrough_nodes(parts);
    if (!parts->render_node)
        return nodes;
    guint n = nodes ? g_strv_length(nodes) : 0;
    nodes = g_renew(char *, nodes, n + 2);
    nodes[n] = g_strdup(parts->render_node);
    nodes[n + 1] = NULL;
    return nodes;
}

static void add_devices(GPtrArray *argv, const MachineParts *parts)
{
    g_auto(GStrv) nodes = guard_devices(parts);
    for (size_t i = 0; nodes && nodes[i]; i++)
        add_option(argv, "--device=%s", nodes[i]);
}

/* QEMU reads of its device in sysfs; all of the guest's memory stays where devices find it. */
static void add_pci(GPtrArray *argv, const MachineParts *parts, const Settings *settings)
{
    if (!parts->pci || parts->pci->len == 0)
        return;
    for (guint i = 0; i < parts->pci->len; i++)
        add_option(argv, "--bind-read-only=%s", ((const PciDevice *) parts->pci->pdata[i])->path);
    add_option(argv, "--locked-memory=%" G_GUINT64_FORMAT, settings_get_maximum(settings, "VM", "Memory") + LOCKED_BESIDE_MEMORY);
}

static void add_binds(GPtrArray *argv, const Settings *settings)
{
    static const char *const keys[][2] = {{"BindPaths", "bind"}, {"BindReadOnlyPaths", "bind-read-only"}};
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        const char *const *paths = settings_get_words(settings, "QEMU", keys[i][0]);
        for (size_t j = 0; paths && paths[j]; j++)
            add_option(argv, "--%s=%s", keys[i][1], paths[j]);
    }
}

GPtrArray *guard_argv(const Instance *instance, const Opened *opened, const Settings *settings, const Command *command, int go_read_fd)
{
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(argv, g_strdup(GUARD_PATH));
    add_option(argv, "--name=%s", instance->vm->name);
    g_ptr_array_add(argv, fd_option("status", opened->status_fd));
    g_ptr_array_add(argv, fd_option("qmp", opened->guard_qmp_fd));
    if (instance->console) {
        g_ptr_array_add(argv, fd_option("console", opened->guard_console_fd));
        g_ptr_array_add(argv, fd_option("console-listen", opened->console_listen_fd));
        g_ptr_array_add(argv, fd_option("console-log", opened->console_log_fd));
        add_option(argv, "--log-size=%" G_GUINT64_FORMAT, settings_get_number(settings, "Console", "LogSize"));
    }
    if (go_read_fd >= 0)
        g_ptr_array_add(argv, fd_option("go", go_read_fd));
    add_option(argv, "--press-interval=%" G_GUINT64_FORMAT, instance->press_interval);
    if (instance->uid != (uid_t) -1) {
        unsigned guard_uid = instance->uid - GUARD_QEMU_UIDS + GUARD_OWN_UIDS;
        add_option(argv, "--uid=%u", instance->uid);
        add_option(argv, "--gid=%u", instance->uid);
        add_option(argv, "--guard-uid=%u", guard_uid);
        add_option(argv, "--guard-gid=%u", guard_uid);
        gid_t kvm = instance->kvm ? kvm_group() : 0;
        if (kvm > 0)
            add_option(argv, "--groups=%u", kvm);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(opened->tls_fds) && opened->tls_fds[i] >= 0; i++)
        g_ptr_array_add(argv, fd_option(guard_tls_options[i], opened->tls_fds[i]));
    if (instance->folder)
        add_option(argv, "--root=%s", instance->folder);
    add_binds(argv, settings);
    add_devices(argv, &opened->parts);
    add_pci(argv, &opened->parts, settings);
    g_ptr_array_add(argv, g_strdup("--"));
    g_autofree char **qemu = command_argv(command);
    for (size_t i = 0; qemu[i]; i++)
        g_ptr_array_add(argv, g_strdup(qemu[i]));
    g_ptr_array_add(argv, NULL);
    return argv;
}
