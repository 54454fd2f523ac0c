/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tree-child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "config.h"
#include "guard.h"

#define ACCURACY_USEC (10 * 1000)
#define STATUS_MAX (64U * 1024U)

/* Its own, since who wants the child may go while it is under way. */
typedef struct Birth {
    TreeChild *child; /* NULL: nobody wants it any more */
    int fds[3];       /* the program's, the status file, vmd's pidfd */
    int output;
} Birth;

struct TreeChild {
    QemuTree *tree;
    Birth *birth; /* while it is being born */
    int status, pidfd;
    bool killed, timed_out;
    sd_event *event;
    sd_event_source *end, *timer;
    TreeChildEnded ended;
    void *userdata;
};

static void birth_free(Birth *birth)
{
    for (size_t i = 0; i < G_N_ELEMENTS(birth->fds); i++)
        close_fd(&birth->fds[i]);
    close_fd(&birth->output);
    g_free(birth);
}

/* ---- its end ---- */

/* What the guard wrote down; without a word of it, it was killed. */
static GKeyFile *read_status(const TreeChild *child)
{
    g_autoptr(GKeyFile) status = g_key_file_new();
    g_autofree char *text = g_malloc(STATUS_MAX);
    ssize_t n = pread(child->status, text, STATUS_MAX, 0);

    if (n <= 0 || !g_key_file_load_from_data(status, text, (gsize) n, G_KEY_FILE_NONE, NULL) ||
            !g_key_file_has_key(status, GUARD_STATUS_GROUP, "Ended", NULL))
        return NULL;
    return g_steal_pointer(&status);
}

/* The callback may free the child. */
static void report(TreeChild *child)
{
    g_autoptr(GKeyFile) status = read_status(child);
    g_autofree char *escaped = status ? g_key_file_get_value(status, GUARD_STATUS_GROUP, "Output", NULL) : NULL;
    g_autofree char *output = g_strcompress(escaped ?: "");
    int sig = status ? g_key_file_get_integer(status, GUARD_STATUS_GROUP, "Signal", NULL) : SIGKILL;
    const ChildEnd end = {
            .timed_out = child->timed_out,
            .not_executed = status && g_key_file_has_key(status, GUARD_STATUS_GROUP, "Executed", NULL),
            .code = sig > 0 ? CLD_KILLED : CLD_EXITED,
            .status = sig > 0 ? sig : g_key_file_get_integer(status, GUARD_STATUS_GROUP, "Code", NULL),
            .output = output,
            .output_length = strlen(output),
    };

    child->end = sd_event_source_disable_unref(child->end);
    child->timer = sd_event_source_disable_unref(child->timer);
    child->ended(&end, child->userdata);
}

static int on_end(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    report(userdata);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    TreeChild *child = userdata;

    child->timed_out = true;
    if (child->pidfd < 0)
        report(child); /* vmd-spawn does not answer */
    else
        tree_child_kill(child);
    return 0;
}

void tree_child_kill(TreeChild *child)
{
    child->killed = true;
    if (child->pidfd >= 0)
        (void) pidfd_send_signal(child->pidfd, SIGKILL, NULL, 0);
}

void tree_child_free(TreeChild *child)
{
    if (!child)
        return;
    tree_child_kill(child);
    if (child->birth)
        child->birth->child = NULL;
    sd_event_source_disable_unref(child->end);
    sd_event_source_disable_unref(child->timer);
    sd_event_unref(child->event);
    close_fd(&child->status);
    close_fd(&child->pidfd);
    qemu_tree_unref(child->tree);
    g_free(child);
}

/* ---- its birth ---- */

static int on_unborn(sd_event_source *source, uint64_t usec, void *userdata)
{
    report(userdata);
    return 0;
}

