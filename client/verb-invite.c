/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* invite: what somebody on another host needs to look at a VM's screen: address, password, certificate. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connect.h"
#include "io.h"
#include "json.h"
#include "report.h"
#include "timestamp.h"
#include "value.h"
#include "verb.h"

typedef struct Invitation {
    const char *type, *password, *ca; /* the reply's */
    uint64_t until;
    char *host, *port;
} Invitation;

static void invitation_clear(Invitation *invitation)
{
    g_free(invitation->host);
    g_free(invitation->port);
}

/* Of "*:5900" nobody elsewhere can make anything: then it is what this host, or that of -H, is called. */
static void find_host(const Client *client, const char *address, Invitation *ret)
{
    const char *colon = strrchr(address, ':');
    g_autofree char *host = g_strndup(address, colon ? (size_t) (colon - address) : strlen(address));
    size_t n = strlen(host);
    ret->port = g_strdup(colon ? colon + 1 : "");
    if (client->address)
        ret->host = g_strdup(client->address);
    else if (host[0] == '[' && n > 2)
        ret->host = g_strndup(host + 1, n - 2);
    else if (strcmp(host, "*") != 0 && strcmp(host, "0.0.0.0") != 0)
        ret->host = g_strdup(host);
    else if (client->host) {
        const char *at = strchr(client->host, '@');
        const char *name = at ? at + 1 : client->host;
        ret->host = g_strndup(name, strcspn(name, ":/"));
    } else
        ret->host = g_strdup(g_get_host_name());
}

/* As GKeyFile reads it, which is what remote-viewer does. */
static char *viewer_file(const Client *client, const Invitation *invitation)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    bool spice = strcmp(invitation->type, "spice") == 0;
    g_key_file_set_string(file, "virt-viewer", "type", invitation->type);
    g_key_file_set_string(file, "virt-viewer", "title", client->arguments[0]);
    g_key_file_set_string(file, "virt-viewer", "host", invitation->host);
    g_key_file_set_string(file, "virt-viewer", spice ? "tls-port" : "port", invitation->port);
    g_key_file_set_string(file, "virt-viewer", "password", invitation->password);
    if (spice)
        g_key_file_set_string(file, "virt-viewer", "ca", invitation->ca);
    return g_key_file_to_data(file, NULL, NULL);
}

static int write_file(const char *path, const char *text, int mode)
{
    g_autoptr(GError) error = NULL;
    if (strcmp(path, "-") == 0) {
        int r = io_write_all(STDOUT_FILENO, text, strlen(text));
        return r < 0 ? report_errno(r, "stdout: it cannot be written") : EXIT_DONE;
    }
    if (!g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, mode, &error))
        return report("%s: it cannot be written: %s", path, error->message);
    return EXIT_DONE;
}

static void print_invitation(const Client *client, const Invitation *invitation)
{
    g_autofree char *until = timestamp_format(invitation->until);
    bool six = strchr(invitation->host, ':');
    if (client_json(client) != JSON_MODE_OFF) {
        g_autoptr(json_t) object = json_pack("{ss ss si ss sI ss}", "type", invitation->type, "host", invitation->host, "port", atoi(invitation->port),
                "password", invitation->password, "until", (json_int_t) invitation->until, "ca", invitation->ca);
        return json_print(client, object);
    }
    printf(" Address: %s%s%s:%s, by %s with TLS\n", six ? "[" : "", invitation->host, six ? "]" : "", invitation->port,
            strcmp(invitation->type, "spice") == 0 ? "SPICE" : "VNC");
    printf("Password: %s\n", invitation->password);
    printf("   Until: %s\n", until);
}

static int hand_out(const Client *client, const Invitation *invitation)
{
    const char *path = client->arguments[1];
    int r = EXIT_DONE;
    if (client->ca)
        r = write_file(client->ca, invitation->ca, 0644);
    if (r == EXIT_DONE && path) {
        g_autofree char *text = viewer_file(client, invitation);
        return write_file(path, text, 0600); /* there is a password in it */
    }
    if (r == EXIT_DONE)
        print_invitation(client, invitation);
    return r;
}

int verb_invite(Client *client)
{
    g_autoptr(sd_bus_message) reply = NULL;
    const char *address;
    Invitation invitation = {};
    uint64_t lifetime = 0;
    if (client->lifetime && (parse_duration(client->lifetime, &lifetime) < 0 || lifetime == 0))
        return report_usage("--lifetime=%s: it is a time, such as 10min", client->lifetime);
    int r = client_call(client, client->arguments[0], VM_INTERFACE, "CreateDisplayPassword", &reply, "t", lifetime);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_read(reply, "sssts", &invitation.type, &address, &invitation.password, &invitation.until, &invitation.ca);
    if (r < 0)
        return report_errno(r, "vmd: cannot read its answer");
    find_host(client, address, &invitation);
    r = hand_out(client, &invitation);
    invitation_clear(&invitation);
    return r;
}
