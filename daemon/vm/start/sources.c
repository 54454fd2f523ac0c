/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sources.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "credentials.h"
#include "identity.h"
#include "instance.h"
#include "manager.h"
#include "name.h"
#include "nvram.h"
#include "render-node.h"
#include "seed.h"
#include "snapshot.h"
#include "vhost-user.h"

typedef struct DiskSource {
    MachineDisk *disk; /* in parts.disks */
    char *pool;        /* that has it; NULL: none. Then `path` is only its name until the pool runs */
    char *path, *format;
    ImageSpec spec;
} DiskSource;

/* All of it is the thread's own while that runs. */
typedef struct Sources {
    bool as_owner, user;
    uid_t owner, reader;
    char *kernel, *initrd; /* paths */
    bool gl;
    char *render_node;     /* the path that is asked for; NULL: any */
    GPtrArray *credentials; /* Credential */
    Seed *seed;            /* NULL: none */
    GPtrArray *disks;      /* DiskSource */
    int tree_fd;           /* of its QEMU; -1: the host */
    MachineParts parts;
    Error *error;
} Sources;

static void disk_source_free(void *userdata)
{
    DiskSource *source = userdata;
    g_free(source->pool);
    g_free(source->path);
    g_free(source->format);
    g_free(source);
}

void sources_close(MachineParts *parts)
{
    close_fd(&parts->kernel_fd);
    close_fd(&parts->initrd_fd);
    g_clear_pointer(&parts->disks, g_ptr_array_unref);
    g_clear_pointer(&parts->shares, g_ptr_array_unref);
    g_clear_pointer(&parts->ports, g_ptr_array_unref);
    g_clear_pointer(&parts->render_node, g_free);
    g_clear_pointer(&parts->credential_fds, g_array_unref);
}

static void sources_free(void *userdata)
{
    Sources *sources = userdata;
    sources_close(&sources->parts);
    g_ptr_array_unref(sources->disks);
    g_clear_pointer(&sources->credentials, g_ptr_array_unref);
    seed_free(sources->seed);
    close_fd(&sources->tree_fd);
    g_free(sources->kernel);
    g_free(sources->initrd);
    g_free(sources->render_node);
    error_free(sources->error);
    g_free(sources);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sources, sources_free)

/* ---- in the thread ---- */

static int copy_to_memfd(int fd)
{
    fd_cleanup int copy = memfd_create("vmd-boot", MFD_CLOEXEC);
    if (copy < 0)
        return -errno;
    for (;;) {
        ssize_t n = copy_file_range(fd, NULL, copy, NULL, 16 * 1024 * 1024, 0);
        if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP)) {
            char buffer[65536];
            n = read(fd, buffer, sizeof buffer);
            if (n > 0 && write(copy, buffer, (size_t) n) != n)
                return -ENOSPC;
        }
        if (n < 0)
            return -errno;
        if (n == 0)
            return steal_fd(&copy);
    }
}

/* QEMU opens what is behind the descriptor once more, with its own uid: where that uid may not, it gets a copy. */
static int open_boot_file(const char *path, const char *key, uid_t reader, Error **ret_error)
{
    struct stat st;
    fd_cleanup int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0) {
        error_set_errno(ret_error, errno, path, "%s= of [Boot] cannot be opened", key);
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        error_set(ret_error, ERROR_INVALID_SETTINGS, path, NULL, "%s= of [Boot] is no regular file", key);
        return -1;
    }
    if (reader == (uid_t) -1 || (st.st_mode & S_IROTH))
        return steal_fd(&fd);
    int copy = copy_to_memfd(fd);
    if (copy < 0)
        error_set_errno(ret_error, copy, path, "%s= of [Boot] cannot be read", key);
    return copy;
}

