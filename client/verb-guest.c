/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest: what the guest agent tells, and does, but for commands. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "child.h"
#include "connect.h"
#include "io.h"
#include "json.h"
#include "report.h"
#include "ssh.h"
#include "table.h"
#include "timestamp.h"
#include "value.h"
#include "verb.h"

#define PASSWORD_MAX 4096
#define KEYS_SIZE_MAX (256 * 1024)

/* ---- info ---- */

static void print_words(const json_t *info)
{
    static const char *const rows[][2] = {
            {"os-name", "System"},
            {"kernel", "Kernel"},
            {"machine", "Machine"},
            {"hostname", "Hostname"},
            {"time-zone", "Time zone"},
            {"agent-version", "Agent"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = terminal_clean(json_get_string(info, rows[i][0]));
        if (*text)
            printf("%9s: %s\n", rows[i][1], text);
    }
}

static void print_file_systems(const Client *client, const json_t *rows)
{
    static const char *const header[] = {"MOUNTED", "TYPE", ">SIZE", ">USED", "DEVICE", NULL};
    g_autoptr(Table) table = table_new(header);
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        g_autofree char *size = format_size_human((uint64_t) json_integer_value(json_array_get(row, 3)));
        g_autofree char *used = format_size_human((uint64_t) json_integer_value(json_array_get(row, 4)));
        bool told = json_integer_value(json_array_get(row, 3)) > 0;
        table_add(table, STYLE_NONE, json_string_value(json_array_get(row, 0)));
        table_add(table, STYLE_NONE, json_string_value(json_array_get(row, 1)));
        table_add(table, STYLE_NONE, told ? size : NULL);
        table_add(table, STYLE_NONE, told ? used : NULL);
        table_add(table, STYLE_NONE, json_string_value(json_array_get(row, 2)));
    }
    putchar('\n');
    table_print(table, client, true, "file system", "file systems");
}

static void print_logins(const json_t *rows)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        g_autofree char *user = terminal_clean(json_string_value(json_array_get(row, 0)));
        printf("%9s: %s\n", i == 0 ? "Logged in" : "", user);
    }
}

int verb_guest_info(Client *client)
{
    static const char *const file_system[] = {"path", "type", "device", "size", "used", NULL}, *const login[] = {"user", "domain", "since", NULL};
    g_autoptr(json_t) info = NULL;
    int r = json_call(client, client->arguments[0], VM_INTERFACE, "GetGuestInfo", &info);
    if (r != EXIT_DONE)
        return r;
    const json_t *file_systems = json_object_get(info, "file-systems"), *logins = json_object_get(info, "logins");
    if (client_json(client)) {
        (void) json_object_set_new(info, "file-systems", json_name_members(file_systems, file_system));
        (void) json_object_set_new(info, "logins", json_name_members(logins, login));
        json_print(client, info);
        return EXIT_DONE;
    }
    print_words(info);
    print_logins(logins);
    if (json_array_size(file_systems) > 0)
        print_file_systems(client, file_systems);
    return EXIT_DONE;
}

/* ---- file systems ---- */

int verb_guest_freeze(Client *client)
{
    g_autoptr(sd_bus_message) message = NULL;
    uint64_t timeout = 60 * G_USEC_PER_SEC;
    if (client->timeout && (parse_duration(client->timeout, &timeout) < 0 || timeout == 0))
        return report_usage("--timeout=%s: it is a time such as 30s or 2min", client->timeout);
    int r = client_new_call(client, client->arguments[0], VM_INTERFACE, "FreezeGuest", &message);
    if (r != EXIT_DONE)
        return r;
    int k = sd_bus_message_append(message, "a{sv}", 1, "timeout", "t", timeout);
    if (k < 0)
        return report_errno(k, "FreezeGuest: cannot make the call");
    r = client_send(client, client->arguments[0], message, NULL);
    g_autofree char *limit = format_duration(timeout);
    if (r == EXIT_DONE)
        note(client, "VM \"%s\": its file systems are frozen, for %s at most. To thaw them: vmctl%s guest fsthaw %s", client->arguments[0], limit,
                client_hint_options(client), client->arguments[0]);
    return r;
}

int verb_guest_thaw(Client *client)
{
    return client_call(client, client->arguments[0], VM_INTERFACE, "ThawGuest", NULL, NULL);
}

int verb_guest_trim(Client *client)
{
    static const char *const header[] = {"MOUNTED", ">TRIMMED", "PROBLEM", NULL}, *const members[] = {"path", "trimmed", "problem", NULL};
    g_autoptr(Table) table = table_new(header);
    g_autoptr(json_t) rows = NULL;
    size_t i;
    json_t *row;
    int r = json_call(client, client->arguments[0], VM_INTERFACE, "TrimGuest", &rows);
    if (r != EXIT_DONE)
        return r;
    g_autoptr(json_t) trimmed = json_name_members(rows, members);
    if (client_json(client)) {
        json_print(client, trimmed);
        return EXIT_DONE;
    }
    json_array_foreach(trimmed, i, row)
    {
        g_autofree char *size = format_size_human(json_get_number(row, "trimmed"));
        table_add(table, STYLE_NONE, json_get_string(row, "path"));
        table_add(table, STYLE_NONE, size);
        table_add(table, STYLE_NONE, json_get_string(row, "problem"));
    }
    table_print(table, client, true, "file system", "file systems");
    return EXIT_DONE;
}

/* ---- who gets in ---- */

