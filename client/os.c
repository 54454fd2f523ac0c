/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "os.h"

#include <string.h>

#include "image.h"
#include "report.h"
#include "schema.h"

#define DISK_SIZE (UINT64_C(64) << 30)

/* What its setup program demands, and what it has drivers for. */
#define WINDOWS \
    "VM.CPUs=2", "VM.Memory=4G", "VM.Firmware=uefi", "VM.Clock=localtime", "VM.HyperV=yes", "Display.Type=spice", "Display.Video=vga"

static const struct {
    const char *name;
    const char *settings[12];
    const char *disk, *network; /* of those that options make; NULL: none */
} systems[] = {
    {"linux", {NULL}, NULL, NULL},
    {"windows10", {WINDOWS, NULL}, "Bus=sata", "Model=e1000e"},
    {"windows11", {WINDOWS, "VM.SecureBoot=yes", "TPM.Type=tpm2", NULL}, "Bus=sata", "Model=e1000e"},
};

static bool is_of(const SettingArgument *argument, const char *kind)
{
    size_t length = strlen(kind);
    if (argument->key)
        return strcmp(argument->key->section, kind) == 0;
    return strncmp(argument->value, kind, length) == 0 && argument->value[length] == ' ';
}

static bool has_section(const Client *client, const char *kind)
{
    for (guint i = 0; client->changes && i < client->changes->len; i++)
        if (is_of(&g_array_index(client->changes, SettingArgument, i), kind))
            return true;
    return false;
}

/* Behind each option that makes such a section, and so before what -p says of it. */
static void add_to_devices(Client *client, const char *kind, const char *prefix, const char *setting, GPtrArray *texts)
{
    unsigned n = 0;
    for (guint i = 0; client->changes && i < client->changes->len; i++) {
        const SettingArgument *argument = &g_array_index(client->changes, SettingArgument, i);
        if (!argument->key || strcmp(argument->key->section, kind) != 0)
            continue;
        SettingArgument more = {.value = g_strdup_printf("%s %s%u.%s", kind, prefix, n++, setting)};
        g_ptr_array_add(texts, (char *) more.value);
        g_array_insert_val(client->changes, ++i, more);
    }
}

int os_put_settings(Client *client, const char *vm, GPtrArray *texts, char **ret_volume)
{
    size_t i = 0;
    int r = EXIT_DONE;
    if (!client->os)
        return EXIT_DONE;
    while (i < G_N_ELEMENTS(systems) && strcmp(systems[i].name, client->os) != 0)
        i++;
    if (i == G_N_ELEMENTS(systems))
        return report_usage("--os=%s: it is linux, windows10 or windows11", client->os);
    if (!systems[i].disk)
        return EXIT_DONE;
    if (!has_section(client, "Disk"))
        r = image_make_empty_disk(client, vm, DISK_SIZE, ret_volume);
    if (r != EXIT_DONE)
        return r;
    if (!has_section(client, "Network"))
        image_put_first(client, client->user ? "user-network" : "network", client->user ? "yes" : "default");
    add_to_devices(client, "Disk", "disk", systems[i].disk, texts);
    add_to_devices(client, "Network", "net", systems[i].network, texts);
    for (guint n = g_strv_length((char **) systems[i].settings); n > 0; n--) {
        SettingArgument argument = {.value = systems[i].settings[n - 1]};
        g_array_prepend_val(client->changes, argument);
    }
    return EXIT_DONE;
}
