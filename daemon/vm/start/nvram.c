/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nvram.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "firmware.h"
#include "foreign.h"
#include "identity.h"
#include "instance.h"
#include "manager.h"
#include "name.h"
#include "task.h"
#include "worker.h"

#define LOOK_USEC (60 * G_USEC_PER_SEC)
/* Of 64 MiB of flash on ARM no more than the beginning is ever written. */
#define ROOM_MAX (UINT64_C(1024) * 1024)
#define IMPORT_MAX (UINT64_C(128) * 1024 * 1024)

/* All of it is the thread's own while that runs. */
typedef struct Look {
    uid_t owner;
    bool optional, secure;
    char *architecture, *machine;
    char **folders;
    int tree_fd;  /* of its QEMU's tree; -1: the host */
    bool of_tree; /* the firmware is */
    char *path; /* of the NVRAM */
    int import_fd; /* what it is to be made from; -1: the firmware's template */
    Firmware *firmware; /* NULL: there is none, and need not be */
    Image *code, *template, *nvram; /* nvram NULL: it is to be made */
    Error *error;
} Look;

/* A file that gets its name when it is whole. The thread's while that runs. */
typedef struct Making {
    uid_t owner;
    char *path, *part;
    uint64_t size;
    int fd, read_fd;
    Error *error;
} Making;

struct NvramOpening {
    Manager *manager;
    char *vm;
    bool make;
    VM *importing;  /* into its NVRAM; NULL: a start opens it, or a preview */
    NvramDone done;
    void *userdata;
    Task *task;
    Look *look;     /* NULL while the thread has it */
    Making *making; /* the same */
    Worker *worker;
};

static void look_free(void *userdata)
{
    Look *look = userdata;
    if (!look)
        return;
    g_free(look->architecture);
    g_free(look->machine);
    g_strfreev(look->folders);
    g_free(look->path);
    close_fd(&look->import_fd);
    close_fd(&look->tree_fd);
    firmware_free(look->firmware);
    image_free(look->code);
    image_free(look->template);
    image_free(look->nvram);
    error_free(look->error);
    g_free(look);
}

static void making_free(void *userdata)
{
    Making *making = userdata;
    if (!making)
        return;
    close_fd(&making->fd);
    close_fd(&making->read_fd);
    g_free(making->path);
    g_free(making->part);
    error_free(making->error);
    g_free(making);
}

void nvram_free(NvramOpening *opening)
{
    if (!opening)
        return;
    task_abandon(opening->task);
    look_free(opening->look);
    if (opening->worker && opening->making)
        (void) unlink(opening->making->part);
    worker_free(opening->worker);
    making_free(opening->making);
    g_free(opening->vm);
    g_free(opening);
}

/* ---- in a thread: what there is ---- */

/* What stands in a file of a tree leads to no file of the host's. */
static Image *open_of_tree(const Look *look, const char *path, const char *format, Error **ret_error)
{
    ImageInfo info;
    fd_cleanup int fd = tree_open(look->tree_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        error_set_errno(ret_error, fd, path, "it cannot be opened");
        return NULL;
    }
    Image *image = foreign_open(fd, format, path, ret_error);
    if (image && g_str_equal(format, "qcow2")) {
        image_read_info(image->fd, ".qcow2", &info);
        g_free(info.backing);
        image->size = info.size;
    }
    return image;
}

static Image *open_firmware(const Look *look, const char *path, const char *format, Error **ret_error)
{
    g_autoptr(Error) error = NULL;
    const ImageSpec spec = {.path = path, .format = format, .read_only = true};
    g_autoptr(Image) image = look->of_tree ? open_of_tree(look, path, format, &error) : access(path, F_OK) == 0 ? image_open(&spec, &error) : NULL;
    if (image && !image->backing)
        return g_steal_pointer(&image);
    error_set(ret_error, ERROR_UNSUPPORTED, path, firmware_package(look->architecture), "%s, which names it: %s", look->firmware->descriptor,
        error ? error->cause : image ? "it is over another file" : "there is no such file");
    return NULL;
}