/* The folder is opened anew for virtiofsd, where it has to be this one (guard/share-tree.h). */
static bool open_share(const Sources *sources, MachineShare *share, Error **ret_error)
{
    g_autofree char *thing = g_strdup_printf("[%s]", share->section);
    share->fd = open(share->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (share->fd < 0)
        return error_set_errno(ret_error, errno, share->path, "the folder of [%s] cannot be opened", share->section);
    int r = sources->as_owner ? identity_groups(sources->owner, &share->gid, &share->groups) : 0;
    if (r < 0)
        return error_set_errno(ret_error, r, thing, "its owner's groups cannot be found");
    share->program = sources->tree_fd < 0 ? NULL : vhost_user_find(sources->tree_fd, "fs", sources->user, thing, NULL, NULL);
    share->of_tree = share->program;
    if (!share->program)
        share->program = vhost_user_find(-1, "fs", sources->user, thing, "Install the package with virtiofsd: qemu-system-common on Debian 12, virtiofsd elsewhere",
        ret_error);
    return share->program != NULL;
}

/* The lock is the descriptor's, and so QEMU's for as long as that has it. */
static bool open_port(MachinePort *port, Error **ret_error)
{
    struct stat st;
    port->fd = open(port->path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (port->fd < 0 && errno == EPERM) /* of a kind that the kernel had none of when vmd was started */
        return error_set(ret_error, ERROR_UNSUPPORTED, port->path, "Run 'systemctl restart vmd.service', which no VM minds",
            "vmd may not open this kind of device, whose driver has come after it");
    if (port->fd < 0 || fstat(port->fd, &st) < 0)
        return error_set_errno(ret_error, errno, port->path, "the device of [%s] cannot be opened", port->section);
    if (!S_ISCHR(st.st_mode) || (!port->parallel && !isatty(port->fd)))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, port->path, NULL, "Device= of [%s] is no %s port", port->section,
            port->parallel ? "parallel" : "serial");
    return flock(port->fd, LOCK_EX | LOCK_NB) == 0 ||
        error_set(ret_error, ERROR_IN_USE, port->path, "End what uses it first", "another VM or another program has it");
}

static bool open_all(Sources *sources, Error **ret_error)
{
    const struct {
        const char *path, *key;
        int *fd;
    } files[] = {{sources->kernel, "Kernel", &sources->parts.kernel_fd}, {sources->initrd, "Initrd", &sources->parts.initrd_fd}};

    int r = sources->as_owner ? identity_assume(sources->owner) : 0;
    if (r < 0) {
        g_autofree char *name = identity_name(sources->owner), *thing = g_strdup_printf("Owner=%s", name);
        return error_set_errno(ret_error, r, thing, r == -ESRCH ? "there is no such user" : "this user's rights cannot be taken");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        if (!files[i].path)
            continue;
        *files[i].fd = open_boot_file(files[i].path, files[i].key, sources->reader, ret_error);
        if (*files[i].fd < 0)
            return false;
    }
    for (guint i = 0; i < sources->disks->len; i++) {
        DiskSource *source = sources->disks->pdata[i];
        source->spec.path = source->path;
        source->disk->image = image_open(&source->spec, ret_error);
        if (!source->disk->image)
            return false;
    }
    if (sources->seed) {
        MachineDisk *seed = seed_open(sources->seed, ret_error);
        if (!seed)
            return false;
        g_ptr_array_add(sources->parts.disks, seed);
    }
    for (guint i = 0; i < sources->parts.shares->len; i++)
        if (!open_share(sources, sources->parts.shares->pdata[i], ret_error))
            return false;
    for (guint i = 0; i < sources->parts.ports->len; i++)
        if (!open_port(sources->parts.ports->pdata[i], ret_error))
            return false;
    if (sources->gl && !(sources->parts.render_node = render_node_find("", sources->render_node, ret_error)))
        return false;
    if (!sources->credentials)
        return true;
    sources->parts.credential_fds = credentials_open(sources->credentials, ret_error);
    return sources->parts.credential_fds != NULL;
}

static void run(void *userdata)
{
    Sources *sources = userdata;
    if (open_all(sources, &sources->error) || !sources->as_owner || sources->error->remedy)
        return;
    g_autofree char *name = identity_name(sources->owner);
    sources->error->remedy = g_strdup_printf("What a VM names is opened with the rights of its owner, %s", name);
}

/* ---- on the loop ---- */

static bool add_disk(Sources *sources, const Settings *settings, const char *section, Error **ret_error)
{
    g_autofree char *kind = NULL;
    MachineDisk *disk = g_new0(MachineDisk, 1);
    g_ptr_array_add(sources->parts.disks, disk);
    disk->section = g_strdup(section);
    disk->cdrom = machine_disk_is_cdrom(settings, section);
    if (!settings_section_split(&vm_schema, section, &kind, &disk->name, ret_error))
        return false;
    const char *cache = settings_get_string(settings, section, "Cache"), *text = settings_get_string(settings, section, "Source");
    if (!text)
        return true; /* a drive with nothing in it */

    DiskSource *source = g_new0(DiskSource, 1);
    g_ptr_array_add(sources->disks, source);
    source->disk = disk;
    if (!name_split_source(text, &source->pool, &source->path))
        source->path = g_strdup(text);
    source->format = g_strdup(settings_get_string(settings, section, "Format"));
    source->spec = (ImageSpec){
        .format = source->format,
        .read_only = disk->cdrom || settings_get_bool(settings, section, "ReadOnly"),
        .direct = !cache || g_str_equal(cache, "none"),
    };
    return true;
}

static void add_nvram(Sources *sources, const VM *vm, const Settings *settings)
{
    MachineDisk *disk = g_new0(MachineDisk, 1);
    DiskSource *source = g_new0(DiskSource, 1);
    disk->section = g_strdup(NVRAM_SECTION);
    disk->name = g_strdup(NVRAM_DISK);
    g_ptr_array_add(sources->parts.disks, disk);
    source->disk = disk;
    source->path = vm_nvram_path(vm, settings);
    source->format = g_strdup("raw");
    source->spec.format = source->format;
    g_ptr_array_add(sources->disks, source);
}

static bool add_share(Sources *sources, const Settings *settings, const char *section, Error **ret_error)
{
    g_autofree char *kind = NULL;
    MachineShare *share = g_new0(MachineShare, 1);
    g_ptr_array_add(sources->parts.shares, share);
    share->fd = share->socket_fd = -1;
    share->section = g_strdup(section);
    share->path = g_strdup(settings_get_string(settings, section, "Path"));
    share->read_only = settings_get_bool(settings, section, "ReadOnly");
    return settings_section_split(&vm_schema, section, &kind, &share->name, ret_error);
}

static bool add_ports(Sources *sources, const Settings *settings, const char *kind, Error **ret_error)
{
    g_autofree const char **sections = settings_sections(settings, kind);
    for (size_t i = 0; sections && sections[i]; i++) {
        g_autofree char *prefix = NULL;
        MachinePort *port = g_new0(MachinePort, 1);
        g_ptr_array_add(sources->parts.ports, port);
        port->fd = -1;
        port->section = g_strdup(sections[i]);
        port->parallel = g_str_equal(kind, "Parallel");
        port->path = g_strdup(settings_get_string(settings, sections[i], "Device"));
        if (!settings_section_split(&vm_schema, sections[i], &prefix, &port->name, ret_error))
            return false;
    }
    return true;
}

/* `only`: the disk or share of this section and nothing else; NULL: all. */
static Sources *sources_new(const VM *vm, const Settings *settings, const QemuTree *tree, const char *only, uid_t reader, Error **ret_error)
{
    g_autoptr(Sources) sources = g_new0(Sources, 1);
    sources->as_owner = vm->owner != geteuid();
    sources->user = vm->manager->user;
    sources->owner = vm->owner;
    sources->reader = reader;
    sources->tree_fd = tree ? fcntl(qemu_tree_fd(tree), F_DUPFD_CLOEXEC, 3) : -1;
    sources->parts.kernel_fd = sources->parts.initrd_fd = -1;
    sources->disks = g_ptr_array_new_with_free_func(disk_source_free);
    sources->parts.disks = g_ptr_array_new_with_free_func((GDestroyNotify) machine_disk_free);
    sources->parts.shares = g_ptr_array_new_with_free_func((GDestroyNotify) machine_share_free);
    sources->parts.ports = g_ptr_array_new_with_free_func((GDestroyNotify) machine_port_free);

    if (vm->owner == UID_NOBODY_KNOWN) {
        error_set(ret_error, ERROR_INVALID_SETTINGS, vm->name, "Give it to somebody with 'vmctl set --owner'", "its owner has no account here");
        return NULL;
    }
    if (only && g_str_equal(only, NVRAM_SECTION)) {
        add_nvram(sources, vm, settings);
        return g_steal_pointer(&sources);
    }
    if (only) {
        bool share = g_str_has_prefix(only, "Share ");
        return (share ? add_share : add_disk)(sources, settings, only, ret_error) ? g_steal_pointer(&sources) : NULL;
    }
    sources->kernel = g_strdup(settings_get_string(settings, "Boot", "Kernel"));
    sources->initrd = g_strdup(settings_get_string(settings, "Boot", "Initrd"));
    if (sources->initrd && !sources->kernel) {
        error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(settings, "Boot", "Initrd"), "Set Kernel= too",
            "Initrd= means nothing without Kernel=");
        return NULL;
    }
    sources->gl = machine_display_has_gl(settings);
    sources->render_node = g_strdup(settings_get_string(settings, "Display", "RenderNode"));
    sources->credentials = credentials_read(settings, ret_error);
    if (!sources->credentials || !seed_read(settings, vm->name, vm->uuid, &sources->seed, ret_error))
        return NULL;
    g_autofree const char **sections = settings_sections(settings, "Disk");
    for (size_t i = 0; sections && sections[i]; i++)
        if (!add_disk(sources, settings, sections[i], ret_error))
            return NULL;
    g_autofree const char **shares = settings_sections(settings, "Share");
    for (size_t i = 0; shares && shares[i]; i++)
        if (!add_share(sources, settings, shares[i], ret_error))
            return NULL;
    return add_ports(sources, settings, "Serial", ret_error) && add_ports(sources, settings, "Parallel", ret_error) ? g_steal_pointer(&sources) : NULL;
}

