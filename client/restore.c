/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore.h"

#include <string.h>

#include "connect.h"
#include "job.h"
#include "json.h"
#include "kind.h"
#include "name.h"
#include "report.h"
#include "settings-dbus.h"
#include "volume.h"

static const JobKind restore_kind = {"Volume", "restoring", "restoring", "nothing of it is left"};

static void clear_call(void *call)
{
    job_call_clear(call);
}

/* ---- volumes ---- */

/* The volume that it was, where its VM keeps its name; else "web-root.qcow2" in the pool "default". */
static void find_volume(const Client *client, const Backup *backup, const BackupFile *file, const char *name, JobCall *ret)
{
    bool raw = !g_str_has_suffix(file->source, ".qcow2") && !file->checkpoint;
    if (!client->pool && strcmp(name, backup->vm) == 0 && name_split_source(file->source, &ret->pool, &ret->volume))
        return;
    ret->pool = g_strdup(client->pool ?: VOLUME_DEFAULT_POOL);
    ret->volume = g_strdup_printf("%s-%s.%s", name, file->disk, raw ? "raw" : "qcow2");
}

static int append_import(JobCall *call, const GArray *fds)
{
    sd_bus_message *m = call->message;
    int r = sd_bus_message_append(m, "sh", call->volume, g_array_index(fds, int, 0));
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "{sv}");
    if (r >= 0)
        r = sd_bus_message_append(m, "{sv}", "format", "s", "qcow2");
    if (r >= 0 && fds->len > 1) {
        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
            r = sd_bus_message_append(m, "s", "backing");
        if (r >= 0)
            r = sd_bus_message_open_container(m, 'v', "ah");
        if (r >= 0)
            r = sd_bus_message_open_container(m, 'a', "h");
        for (guint i = 1; r >= 0 && i < fds->len; i++)
            r = sd_bus_message_append(m, "h", g_array_index(fds, int, i));
        for (int i = 0; r >= 0 && i < 3; i++)
            r = sd_bus_message_close_container(m);
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int make_import(Client *client, const char *dir, const GPtrArray *set, const Backup *backup, const BackupFile *file, const char *name, JobCall *ret)
{
    g_autoptr(GArray) fds = NULL;
    find_volume(client, backup, file, name, ret);
    int r = backup_set_open(dir, set, backup, file->disk, &fds);
    if (r == EXIT_DONE)
        r = volume_new_call(client, ret->pool, "ImportVolume", &ret->message);
    if (r != EXIT_DONE)
        return r;
    r = append_import(ret, fds);
    ret->size = file->size;
    return r < 0 ? report_errno(r, "ImportVolume: cannot make the call") : EXIT_DONE;
}

static void delete_volumes(Client *client, const GArray *calls)
{
    for (guint i = 0; i < calls->len; i++) {
        const JobCall *call = &g_array_index(calls, JobCall, i);
        g_autofree char *path = kind_object(&kind_pool, call->pool);
        if (call->done)
            (void) sd_bus_call_method(client->bus, BUS_NAME, path, POOL_INTERFACE, "DeleteVolume", NULL, NULL, "st", call->volume, UINT64_C(0));
    }
}

/* ---- settings ---- */

/* What only one VM at a time can have is left out of one under another name. */
static char *change_settings(const Backup *backup, const char *text, const GArray *calls, const char *name, Error **ret_error)
{
    g_autoptr(Settings) settings = settings_parse(&vm_schema, text, strlen(text), backup->vm, ret_error);
    g_autoptr(GArray) changes = g_array_new(false, true, sizeof(SettingsChange));
    g_autoptr(GPtrArray) owned = g_ptr_array_new_with_free_func(g_free);
    if (!settings)
        return NULL;
    for (guint i = 0; i < calls->len; i++) {
        const JobCall *call = &g_array_index(calls, JobCall, i);
        const BackupFile *file = backup->files->pdata[i];
        char *section = g_strdup_printf("Disk %s", file->disk), *source = g_strjoin("/", call->pool, call->volume, NULL);
        const char **values = g_new0(const char *, 2);
        values[0] = source;
        g_ptr_array_add(owned, section);
        g_ptr_array_add(owned, source);
        g_ptr_array_add(owned, values);
        const SettingsChange both[] = {{.section = section, .key = "Source", .values = values}, {.section = section, .key = "Format"}};
        g_array_append_vals(changes, both, G_N_ELEMENTS(both));
    }
    if (strcmp(name, backup->vm) != 0) {
        const SettingsChange uuid = {.section = "VM", .key = "UUID"};
        g_autofree const char **networks = settings_sections(settings, "Network");
        g_array_append_val(changes, uuid);
        for (size_t i = 0; networks && networks[i]; i++) {
            const SettingsChange mac = {.section = networks[i], .key = "MAC"};
            g_array_append_val(changes, mac);
        }
    }
    return settings_edit(&vm_schema, text, (const SettingsChange *) (void *) changes->data, changes->len, backup->vm, ret_error);
}

static Settings *load_settings(const char *dir, const Backup *backup, const GArray *calls, const char *name, Error **ret_error)
{
    g_autofree char *file = g_strdup_printf("%s.vm", backup->vm), *path = g_build_filename(dir, backup->vm, backup->name, file, NULL);
    g_autoptr(Settings) settings = settings_load(&vm_schema, path, ret_error);
    g_autofree char *text = settings ? settings_canonical(settings, true) : NULL;
    g_autofree char *changed = text ? change_settings(backup, text, calls, name, ret_error) : NULL;
    return changed ? settings_parse(&vm_schema, changed, strlen(changed), path, ret_error) : NULL;
}

static int create_vm(Client *client, const char *dir, const Backup *backup, const GArray *calls, const char *name)
{
    g_autoptr(Error) error = NULL;
    g_autoptr(sd_bus_message) message = NULL;
    g_autoptr(Settings) settings = load_settings(dir, backup, calls, name, &error);
    if (!settings)
        return report_error(error);
    int r = client_new_call(client, NULL, MANAGER_INTERFACE, "CreateVM", &message);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_append(message, "s", name);
    if (r >= 0)
        r = settings_append(message, settings);
    return r < 0 ? report_errno(r, "CreateVM: cannot make the call") : client_send(client, name, message, NULL);
}

static int import_nvram(Client *client, const char *dir, const GPtrArray *set, const Backup *backup, const char *name)
{
    g_autoptr(GArray) fds = NULL;
    int r = backup_set_open(dir, set, backup, NVRAM_DISK, &fds);
    if (r == EXIT_DONE)
        r = client_call(client, name, VM_INTERFACE, "ImportNVRAM", NULL, "h", g_array_index(fds, int, 0));
    if (r != EXIT_DONE)
        (void) client_call(client, name, VM_INTERFACE, "Delete", NULL, "t", UINT64_C(0));
    return r;
}

static int restore_tpm(Client *client, const char *dir, const Backup *backup, const char *name)
{
    fd_cleanup int memfd = -1;
    int r = backup_set_open_tpm(dir, backup, &memfd);
    return r != EXIT_DONE || memfd < 0 ? r : client_call(client, name, VM_INTERFACE, "RestoreTPM", NULL, "h", memfd);
}

static int check_free(Client *client, const char *name)
{
    g_autofree char *path = kind_object(&kind_vm, name);
    bus_error_cleanup sd_bus_error error = SD_BUS_ERROR_NULL;
    int r = sd_bus_call_method(client->bus, BUS_NAME, MANAGER_PATH, MANAGER_INTERFACE, "GetVM", &error, NULL, "s", name);
    if (r >= 0)
        return report("VM \"%s\": there is one of this name. Restore it under another one, with --as=NAME, or delete it first", name);
    return sd_bus_error_has_name(&error, "org.vmd1.Error.NoSuchVM") ? EXIT_DONE : report_bus(client, name, &error, r);
}

int restore(Client *client, const char *dir, const GPtrArray *set, const Backup *backup, const char *name)
{
    g_autoptr(GArray) calls = g_array_new(false, true, sizeof(JobCall));
    g_array_set_clear_func(calls, clear_call);
    int r = client_connect(client);
    if (r == EXIT_DONE)
        r = check_free(client, name);
    g_array_set_size(calls, backup->files->len);
    for (guint i = 0; r == EXIT_DONE && i < calls->len; i++)
        r = make_import(client, dir, set, backup, backup->files->pdata[i], name, &g_array_index(calls, JobCall, i));
    if (r == EXIT_DONE)
        r = job_perform(client, &restore_kind, (JobCall *) (void *) calls->data, calls->len);
    if (r == EXIT_DONE)
        r = create_vm(client, dir, backup, calls, name);
    if (r == EXIT_DONE && backup->nvram)
        r = import_nvram(client, dir, set, backup, name);
    if (r == EXIT_DONE && (r = restore_tpm(client, dir, backup, name)) != EXIT_DONE)
        (void) client_call(client, name, VM_INTERFACE, "Delete", NULL, "t", UINT64_C(0));
    if (r != EXIT_DONE) {
        delete_volumes(client, calls);
        return r;
    }
    if (!client->quiet)
        printf("Restored \"%s\" as it was at the backup \"%s\".\n", name, backup->name);
    return EXIT_DONE;
}
