/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "scope-internal.h"
#include "scope-property.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
#define SLICE "vms.slice"
#define TASKS_BESIDE_CPUS 512

struct Scopes {
    sd_bus *bus;
    sd_bus_slot *job_removed, *unit_new, *unit_removed;
    sd_bus_slot *control_group, *list;
    GHashTable *loaded; /* the scopes of VMs that systemd has */
    char *slice_path; /* NULL until known, or where cgroup2 is not at hand */
    GPtrArray *jobs;  /* ScopeJob, those not done */
    ScopesKnown known; /* NULL when it has been told */
    void *known_userdata;
    ScopesGone gone;
    void *gone_userdata;
    bool listed;
};

struct ScopeJob {
    Scopes *scopes;
    char *unit;
    char *job; /* the job's object path, once systemd has answered */
    sd_bus_slot *call;
    bool gone_is_done; /* a unit that is not there is what was wanted */
    ScopeDone done;
    void *userdata;
};

sd_bus *scopes_bus(const Scopes *scopes)
{
    return scopes->bus;
}

void scope_job_forget(ScopeJob *job)
{
    if (!job)
        return;
    g_ptr_array_remove_fast(job->scopes->jobs, job);
    sd_bus_slot_unref(job->call);
    g_free(job->unit);
    g_free(job->job);
    g_free(job);
}

static void job_finish(ScopeJob *job, const Error *error)
{
    ScopeDone done = job->done;
    void *userdata = job->userdata;
    scope_job_forget(job);
    done(error, userdata);
}

static void job_failed(const char *unit, const char *result, Error **ret_error)
{
    g_autofree char *remedy = g_strdup_printf("Look at 'journalctl -u %s'", unit);
    error_set(ret_error, ERROR_FAILED, unit, remedy, "systemd's job for it ended as \"%s\"", result);
}

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Scopes *scopes = userdata;
    const char *path, *unit, *result;
    uint32_t id;
    if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0)
        return 0;

    for (guint i = 0; i < scopes->jobs->len; i++) {
        ScopeJob *job = scopes->jobs->pdata[i];
        if (!job->job || !g_str_equal(job->job, path))
            continue;
        g_autoptr(Error) error = NULL;
        if (!g_str_equal(result, "done"))
            job_failed(unit, result, &error);
        job_finish(job, error);
        break;
    }
    return 0;
}

static bool is_vm_scope(const char *unit)
{
    return g_str_has_prefix(unit, "vm-") && g_str_has_suffix(unit, ".scope");
}

static int on_unit_new(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Scopes *scopes = userdata;
    const char *unit;
    if (sd_bus_message_read(m, "s", &unit) >= 0 && is_vm_scope(unit))
        g_hash_table_add(scopes->loaded, g_strdup(unit));
    return 0;
}

static int on_unit_removed(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Scopes *scopes = userdata;
    const char *unit;
    if (sd_bus_message_read(m, "s", &unit) < 0)
        return 0;
    g_hash_table_remove(scopes->loaded, unit);
    if (scopes->gone)
        scopes->gone(unit, scopes->gone_userdata);
    return 0;
}

void scopes_watch_gone(Scopes *scopes, ScopesGone gone, void *userdata)
{
    scopes->gone = gone;
    scopes->gone_userdata = userdata;
}

static void check_known(Scopes *scopes)
{
    ScopesKnown known = scopes->known;
    if (!known || !scopes->listed || !scopes->slice_path)
        return;
    scopes->known = NULL;
    known(scopes->known_userdata);
}

void scopes_when_known(Scopes *scopes, ScopesKnown known, void *userdata)
{
    scopes->known = known;
    scopes->known_userdata = userdata;
    check_known(scopes);
}

GPtrArray *scopes_unknown_cgroups(const Scopes *scopes)
{
    GPtrArray *units = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = scopes->slice_path ? g_dir_open(scopes->slice_path, 0, NULL) : NULL;
    const char *unit;
    while (dir && (unit = g_dir_read_name(dir)))
        if (is_vm_scope(unit) && !scope_is_loaded(scopes, unit))
            g_ptr_array_add(units, g_strdup(unit));
    return units;
}

static int on_list(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Scopes *scopes = userdata;
    const char *unit;
    if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_enter_container(m, 'a', "(ssssssouso)") < 0)
        return 0;
    while (sd_bus_message_read(m, "(ssssssouso)", &unit, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) > 0)
        g_hash_table_add(scopes->loaded, g_strdup(unit));
    scopes->listed = true;
    check_known(scopes);
    return 0;
}

