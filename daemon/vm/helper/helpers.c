/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helpers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "cleanup.h"
#include "config.h"
#include "guard-argv.h"
#include "guard.h"
#include "manager.h"
#include "steps.h"

/* As many as a guard takes (guard/options.h). */
#define TREE_GROUPS_MAX 32U

/* In the run-time folder: "helper-tpm" is what its guard says. */
#define STATUS_PREFIX "helper-"

static const struct {
    const char *name;
    const char *lost; /* what the guest goes on without */
    bool needed;      /* by its QEMU, for a reset */
} kinds[_HELPER_KIND_MAX] = {
    [HELPER_TPM] = {"tpm", "its TPM", true},
    [HELPER_SHARE] = {"share", "a folder that it shared", false},
    [HELPER_SPICE] = {"spice", "those who looked at it", false},
};
G_STATIC_ASSERT(_HELPER_KIND_MAX <= GUARD_HELPER_KINDS);

/* Those that are waited for together. */
typedef struct Births {
    Instance *instance; /* NULL: nobody waits any more */
    unsigned n;
    Error *error;
    HelpersStarted started;
    void *userdata;
} Births;

/* Its own, since the instance may go while it is under way. */
typedef struct Birth {
    Births *births;
    Helper *helper; /* NULL: nobody wants it any more */
    GArray *fds;    /* int, owned: those of the helper, and more */
    int output, cgroup;
} Birth;

struct Helper {
    Helpers *helpers;
    HelperKind kind;
    char *name;    /* the kind's, or that and its own */
    char *program; /* its base name */
    GPtrArray *argv;
    GArray *fds; /* int, owned, until it is born */
    bool of_tree;
    int tls[MACHINE_TLS_MAX]; /* among fds; -1: none */
    char *folder;
    uint64_t file_size;
    HelperTree tree; /* path NULL: none; its path and groups are owned, its fd is among fds */

    Birth *birth; /* while it is being born */
    int go_fd;    /* write end; -1: it was started at once */
    pid_t guard;  /* 0: not born */
    int pidfd;
    sd_event_source *end;
    pid_t pid;     /* 0: not known */
    char *message; /* how it ended; NULL: it has not */
};

struct Helpers {
    Instance *instance;
    GPtrArray *all; /* Helper */
};

static void helper_free(void *userdata)
{
    Helper *helper = userdata;
    if (helper->birth) {
        helper->birth->helper = NULL;
        helper->birth->births->instance = NULL;
    }
    sd_event_source_disable_unref(helper->end);
    close_fd(&helper->pidfd);
    close_fd(&helper->go_fd);
    g_array_unref(helper->fds);
    g_ptr_array_unref(helper->argv);
    g_free((char *) helper->tree.path);
    g_clear_pointer(&helper->tree.groups, g_array_unref);
    g_free(helper->name);
    g_free(helper->program);
    g_free(helper->folder);
    g_free(helper->message);
    g_free(helper);
}

void helpers_free(Helpers *helpers)
{
    if (!helpers)
        return;
    g_ptr_array_unref(helpers->all);
    g_free(helpers);
}

/* `name` is the whole one. */
static Helper *add(Instance *instance, HelperKind kind, const char *name, const char *program)
{
    if (!instance->helpers) {
        instance->helpers = g_new0(Helpers, 1);
        instance->helpers->instance = instance;
        instance->helpers->all = g_ptr_array_new_with_free_func(helper_free);
    }
    Helper *helper = g_new0(Helper, 1);
    helper->helpers = instance->helpers;
    helper->kind = kind;
    helper->name = g_strdup(name);
    helper->program = g_path_get_basename(program);
    helper->argv = g_ptr_array_new_with_free_func(g_free);
    helper->fds = fd_array_new();
    helper->pidfd = helper->go_fd = -1;
    for (size_t i = 0; i < MACHINE_TLS_MAX; i++)
        helper->tls[i] = -1;
    g_ptr_array_add(instance->helpers->all, helper);
    return helper;
}

static char *full_name(HelperKind kind, const char *name)
{
    return name ? g_strdup_printf("%s-%s", kinds[kind].name, name) : g_strdup(kinds[kind].name);
}

