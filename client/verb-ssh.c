/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ssh, cp: into a guest, by the programs of these names; ssh-connect: what they connect by. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "guest-ssh.h"
#include "io.h"
#include "json.h"
#include "name.h"
#include "report.h"
#include "verb.h"

#define SSH_PORT 22
#define SSH_SERVICE "22"
/* A guest that has vsock, and nobody who listens there, says so at once; one without a driver never does. */
#define VSOCK_MSEC 2000
#define ADDRESS_MSEC 10000
#define BUFFER_SIZE 65536

/* ---- ssh ---- */

/* "me@web": what ssh and scp call it, new; *ret_name, borrowed, is the VM. NULL, and reported. */
static char *destination_of(const char *word, const char **ret_name)
{
    const char *at = strrchr(word, '@');
    g_autoptr(Error) error = NULL;
    *ret_name = at ? at + 1 : word;
    if (name_check(*ret_name, &error) && at != word)
        return g_strdup_printf("%s.vm", word);
    if (error)
        (void) report_error(error);
    else
        (void) report_usage("\"%s\": nobody has this name", word);
    return NULL;
}

int verb_ssh(Client *client)
{
    const char *name;
    int r;
    g_autofree char *destination = destination_of(client->arguments[0], &name);
    if (!destination)
        return EXIT_USAGE;
    g_autoptr(GPtrArray) argv = guest_ssh_command(client, "ssh", name, &r);
    if (!argv)
        return r == EXIT_USAGE || r == EXIT_NO_SUCH_VM ? r : EXIT_NOT_EXECUTED;
    g_ptr_array_add(argv, g_strdup("--"));
    g_ptr_array_add(argv, g_steal_pointer(&destination));
    for (char **word = client->arguments + 1; *word; word++)
        g_ptr_array_add(argv, g_strdup(*word));
    return guest_ssh_execute(argv);
}

/* ---- cp ---- */

/* "web:/etc": where its path begins, or NULL: a file of this host, as scp has it. */
static const char *path_in_guest(const char *word)
{
    const char *colon = strchr(word, ':'), *slash = strchr(word, '/');
    return colon && colon > word && (!slash || slash > colon) ? colon + 1 : NULL;
}

/* What scp calls it: new. NULL, and reported. `vm`, of all words the same, is NULL before the first; the caller frees. */
static char *scp_word(const char *word, char **vm)
{
    const char *path = path_in_guest(word), *name;
    if (!path) /* scp's own options, and names that it would take for hosts, begin otherwise */
        return word[0] == '/' || word[0] == '.' ? g_strdup(word) : g_strconcat("./", word, NULL);
    g_autofree char *host = g_strndup(word, (size_t) (path - word - 1)), *destination = destination_of(host, &name);
    if (!destination)
        return NULL;
    if (*vm && strcmp(*vm, name) != 0) {
        (void) report_usage("cp: from \"%s\" to \"%s\": copy to this host first", *vm, name);
        return NULL;
    }
    if (!*vm)
        *vm = g_strdup(name);
    return g_strdup_printf("%s:%s", destination, path);
}

int verb_cp(Client *client)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *vm = NULL;
    int r;
    for (char **word = client->arguments; *word; word++) {
        char *copied = scp_word(*word, &vm);
        if (!copied)
            return EXIT_USAGE;
        g_ptr_array_add(words, copied);
    }
    if (!vm)
        return report_usage("cp: neither is in a guest, NAME:PATH");
    g_autoptr(GPtrArray) argv = guest_ssh_command(client, "scp", vm, &r);
    if (!argv)
        return r == EXIT_USAGE || r == EXIT_NO_SUCH_VM ? r : EXIT_NOT_EXECUTED;
    if (client->recursive)
        g_ptr_array_add(argv, g_strdup("-r"));
    g_ptr_array_add(argv, g_strdup("--"));
    for (guint i = 0; i < words->len; i++)
        g_ptr_array_add(argv, g_strdup(words->pdata[i]));
    return guest_ssh_execute(argv);
}

/* ---- ssh-connect ---- */