static bool open_nvram(Look *look, Error **ret_error)
{
    g_autoptr(Error) error = NULL;
    const ImageSpec spec = {.path = look->path, .format = "raw"};
    look->nvram = image_open(&spec, &error);
    if (!look->nvram) {
        g_autofree char *owner = identity_name(look->owner);
        g_free(error->remedy);
        error->remedy = g_strdup_printf("It must be %s's, the VM's owner; or delete it, and the next start makes an empty one", owner);
        return error_propagate(ret_error, g_steal_pointer(&error));
    }
    if (!look->template || look->template->size == look->nvram->size)
        return true;
    return error_set(ret_error, ERROR_INVALID_SETTINGS, look->path, "Delete it, and the next start makes an empty one, or bring that firmware back",
        "this NVRAM of %" G_GUINT64_FORMAT " KiB was made for another firmware: that of %s has %" G_GUINT64_FORMAT " KiB", look->nvram->size / 1024,
        look->firmware->descriptor, look->template->size / 1024);
}

static bool look_for_all(Look *look, Error **ret_error)
{
    const FirmwareWish wish = {.architecture = look->architecture, .machine = look->machine, .secure_boot = look->secure};
    struct stat st;
    int r = look->owner != geteuid() ? identity_assume(look->owner) : 0;
    if (r < 0)
        return error_set_errno(ret_error, r, look->path, "the rights of the VM's owner cannot be taken");
    look->firmware = look->tree_fd < 0 ? NULL : firmware_find(look->tree_fd, (const char *const *) look->folders, &wish, NULL);
    look->of_tree = look->firmware;
    if (!look->firmware)
        look->firmware = firmware_find(-1, (const char *const *) look->folders, &wish, look->optional ? NULL : ret_error);
    if (!look->firmware)
        return look->optional;
    look->code = open_firmware(look, look->firmware->code, look->firmware->code_format, ret_error);
    if (!look->code)
        return false;
    bool there = lstat(look->path, &st) == 0 || errno != ENOENT;
    /* Once there is an NVRAM the template matters no more. */
    look->template = open_firmware(look, look->firmware->template, look->firmware->template_format, there ? NULL : ret_error);
    return there ? open_nvram(look, ret_error) : look->template != NULL;
}

/* What a caller has handed over. */
static bool look_at_import(Look *look, Error **ret_error)
{
    ImageInfo info;
    look->template = foreign_open(look->import_fd, "qcow2", look->path, ret_error);
    if (!look->template)
        return false;
    image_read_info(look->template->fd, ".qcow2", &info);
    g_free(info.backing);
    look->template->size = info.size;
    return (info.size > 0 && info.size <= IMPORT_MAX) || error_set(ret_error, ERROR_INVALID_SETTINGS, look->path, NULL, "the image is no NVRAM");
}

static void run_look(void *userdata)
{
    Look *look = userdata;
    (void) (look->import_fd >= 0 ? look_at_import(look, &look->error) : look_for_all(look, &look->error));
}

/* ---- in a thread: a file ---- */

