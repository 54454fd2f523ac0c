/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pager.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "cleanup.h"
#include "terminal.h"
#include "value.h"

static pid_t pager;

/* A pager can run commands: one that is run through sudo must not hand them on. */
static bool must_be_secure(void)
{
    const char *own = getenv("SYSTEMD_PAGERSECURE");
    bool secure;
    if (own && parse_boolean(own, &secure) >= 0)
        return secure;
    return getenv("SUDO_UID") || getenv("PKEXEC_UID") || geteuid() != getuid();
}

static const char *find_command(bool secure)
{
    const char *command = NULL;
    if (secure && !getenv("SYSTEMD_PAGERSECURE"))
        return "less";
    command = getenv("SYSTEMD_PAGER");
    if (!command)
        command = getenv("PAGER");
    if (!command)
        return "less";
    return *command && strcmp(command, "cat") != 0 ? command : NULL;
}

static void run_pager(int input, const char *command, bool secure, bool wrap) __attribute__((noreturn));
static void run_pager(int input, const char *command, bool secure, bool wrap)
{
    const char *less = getenv("SYSTEMD_LESS");
    child_reset_signals();
    (void) dup2(input, STDIN_FILENO);
    (void) setenv("LESS", less ? less : wrap ? "FRXMK" : "FRSXMK", 1);
    if (secure)
        (void) setenv("LESSSECURE", "1", 1);
    (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (strcmp(command, "less") != 0)
        execl("/bin/sh", "sh", "-c", command, NULL);
    else
        execlp("less", "less", NULL);
    execlp("more", "more", NULL);
    execlp("cat", "cat", NULL);
    _exit(EXIT_FAILURE);
}

void pager_open(bool not_wanted, bool wrap)
{
    const char *term = getenv("TERM");
    bool secure = must_be_secure();
    const char *command = find_command(secure);
    int fds[2];

    if (not_wanted || pager > 0 || !command || !isatty(STDOUT_FILENO) || !term || strcmp(term, "dumb") == 0)
        return;
    /* Before stdout is the pipe: what holds for the terminal holds for what the pager prints there. */
    (void) terminal_has_colors(stdout);
    if (pipe2(fds, O_CLOEXEC) < 0)
        return;
    fd_cleanup int reader = fds[0], writer = fds[1];
    (void) fflush(stdout);
    pager = fork();
    if (pager == 0)
        run_pager(reader, command, secure, wrap);
    if (pager > 0 && dup2(writer, STDOUT_FILENO) < 0) {
        (void) kill(pager, SIGTERM);
        (void) waitpid(pager, NULL, 0);
        pager = 0;
    }
}

bool pager_is_open(void)
{
    return pager > 0;
}

void pager_close(void)
{
    if (pager <= 0)
        return;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, saved;
    (void) sigaction(SIGINT, &ignore, &saved); /* Ctrl-C is the pager's */
    (void) fclose(stdout);
    (void) waitpid(pager, NULL, 0);
    (void) sigaction(SIGINT, &saved, NULL);
    pager = 0;
}