struct SourcesOpening {
    Manager *manager;
    SnapshotTree *snapshots; /* NULL: none */
    sd_event_source *soon;
    Sources *sources; /* until the thread has it */
    unsigned starting; /* pools */
    Task *task;
    uint64_t timeout_usec;
    TaskDone done;
    void *userdata;
};

/* Those that this one waits for have it as userdata. */
static void forget_pools(SourcesOpening *opening)
{
    size_t n;
    g_autofree Pool **pools = manager_list_pools(opening->manager, &n);
    for (size_t i = 0; opening->starting > 0 && i < n; i++)
        pool_forget(pools[i], opening);
}

void sources_abandon(SourcesOpening *opening)
{
    if (!opening)
        return;
    forget_pools(opening);
    sd_event_source_disable_unref(opening->soon);
    snapshot_tree_free(opening->snapshots);
    task_abandon(opening->task);
    if (opening->sources)
        sources_free(opening->sources);
    g_free(opening);
}

/* The callback is the last thing: it may do anything. */
static void finish(SourcesOpening *opening, void *sources)
{
    TaskDone done = opening->done;
    void *userdata = opening->userdata;
    sources_abandon(opening);
    done(sources, userdata);
}

static void on_open(void *data, void *userdata)
{
    SourcesOpening *opening = userdata;
    opening->task = NULL;
    finish(opening, data);
}