Helper *helpers_add(Instance *instance, HelperKind kind, const char *name, const char *program)
{
    g_autofree char *full = full_name(kind, name);
    Helper *helper = add(instance, kind, full, program);
    helper_add_argument(helper, "%s", program);
    return helper;
}

void helper_add_argument(Helper *helper, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_ptr_array_add(helper->argv, g_strdup_vprintf(format, ap));
    va_end(ap);
}

void helper_set_of_tree(Helper *helper)
{
    helper->of_tree = true;
}

void helper_add_fd(Helper *helper, int fd)
{
    g_array_append_val(helper->fds, fd);
}

void helper_set_folder(Helper *helper, const char *path, uint64_t file_size)
{
    g_free(helper->folder);
    helper->folder = g_strdup(path);
    helper->file_size = file_size;
}

void helper_set_tls(Helper *helper, const int *fds)
{
    for (size_t i = 0; i < MACHINE_TLS_MAX; i++) {
        helper->tls[i] = fds[i];
        helper_add_fd(helper, fds[i]);
    }
}

void helper_set_tree(Helper *helper, const HelperTree *tree)
{
    helper->tree = *tree;
    helper->tree.path = g_strdup(tree->path);
    helper->tree.groups = tree->groups ? g_array_ref(tree->groups) : NULL;
    helper_add_fd(helper, tree->fd);
}

bool helpers_have(const Helpers *helpers, HelperKind kind)
{
    for (guint i = 0; helpers && i < helpers->all->len; i++)
        if (((const Helper *) helpers->all->pdata[i])->kind == kind)
            return true;
    return false;
}

Helper *helpers_find(const Helpers *helpers, HelperKind kind, const char *name)
{
    g_autofree char *full = full_name(kind, name);
    for (guint i = 0; helpers && i < helpers->all->len; i++) {
        Helper *helper = helpers->all->pdata[i];
        if (g_str_equal(helper->name, full))
            return helper;
    }
    return NULL;
}

/* ---- ends ---- */

static GKeyFile *read_status(const Helper *helper)
{
    g_autofree char *name = g_strconcat(STATUS_PREFIX, helper->name, NULL);
    return instance_read_status(helper->helpers->instance, name);
}

static pid_t read_pid(Helper *helper)
{
    if (helper->pid > 0)
        return helper->pid;
    g_autoptr(GKeyFile) status = read_status(helper);
    if (status)
        helper->pid = g_key_file_get_integer(status, GUARD_STATUS_GROUP, "Pid", NULL);
    return helper->pid;
}

/* NULL: it has not, or nobody knows. What it said last is added where it did not end in peace. */
static char *why_ended(const Helper *helper, bool *ret_failed)
{
    g_autoptr(GKeyFile) status = read_status(helper);
    if (!status || !g_key_file_has_key(status, GUARD_STATUS_GROUP, "Ended", NULL))
        return NULL;
    int sig = g_key_file_get_integer(status, GUARD_STATUS_GROUP, "Signal", NULL), code = g_key_file_get_integer(status, GUARD_STATUS_GROUP, "Code", NULL);
    *ret_failed = sig > 0 || code != 0;
    if (sig > 0)
        return g_strdup_printf("%s was killed by signal %d (%s)", helper->program, sig, strsignal(sig));
    g_autofree char *escaped = g_key_file_get_value(status, GUARD_STATUS_GROUP, "Output", NULL), *output = escaped ? g_strcompress(escaped) : NULL;
    g_autofree char *words = output && code != 0 ? instance_last_words(output) : NULL;
    return g_strdup_printf("%s exited with %d%s%s", helper->program, code, words ? ": " : "", words ?: "");
}

static void note_end(Helper *helper)
{
    bool failed;
    char *why = why_ended(helper, &failed);
    helper->message = why ? why : g_strdup_printf("%s was killed with its guard", helper->program);
}

