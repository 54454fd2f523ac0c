/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "build.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "build-cache.h"
#include "build-facts.h"
#include "build-probe.h"
#include "cleanup.h"

#define BUILDS_MAX 64U

const char *const build_words_names[_BUILD_WORDS_MAX] = {
        [BUILD_MACHINES] = "machines",
        [BUILD_DEVICES] = "devices",
        [BUILD_OBJECTS] = "objects",
        [BUILD_CHARDEVS] = "chardevs",
        [BUILD_COMMANDS] = "commands",
        [BUILD_OPTIONS] = "options",
        [BUILD_AUDIODEVS] = "audiodevs",
};

void build_clear_facts(QemuBuild *build)
{
    g_clear_pointer(&build->version, g_free);
    g_clear_pointer(&build->target, g_free);
    for (BuildWords i = 0; i < _BUILD_WORDS_MAX; i++)
        g_clear_pointer(&build->words[i], word_set_free);
}

QemuBuild *qemu_build_ref(QemuBuild *build)
{
    build->n_ref++;
    return build;
}

void qemu_build_unref(QemuBuild *build)
{
    if (!build || --build->n_ref > 0)
        return;
    build_clear_facts(build);
    build_identity_clear(&build->identity);
    g_free(build);
}

const char *qemu_build_root(const QemuBuild *build)
{
    return build->identity.root;
}

const char *qemu_build_path(const QemuBuild *build)
{
    return build->identity.path;
}

const char *qemu_build_version(const QemuBuild *build)
{
    return build->version;
}

const char *qemu_build_target(const QemuBuild *build)
{
    return build->target;
}

bool qemu_build_has_kvm(const QemuBuild *build)
{
    return build->kvm;
}

bool qemu_build_has_device(const QemuBuild *build, const char *type)
{
    return word_set_find(build->words[BUILD_DEVICES], type) != NULL;
}

bool qemu_build_has_object(const QemuBuild *build, const char *type)
{
    return word_set_find(build->words[BUILD_OBJECTS], type) != NULL;
}

bool qemu_build_has_chardev(const QemuBuild *build, const char *type)
{
    return word_set_find(build->words[BUILD_CHARDEVS], type) != NULL;
}

bool qemu_build_has_machine(const QemuBuild *build, const char *machine)
{
    return word_set_find(build->words[BUILD_MACHINES], machine) != NULL;
}

bool qemu_build_has_command(const QemuBuild *build, const char *command)
{
    return word_set_find(build->words[BUILD_COMMANDS], command) != NULL;
}

bool qemu_build_has_option(const QemuBuild *build, const char *option)
{
    return word_set_find(build->words[BUILD_OPTIONS], option) != NULL;
}

bool qemu_build_has_audiodev(const QemuBuild *build, const char *driver)
{
    return word_set_find(build->words[BUILD_AUDIODEVS], driver) != NULL;
}

const char *qemu_build_machine_name(const QemuBuild *build, const char *machine)
{
    const char *name = word_set_find(build->words[BUILD_MACHINES], machine);

    return name && *name == '\0' ? machine : name;
}

/* The registry. */

typedef struct Waiter {
    QemuBuildReply reply;
    void *userdata;
} Waiter;

/* Those who wait for one answer: of a probe, or of a deferred Error where there is nothing to probe. */
typedef struct Inquiry {
    QemuBuilds *builds;
    BuildIdentity identity;
    BuildProbe *probe;
    sd_event_source *defer;
    Error *error;
    bool answered;
    GQueue waiters; /* Waiter */
} Inquiry;

struct QemuBuilds {
    unsigned n_ref; /* the owner's, and one while a callback may free us */
    sd_event *event;
    char *cache_dir;
    Spawner *spawner;
    bool user;
    GPtrArray *builds;    /* QemuBuild, one a path of a tree, the newest last */
    GPtrArray *inquiries; /* Inquiry */
};

static void inquiry_free(Inquiry *inquiry)
{
    build_probe_free(inquiry->probe);
    sd_event_source_disable_unref(inquiry->defer);
    error_free(inquiry->error);
    build_identity_clear(&inquiry->identity);
    g_queue_clear_full(&inquiry->waiters, g_free);
    g_free(inquiry);
}

static void builds_unref(QemuBuilds *builds)
{
    if (--builds->n_ref > 0)
        return;
    g_ptr_array_unref(builds->inquiries);
    g_ptr_array_unref(builds->builds);
    g_free(builds->cache_dir);
    sd_event_unref(builds->event);
    g_free(builds);
}