/* A disk that has snapshots is a qcow2 image over them, whatever its name says of what it was before. */
static void mark_overlays(SourcesOpening *opening)
{
    for (guint i = 0; opening->snapshots && i < opening->sources->disks->len; i++) {
        DiskSource *source = opening->sources->disks->pdata[i];
        if (vm_disk_is_overlay(opening->snapshots, source->path))
            source->spec.format = "qcow2";
    }
}

static int begin(SourcesOpening *opening)
{
    mark_overlays(opening);
    const TaskSpec spec = {.run = run, .done = on_open, .free_data = sources_free, .timeout_usec = opening->timeout_usec};
    Sources *sources = g_steal_pointer(&opening->sources);
    int r = task_new(opening->manager->event, &spec, sources, opening, &opening->task);
    if (r < 0) {
        opening->sources = sources;
        error_set_errno(&sources->error, r, NULL, "no thread can be made to open the VM's files");
    }
    return r;
}

/* All pools run. */
static bool find_volumes(SourcesOpening *opening)
{
    GPtrArray *disks = opening->sources->disks;
    for (guint i = 0; i < disks->len; i++) {
        DiskSource *source = disks->pdata[i];
        const Pool *pool = source->pool ? manager_find_pool_or_error(opening->manager, source->pool, &opening->sources->error) : NULL;
        if (source->pool && !pool)
            return false;
        g_autofree char *volume = g_steal_pointer(&source->path);
        source->path = pool ? g_build_filename(pool->path, volume, NULL) : g_steal_pointer(&volume);
    }
    return true;
}

static void on_pool(const Error *error, void *userdata)
{
    SourcesOpening *opening = userdata;
    opening->starting--;
    if (error && !opening->sources->error)
        opening->sources->error = error_copy(error);
    if (opening->starting > 0)
        return;
    if (opening->sources->error || !find_volumes(opening) || begin(opening) < 0)
        finish(opening, g_steal_pointer(&opening->sources));
}

