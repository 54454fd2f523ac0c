/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* edit: the settings file in an editor. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "connect.h"
#include "io.h"
#include "json.h"
#include "report.h"
#include "terminal.h"
#include "verb.h"

/* The text of the file itself, which comes before its drop-ins. */
static int get_text(Client *client, const char *name, char **ret_path, char **ret_text)
{
    g_autoptr(sd_bus_message) reply = NULL;
    const char *path, *text;
    int r = client_call(client, name, client_kind(client)->interface, "GetFiles", &reply, NULL);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_enter_container(reply, 'a', "(ss)");
    if (r >= 0)
        r = sd_bus_message_read(reply, "(ss)", &path, &text);
    if (r <= 0)
        return report("%s \"%s\": it has no settings file", client_kind(client)->word, name);
    *ret_path = g_strdup(path);
    *ret_text = g_strdup(text);
    return EXIT_DONE;
}

static int write_copy(const char *name, const char *suffix, const char *text, char **ret_path)
{
    g_autofree char *path = g_strdup_printf("%s/vmctl-%s-XXXXXX%s", g_get_tmp_dir(), name, suffix);
    fd_cleanup int fd = mkostemps(path, (int) strlen(suffix), O_CLOEXEC);
    if (fd < 0)
        return report_errno(errno, "%s: cannot make a copy to edit", path);
    int r = io_write_all(fd, text, strlen(text));
    if (r < 0) {
        (void) unlink(path);
        return report_errno(r, "%s: cannot write a copy to edit", path);
    }
    *ret_path = g_steal_pointer(&path);
    return EXIT_DONE;
}

/* Runs the first editor that can be run. An editor in the environment is a command with its options. */
static int run_editor(const char *path)
{
    static const char *const variables[] = {"SYSTEMD_EDITOR", "VISUAL", "EDITOR"};
    static const char *const programs[] = {"editor", "nano", "vim", "vi"};

    for (size_t i = 0; i < G_N_ELEMENTS(variables); i++) {
        const char *command = getenv(variables[i]);
        g_auto(GStrv) words = NULL;
        int n;
        if (!command || !*command)
            continue;
        if (!g_shell_parse_argv(command, &n, &words, NULL))
            return report("$%s: \"%s\" is no command", variables[i], command);
        words = g_renew(char *, words, (size_t) n + 2);
        words[n] = g_strdup(path);
        words[n + 1] = NULL;
        int r = child_run((const char *const *) words);
        if (r != 0)
            return r < 0 ? report_errno(r, "$%s: \"%s\" cannot be run", variables[i], command)
                         : report("%s: it exited with %d", words[0], r);
        return EXIT_DONE;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(programs); i++) {
        int r = child_run((const char *const[]){programs[i], path, NULL});
        if (r == -ENOENT)
            continue;
        if (r != 0)
            return r < 0 ? report_errno(r, "%s: cannot be run", programs[i])
                         : report("%s: it exited with %d", programs[i], r);
        return EXIT_DONE;
    }
    return report("there is no editor. Set $EDITOR");
}

static int set_text(Client *client, const char *name, const char *expected, const char *text)
{
    if (!g_utf8_validate(text, -1, NULL))
        return report("%s \"%s\": the text is not UTF-8", client_kind(client)->word, name);
    return client_call(client, name, client_kind(client)->interface, "SetFile", NULL, "ss", expected, text);
}

static void note_saved(Client *client, const char *name, const char *path)
{
    if (!client->quiet)
        printf("Saved %s.\n", path);
    note_restart(client, name);
}

/* Until it is saved, unchanged or given up. The copy is left where its text is nowhere else. */
static int edit_until_saved(
        Client *client, const char *name, const char *path, const char *before, const char *copy)
{
    for (;;) {
        g_autofree char *text = NULL;
        g_autoptr(GError) error = NULL;
        int r = run_editor(copy);
        if (!g_file_get_contents(copy, &text, NULL, &error))
            return report("%s", error->message);
        if (strcmp(text, before) == 0) {
            (void) unlink(copy);
            if (r == EXIT_DONE)
                note(client, "Nothing was changed.");
            return r;
        }
        if (r == EXIT_DONE)
            r = set_text(client, name, before, text);
        if (r == EXIT_DONE) {
            (void) unlink(copy);
            note_saved(client, name, path);
            return r;
        }
        if (!terminal_is_interactive() || !terminal_confirm(true, "Edit it again?")) {
            note(client, "Your text is in %s.", copy);
            return r;
        }
    }
}

int verb_edit(Client *client)
{
    const char *name = client->arguments[0];
    g_autofree char *path = NULL, *text = NULL, *copy = NULL;
    int r = get_text(client, name, &path, &text);
    if (r == EXIT_DONE)
        r = write_copy(name, client_kind(client)->suffix, text, &copy);
    return r == EXIT_DONE ? edit_until_saved(client, name, path, text, copy) : r;
}
