/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* screenshot: what the guest shows, as a file, or on a terminal that shows pictures. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "connect.h"
#include "io.h"
#include "report.h"
#include "ssh.h"
#include "value.h"
#include "verb.h"

/* More than QEMU has. */
#define HEAD_MAX 255
#define PICTURE_MAX (256 * 1024 * 1024)

static GBytes *read_all(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > PICTURE_MAX)
        return NULL;
    size_t size = (size_t) st.st_size;
    g_autofree char *data = g_malloc(size);
    if (lseek(fd, 0, SEEK_SET) < 0 || io_read_all(fd, data, size) != (ssize_t) size)
        return NULL;
    return g_bytes_new_take(g_steal_pointer(&data), size);
}

/* vmctl there writes it to a pipe of ssh's. */
static GBytes *fetch(const Client *client)
{
    g_autofree char *head = client->head ? g_strdup_printf("--head=%s", client->head) : NULL;
    const char *const options[] = {"-T", NULL}, *const words[] = {"vmctl", "screenshot", client->arguments[0], "-", head};
    g_autoptr(GPtrArray) argv = ssh_command(client, options, words, G_N_ELEMENTS(words));
    g_autoptr(GByteArray) data = g_byte_array_new();
    int out[2], status = -1;
    if (!argv || pipe2(out, O_CLOEXEC) < 0)
        return NULL;
    pid_t pid = child_start((const char *const *) argv->pdata, -1, out[1]);
    (void) close(out[1]);
    guint8 piece[65536];
    ssize_t n = 0;
    while (pid > 0 && data->len <= PICTURE_MAX && (n = read(out[0], piece, sizeof piece)) > 0)
        g_byte_array_append(data, piece, (guint) n);
    (void) close(out[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status == 0 && data->len > 0 && n == 0 ? g_byte_array_free_to_bytes(g_steal_pointer(&data)) : NULL;
}

/* ---- terminals ---- */

/* https://sw.kovidgoyal.net/kitty/graphics-protocol/: a PNG, sent in pieces of at most 4096 bytes of Base64. */
static void print_for_kitty(const char *base64)
{
    enum { PIECE = 4096 };
    size_t left = strlen(base64);
    for (bool first = true; left > 0; first = false) {
        size_t n = MIN(left, (size_t) PIECE);
        (void) printf("\033_G%sm=%d;%.*s\033\\", first ? "a=T,f=100," : "", left > n, (int) n, base64);
        base64 += n;
        left -= n;
    }
    (void) putchar('\n');
}

/* https://iterm2.com/documentation-images.html */
static void print_for_iterm(const char *base64)
{
    (void) printf("\033]1337;File=inline=1:%s\a\n", base64);
}

static bool variable_is(const char *name, const char *value)
{
    const char *set = getenv(name);
    return set && (!value || strstr(set, value));
}

/* They say what they are in the environment only; to ask one that does not know the question would leave rubbish on it. */
static bool show(GBytes *picture)
{
    gsize size;
    const guchar *data = g_bytes_get_data(picture, &size);
    bool kitty = variable_is("KITTY_WINDOW_ID", NULL) || variable_is("TERM", "kitty") || variable_is("TERM", "ghostty");
    bool iterm = variable_is("TERM_PROGRAM", "iTerm") || variable_is("TERM_PROGRAM", "WezTerm") || variable_is("KONSOLE_VERSION", NULL);
    if (!kitty && !iterm)
        return false;
    g_autofree char *base64 = g_base64_encode(data, size);
    (kitty ? print_for_kitty : print_for_iterm)(base64);
    (void) fflush(stdout);
    return true;
}

/* ---- files ---- */

static int write_file(const char *path, GBytes *picture)
{
    g_autoptr(GError) error = NULL;
    gsize size;
    const char *data = g_bytes_get_data(picture, &size);
    /* Whole or not at all: what was there stays when there is no room. */
    if (!g_file_set_contents_full(path, data, (gssize) size, G_FILE_SET_CONTENTS_CONSISTENT, 0666, &error))
        return report("%s: it cannot be written: %s", path, error->message);
    return EXIT_DONE;
}

static int put(const Client *client, GBytes *picture)
{
    const char *path = client->arguments[1];
    if (path && strcmp(path, "-") != 0)
        return write_file(path, picture);
    if (!path && isatty(STDOUT_FILENO))
        return show(picture) ? EXIT_DONE : report_usage("screenshot: this terminal shows no pictures; give a FILE, or > FILE");
    gsize size;
    const void *data = g_bytes_get_data(picture, &size);
    int r = io_write_all(STDOUT_FILENO, data, size);
    return r < 0 ? report_errno(r, "stdout: it cannot be written") : EXIT_DONE;
}

int verb_screenshot(Client *client)
{
    g_autoptr(sd_bus_message) reply = NULL;
    g_autoptr(GBytes) picture = NULL;
    uint64_t head = 0;
    int fd;
    if (client->head && (parse_uint64(client->head, &head) < 0 || head > HEAD_MAX))
        return report_usage("--head=%s: it is a number, and 0 is the first", client->head);
    if (client->machine)
        return report_usage("screenshot: a picture cannot be handed out of a container; run vmctl there");
    if (client->host) {
        picture = fetch(client);
        return picture ? put(client, picture) : EXIT_FAILED; /* vmctl there, or ssh, has said why */
    }
    int r = head == 0 ? client_call(client, client->arguments[0], VM_INTERFACE, "Screenshot", &reply, NULL)
                      : client_call(client, client->arguments[0], VM_INTERFACE, "ScreenshotHead", &reply, "u", (uint32_t) head);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_read(reply, "h", &fd);
    if (r < 0)
        return report_errno(r, "vmd: cannot read its answer");
    picture = read_all(fd);
    return picture ? put(client, picture) : report("vmd: the picture cannot be read");
}