bool scope_is_loaded(const Scopes *scopes, const char *unit)
{
    return g_hash_table_contains(scopes->loaded, unit);
}

static int follow_units(Scopes *scopes)
{
    int r = sd_bus_match_signal_async(scopes->bus, &scopes->unit_new, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "UnitNew",
        on_unit_new, NULL, scopes);
    if (r >= 0)
        r = sd_bus_match_signal_async(scopes->bus, &scopes->unit_removed, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
            "UnitRemoved", on_unit_removed, NULL, scopes);
    if (r >= 0)
        r = sd_bus_call_method_async(scopes->bus, &scopes->list, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
            "ListUnitsByPatterns", on_list, scopes, "asas", 0, 1, "vm-*.scope");
    return r;
}

static int on_control_group(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Scopes *scopes = userdata;
    const char *group;
    struct statfs fs;
    if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_read(m, "v", "s", &group) < 0)
        return 0;
    if (statfs(CGROUP_ROOT, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
        return 0;
    scopes->slice_path = g_build_filename(CGROUP_ROOT, group, SLICE, NULL);
    check_known(scopes);
    return 0;
}

int scopes_new(sd_bus *bus, Scopes **ret)
{
    g_autoptr(Scopes) scopes = g_new0(Scopes, 1);
    scopes->bus = sd_bus_ref(bus);
    scopes->jobs = g_ptr_array_new();
    scopes->loaded = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    int r = sd_bus_match_signal_async(bus, &scopes->job_removed, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
        "JobRemoved", on_job_removed, NULL, scopes);
    if (r >= 0)
        r = follow_units(scopes);
    if (r < 0)
        return r;
    r = sd_bus_call_method_async(bus, NULL, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "Subscribe",
        NULL, NULL, NULL);
    if (r < 0)
        return r;
    r = sd_bus_call_method_async(bus, &scopes->control_group, SYSTEMD_NAME, SYSTEMD_PATH,
        "org.freedesktop.DBus.Properties", "Get", on_control_group, scopes, "ss", SYSTEMD_MANAGER, "ControlGroup");
    if (r < 0)
        return r;
    *ret = g_steal_pointer(&scopes);
    return 0;
}

void scopes_free(Scopes *scopes)
{
    if (!scopes)
        return;
    while (scopes->jobs->len > 0)
        scope_job_forget(scopes->jobs->pdata[0]);
    g_ptr_array_free(scopes->jobs, TRUE);
    sd_bus_slot_unref(scopes->job_removed);
    sd_bus_slot_unref(scopes->unit_new);
    sd_bus_slot_unref(scopes->unit_removed);
    sd_bus_slot_unref(scopes->list);
    sd_bus_slot_unref(scopes->control_group);
    g_hash_table_unref(scopes->loaded);
    sd_bus_unref(scopes->bus);
    g_free(scopes->slice_path);
    g_free(scopes);
}

static int on_started(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    ScopeJob *job = userdata;
    job->call = sd_bus_slot_unref(job->call);

    const sd_bus_error *e = sd_bus_message_get_error(m);
    if (e && job->gone_is_done && g_str_equal(e->name, "org.freedesktop.systemd1.NoSuchUnit")) {
        job_finish(job, NULL);
        return 0;
    }
    if (e) {
        bool exists = g_str_equal(e->name, "org.freedesktop.systemd1.UnitExists");
        g_autoptr(Error) error = NULL;
        error_set(&error, exists ? ERROR_EXISTS : ERROR_FAILED, job->unit, NULL, "systemd refused it: %s", e->message);
        job_finish(job, error);
        return 0;
    }
    const char *path;
    if (sd_bus_message_read(m, "o", &path) >= 0)
        job->job = g_strdup(path);
    return 0;
}

static int append_pids(sd_bus_message *m, const GArray *pids)
{
    G_STATIC_ASSERT(sizeof(pid_t) == sizeof(uint32_t));
    int r = sd_bus_message_open_container(m, 'r', "sv");
    if (r >= 0)
        r = sd_bus_message_append(m, "s", "PIDs");
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'v', "au");
    if (r >= 0)
        r = sd_bus_message_append_array(m, 'u', pids->data, pids->len * sizeof(pid_t));
    for (unsigned i = 0; r >= 0 && i < 2; i++)
        r = sd_bus_message_close_container(m);
    return r;
}

