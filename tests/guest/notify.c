/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* notify TEXT [SECONDS]: says TEXT to whom vmm.notify_socket of the firmware's tables names, as systemd does in a guest, and stays connected.
 * notify --serve PORT PROGRAM...: runs the program for each connection to that port of vsock, as a socket unit of systemd's does. */

#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define CREDENTIAL "io.systemd.credential:vmm.notify_socket=vsock-stream:"

static int serve(unsigned port, char **program)
{
    const struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0), connection;
    signal(SIGCHLD, SIG_IGN);
    if (fd < 0 || bind(fd, (const struct sockaddr *) &address, sizeof address) < 0 || listen(fd, 8) < 0) {
        perror("notify");
        return 1;
    }
    while ((connection = accept(fd, NULL, NULL)) >= 0) {
        if (fork() == 0) {
            signal(SIGCHLD, SIG_DFL);
            dup2(connection, STDIN_FILENO);
            dup2(connection, STDOUT_FILENO);
            close(connection);
            execv(program[0], program);
            _exit(127);
        }
        close(connection);
    }
    return 1;
}

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "--serve") == 0)
        return serve((unsigned) atoi(argv[2]), argv + 3);
    static char tables[65536];
    struct sockaddr_vm address = {.svm_family = AF_VSOCK};
    FILE *file = fopen("/sys/firmware/dmi/tables/DMI", "r");
    size_t n = file ? fread(tables, 1, sizeof tables - 1, file) : 0;
    char *found = memmem(tables, n, CREDENTIAL, strlen(CREDENTIAL));
    if (argc < 2 || !found || sscanf(found + strlen(CREDENTIAL), "%u:%u", &address.svm_cid, &address.svm_port) != 2) {
        fprintf(stderr, "notify: nobody is to be told\n");
        return 1;
    }
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof address) < 0 || send(fd, argv[1], strlen(argv[1]), MSG_NOSIGNAL) < 0) {
        perror("notify");
        return 1;
    }
    sleep(argc > 2 ? (unsigned) atoi(argv[2]) : 0);
    return 0;
}
