/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "last-run.h"

#include <unistd.h>

#define LAST_GROUP "LastRun"

static char *last_run_path(const VM *vm)
{
    return g_build_filename(vm->manager->dirs->last, vm->name, NULL);
}

bool last_run_read(const VM *vm, LastRun *ret)
{
    g_autofree char *path = last_run_path(vm);
    g_autoptr(GKeyFile) file = g_key_file_new();
    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL))
        return false;
    g_autofree char *state = g_key_file_get_string(file, LAST_GROUP, "State", NULL), *reason = g_key_file_get_string(file, LAST_GROUP, "Reason", NULL);
    if (!state)
        return false;
    *ret = (LastRun){
        .state = vm_state_from_string(state),
        .reason = vm_reason_from_string(reason),
        .message = g_key_file_get_string(file, LAST_GROUP, "Message", NULL),
        .since = g_key_file_get_uint64(file, LAST_GROUP, "Since", NULL),
    };
    return true;
}

void last_run_clear(LastRun *last)
{
    g_clear_pointer(&last->message, g_free);
}

void last_run_write(const VM *vm, const LastRun *last)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_key_file_set_string(file, LAST_GROUP, "State", vm_state_to_string(last->state));
    g_key_file_set_string(file, LAST_GROUP, "Reason", vm_reason_to_string(last->reason));
    if (last->message)
        g_key_file_set_string(file, LAST_GROUP, "Message", last->message);
    g_key_file_set_uint64(file, LAST_GROUP, "Since", last->since);
    g_autofree char *path = last_run_path(vm), *text = g_key_file_to_data(file, NULL, NULL);
    (void) g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL);
}

void last_run_forget(const VM *vm)
{
    g_autofree char *path = last_run_path(vm);
    (void) unlink(path);
}

void last_run_recall(VM *vm)
{
    g_auto(LastRun) last = {.state = VM_STOPPED};
    vm->state = vm_resting_state(vm);
    /* A saved state that somebody removed, or put there, counts as it is now. */
    if (!last_run_read(vm, &last) || (last.state != vm->state && last.state != VM_FAILED))
        return;
    vm->state = last.state;
    vm->reason = last.reason;
    vm->message = g_steal_pointer(&last.message);
    vm->since = last.since;
}

void last_runs_settle(Manager *manager)
{
    g_autoptr(GDir) dir = g_dir_open(manager->dirs->last, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        if (manager_find_vm(manager, name))
            continue;
        g_autofree char *path = g_build_filename(manager->dirs->last, name, NULL);
        (void) unlink(path);
    }
}