static int append_properties(sd_bus_message *m, const ScopeSpec *spec)
{
    /* Ordered before what a guest may need, so that at shutdown it ends first. */
    static const char *const after[] = {"basic.target", "network.target", "remote-fs.target", "dbus.service", NULL};

    int r = append_pids(m, spec->pids);
    if (r < 0)
        return r;
    r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)", "Slice", "s", SLICE, "Description", "s", spec->description, "KillSignal", "i", spec->kill_signal, "TimeoutStopUSec", "t",
        spec->stop_timeout, "CollectMode", "s", "inactive-or-failed");
    if (r < 0)
        return r;
    r = sd_bus_message_open_container(m, 'r', "sv");
    if (r < 0)
        return r;
    r = sd_bus_message_append(m, "s", "After");
    if (r < 0)
        return r;
    r = sd_bus_message_open_container(m, 'v', "as");
    if (r < 0)
        return r;
    r = sd_bus_message_open_container(m, 'a', "s");
    for (const char *const *unit = after; r >= 0 && *unit; unit++)
        r = sd_bus_message_append(m, "s", *unit);
    for (const char *const *unit = spec->after; r >= 0 && unit && *unit; unit++)
        r = sd_bus_message_append(m, "s", *unit);
    for (unsigned i = 0; r >= 0 && i < 3; i++)
        r = sd_bus_message_close_container(m);
    return r;
}

static bool append_property(sd_bus_message *m, const char *key, const char *value, Error **ret_error)
{
    const char *values[] = {value, NULL};
    return scope_property_append(m, key, values, ret_error);
}

/* What every VM has unless [Scope] says otherwise: no device but those that QEMU opens by name (all else comes as
 * descriptors), and no more threads than its processors, its guard and QEMU's workers can need. */
static bool append_defaults(sd_bus_message *m, const ScopeSpec *spec, Error **ret_error)
{
    if (!settings_has(spec->settings, "Scope", "DevicePolicy") && !append_property(m, "DevicePolicy", "closed", ret_error))
        return false;
    if (spec->kvm && !append_property(m, "DeviceAllow", "/dev/kvm rw", ret_error))
        return false;
    for (const char *const *device = spec->devices; device && *device; device++) {
        /* "m": its guard makes a node of its own for it. */
        g_autofree char *allowed = g_strdup_printf("%s rwm", *device);
        if (!append_property(m, "DeviceAllow", allowed, ret_error))
            return false;
    }
    g_autofree char *tasks = g_strdup_printf("%u", spec->cpus + TASKS_BESIDE_CPUS);
    return settings_has(spec->settings, "Scope", "TasksMax") || append_property(m, "TasksMax", tasks, ret_error);
}

static bool append_settings(sd_bus_message *m, const ScopeSpec *spec, Error **ret_error)
{
    g_autofree const char **keys = settings_keys(spec->settings, "Scope");
    if (!append_defaults(m, spec, ret_error))
        return false;
    for (size_t i = 0; keys && keys[i]; i++)
        if (!scope_property_append(m, keys[i], settings_get_words(spec->settings, "Scope", keys[i]), ret_error))
            return false;
    return true;
}

static bool append_unit(sd_bus_message *m, const ScopeSpec *spec, Error **ret_error)
{
    int r = sd_bus_message_append(m, "ss", spec->unit, "fail");
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "(sv)");
    if (r >= 0)
        r = append_properties(m, spec);
    if (r < 0)
        return error_set_errno(ret_error, r, spec->unit, "the request to systemd cannot be made");
    if (!append_settings(m, spec, ret_error))
        return false;
    r = sd_bus_message_close_container(m);
    if (r >= 0)
        r = sd_bus_message_append(m, "a(sa(sv))", 0);
    if (r < 0)
        return error_set_errno(ret_error, r, spec->unit, "the request to systemd cannot be made");
    return true;
}

ScopeJob *scope_job_call(Scopes *scopes, const char *unit, sd_bus_message *m, bool gone_is_done, ScopeDone done, void *userdata,
    Error **ret_error)
{
    ScopeJob *job = g_new0(ScopeJob, 1);
    job->scopes = scopes;
    job->unit = g_strdup(unit);
    job->gone_is_done = gone_is_done;
    job->done = done;
    job->userdata = userdata;
    g_ptr_array_add(scopes->jobs, job);

    int r = sd_bus_call_async(scopes->bus, &job->call, m, on_started, job, 0);
    if (r < 0) {
        scope_job_forget(job);
        error_set_errno(ret_error, r, unit, "systemd cannot be asked");
        return NULL;
    }
    return job;
}

