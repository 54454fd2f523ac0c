/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "report.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "kind.h"
#include "terminal.h"

static void print_line(const char *text)
{
    g_autofree char *clean = terminal_clean(text);
    (void) fflush(stdout);
    fprintf(stderr, "%svmctl:%s %s\n", terminal_style(stderr, STYLE_BAD), terminal_normal(stderr, STYLE_BAD),
            clean);
}

int report(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    print_line(text);
    return EXIT_FAILED;
}

int report_usage(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    print_line(text);
    return EXIT_USAGE;
}

int report_errno(int err, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_autofree char *line = g_strdup_printf("%s: %s", text, g_strerror(ABS(err)));
    print_line(line);
    return EXIT_FAILED;
}

static int exit_code(ErrorCode code)
{
    if (code == ERROR_NO_SUCH_VM || code == ERROR_NO_SUCH_NETWORK || code == ERROR_NO_SUCH_POOL || code == ERROR_NO_SUCH_VOLUME)
        return EXIT_NO_SUCH_VM;
    if (code == ERROR_NOT_AUTHORIZED)
        return EXIT_NOT_AUTHORIZED;
    if (code == ERROR_INVALID_NAME)
        return EXIT_USAGE;
    return EXIT_FAILED;
}

int report_error(const Error *error)
{
    g_autofree char *text = error_message(error);
    print_line(text);
    return exit_code(error->code);
}

/* What the bus, not vmd, answers with, and the way out. */
static const struct {
    const char *name; /* a "." at the end: all that begin so */
    int code;
    bool replace; /* what the bus says helps nobody */
    const char *text;
} bus_errors[] = {
        {SD_BUS_ERROR_SERVICE_UNKNOWN, EXIT_FAILED, true,
                "vmd: it does not run and the bus does not know how to start it. Is vmd installed, and the "
                "bus "
                "reloaded since (systemctl reload dbus)?"},
        {SD_BUS_ERROR_NAME_HAS_NO_OWNER, EXIT_FAILED, true,
                "vmd: it does not run and could not be started. See: systemctl status vmd"},
        {SD_BUS_ERROR_NO_REPLY, EXIT_FAILED, true,
                "vmd: it went away, or did not answer in time. See: journalctl -u vmd"},
        {SD_BUS_ERROR_TIMEOUT, EXIT_FAILED, true,
                "vmd: it did not answer in time. See: systemctl status vmd"},
        {SD_BUS_ERROR_DISCONNECTED, EXIT_FAILED, true,
                "the bus closed the connection. See: systemctl status dbus"},
        {"org.freedesktop.DBus.Error.Spawn.", EXIT_FAILED, false, "See: systemctl status vmd"},
        {"org.freedesktop.systemd1.", EXIT_FAILED, false, "See: systemctl status vmd"},
        {SD_BUS_ERROR_ACCESS_DENIED, EXIT_NOT_AUTHORIZED, false, NULL},
        {SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, EXIT_NOT_AUTHORIZED, false,
                "Run it as root, or on a terminal without --no-ask-password"},
        {SD_BUS_ERROR_UNKNOWN_METHOD, EXIT_FAILED, false,
                "vmctl and the vmd that runs may be of different versions; see: vmctl version"},
        {SD_BUS_ERROR_UNKNOWN_INTERFACE, EXIT_FAILED, false,
                "vmctl and the vmd that runs may be of different versions; see: vmctl version"},
        {SD_BUS_ERROR_UNKNOWN_PROPERTY, EXIT_FAILED, false,
                "vmctl and the vmd that runs may be of different versions; see: vmctl version"},
};

static bool is_ours(const char *error_name)
{
    return error_name && g_str_has_prefix(error_name, "org.vmd1.Error.");
}

int report_exit_code(const char *error_name)
{
    if (is_ours(error_name))
        return exit_code(error_code_from_dbus(error_name));
    for (size_t i = 0; error_name && i < G_N_ELEMENTS(bus_errors); i++)
        if (strcmp(bus_errors[i].name, error_name) == 0)
            return bus_errors[i].code;
    return EXIT_FAILED;
}

/* The bus knows no such object: vmd, asked by name, says it in words for people. */
static int report_unknown_object(Client *client, const char *name)
{
    bus_error_cleanup sd_bus_error error = SD_BUS_ERROR_NULL;
    const ObjectKind *kind = client_kind(client);
    int r = sd_bus_call_method(
            client->bus, BUS_NAME, MANAGER_PATH, MANAGER_INTERFACE, kind->get, &error, NULL, "s", name);
    if (r < 0 && is_ours(error.name))
        return report_bus(client, NULL, &error, r);
    (void) report("%s \"%s\": it does not exist. See: vmctl%s%s list", kind->word, name,
            client_hint_options(client), kind->group);
    return EXIT_NO_SUCH_VM;
}

/* The connection is made by a child process (ssh, or one in the container), which has said what it knows. */
static int report_disconnected(const Client *client)
{
    if (client->host)
        return report(
                "host \"%s\": there is no connection to its system bus. Try: ssh %s systemd-stdio-bridge",
                client->host, client->host);
    return report("the bus closed the connection. See: systemctl status dbus");
}

static bool is_disconnected(int r)
{
    return r == -ENOTCONN || r == -ECONNRESET || r == -EPIPE;
}

int report_bus(Client *client, const char *name, const sd_bus_error *error, int r)
{
    const char *error_name = error ? error->name : NULL;
    const char *text = error && error->message ? error->message : g_strerror(ABS(r));

    if (is_ours(error_name)) {
        print_line(text);
        return report_exit_code(error_name);
    }
    if (is_disconnected(r))
        return report_disconnected(client);
    if (name && error_name && strcmp(error_name, SD_BUS_ERROR_UNKNOWN_OBJECT) == 0)
        return report_unknown_object(client, name);

    for (size_t i = 0; error_name && i < G_N_ELEMENTS(bus_errors); i++) {
        const char *known = bus_errors[i].name;
        if (g_str_has_suffix(known, ".") ? !g_str_has_prefix(error_name, known)
                                         : strcmp(known, error_name) != 0)
            continue;
        if (bus_errors[i].replace)
            (void) report("%s", bus_errors[i].text);
        else
            (void) report("%s%s%s%s", text, g_str_has_suffix(text, ".") ? "" : ".",
                    bus_errors[i].text ? " " : "", bus_errors[i].text ? bus_errors[i].text : "");
        return bus_errors[i].code;
    }
    return name ? report("%s \"%s\": %s", client_kind(client)->word, name, text) : report("%s", text);
}

int report_job(Client *client, const char *name, const char *message)
{
    g_auto(GStrv) parts = g_strsplit(message, ": ", 2);
    bool named = parts[0] && parts[1] && g_str_has_prefix(parts[0], "org.");
    const char *text = named ? parts[1] : *message ? message : "the job failed";
    sd_bus_error error = SD_BUS_ERROR_MAKE_CONST(named ? parts[0] : "org.vmd1.Error.Failed", text);
    return report_bus(client, name, &error, -EIO);
}

void note(const Client *client, const char *format, ...)
{
    if (client->quiet)
        return;
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_autofree char *clean = terminal_clean(text);
    (void) fflush(stdout);
    fprintf(stderr, "%s\n", clean);
}
