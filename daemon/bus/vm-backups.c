/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm-backups.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup.h"
#include "call-options.h"
#include "cleanup.h"
#include "nvram.h"
#include "tpm.h"

/* More disks than any VM has. */
#define TARGETS_MAX 256U

static bool read_target(sd_bus_message *m, GArray *targets, Error **ret_error)
{
    const char *disk, *backing;
    int fd, r = sd_bus_message_read(m, "(shs)", &disk, &fd, &backing);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the targets cannot be read");
    BackupTarget target = {.disk = g_strdup(disk), .backing = g_strdup(backing), .fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)};
    g_array_append_val(targets, target);
    if (targets->len > TARGETS_MAX)
        return error_set(ret_error, ERROR_LIMIT_REACHED, NULL, NULL, "no VM has more than %u disks", TARGETS_MAX);
    return target.fd >= 0 || error_set_errno(ret_error, errno, disk, "the file for it cannot be copied");
}

static bool read_targets(sd_bus_message *m, GArray *targets, Error **ret_error)
{
    int r = sd_bus_message_enter_container(m, 'a', "(shs)");
    while (r >= 0 && (r = sd_bus_message_at_end(m, false)) == 0)
        if (!read_target(m, targets, ret_error))
            return false;
    if (r >= 0)
        r = sd_bus_message_exit_container(m);
    return r >= 0 || error_set_errno(ret_error, r, NULL, "the targets cannot be read");
}

static int append_disks(sd_bus_message *reply, const BackupDisk *disks, size_t n)
{
    int r = sd_bus_message_open_container(reply, 'a', "(stbb)");
    for (size_t i = 0; r >= 0 && i < n; i++)
        r = sd_bus_message_append(reply, "(stbb)", disks[i].name, disks[i].size, (int) disks[i].incremental, (int) disks[i].checkpoint);
    return r >= 0 ? sd_bus_message_close_container(reply) : r;
}

static void on_begun(const char *job, bool quiesced, const BackupDisk *disks, size_t n, const Error *error, void *userdata)
{
    LaterReply *later = userdata;
    g_autoptr(sd_bus_message) reply = NULL;
    if (error)
        reply_error(later->message, error);
    else if (sd_bus_message_new_method_return(later->message, &reply) >= 0 && sd_bus_message_append(reply, "ob", job, (int) quiesced) >= 0 &&
             append_disks(reply, disks, n) >= 0)
        (void) sd_bus_send(NULL, reply, NULL);
    reply_later_free(later);
}

static bool begin(Manager *manager, sd_bus_message *m, VM *vm, BackupWish *wish, Error **ret_error)
{
    g_autofree char *since = NULL, *checkpoint = NULL, *quiesce = NULL;
    const CallOption push[] = {{"since", 's', &since}, {"checkpoint", 's', &checkpoint}, {"quiesce", 's', &quiesce}, {"compress", 'b', &wish->compress},
        {"bandwidth", 't', &wish->bandwidth}, {"tpm", 'f', &wish->tpm}, {NULL}};
    const CallOption pull[] = {{"since", 's', &since}, {"checkpoint", 's', &checkpoint}, {"quiesce", 's', &quiesce}, {"tpm", 'f', &wish->tpm}, {NULL}};
    if (!call_options_read(m, wish->targets ? push : pull, ret_error))
        return false;
    if (quiesce && !quiesce_mode_read(quiesce, &wish->quiesce, ret_error))
        return false;
    if (wish->bandwidth > INT64_MAX)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "bandwidth", NULL, "it cannot be meant");
    wish->since = since && *since ? since : NULL;
    wish->checkpoint = checkpoint && *checkpoint ? checkpoint : NULL;
    wish->caller = sd_bus_message_get_sender(m);
    LaterReply *later = reply_later(manager, m);
    if (vm_backup(vm, wish, on_begun, later, ret_error))
        return true;
    reply_later_free(later);
    return false;
}

bool method_create_backup(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    g_autoptr(GArray) targets = backup_targets_new();
    BackupWish wish = {.targets = targets, .socket = -1, .tpm = -1};
    return read_targets(m, targets, ret_error) && begin(manager, m, object, &wish, ret_error);
}

bool method_open_backup(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    BackupWish wish = {.socket = -1, .tpm = -1};
    int r = sd_bus_message_read(m, "h", &wish.socket);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    return begin(manager, m, object, &wish, ret_error);
}

/* A memfd, so that to read it waits for no file system. A new string. */
static char *read_memfd(int fd, Error **ret_error)
{
    struct stat st;
    if (fcntl(fd, F_GET_SEALS) < 0 || fstat(fd, &st) < 0 || st.st_size == 0 || st.st_size > (off_t) TPM_STATE_MAX) {
        error_set(ret_error, ERROR_INVALID_SETTINGS, "state", NULL, "it is no memfd that has what a TPM remembers");
        return NULL;
    }
    g_autofree char *text = g_malloc0((gsize) st.st_size + 1);
    if (pread(fd, text, (size_t) st.st_size, 0) == st.st_size)
        return g_steal_pointer(&text);
    error_set_errno(ret_error, errno ? errno : EIO, "state", "it cannot be read");
    return NULL;
}

bool method_restore_tpm(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    VM *vm = object;
    int fd, r = sd_bus_message_read(m, "h", &fd);
    g_autofree char *thing = vm_thing(vm), *state = NULL;
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    if (!vm_check_unworked(vm, ret_error))
        return false;
    if (vm->instance || vm->state == VM_SAVED)
        return error_set(ret_error, ERROR_BUSY, thing, "Stop it first", "it is %s, and its TPM is part of that", vm_state_to_string(vm->state));
    state = read_memfd(fd, ret_error);
    if (!state || !tpm_state_write(vm, state, ret_error))
        return false;
    (void) sd_bus_reply_method_return(m, NULL);
    return true;
}

bool method_close_backup(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    int keep, r = sd_bus_message_read(m, "b", &keep);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    LaterReply *later = reply_later(manager, m);
    if (vm_backup_end(object, keep, reply_done, later, ret_error))
        return true;
    reply_later_free(later);
    return false;
}

bool method_import_nvram(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    int fd, r = sd_bus_message_read(m, "h", &fd);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    LaterReply *later = reply_later(manager, m);
    if (vm_import_nvram(object, fd, reply_done, later, ret_error))
        return true;
    reply_later_free(later);
    return false;
}