static void forget_waiters(QemuBuilds *builds, const void *userdata, bool all)
{
    for (guint i = 0; i < builds->inquiries->len; i++) {
        Inquiry *inquiry = builds->inquiries->pdata[i];

        for (GList *l = inquiry->waiters.head, *next; l; l = next) {
            Waiter *waiter = l->data;

            next = l->next;
            if (!all && waiter->userdata != userdata)
                continue;
            g_queue_delete_link(&inquiry->waiters, l);
            g_free(waiter);
        }
    }
}

QemuBuilds *qemu_builds_new(sd_event *event, const char *cache_dir, Spawner *spawner, bool user)
{
    QemuBuilds *builds = g_new(QemuBuilds, 1);

    *builds = (QemuBuilds){
            .n_ref = 1,
            .event = sd_event_ref(event),
            .cache_dir = g_strdup(cache_dir),
            .spawner = spawner,
            .user = user,
            .builds = g_ptr_array_new_with_free_func((GDestroyNotify) qemu_build_unref),
            .inquiries = g_ptr_array_new_with_free_func((GDestroyNotify) inquiry_free),
    };
    return builds;
}

void qemu_builds_free(QemuBuilds *builds)
{
    if (!builds)
        return;
    forget_waiters(builds, NULL, true);
    builds_unref(builds);
}

void qemu_builds_cancel(QemuBuilds *builds, void *userdata)
{
    forget_waiters(builds, userdata, false);
}

QemuBuild **qemu_builds_list(QemuBuilds *builds)
{
    QemuBuild **list = g_new0(QemuBuild *, builds->builds->len + 1);

    if (builds->builds->len > 0)
        memcpy(list, builds->builds->pdata, builds->builds->len * sizeof *list);
    return list;
}

static void forget_path(QemuBuilds *builds, const char *root, const char *path)
{
    for (guint i = 0; i < builds->builds->len; i++)
        if (build_identity_is_at(&((const QemuBuild *) builds->builds->pdata[i])->identity, root, path))
            g_ptr_array_remove_index(builds->builds, i--);
}

/* Takes the reference over. */
static QemuBuild *remember(QemuBuilds *builds, QemuBuild *build)
{
    forget_path(builds, qemu_build_root(build), qemu_build_path(build));
    if (builds->builds->len >= BUILDS_MAX)
        g_ptr_array_remove_index(builds->builds, 0);
    g_ptr_array_add(builds->builds, build);
#ifdef __GLIBC__
    /* The trees that it was read from took some hundred kilobytes and are gone. */
    (void) malloc_trim(0);
#endif
    return build;
}

/* The build that is known for this identity, in memory or in the cache; borrowed. */
static QemuBuild *recall(QemuBuilds *builds, const BuildIdentity *identity)
{
    QemuBuild *build;

    for (guint i = 0; i < builds->builds->len; i++) {
        build = builds->builds->pdata[i];
        if (build_identity_is_at(&build->identity, identity->root, identity->path) && build_identity_holds(&build->identity))
            return build;
    }
    build = builds->cache_dir ? build_cache_load(builds->cache_dir, identity) : NULL;
    return build ? remember(builds, build) : NULL;
}

/* Tells all who wait and ends the inquiry. Takes `build` over. */
static void deliver(Inquiry *inquiry, QemuBuild *build, const Error *error)
{
    QemuBuilds *builds = inquiry->builds;
    Waiter *waiter;

    builds->n_ref++;
    inquiry->answered = true; /* whoever asks from a callback asks anew */
    while ((waiter = g_queue_pop_head(&inquiry->waiters))) {
        waiter->reply(build, error, waiter->userdata);
        g_free(waiter);
    }
    qemu_build_unref(build);
    g_ptr_array_remove(builds->inquiries, inquiry);
    builds_unref(builds);
}

static void on_probed(BuildProbe *probe, QemuBuild *build, const Error *error, void *userdata)
{
    Inquiry *inquiry = userdata;
    QemuBuilds *builds = inquiry->builds;

    if (build) {
        remember(builds, qemu_build_ref(build));
        if (builds->cache_dir)
            (void) build_cache_save(builds->cache_dir, build);
    }
    deliver(inquiry, build, error);
}