/* One more than there are, so that the last answer is known as it. */
static int start_pools(sd_event_source *event_source, void *userdata)
{
    SourcesOpening *opening = userdata;
    GPtrArray *disks = opening->sources->disks;
    g_autoptr(Error) error = NULL;
    opening->starting = 1;
    for (guint i = 0; i < disks->len && !error; i++) {
        const DiskSource *source = disks->pdata[i];
        Pool *pool = source->pool ? manager_find_pool_or_error(opening->manager, source->pool, &error) : NULL;
        if (!pool)
            continue;
        opening->starting++;
        pool_start(pool, on_pool, opening);
    }
    on_pool(error, opening);
    return 0;
}

static bool wants_pools(const Sources *sources)
{
    for (guint i = 0; i < sources->disks->len; i++)
        if (((const DiskSource *) sources->disks->pdata[i])->pool)
            return true;
    return false;
}

static bool open_sources(const VM *vm, Sources *sources, uint64_t timeout_usec, TaskDone done, void *userdata, SourcesOpening **ret,
    Error **ret_error)
{
    if (!sources)
        return false;
    SourcesOpening *opening = g_new0(SourcesOpening, 1);
    opening->manager = vm->manager;
    opening->snapshots = vm->snapshots_there ? vm_snapshots(vm, ret_error) : NULL;
    if (vm->snapshots_there && !opening->snapshots) {
        sources_abandon(opening);
        return false;
    }
    opening->sources = sources;
    opening->timeout_usec = timeout_usec;
    opening->done = done;
    opening->userdata = userdata;
    /* Not before this has returned: they may have an answer at once. */
    int r = wants_pools(sources) ? sd_event_add_defer(vm->manager->event, &opening->soon, start_pools, opening) : begin(opening);
    if (r < 0) {
        sources_abandon(opening);
        return error_set_errno(ret_error, r, vm->name, "no thread can be made to open its files");
    }
    *ret = opening;
    return true;
}

bool sources_open(const VM *vm, const Settings *settings, const QemuTree *tree, uid_t reader, uint64_t timeout_usec, TaskDone done, void *userdata,
    SourcesOpening **ret, Error **ret_error)
{
    return open_sources(vm, sources_new(vm, settings, tree, NULL, reader, ret_error), timeout_usec, done, userdata, ret, ret_error);
}

bool sources_open_one(const VM *vm, const Settings *settings, const char *section, uint64_t timeout_usec, TaskDone done, void *userdata,
    SourcesOpening **ret, Error **ret_error)
{
    return open_sources(vm, sources_new(vm, settings, vm->instance ? vm->instance->tree : NULL, section, (uid_t) -1, ret_error), timeout_usec, done, userdata, ret, ret_error);
}

bool sources_take(void *data, MachineParts *parts, Error **ret_error)
{
    g_autoptr(Sources) sources = data;
    if (!sources)
        return error_set(ret_error, ERROR_TIMED_OUT, NULL, "Look at the file systems that they are on",
            "the disks and the kernel could not be opened in time");
    if (sources->error)
        return error_propagate(ret_error, g_steal_pointer(&sources->error));
    parts->kernel_fd = steal_fd(&sources->parts.kernel_fd);
    parts->initrd_fd = steal_fd(&sources->parts.initrd_fd);
    parts->disks = g_steal_pointer(&sources->parts.disks);
    parts->shares = g_steal_pointer(&sources->parts.shares);
    parts->ports = g_steal_pointer(&sources->parts.ports);
    parts->render_node = g_steal_pointer(&sources->parts.render_node);
    parts->credential_fds = g_steal_pointer(&sources->parts.credential_fds);
    return true;
}

GPtrArray *sources_mounts(Manager *manager, const Settings *settings)
{
    GPtrArray *units = g_ptr_array_new_with_free_func(g_free);
    g_autofree const char **sections = settings_sections(settings, "Disk");
    for (size_t i = 0; sections && sections[i]; i++) {
        const char *source = settings_get_string(settings, sections[i], "Source");
        g_autofree char *name = NULL, *volume = NULL;
        const Pool *pool = source && name_split_source(source, &name, &volume) ? manager_find_pool(manager, name) : NULL;
        char *unit = pool ? pool_unit(pool) : NULL;
        if (unit)
            g_ptr_array_add(units, unit);
    }
    g_ptr_array_add(units, NULL);
    return units;
}
