/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "build-probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "cleanup.h"
#include "qmp.h"
#include "quote.h"
#include "tree-child.h"
#include "value.h"

#define PROBE_TIMEOUT_USEC (10 * USEC_PER_SEC)
#define PROBE_MEMORY_MAX (UINT64_C(8) << 30)
#define OUTPUT_WORDS_MAX 600U

struct BuildProbe {
    sd_event *event;
    BuildIdentity identity;
    Spawner *spawner;
    bool user;
    QemuTree *tree; /* NULL: of the host, and then: */
    Child *child;
    TreeChild *tree_child; /* else this */
    Qmp *qmp;
    bool sandbox;
    bool listing;     /* asked all that QMP answers, and now its audio drivers */
    unsigned n_open;  /* questions without an answer yet */
    Error *error;     /* what went wrong in the talk with it, before it was killed for that */
    QemuBuild *build; /* so far */
    BuildProbeReply reply;
    void *userdata;
};

typedef bool (*TakeAnswer)(QemuBuild *build, BuildWords kind, const json_t *result);

static bool take_target(QemuBuild *build, BuildWords kind, const json_t *result)
{
    const char *arch = json_string_value(json_object_get(result, "arch"));

    if (!build_name_is_sound(arch))
        return false;
    build->target = g_strdup(arch);
    return true;
}

static bool take_kvm(QemuBuild *build, BuildWords kind, const json_t *result)
{
    build->kvm = json_is_true(json_object_get(result, "present"));
    return json_is_object(result);
}

/* A list of objects that have a name, and machines an alias. A word that is not sound is left out: nobody
 * could ask for it. */
static bool take_words(QemuBuild *build, BuildWords kind, const json_t *result)
{
    static const char *const members[_BUILD_WORDS_MAX] = {
            [BUILD_MACHINES] = "name",
            [BUILD_DEVICES] = "name",
            [BUILD_OBJECTS] = "name",
            [BUILD_CHARDEVS] = "name",
            [BUILD_COMMANDS] = "name",
            [BUILD_OPTIONS] = "option",
    };
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    const json_t *item;
    size_t i;

    if (!json_is_array(result) || json_array_size(result) > WORDS_IN_SET_MAX / 2)
        return false;
    json_array_foreach(result, i, item)
    {
        const char *name = json_string_value(json_object_get(item, members[kind]));
        const char *alias = kind == BUILD_MACHINES ? json_string_value(json_object_get(item, "alias")) : NULL;

        if (!name)
            return false;
        if (!word_is_sound(name))
            continue;
        g_ptr_array_add(words, g_strdup(name));
        if (alias && word_is_sound(alias))
            g_ptr_array_add(words, g_strdup_printf("%s=%s", alias, name));
    }
    build->words[kind] = word_set_new(words);
    return true;
}

typedef struct Question {
    const char *command;
    const char *implements; /* for qom-list-types */
    TakeAnswer take;
    BuildWords kind;
    bool optional; /* QEMU's "no" is an answer */
} Question;

/* qom-list-types loads all modules, and with them come options such as -spice: it goes before those. */
static const Question questions[] = {
        {"query-target", .take = take_target},
        {"query-kvm", .take = take_kvm, .optional = true},
        {"query-machines", .take = take_words, .kind = BUILD_MACHINES},
        {"qom-list-types", "device", .take = take_words, .kind = BUILD_DEVICES},
        {"qom-list-types", "user-creatable", .take = take_words, .kind = BUILD_OBJECTS},
        {"qom-list-types", "chardev", .take = take_words, .kind = BUILD_CHARDEVS},
        {"query-commands", .take = take_words, .kind = BUILD_COMMANDS},
        {"query-command-line-options", .take = take_words, .kind = BUILD_OPTIONS},
};

static const Question *next_question(const BuildProbe *probe)
{
    return &questions[G_N_ELEMENTS(questions) - probe->n_open];
}

G_GNUC_PRINTF(4, 5)
static void set_error(BuildProbe *probe, ErrorCode code, const char *remedy, const char *cause, ...)
{
    g_autofree char *thing = build_identity_thing(probe->identity.root, probe->identity.path), *text = NULL;
    va_list args;

    va_start(args, cause);
    text = g_strdup_vprintf(cause, args);
    va_end(args);
    error_set(&probe->error, code, thing, remedy, "%s", text);
}

/* Ends the talk; the reply follows when the child is gone. */
static void hang_up(BuildProbe *probe)
{
    g_clear_pointer(&probe->qmp, qmp_free);
    if (probe->tree_child)
        tree_child_kill(probe->tree_child);
    else
        child_kill(probe->child);
}