static void on_born(pid_t pid, int pidfd, int r, void *userdata)
{
    Birth *birth = userdata;
    TreeChild *child = birth->child;

    birth_free(birth);
    if (!child || child->timed_out) {
        if (r >= 0) {
            (void) pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
            (void) close(pidfd);
        }
        if (child)
            child->birth = NULL;
        return;
    }
    child->birth = NULL;
    if (r >= 0) {
        child->pidfd = pidfd;
        r = sd_event_add_io(child->event, &child->end, pidfd, EPOLLIN, on_end, child);
    }
    if (r < 0) {
        g_autofree char *text = g_strdup_printf("[" GUARD_STATUS_GROUP "]\nEnded=yes\nExecuted=no\nCode=%d\nOutput=" GUARD_PATH ": %s\n", GUARD_EXIT_EXEC,
                g_strerror(-r));

        /* In the loop, since this may be called before tree_child_new() has returned. */
        (void) !pwrite(child->status, text, strlen(text), 0);
        child->timer = sd_event_source_disable_unref(child->timer);
        (void) sd_event_add_time_relative(child->event, &child->timer, CLOCK_MONOTONIC, 0, 0, on_unborn, child);
        return;
    }
    if (child->killed)
        tree_child_kill(child);
}

static void add(GPtrArray *argv, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void add(GPtrArray *argv, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(argv, g_strdup_vprintf(format, args));
    va_end(args);
}

/* Each has a uid of its own: several may be asked at once. */
static void add_ids(GPtrArray *argv)
{
    static unsigned last;
    unsigned n = last++ % GUARD_PROBE_COUNT, uid = GUARD_PROBE_UIDS + 1 + n, guard = uid + GUARD_PROBE_COUNT;

    add(argv, "--uid=%u", uid);
    add(argv, "--gid=%u", uid);
    add(argv, "--guard-uid=%u", guard);
    add(argv, "--guard-gid=%u", guard);
}

static GPtrArray *guard_argv(const Birth *birth, const QemuTree *tree, bool user, const char *const *program)
{
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);

    add(argv, "%s", GUARD_PATH);
    add(argv, "--helper=yes");
    add(argv, "--probe=yes");
    add(argv, "--name=%s", qemu_tree_root(tree));
    add(argv, "--root=%s", qemu_tree_folder(tree));
    add(argv, "--status=%d", birth->fds[1]);
    add(argv, "--life=%d", birth->fds[2]);
    if (!user)
        add_ids(argv);
    add(argv, "--");
    for (size_t i = 0; program[i]; i++)
        add(argv, "%s", program[i]);
    g_ptr_array_add(argv, NULL);
    return argv;
}

int tree_child_new(sd_event *event, Spawner *spawner, bool user, QemuTree *tree, const char *const *program, int fd, uint64_t timeout_usec, TreeChildEnded ended,
        void *userdata, TreeChild **ret)
{
    g_autoptr(TreeChild) child = g_new0(TreeChild, 1);
    g_autoptr(GPtrArray) argv = NULL;
    Birth *birth = g_new0(Birth, 1);
    int r;

    *birth = (Birth){.child = child, .fds = {fd, memfd_create("vmd-probe", MFD_CLOEXEC), pidfd_open(getpid(), 0)}, .output = open("/dev/null", O_WRONLY | O_CLOEXEC)};
    *child = (TreeChild){
            .tree = qemu_tree_ref(tree),
            .birth = birth,
            .status = birth->fds[1] < 0 ? -1 : fcntl(birth->fds[1], F_DUPFD_CLOEXEC, 3),
            .pidfd = -1,
            .event = sd_event_ref(event),
            .ended = ended,
            .userdata = userdata,
    };
    r = child->status < 0 || birth->fds[2] < 0 || birth->output < 0 ? -errno : 0;
    if (r >= 0)
        r = sd_event_add_time_relative(event, &child->timer, CLOCK_MONOTONIC, timeout_usec, ACCURACY_USEC, on_timer, child);
    if (r < 0) {
        child->birth = NULL;
        birth_free(birth);
        return r;
    }
    argv = guard_argv(birth, tree, user, program);
    spawner_spawn(spawner,
            &(SpawnSpec){
                    .argv = (char *const *) argv->pdata,
                    .fds = birth->fds,
                    .n_fds = G_N_ELEMENTS(birth->fds),
                    .output = birth->output,
                    .cgroup = -1,
            },
            on_born, birth);
    *ret = g_steal_pointer(&child);
    return 0;
}