ScopeJob *scope_start(Scopes *scopes, const ScopeSpec *spec, ScopeDone done, void *userdata, Error **ret_error)
{
    g_autoptr(sd_bus_message) m = NULL;
    int r = sd_bus_message_new_method_call(scopes->bus, &m, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit");
    if (r < 0) {
        error_set_errno(ret_error, r, spec->unit, "the request to systemd cannot be made");
        return NULL;
    }
    if (!append_unit(m, spec, ret_error))
        return NULL;
    return scope_job_call(scopes, spec->unit, m, false, done, userdata, ret_error);
}

void scope_reset(Scopes *scopes, const char *unit)
{
    (void) sd_bus_call_method_async(scopes->bus, NULL, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "ResetFailedUnit",
        NULL, NULL, "s", unit);
}

void unit_disable(Scopes *scopes, const char *unit)
{
    (void) sd_bus_call_method_async(scopes->bus, NULL, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "DisableUnitFiles",
        NULL, NULL, "asb", 1, unit, false);
}

int unit_allow_devices(Scopes *scopes, const char *unit, const char *devices, sd_bus_message_handler_t done, void *userdata,
    sd_bus_slot **ret)
{
    return sd_bus_call_method_async(scopes->bus, ret, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "SetUnitProperties", done, userdata,
        "sba(sv)", unit, true, 1, "DeviceAllow", "a(ss)", 1, devices, "rw");
}

/* The words of cgroup.controllers, space around each so that strstr() finds whole words. */
static char *read_controllers(int dir)
{
    char buffer[512];
    fd_cleanup int fd = openat(dir, "cgroup.controllers", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    ssize_t n = read(fd, buffer, sizeof buffer - 1);
    if (n < 0)
        return NULL;
    buffer[n] = 0;
    return g_strdup_printf(" %s ", g_strstrip(buffer));
}

static bool has_slice_controllers(int slice, int scope)
{
    static const char *const charged[] = {" memory ", " pids ", NULL};
    g_autofree char *above = read_controllers(slice), *here = read_controllers(scope);
    if (!above || !here)
        return false;
    for (size_t i = 0; charged[i]; i++)
        if (strstr(above, charged[i]) && !strstr(here, charged[i]))
            return false;
    return true;
}

int scope_cgroup_make(Scopes *scopes, const char *unit)
{
    if (!scopes->slice_path)
        return -EOPNOTSUPP;
    fd_cleanup int slice = open(scopes->slice_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (slice < 0)
        return errno == ENOENT ? -EOPNOTSUPP : -errno;
    if (mkdirat(slice, unit, 0755) < 0)
        return -errno;
    fd_cleanup int scope = openat(slice, unit, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (scope < 0)
        return -errno;
    if (!has_slice_controllers(slice, scope)) {
        (void) unlinkat(slice, unit, AT_REMOVEDIR);
        return -EOPNOTSUPP;
    }
    return steal_fd(&scope);
}

int scope_cgroup_open(Scopes *scopes, const char *unit)
{
    if (!scopes->slice_path)
        return -EOPNOTSUPP;
    g_autofree char *path = g_build_filename(scopes->slice_path, unit, NULL);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

void scope_cgroup_remove(Scopes *scopes, const char *unit)
{
    if (!scopes->slice_path)
        return;
    g_autofree char *path = g_build_filename(scopes->slice_path, unit, NULL);
    if (rmdir(path) == 0 || errno != EBUSY)
        return;
    fd_cleanup int cgroup = scope_cgroup_open(scopes, unit);
    if (cgroup >= 0)
        (void) scope_cgroup_kill(cgroup);
}

int scope_cgroup_kill(int cgroup)
{
    fd_cleanup int fd = openat(cgroup, "cgroup.kill", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return write(fd, "1", 1) == 1 ? 0 : -errno;
}

bool scope_has_process(const char *unit, pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cgroup", (int) pid);
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return false;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autofree char *suffix = g_strdup_printf("/%s/%s", SLICE, unit);
    for (size_t i = 0; lines[i]; i++)
        if (g_str_has_prefix(lines[i], "0::") && g_str_has_suffix(lines[i], suffix))
            return true;
    return false;
}