static void on_answer(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    BuildProbe *probe = userdata;
    const Question *question = next_question(probe);

    /* The connection has ended; on_closed() is next. */
    if (error && !qmp_is_ready(qmp))
        return;
    if (error && !question->optional)
        set_error(probe, ERROR_QEMU_FAILED, NULL, "%s: %s", question->command, error->cause);
    else if (!error && !question->take(probe->build, question->kind, result))
        set_error(probe, ERROR_QEMU_FAILED, NULL, "its answer to %s makes no sense", question->command);
    else if (--probe->n_open == 0 && probe->child)
        build_identity_add_program(&probe->identity, child_pid(probe->child));
    if (probe->error || probe->n_open == 0)
        hang_up(probe);
}

static void on_ready(Qmp *qmp, const char *version, void *userdata)
{
    BuildProbe *probe = userdata;

    probe->build->version = g_strdup(version);
}

/* At an ordinary end of file the child is about to end, and what it said says why. */
static void on_closed(Qmp *qmp, const Error *error, void *userdata)
{
    BuildProbe *probe = userdata;

    if (!error)
        return;
    set_error(probe, ERROR_QEMU_FAILED, "Let Binary= name a QEMU system emulator",
            "it does not speak QMP: %s", error->cause);
    hang_up(probe);
}

static const QmpHandlers handlers = {.ready = on_ready, .closed = on_closed};

/* What is wrong with a child that has ended without all answers. */
static void set_error_from_end(BuildProbe *probe, const ChildEnd *end)
{
    g_autofree char *words = quote_last_words(end->output, end->output_length, OUTPUT_WORDS_MAX);
    const char *colon = *words ? ": " : "";
    g_autofree char *waited = NULL;

    if (end->not_executed)
        set_error(probe, ERROR_QEMU_FAILED, "Let Root= name a tree for this machine, with all that its QEMU needs", "it cannot be run: %s", words);
    else if (end->failed == ENOEXEC)
        set_error(probe, ERROR_QEMU_FAILED, NULL, "it is no program that this machine can run");
    else if (end->failed == ENOENT)
        set_error(probe, ERROR_QEMU_FAILED, NULL, "its interpreter or loader does not exist");
    else if (end->failed == EACCES && geteuid() == 0)
        set_error(probe, ERROR_QEMU_FAILED,
                "Let everybody read and execute it and enter the folders above it",
                "an unprivileged user cannot execute it: %s", g_strerror(end->failed));
    else if (end->failed)
        set_error(probe, ERROR_QEMU_FAILED, NULL, "cannot %s: %s", end->failed_step, g_strerror(end->failed));
    else if (end->timed_out) {
        waited = format_duration(PROBE_TIMEOUT_USEC);
        set_error(probe, ERROR_TIMED_OUT, NULL, "it did not answer within %s%s%s", waited, colon, words);
    } else if (end->code == CLD_EXITED)
        set_error(probe, ERROR_QEMU_FAILED, NULL, "it exited with status %d%s%s", end->status, colon, words);
    else
        set_error(probe, ERROR_QEMU_FAILED, NULL, "it was killed by SIG%s%s%s",
                sigabbrev_np(end->status) ?: "?", colon, words);
}

/* Tells who asked, who may free the probe. */
static void finish(BuildProbe *probe)
{
    g_clear_pointer(&probe->child, child_free);
    g_clear_pointer(&probe->tree_child, tree_child_free);
    if (probe->error) {
        probe->reply(probe, NULL, probe->error, probe->userdata);
        return;
    }
    build_identity_copy(&probe->build->identity, &probe->identity);
    probe->reply(probe, g_steal_pointer(&probe->build), NULL, probe->userdata);
}

/* ---- its audio drivers ---- */

/* QMP knows nothing of them, and modules of theirs are packages of their own. They count where QEMU's SPICE is not there to hear the guest. */
static bool audio_counts(const QemuBuild *build)
{
    return qemu_build_has_chardev(build, "chardev-dbus") && !qemu_build_has_option(build, "spice");
}

/* A line each, and other lines beside. */
static void take_audiodevs(QemuBuild *build, const char *output, size_t length)
{
    g_autofree char *text = g_strndup(output, length);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);

    for (size_t i = 0; lines[i] && i < WORDS_IN_SET_MAX / 2; i++)
        if (word_is_sound(g_strstrip(lines[i])))
            g_ptr_array_add(words, g_strdup(lines[i]));
    word_set_free(build->words[BUILD_AUDIODEVS]);
    build->words[BUILD_AUDIODEVS] = word_set_new(words);
}

static int start_child(BuildProbe *probe);
static int start_listing(BuildProbe *probe);

/* One that cannot say has none. */
static void list_audiodevs(BuildProbe *probe)
{
    g_clear_pointer(&probe->child, child_free);
    g_clear_pointer(&probe->tree_child, tree_child_free);
    probe->listing = true;
    if (start_listing(probe) < 0)
        finish(probe);
}

/* ---- its end ---- */

static void restart_without_sandbox(BuildProbe *probe)
{
    int r;

    g_clear_pointer(&probe->child, child_free);
    g_clear_pointer(&probe->tree_child, tree_child_free);
    probe->sandbox = false;
    r = start_child(probe);
    if (r < 0) {
        set_error(probe, ERROR_FAILED, NULL, "cannot start it: %s", g_strerror(-r));
        finish(probe);
    }
}

