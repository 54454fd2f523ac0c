/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "polkit-agent.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "child.h"
#include "cleanup.h"

/* How long the agent may take to register before we go on without it. */
#define REGISTER_TIMEOUT_MS 5000

#define AGENT "/usr/bin/pkttyagent"

static pid_t agent;

/* The terminal as it was: an agent that is ended while it reads a password leaves it without echo. */
static struct termios terminal;

static void restore_and_die(int sig)
{
    (void) tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal);
    (void) signal(sig, SIG_DFL);
    (void) raise(sig);
}

/* In the child. */
static void run_agent(pid_t parent, int notify) __attribute__((noreturn));
static void run_agent(pid_t parent, int notify)
{
    char fd[16], pid[16];
    child_reset_signals();
    (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(EXIT_SUCCESS);
    /* Ctrl-C is for vmctl; it ends the agent. */
    (void) signal(SIGINT, SIG_IGN);
    (void) fcntl(notify, F_SETFD, 0);
    (void) snprintf(fd, sizeof fd, "%d", notify);
    (void) snprintf(pid, sizeof pid, "%d", (int) parent);
    execl(AGENT, "pkttyagent", "--notify-fd", fd, "--fallback", "--process", pid, NULL);
    _exit(EXIT_FAILURE);
}

void polkit_agent_start(void)
{
    int notify[2];

    if (agent > 0 || geteuid() == 0 || !isatty(STDERR_FILENO) || access(AGENT, X_OK) < 0 ||
            tcgetattr(STDIN_FILENO, &terminal) < 0 || pipe2(notify, O_CLOEXEC) < 0)
        return;
    fd_cleanup int reader = notify[0], writer = notify[1];

    pid_t parent = getpid();
    agent = fork();
    if (agent == 0)
        run_agent(parent, writer);
    if (agent < 0)
        return;
    for (const int *sig = (const int[]){SIGINT, SIGTERM, SIGHUP, 0}; *sig; sig++)
        (void) signal(*sig, restore_and_die);
    /* It closes its end once it is registered, or when it cannot be. */
    close_fd(&writer);
    struct pollfd poller = {.fd = reader};
    (void) poll(&poller, 1, REGISTER_TIMEOUT_MS);
}

bool polkit_agent_is_running(void)
{
    return agent > 0;
}

void polkit_agent_stop(void)
{
    if (agent <= 0)
        return;
    (void) kill(agent, SIGTERM);
    (void) kill(agent, SIGCONT);
    (void) waitpid(agent, NULL, 0);
    (void) tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal);
    agent = 0;
}