/* It is no helper's fault that its VM ends. */
static void lost(Helper *helper)
{
    Instance *instance = helper->helpers->instance;
    VM *vm = instance->vm;
    note_end(helper);
    if (instance->terminating || instance->guard_pidfd < 0 || instance_guard_is_gone(instance))
        return;
    g_warning("VM %s: %s; the guest goes on without %s (%s)", vm->name, helper->message, kinds[helper->kind].lost, helper->name);
    if (instance->start)
        start_helper_lost(instance->start);
    else
        vm_changed(vm, "Helpers", NULL);
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Helper *helper = userdata;
    (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
    lost(helper);
    return 0;
}

static int watch(Helper *helper, pid_t guard, int pidfd)
{
    helper->guard = guard;
    helper->pidfd = pidfd;
    int r = sd_event_add_io(helper->helpers->instance->vm->manager->event, &helper->end, pidfd, EPOLLIN, on_end, helper);
    /* After the end of the VM, which explains it. */
    return r < 0 ? r : sd_event_source_set_priority(helper->end, SD_EVENT_PRIORITY_NORMAL + 20);
}

char *helpers_why_failed(const Helpers *helpers)
{
    for (guint i = 0; helpers && i < helpers->all->len; i++) {
        bool failed = false;
        g_autofree char *why = why_ended(helpers->all->pdata[i], &failed);
        if (failed)
            return g_steal_pointer(&why);
    }
    return NULL;
}

bool helpers_check_whole(const Helpers *helpers, const char *thing, Error **ret_error)
{
    for (guint i = 0; helpers && i < helpers->all->len; i++) {
        const Helper *helper = helpers->all->pdata[i];
        if (helper->message && kinds[helper->kind].needed)
            return error_set(ret_error, ERROR_UNSUPPORTED, thing, "Stop it and start it again", "it goes on without %s (%s)",
                kinds[helper->kind].lost, helper->message);
    }
    return true;
}

/* ---- birth ---- */

static void birth_free(Birth *birth)
{
    g_array_unref(birth->fds);
    close_fd(&birth->output);
    close_fd(&birth->cgroup);
    g_free(birth);
}

static void finish_one(Births *births)
{
    if (--births->n > 0)
        return;
    g_autoptr(Error) error = births->error;
    if (births->instance && !error && !instance_write_record(births->instance, &error))
        g_warning("VM %s: its helpers are not in its record", births->instance->vm->name);
    if (births->instance)
        births->started(error, births->userdata);
    g_free(births);
}

static void on_born(pid_t pid, int pidfd, int r, void *userdata)
{
    Birth *birth = userdata;
    Helper *helper = birth->helper;
    Births *births = birth->births;
    birth_free(birth);
    if (!helper && r >= 0) {
        (void) syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        (void) close(pidfd);
    }
    if (helper)
        helper->birth = NULL;
    if (helper && r >= 0)
        r = watch(helper, pid, pidfd);
    if (helper && r < 0 && !births->error)
        error_set_errno(&births->error, r, GUARD_PATH, "it cannot be started for %s", helper->program);
    finish_one(births);
}

/* A user's guard has no other rights than the owner's. */
static void add_tree(const Helper *helper, GPtrArray *argv)
{
    const HelperTree *tree = &helper->tree;
    g_autoptr(GString) groups = g_string_new(NULL);
    for (guint i = 0; tree->groups && i < MIN(tree->groups->len, TREE_GROUPS_MAX); i++)
        g_string_append_printf(groups, "%s%u", i > 0 ? "," : "", (unsigned) g_array_index(tree->groups, gid_t, i));
    g_ptr_array_add(argv, g_strdup_printf("--tree=%s", tree->path));
    g_ptr_array_add(argv, g_strdup_printf("--tree-fd=%d", tree->fd));
    g_ptr_array_add(argv, g_strdup_printf("--tree-read-only=%s", tree->read_only ? "yes" : "no"));
    if (helper->helpers->instance->uid == (uid_t) -1)
        return;
    g_ptr_array_add(argv, g_strdup_printf("--owner-uid=%u", (unsigned) tree->owner));
    g_ptr_array_add(argv, g_strdup_printf("--owner-gid=%u", (unsigned) tree->gid));
    g_ptr_array_add(argv, g_strdup_printf("--owner-groups=%s", groups->str));
}

static GPtrArray *guard_argv_of(const Helper *helper, int status, int life, int go)
{
    const Instance *instance = helper->helpers->instance;
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(argv, g_strdup(GUARD_PATH));
    g_ptr_array_add(argv, g_strdup("--helper=yes"));
    g_ptr_array_add(argv, g_strdup_printf("--name=%s", instance->vm->name));
    g_ptr_array_add(argv, g_strdup_printf("--status=%d", status));
    g_ptr_array_add(argv, g_strdup_printf("--life=%d", life));
    if (go >= 0)
        g_ptr_array_add(argv, g_strdup_printf("--go=%d", go));
    if (instance->uid != (uid_t) -1) {
        unsigned n = instance->uid - GUARD_QEMU_UIDS, uid = GUARD_HELPER_UIDS + ((unsigned) helper->kind << 16) + n;
        g_ptr_array_add(argv, g_strdup_printf("--uid=%u", uid));
        g_ptr_array_add(argv, g_strdup_printf("--gid=%u", uid));
        g_ptr_array_add(argv, g_strdup_printf("--guard-uid=%u", GUARD_OWN_UIDS + n));
        g_ptr_array_add(argv, g_strdup_printf("--guard-gid=%u", GUARD_OWN_UIDS + n));
    }
    if (helper->of_tree)
        g_ptr_array_add(argv, g_strdup_printf("--root=%s", instance->folder));
    for (size_t i = 0; i < MACHINE_TLS_MAX && helper->tls[i] >= 0; i++)
        g_ptr_array_add(argv, g_strdup_printf("--%s=%d", guard_tls_options[i], helper->tls[i]));
    if (helper->tree.path)
        add_tree(helper, argv);
    if (helper->folder)
        g_ptr_array_add(argv, g_strdup_printf("--own=%s", helper->folder));
    if (helper->file_size > 0)
        g_ptr_array_add(argv, g_strdup_printf("--file-size=%" G_GUINT64_FORMAT, helper->file_size));
    g_ptr_array_add(argv, g_strdup("--"));
    for (guint i = 0; i < helper->argv->len; i++)
        g_ptr_array_add(argv, g_strdup(helper->argv->pdata[i]));
    g_ptr_array_add(argv, NULL);
    return argv;
}

static char *status_path(const Helper *helper)
{
    return g_strdup_printf("%s/" STATUS_PREFIX "%s", helper->helpers->instance->dir, helper->name);
}

static int open_status(const Helper *helper)
{
    g_autofree char *path = status_path(helper);
    return open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* What its guard gets, beside what is the helper's: in `ret_fds`, -1 where it is not there, and among those of its birth. */
static int open_fds(Helper *helper, bool in_place, Birth *birth, int ret_fds[3])
{
    int go[2] = {-1, -1}, r = 0;
    ret_fds[0] = open_status(helper);
    ret_fds[1] = fcntl(helper->helpers->instance->guard_pidfd, F_DUPFD_CLOEXEC, 3);
    if (ret_fds[0] < 0 || ret_fds[1] < 0 || (!in_place && pipe2(go, O_CLOEXEC) < 0))
        r = -errno;
    ret_fds[2] = go[0];
    helper->go_fd = go[1];
    for (size_t i = 0; i < 3; i++)
        if (ret_fds[i] >= 0)
            g_array_append_val(birth->fds, ret_fds[i]);
    return r;
}

static void start_one(Helper *helper, Births *births, bool in_place)
{
    const Instance *instance = helper->helpers->instance;
    Manager *manager = instance->vm->manager;
    g_autofree char *unit = vm_scope(instance->vm);
    Birth *birth = g_new0(Birth, 1);
    birth->births = births;
    birth->helper = helper;
    helper->birth = birth;
    births->n++;
    birth->fds = g_steal_pointer(&helper->fds);
    helper->fds = fd_array_new();
    birth->cgroup = in_place ? scope_cgroup_open(manager->scopes, unit) : -1;
    birth->output = sd_journal_stream_fd(helper->program, LOG_INFO, true);

    int fds[3], r = open_fds(helper, in_place, birth, fds);
    if (in_place && birth->cgroup < 0 && r >= 0)
        r = birth->cgroup;
    if (r < 0)
        return on_born(0, -1, r, birth);

    g_autoptr(GPtrArray) argv = guard_argv_of(helper, fds[0], fds[1], fds[2]);
    const SpawnSpec spec = {
        .argv = (char *const *) argv->pdata,
        .fds = (const int *) (const void *) birth->fds->data,
        .n_fds = birth->fds->len,
        .output = birth->output >= 0 ? birth->output : STDERR_FILENO,
        .cgroup = birth->cgroup,
    };
    spawner_spawn(manager->spawner, &spec, on_born, birth);
}

/* One more than there are, so that the last answer is known as it. */
static Births *births_new(const Helpers *helpers, HelpersStarted started, void *userdata)
{
    Births *births = g_new0(Births, 1);
    *births = (Births) {.instance = helpers->instance, .n = 1, .started = started, .userdata = userdata};
    return births;
}

void helpers_start(Helpers *helpers, bool in_place, HelpersStarted started, void *userdata)
{
    Births *births = births_new(helpers, started, userdata);
    for (guint i = 0; i < helpers->all->len; i++)
        start_one(helpers->all->pdata[i], births, in_place);
    finish_one(births);
}

void helpers_go(Helpers *helpers)
{
    for (guint i = 0; helpers && i < helpers->all->len; i++) {
        Helper *helper = helpers->all->pdata[i];
        if (helper->go_fd >= 0)
            (void) !write(helper->go_fd, "g", 1);
        close_fd(&helper->go_fd);
    }
}

void helper_start(Helper *helper, HelpersStarted started, void *userdata)
{
    Births *births = births_new(helper->helpers, started, userdata);
    start_one(helper, births, true);
    finish_one(births);
}

void helper_remove(Helper *helper)
{
    g_autofree char *path = status_path(helper);
    if (helper->pidfd >= 0)
        (void) syscall(SYS_pidfd_send_signal, helper->pidfd, SIGKILL, NULL, 0);
    (void) unlink(path);
    g_ptr_array_remove(helper->helpers->all, helper);
}

void helpers_append_guards(const Helpers *helpers, GArray *pids)
{
    for (guint i = 0; helpers && i < helpers->all->len; i++) {
        const Helper *helper = helpers->all->pdata[i];
        if (helper->guard > 0)
            g_array_append_val(pids, helper->guard);
    }
}

/* ---- those who look ---- */

GArray *helpers_view(const Helpers *helpers)
{
    GArray *views = g_array_new(FALSE, FALSE, sizeof(HelperView));
    for (guint i = 0; helpers && i < helpers->all->len; i++) {
        Helper *helper = helpers->all->pdata[i];
        HelperView view = {.name = helper->name, .pid = helper->message ? 0 : read_pid(helper), .message = helper->message ?: ""};
        g_array_append_val(views, view);
    }
    return views;
}

char *helpers_record(const Helpers *helpers)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; helpers && i < helpers->all->len; i++) {
        const Helper *helper = helpers->all->pdata[i];
        g_string_append_printf(text, "%s%s:%d:%s", i > 0 ? " " : "", helper->name, (int) helper->guard, helper->program);
    }
    return g_string_free(text, FALSE);
}