static int on_deferred(sd_event_source *source, void *userdata)
{
    Inquiry *inquiry = userdata;

    deliver(inquiry, NULL, inquiry->error);
    return 0;
}

static Inquiry *find_inquiry(QemuBuilds *builds, const BuildIdentity *identity)
{
    for (guint i = 0; i < builds->inquiries->len; i++) {
        Inquiry *inquiry = builds->inquiries->pdata[i];

        if (inquiry->probe && !inquiry->answered && build_identity_equal(&inquiry->identity, identity))
            return inquiry;
    }
    return NULL;
}

/* Takes over what `identity` holds, or `error`. */
static int start_inquiry(QemuBuilds *builds, QemuTree *tree, BuildIdentity *identity, Error *error, Inquiry **ret)
{
    Inquiry *inquiry = g_new(Inquiry, 1);
    int r;

    *inquiry = (Inquiry){.builds = builds, .identity = *identity, .error = error, .waiters = G_QUEUE_INIT};
    if (error)
        r = sd_event_add_defer(builds->event, &inquiry->defer, on_deferred, inquiry);
    else
        r = build_probe_new(builds->event, builds->spawner, builds->user, tree, &inquiry->identity, on_probed, inquiry, &inquiry->probe);
    if (r < 0) {
        inquiry_free(inquiry);
        return r;
    }
    g_ptr_array_add(builds->inquiries, inquiry);
    *ret = inquiry;
    return 0;
}

int qemu_builds_get(
        QemuBuilds *builds, QemuTree *tree, const char *path, QemuBuildReply reply, void *userdata, QemuBuild **ret)
{
    BuildIdentity identity = {};
    Inquiry *inquiry = NULL;
    QemuBuild *build;
    Error *error = NULL;
    Waiter *waiter;
    int r;

    if (build_identity_read(tree, path, &identity, &error)) {
        build = recall(builds, &identity);
        if (build) {
            build_identity_clear(&identity);
            *ret = qemu_build_ref(build);
            return 1;
        }
        inquiry = find_inquiry(builds, &identity);
    } else
        forget_path(builds, qemu_tree_root(tree), path);

    if (inquiry)
        build_identity_clear(&identity);
    else {
        r = start_inquiry(builds, tree, &identity, error, &inquiry);
        if (r < 0)
            return r;
    }
    waiter = g_new(Waiter, 1);
    *waiter = (Waiter){.reply = reply, .userdata = userdata};
    g_queue_push_tail(&inquiry->waiters, waiter);
    return 0;
}

QemuBuild *qemu_builds_recall(QemuBuilds *builds, const char *root, const char *path)
{
    const BuildIdentity where = {.root = (char *) root, .path = (char *) path};
    QemuBuild *build = recall(builds, &where);

    return build ? qemu_build_ref(build) : NULL;
}

const char *const qemu_binary_folders[] = {"/usr/bin", "/usr/libexec", "/usr/local/bin", NULL};

bool qemu_binary_is_named(const char *name)
{
    return g_str_has_prefix(name, "qemu-system-") || g_str_equal(name, "qemu-kvm");
}

char *qemu_find_binary(const QemuTree *tree, Error **ret_error)
{
    struct utsname host = {};
    g_autofree char *name = NULL;
    const char *root = qemu_tree_root(tree);

    (void) uname(&host);
    name = g_strdup_printf("qemu-system-%s", host.machine);
    for (size_t i = 0; qemu_binary_folders[i]; i++) {
        const char *const names[] = {name, "qemu-kvm"};

        for (size_t j = 0; j < G_N_ELEMENTS(names); j++) {
            g_autofree char *path = g_build_filename(qemu_binary_folders[i], names[j], NULL);

            if (tree_has_program(qemu_tree_fd(tree), path))
                return g_steal_pointer(&path);
        }
    }
    error_set(ret_error, ERROR_QEMU_FAILED, root ?: "QEMU",
            root ? "Let Root= name a distribution's root with QEMU in it, or set Binary= to where it is there"
                 : "Install qemu-system-x86 or qemu-system-arm (Debian), qemu-kvm (Fedora, EL) or qemu (openSUSE), "
                   "or set Binary=",
            "there is no %s or qemu-kvm in /usr/bin, /usr/libexec or /usr/local/bin%s", name, root ? " of this tree" : "");
    return NULL;
}

char *qemu_default_binary(Error **ret_error)
{
    return qemu_find_binary(NULL, ret_error);
}
