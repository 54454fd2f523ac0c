/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usb: the USB devices of the host, and which VM has them. */
#include <stdio.h>
#include <string.h>

#include "connect.h"
#include "json.h"
#include "pager.h"
#include "report.h"
#include "sections.h"
#include "table.h"
#include "usb-wanted.h"
#include "verb.h"

#define SECTION "USB "

int verb_usb_list(Client *client)
{
    static const char *const members[] = {"port", "device", "serial", "maker", "model", "vm", NULL};
    static const char *const header[] = {"PORT", "DEVICE", "SERIAL", "NAME", "VM", NULL};
    g_autoptr(json_t) rows = NULL;
    g_autoptr(Table) table = table_new(header);
    size_t i;
    json_t *row;
    int r = json_call_array(client, NULL, "ListUSBDevices", &rows);
    if (r != EXIT_DONE)
        return r;
    g_autoptr(json_t) devices = json_name_members(rows, members);
    if (client_json(client)) {
        json_print(client, devices);
        return EXIT_DONE;
    }
    pager_open(client->no_pager, false);
    json_array_foreach(devices, i, row)
    {
        const char *vm = json_get_string(row, "vm");
        g_autofree char *name = g_strdup_printf("%s %s", json_get_string(row, "maker"), json_get_string(row, "model"));
        table_add(table, STYLE_NONE, json_get_string(row, "port"));
        table_add(table, STYLE_NONE, json_get_string(row, "device"));
        table_add(table, STYLE_NONE, json_get_string(row, "serial"));
        table_add(table, STYLE_NONE, g_strstrip(name));
        table_add(table, STYLE_NONE, *vm ? vm : "-");
    }
    table_print(table, client, client->full, "USB device", "USB devices");
    return EXIT_DONE;
}

/* "usb0", or the next that no section has. */
static char *free_name(char **sections)
{
    for (unsigned i = 0;; i++) {
        g_autofree char *section = g_strdup_printf(SECTION "usb%u", i);
        if (!g_strv_contains((const char *const *) sections, section))
            return g_steal_pointer(&section);
    }
}

static bool is_hex(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!g_ascii_isxdigit(s[i]))
            return false;
    return true;
}

UsbWanted usb_wanted_read(const char *text)
{
    UsbWanted wanted = {.serial = text};
    const char *dash = strchr(text, '-');
    if (dash && dash > text && strspn(text, "0123456789") == (size_t) (dash - text) && dash[1] && strspn(dash + 1, "0123456789.") == strlen(dash + 1))
        return (UsbWanted){.port = text};
    if (strlen(text) < 9 || text[4] != ':' || !is_hex(text, 4) || !is_hex(text + 5, 4) || (text[9] && text[9] != ':'))
        return wanted;
    (void) g_strlcpy(wanted.device, text, sizeof wanted.device);
    wanted.serial = text[9] ? text + 10 : NULL;
    return wanted;
}

static int append_wanted(sd_bus_message *message, const char *section, const UsbWanted *wanted)
{
    const struct {
        const char *key, *value;
    } keys[] = {{"Port", wanted->port}, {"Device", *wanted->device ? wanted->device : NULL}, {"Serial", wanted->serial}};
    int r = sd_bus_message_append(message, "s", section);
    if (r >= 0)
        r = sd_bus_message_open_container(message, 'a', "{sv}");
    for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(keys); i++)
        if (keys[i].value)
            r = sd_bus_message_append(message, "{sv}", keys[i].key, "s", keys[i].value);
    return r < 0 ? r : sd_bus_message_close_container(message);
}

/* The row of the property USBDevices whose member `column` is `text`; borrowed, or NULL. */
static const json_t *find_row(const json_t *vm, size_t column, const char *text)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(vm, "USBDevices"), i, row)
        if (g_strcmp0(json_string_value(json_array_get(row, column)), text) == 0)
            return row;
    return NULL;
}

int verb_usb_attach(Client *client)
{
    const char *name = client->arguments[0];
    const UsbWanted wanted = usb_wanted_read(client->arguments[1]);
    g_auto(GStrv) sections = NULL;
    g_autoptr(sd_bus_message) message = NULL;
    g_autoptr(json_t) vm = NULL;
    int r = sections_get(client, name, &sections);
    if (r != EXIT_DONE)
        return r;
    g_autofree char *section = free_name(sections);
    r = client_new_call(client, name, VM_INTERFACE, "AttachDevice", &message);
    if (r != EXIT_DONE)
        return r;
    int k = append_wanted(message, section, &wanted);
    if (k < 0)
        return report_errno(k, "AttachDevice: cannot make the call");
    r = client_send(client, name, message, NULL);
    if (r != EXIT_DONE || client->quiet)
        return r;
    r = json_get_properties(client, name, &vm);
    const json_t *row = r == EXIT_DONE ? find_row(vm, 0, section + strlen(SECTION)) : NULL;
    const char *problem = row ? json_string_value(json_array_get(row, 2)) : NULL;
    printf("Attached [%s].%s%s%s\n", section, problem && *problem ? " Not yet in the guest: " : "", problem ? problem : "", problem && *problem ? "." : "");
    return r;
}

/* The number of USBRedirections that `text` is; 0: none of them. */
static uint64_t find_lent(const json_t *vm, const char *text)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(vm, "USBRedirections"), i, row)
    {
        g_autofree char *number = g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(json_array_get(row, 0)));
        if (g_str_equal(number, text))
            return (uint64_t) json_integer_value(json_array_get(row, 0));
    }
    return 0;
}

int verb_usb_detach(Client *client)
{
    const char *name = client->arguments[0], *wanted = client->arguments[1];
    g_autoptr(json_t) vm = NULL;
    int r = json_get_properties(client, name, &vm);
    if (r != EXIT_DONE)
        return r;
    const json_t *row = find_row(vm, 1, wanted);
    uint64_t number = row || find_row(vm, 0, wanted) ? 0 : find_lent(vm, wanted);
    if (number > 0)
        return client_call(client, name, VM_INTERFACE, "CloseUSBRedirection", NULL, "u", (uint32_t) number);
    const char *section = row ? json_string_value(json_array_get(row, 0)) : NULL;
    g_autofree char *full = g_strconcat(g_str_has_prefix(wanted, SECTION) ? "" : SECTION, section ? section : wanted, NULL);
    return client_call(client, name, VM_INTERFACE, "DetachDevice", NULL, "s", full);
}