/* It is the one that it was as long as its guard is in the scope. */
static void recover(Helper *helper, pid_t guard)
{
    g_autofree char *unit = vm_scope(helper->helpers->instance->vm);
    int pidfd = guard > 1 ? (int) syscall(SYS_pidfd_open, guard, 0) : -1;
    if (pidfd >= 0 && !scope_has_process(unit, guard))
        close_fd(&pidfd);
    helper->guard = guard;
    if (pidfd < 0 || watch(helper, guard, pidfd) < 0)
        note_end(helper); /* its guard has told the journal */
}

static bool is_of_kind(const char *name, HelperKind kind)
{
    size_t n = strlen(kinds[kind].name);
    return strncmp(name, kinds[kind].name, n) == 0 && (name[n] == 0 || name[n] == '-');
}

void helpers_recover(Instance *instance, const char *record)
{
    g_auto(GStrv) words = g_strsplit(record ? record : "", " ", -1);
    for (size_t i = 0; words[i]; i++) {
        g_auto(GStrv) parts = g_strsplit(words[i], ":", 3);
        for (HelperKind kind = 0; g_strv_length(parts) == 3 && kind < _HELPER_KIND_MAX; kind++)
            if (is_of_kind(parts[0], kind))
                recover(add(instance, kind, parts[0], parts[2]), (pid_t) g_ascii_strtoll(parts[1], NULL, 10));
    }
}