static bool make_part(Making *making, Error **ret_error)
{
    int r = identity_make_for(making->owner);
    if (r < 0)
        return error_set_errno(ret_error, r, making->path, "a file cannot be made for the VM's owner");
    /* What a vmd that was killed has left. */
    (void) unlink(making->part);
    making->fd = open(making->part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    making->read_fd = making->fd < 0 ? -1 : open(making->part, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (making->read_fd < 0)
        return error_set_errno(ret_error, errno, making->path, "the NVRAM cannot be made");
    /* What is written later has its place then. */
    r = fallocate(making->fd, 0, 0, (off_t) MIN(making->size, ROOM_MAX)) < 0 ? errno : 0;
    if (r == ENOSPC || r == EDQUOT)
        return error_set_errno(ret_error, r, making->path, "the NVRAM cannot be made");
    return ftruncate(making->fd, (off_t) making->size) == 0 || error_set_errno(ret_error, errno, making->path, "the NVRAM cannot be made");
}

static void run_make(void *userdata)
{
    Making *making = userdata;
    if (!make_part(making, &making->error))
        (void) unlink(making->part);
}

static void run_settle(void *userdata)
{
    Making *making = userdata;
    g_autofree char *folder = g_path_get_dirname(making->path);
    fd_cleanup int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0 && fsync(making->fd) == 0 && renameat2(AT_FDCWD, making->part, AT_FDCWD, making->path, RENAME_NOREPLACE) == 0) {
        (void) fsync(dir);
        return;
    }
    (void) error_set_errno(&making->error, errno, making->path, "the NVRAM cannot be put in place");
    (void) unlink(making->part);
}

/* ---- on the loop ---- */

/* The callback is the last thing. Takes the error. */
static void finish(NvramOpening *opening, Error *error)
{
    VM *importing = opening->importing;
    NvramDone done = opening->done;
    void *userdata = opening->userdata;
    if (importing) {
        importing->nvram_import = NULL;
        nvram_free(opening);
    }
    done(error, userdata);
    error_free(error);
}

static bool begin_task(NvramOpening *opening, TaskRun run, TaskDone done, GDestroyNotify free_data, void *data)
{
    const TaskSpec spec = {.run = run, .done = done, .free_data = free_data, .timeout_usec = LOOK_USEC};
    int r = task_new(opening->manager->event, &spec, data, opening, &opening->task);
    if (r < 0)
        free_data(data);
    return r >= 0;
}

static void no_thread(NvramOpening *opening)
{
    Error *error = NULL;
    error_set(&error, ERROR_FAILED, opening->vm, NULL, "no thread can be made to open its firmware");
    finish(opening, error);
}

static void too_late(NvramOpening *opening)
{
    Error *error = NULL;
    error_set(&error, ERROR_TIMED_OUT, opening->vm, "Look at the file systems that they are on", "its firmware and NVRAM could not be opened in time");
    finish(opening, error);
}

/* What a thread has to say at its end, NULL: it has none: whether that is the end of all. */
static bool ends(NvramOpening *opening, Error **said)
{
    bool over = !said || *said;
    opening->task = NULL;
    if (!said)
        too_late(opening);
    else if (over)
        finish(opening, g_steal_pointer(said));
    return over;
}

static void on_look(void *data, void *userdata);

static void on_settled(void *data, void *userdata)
{
    NvramOpening *opening = userdata;
    Making *making = opening->making = data;
    if (ends(opening, making ? &making->error : NULL))
        return;
    if (opening->importing)
        return finish(opening, NULL);
    /* Now that it is there. */
    Look *look = g_steal_pointer(&opening->look);
    g_clear_pointer(&look->firmware, firmware_free);
    g_clear_pointer(&look->code, image_free);
    g_clear_pointer(&look->template, image_free);
    if (!begin_task(opening, run_look, on_look, look_free, look))
        no_thread(opening);
}

static void on_copied(Worker *worker, const Error *failed, void *userdata)
{
    NvramOpening *opening = userdata;
    Error *error = NULL;
    g_clear_pointer(&opening->worker, worker_free);
    if (!failed) {
        if (!begin_task(opening, run_settle, on_settled, making_free, g_steal_pointer(&opening->making)))
            no_thread(opening);
        return;
    }
    (void) unlink(opening->making->part);
    error_set(&error, failed->code, opening->making->path, failed->remedy, "the NVRAM cannot be made: %s", failed->cause);
    finish(opening, error);
}

static void add_copy(Worker *worker, const Look *look, const Making *making)
{
    const int fds[] = {making->fd, making->read_fd};
    g_autofree char *file = g_strdup_printf("/dev/fdset/%u", worker_add_fds(worker, fds, G_N_ELEMENTS(fds)));
    Script *script = worker_script(worker);
    worker_add_image(worker, look->template, "template");
    /* Zeros take no room; a backup would write those that the image has as such. */
    script_add_call(script, "blockdev-add", json_pack("{ss ss ss ss ss}", "driver", "file", "node-name", "target", "filename", file, "discard", "unmap",
        "detect-zeroes", "unmap"));
    script_add_job(script, "blockdev-mirror", json_pack("{ss ss ss}", "device", "template-node0", "target", "target", "sync", "full"));
    script_add_call(script, "blockdev-del", json_pack("{ss}", "node-name", "target"));
}

static void on_part(void *data, void *userdata)
{
    NvramOpening *opening = userdata;
    Manager *manager = opening->manager;
    Error *error = NULL;
    Making *making = opening->making = data;
    if (ends(opening, making ? &making->error : NULL))
        return;
    g_autofree char *binary = qemu_default_binary(&error), *unit = worker_unit();
    opening->worker = worker_new(manager->event, manager->scopes, manager->user);
    add_copy(opening->worker, opening->look, opening->making);
    if (!binary || !worker_start(opening->worker, binary, unit, on_copied, NULL, opening, &error))
        finish(opening, error);
}

static void begin_making(NvramOpening *opening)
{
    const Look *look = opening->look;
    g_autofree char *folder = g_path_get_dirname(look->path), *name = g_path_get_basename(look->path);
    Making *making = g_new0(Making, 1);
    making->owner = look->owner;
    making->path = g_strdup(look->path);
    making->part = g_strdup_printf("%s/.%s.part", folder, name);
    making->size = look->template->size;
    making->fd = making->read_fd = -1;
    if (!begin_task(opening, run_make, on_part, making_free, making))
        no_thread(opening);
}

static void on_look(void *data, void *userdata)
{
    NvramOpening *opening = userdata;
    Look *look = opening->look = data;
    if (ends(opening, look ? &look->error : NULL))
        return;
    if (opening->importing || (opening->make && look->firmware && !look->nvram && !opening->making))
        return begin_making(opening);
    finish(opening, NULL);
}

static NvramOpening *opening_new(const VM *vm, NvramDone done, void *userdata)
{
    NvramOpening *opening = g_new0(NvramOpening, 1);
    opening->manager = vm->manager;
    opening->vm = g_strdup(vm->name);
    opening->done = done;
    opening->userdata = userdata;
    return opening;
}

bool nvram_open(const VM *vm, const Settings *settings, const QemuBuild *build, const QemuTree *tree, const char *machine, bool make, NvramDone done, void *userdata,
    NvramOpening **ret, Error **ret_error)
{
    FirmwareKind kind = machine_firmware(settings, build);
    bool secure = settings_get_bool(settings, "VM", "SecureBoot");
    if (secure && kind != FIRMWARE_UEFI)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(settings, "VM", "SecureBoot"), "Set Firmware=uefi too",
            "SecureBoot= means nothing without UEFI");
    if (kind == FIRMWARE_BIOS)
        return true;
    Look *look = g_new0(Look, 1);
    look->owner = vm->owner;
    look->optional = kind == FIRMWARE_UEFI_IF_THERE;
    look->secure = secure;
    look->architecture = g_strdup(qemu_build_target(build));
    look->machine = g_strdup(machine);
    look->folders = firmware_folders(vm->manager->user);
    look->path = vm_nvram_path(vm, settings);
    look->import_fd = -1;
    look->tree_fd = tree ? fcntl(qemu_tree_fd(tree), F_DUPFD_CLOEXEC, 3) : -1;
    NvramOpening *opening = opening_new(vm, done, userdata);
    opening->make = make;
    if (!begin_task(opening, run_look, on_look, look_free, look)) {
        nvram_free(opening);
        return error_set(ret_error, ERROR_FAILED, vm->name, NULL, "no thread can be made to open its firmware");
    }
    *ret = opening;
    return true;
}