/* One line; false: there is none. Nothing is shown while it is typed. */
static bool ask_line(const char *question, char *line, size_t size)
{
    struct termios before, silent;
    bool told = tcgetattr(STDIN_FILENO, &before) >= 0;
    silent = before;
    silent.c_lflag &= ~(tcflag_t) ECHO;
    fputs(question, stderr);
    if (told)
        (void) tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    bool read = fgets(line, (int) size, stdin);
    if (told)
        (void) tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputc('\n', stderr);
    line[strcspn(line, "\n")] = '\0';
    return read;
}

static int ask_password(const char *user, char *password, size_t size)
{
    char again[PASSWORD_MAX + 2] = "";
    g_autofree char *clean = terminal_clean(user), *first = g_strdup_printf("New password of %s in the guest: ", clean);
    bool same = ask_line(first, password, size) && *password && ask_line("Again: ", again, sizeof again) && strcmp(password, again) == 0;
    explicit_bzero(again, sizeof again);
    return same ? EXIT_DONE : report("the password: there is none, or the two differ");
}

/* From the terminal, or the first line of stdin. */
static int read_password(const char *user, char *password, size_t size)
{
    if (isatty(STDIN_FILENO))
        return ask_password(user, password, size);
    ssize_t n = io_read_all(STDIN_FILENO, password, size - 1);
    if (n < 0)
        return report_errno((int) n, "stdin: it cannot be read");
    password[n] = '\0';
    password[strcspn(password, "\n")] = '\0';
    return *password ? EXIT_DONE : report("stdin: there is no password in its first line");
}

/* A descriptor does not travel over the bus of another host: vmctl there reads it from ssh's stdin, which is a pipe. */
static int set_there(Client *client, const char *password)
{
    const char *const options[] = {"-T", NULL};
    const char *const words[] = {"vmctl", "guest", "set-password", client->crypted ? "--crypted" : NULL, "--", client->arguments[0], client->arguments[1]};
    g_autoptr(GPtrArray) argv = ssh_command(client, options, words, G_N_ELEMENTS(words));
    int in[2], status = 0;
    if (!argv)
        return EXIT_USAGE;
    if (pipe2(in, O_CLOEXEC) < 0)
        return report_errno(errno, "vmctl: a pipe cannot be made");
    pid_t pid = child_start((const char *const *) argv->pdata, in[0], -1);
    (void) close(in[0]);
    if (pid > 0)
        (void) io_write_all(in[1], password, strlen(password));
    (void) close(in[1]);
    if (pid < 0)
        return report_errno(pid, "ssh: it cannot be started");
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED; /* vmctl there, or ssh, has said why */
}

static int set_here(Client *client, const char *password)
{
    g_autoptr(sd_bus_message) message = NULL;
    fd_cleanup int fd = memfd_create("vmctl-password", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || io_write_all(fd, password, strlen(password)) < 0)
        return report_errno(errno, "the password: there is no memory for it");
    int r = client_new_call(client, client->arguments[0], VM_INTERFACE, "SetGuestPassword", &message);
    if (r != EXIT_DONE)
        return r;
    int k = sd_bus_message_append(message, "sh", client->arguments[1], fd);
    if (k >= 0)
        k = sd_bus_message_append(message, "a{sv}", 1, "crypted", "b", (int) client->crypted);
    return k < 0 ? report_errno(k, "SetGuestPassword: cannot make the call") : client_send(client, client->arguments[0], message, NULL);
}

int verb_guest_set_password(Client *client)
{
    char password[PASSWORD_MAX + 2] = "";
    if (client->machine)
        return report_usage("guest set-password: a password cannot be handed into a container; run vmctl there");
    int r = read_password(client->arguments[1], password, sizeof password);
    if (r == EXIT_DONE)
        r = client->host ? set_there(client, password) : set_here(client, password);
    explicit_bzero(password, sizeof password);
    return r;
}

/* What a file has, "-": stdin. The caller frees; NULL, and reported. */
static char *read_keys(const char *path)
{
    bool from_stdin = strcmp(path, "-") == 0;
    g_autofree char *text = g_malloc0(KEYS_SIZE_MAX + 1);
    fd_cleanup int fd = from_stdin ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = !from_stdin && fd < 0 ? -errno : io_read_all(from_stdin ? STDIN_FILENO : fd, text, KEYS_SIZE_MAX);
    if (n >= 0)
        return g_steal_pointer(&text);
    (void) report_errno((int) n, "%s: it cannot be read", path);
    return NULL;
}

int verb_guest_add_ssh_key(Client *client)
{
    const char *vm = client->arguments[0], *source = client->n_arguments > 2 ? client->arguments[2] : "-";
    g_autoptr(sd_bus_message) message = NULL;
    g_autoptr(GPtrArray) keys = g_ptr_array_new();
    /* A key has a space, and as a rule no file's name has. */
    g_autofree char *text = strchr(source, ' ') ? g_strdup(source) : read_keys(source);
    if (!text)
        return EXIT_FAILED;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++)
        if (*g_strstrip(*line) && **line != '#')
            g_ptr_array_add(keys, *line);
    g_ptr_array_add(keys, NULL);
    int r = client_new_call(client, vm, VM_INTERFACE, "AddGuestSSHKeys", &message);
    if (r != EXIT_DONE)
        return r;
    int k = sd_bus_message_append(message, "s", client->arguments[1]);
    if (k >= 0)
        k = sd_bus_message_append_strv(message, (char **) keys->pdata);
    if (k >= 0)
        k = sd_bus_message_append(message, "a{sv}", 1, "replace", "b", (int) client->replace);
    return k < 0 ? report_errno(k, "AddGuestSSHKeys: cannot make the call") : client_send(client, vm, message, NULL);
}