static void on_end(const ChildEnd *end, void *userdata)
{
    BuildProbe *probe = userdata;

    g_clear_pointer(&probe->qmp, qmp_free);
    if (probe->listing) {
        take_audiodevs(probe->build, end->output, end->output_length);
        finish(probe);
        return;
    }
    if (probe->n_open > 0 && !probe->error) {
        if (probe->sandbox && memmem(end->output, end->output_length, "-sandbox", strlen("-sandbox"))) {
            restart_without_sandbox(probe);
            return;
        }
        set_error_from_end(probe, end);
    }
    if (!probe->error && audio_counts(probe->build))
        list_audiodevs(probe);
    else
        finish(probe);
}

static void on_child_ended(Child *child, const ChildEnd *end, void *userdata)
{
    on_end(end, userdata);
}

static int ask(BuildProbe *probe, int fd)
{
    int r;

    r = qmp_new(probe->event, fd, &handlers, probe, &probe->qmp);
    if (r < 0)
        return r;
    probe->n_open = G_N_ELEMENTS(questions);
    for (size_t i = 0; i < G_N_ELEMENTS(questions); i++) {
        json_t *arguments = NULL;

        if (questions[i].implements)
            arguments = json_pack("{s:s, s:b}", "implements", questions[i].implements, "abstract", 0);
        r = qmp_call(probe->qmp, questions[i].command, arguments, -1, 0, on_answer, probe);
        if (r < 0)
            return r;
    }
    return 0;
}

/* `fd` is taken. */
static int execute(BuildProbe *probe, const char *const *argv, int fd)
{
    fd_cleanup int theirs = fd;

    if (probe->tree)
        return tree_child_new(probe->event, probe->spawner, probe->user, probe->tree, argv, steal_fd(&theirs), PROBE_TIMEOUT_USEC, on_end, probe, &probe->tree_child);
    return child_new(probe->event,
            &(ChildOptions){
                    .argv = argv,
                    .uid = UNPRIVILEGED_ID,
                    .gid = UNPRIVILEGED_ID,
                    .fd = theirs,
                    .memory_max = PROBE_MEMORY_MAX,
                    .timeout_usec = PROBE_TIMEOUT_USEC,
            },
            on_child_ended, probe, &probe->child);
}

static int start_listing(BuildProbe *probe)
{
    const char *argv[] = {probe->identity.path, "-audiodev", "help", NULL};
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

    return nothing < 0 ? -errno : execute(probe, argv, nothing);
}

static int start_child(BuildProbe *probe)
{
    fd_cleanup int ours = -1, theirs = -1;
    int fds[2], r;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    ours = fds[0];
    theirs = fds[1];

    g_autofree char *chardev = g_strdup_printf("socket,id=qmp,fd=%d", probe->tree ? theirs : CHILD_FD);
    /* TCG first: KVM may be out of reach for the child's uid. */
    const char *argv[] = {probe->identity.path, "-nodefaults", "-no-user-config", "-machine", "none",
            "-accel", "tcg", "-accel", "qtest", "-accel", "kvm", "-display", "none", "-S", "-chardev",
            chardev, "-mon", "chardev=qmp,mode=control",
            probe->sandbox ? "-sandbox" : NULL,
            "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny", NULL};

    build_clear_facts(probe->build);
    take_audiodevs(probe->build, "", 0);
    r = execute(probe, argv, steal_fd(&theirs));
    if (r < 0)
        return r;
    return ask(probe, steal_fd(&ours));
}

int build_probe_new(sd_event *event, Spawner *spawner, bool user, QemuTree *tree, const BuildIdentity *identity, BuildProbeReply reply, void *userdata,
        BuildProbe **ret)
{
    g_autoptr(BuildProbe) probe = g_new0(BuildProbe, 1);
    int r;

    probe->event = sd_event_ref(event);
    probe->spawner = spawner;
    probe->user = user;
    probe->tree = qemu_tree_ref(tree);
    probe->sandbox = true;
    probe->reply = reply;
    probe->userdata = userdata;
    probe->build = g_new0(QemuBuild, 1);
    probe->build->n_ref = 1;
    build_identity_copy(&probe->identity, identity);
    r = start_child(probe);
    if (r < 0)
        return r;
    *ret = g_steal_pointer(&probe);
    return 0;
}

void build_probe_free(BuildProbe *probe)
{
    if (!probe)
        return;
    g_clear_pointer(&probe->qmp, qmp_free);
    g_clear_pointer(&probe->child, child_free);
    g_clear_pointer(&probe->tree_child, tree_child_free);
    qemu_tree_unref(probe->tree);
    g_clear_pointer(&probe->build, qemu_build_unref);
    g_clear_pointer(&probe->error, error_free);
    build_identity_clear(&probe->identity);
    sd_event_unref(probe->event);
    g_free(probe);
}

const BuildIdentity *build_probe_identity(const BuildProbe *probe)
{
    return &probe->identity;
}