void nvram_take(NvramOpening *opening, MachineParts *parts)
{
    Look *look = opening->look;
    if (!look->firmware)
        return;
    parts->code = g_steal_pointer(&look->code);
    parts->smm = look->firmware->smm;
    parts->nvram = g_new0(MachineDisk, 1);
    parts->nvram->section = g_strdup(NVRAM_SECTION);
    parts->nvram->name = g_strdup(NVRAM_DISK);
    parts->nvram->image = g_steal_pointer(&look->nvram);
    if (parts->nvram->image)
        return;
    /* What it will be. */
    Image *image = parts->nvram->image = g_new0(Image, 1);
    image->path = g_strdup(look->path);
    image->format = IMAGE_RAW;
    image->fd = image->read_fd = -1;
}

void nvram_close(MachineParts *parts)
{
    g_clear_pointer(&parts->code, image_free);
    g_clear_pointer(&parts->nvram, machine_disk_free);
}

bool vm_import_nvram(VM *vm, int fd, VMDone done, void *userdata, Error **ret_error)
{
    if (!vm_check_unworked(vm, ret_error))
        return false;
    g_autoptr(Settings) settings = vm_load_settings(vm, ret_error);
    g_autofree char *path = settings ? vm_nvram_path(vm, settings) : NULL;
    if (!settings)
        return false;
    if (!path)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, vm->name, "Set Firmware=uefi first", "it boots by a BIOS, and has no NVRAM");
    if (vm->instance || access(path, F_OK) == 0)
        return error_set(ret_error, ERROR_EXISTS, path, NULL, "the VM has an NVRAM, which is not replaced");
    Look *look = g_new0(Look, 1);
    look->owner = vm->owner;
    look->path = g_steal_pointer(&path);
    look->tree_fd = -1;
    look->import_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    NvramOpening *opening = opening_new(vm, done, userdata);
    opening->importing = vm;
    if (look->import_fd < 0 || !begin_task(opening, run_look, on_look, look_free, look)) {
        nvram_free(opening);
        return error_set(ret_error, ERROR_FAILED, vm->name, NULL, "its NVRAM cannot be read");
    }
    vm->nvram_import = opening;
    return true;
}