/* Takes the socket. Returns it, connected and blocking, or a negative errno. */
static int connect_within(int taken, const struct sockaddr *address, socklen_t size, int msec)
{
    fd_cleanup int fd = taken;
    int error = 0;
    socklen_t length = sizeof error;
    if (connect(fd, address, size) < 0) {
        struct pollfd poller = {.fd = fd, .events = POLLOUT};
        if (errno != EINPROGRESS)
            return -errno;
        int n = poll(&poller, 1, msec);
        if (n <= 0)
            return n < 0 ? -errno : -ETIMEDOUT;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 || error != 0)
            return error != 0 ? -error : -errno;
    }
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0)
        return -errno;
    return steal_fd(&fd);
}

static int connect_vsock(uint32_t cid)
{
    const struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = SSH_PORT};
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ? -errno : connect_within(fd, (const struct sockaddr *) &address, sizeof address, VSOCK_MSEC);
}

static int connect_address(const char *text)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    if (getaddrinfo(text, SSH_SERVICE, &hints, &found) != 0)
        return -EINVAL;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r = fd < 0 ? -errno : connect_within(fd, found->ai_addr, found->ai_addrlen, ADDRESS_MSEC);
    freeaddrinfo(found);
    return r;
}

/* A connection to its SSH server, or a negative number, and reported. */
static int connect_guest(const char *name, const json_t *vm)
{
    g_autoptr(GString) tried = g_string_new(NULL);
    uint32_t cid = (uint32_t) json_get_number(vm, "VSockCID");
    size_t i;
    json_t *row;
    int fd = cid > 0 ? connect_vsock(cid) : -EADDRNOTAVAIL;
    if (fd < 0 && cid > 0)
        g_string_append_printf(tried, "vsock %u: %s", cid, g_strerror(-fd));
    json_array_foreach(json_object_get(vm, "Addresses"), i, row)
    {
        const char *address = json_string_value(json_array_get(row, 2)) ?: "";
        if (fd < 0 && *address && (fd = connect_address(address)) < 0)
            g_string_append_printf(tried, "%s%s: %s", tried->len > 0 ? "; " : "", address, g_strerror(-fd));
    }
    if (fd < 0)
        (void) report("VM \"%s\": no SSH server of it answers (%s). Without one: vmctl exec %s", name, tried->len > 0 ? tried->str : "no address of it is known", name);
    return fd;
}

/* ssh takes the connection itself (ProxyUseFdpass). */
static int hand_over(int fd)
{
    char byte = 0;
    struct iovec part = {&byte, 1};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    return sendmsg(STDOUT_FILENO, &message, 0) < 0 ? report_errno(errno, "ssh: the connection cannot be handed over") : EXIT_DONE;
}

/* What there is now; 0: the end. */
static ssize_t carry(int from, int to)
{
    char buffer[BUFFER_SIZE];
    ssize_t n = read(from, buffer, sizeof buffer);
    if (n > 0 && io_write_all(to, buffer, (size_t) n) < 0)
        return 0;
    return n < 0 && errno == EINTR ? 1 : n;
}

/* For an ssh on another host: until the guest's end of it. */
static int carry_both(int fd)
{
    struct pollfd pollers[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    while (poll(pollers, G_N_ELEMENTS(pollers), -1) >= 0 || errno == EINTR) {
        if (pollers[0].revents && carry(STDIN_FILENO, fd) <= 0) {
            (void) shutdown(fd, SHUT_WR);
            pollers[0].fd = -1;
        }
        if (pollers[1].revents && carry(fd, STDOUT_FILENO) <= 0)
            break;
    }
    return EXIT_DONE;
}

int verb_ssh_connect(Client *client)
{
    const char *name = client->arguments[0];
    g_autoptr(json_t) vm = NULL;
    int r = json_get_properties(client, name, &vm);
    if (r != EXIT_DONE)
        return r;
    fd_cleanup int fd = connect_guest(name, vm);
    if (fd < 0)
        return EXIT_FAILED;
    return client->pipe ? carry_both(fd) : hand_over(fd);
}