/* ---- its file ---- */

/* "@" is in no name of a VM. */
char *vm_nvram_path(const VM *vm, const Settings *settings)
{
    const char *set = settings_get_string(settings, "VM", "Firmware");
    if (set && g_str_equal(set, "bios"))
        return NULL;
    return g_strdup_printf("%s/%s%s.fd", vm->manager->dirs->nvram, vm->name, settings_get_bool(settings, "VM", "SecureBoot") ? "@secure" : "");
}

char *vm_find_nvram(const VM *vm, const Settings *settings)
{
    g_autofree char *path = vm_nvram_path(vm, settings);
    bool has = path && !vm->instance && access(path, F_OK) == 0;
    for (guint i = 0; path && vm->instance && i < vm->instance->images->len; i++)
        has |= g_str_equal(g_array_index(vm->instance->images, ImageIdentity, i).disk, NVRAM_DISK);
    return has ? g_steal_pointer(&path) : NULL;
}

void vm_delete_nvram(const VM *vm)
{
    const char *folder = vm->manager->dirs->nvram, *name;
    g_autofree char *own = g_strdup_printf("%s.fd", vm->name), *part = g_strdup_printf(".%s.fd.part", vm->name);
    g_autofree char *others = g_strdup_printf("%s@", vm->name), *parts = g_strdup_printf(".%s@", vm->name);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    while (dir && (name = g_dir_read_name(dir))) {
        if (!g_str_equal(name, own) && !g_str_equal(name, part) && !g_str_has_prefix(name, others) && !g_str_has_prefix(name, parts))
            continue;
        g_autofree char *path = g_build_filename(folder, name, NULL);
        (void) unlink(path);
    }
}
