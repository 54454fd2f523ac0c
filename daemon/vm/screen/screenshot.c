/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "screenshot.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "display.h"
#include "instance.h"
#include "machine.h"
#include "steps.h"

/* No screen that QEMU has needs more. */
#define PICTURE_MAX (256U * 1024U * 1024U)
#define ANSWER_USEC (30 * G_USEC_PER_SEC)

typedef struct Screenshot {
    char *vm;
    uint32_t head;
    int fd; /* the memfd */
    ScreenshotDone done;
    void *userdata;
} Screenshot;

static void screenshot_free(Screenshot *shot)
{
    close_fd(&shot->fd);
    g_free(shot->vm);
    g_free(shot);
}

static void finish(Screenshot *shot, const Error *failed)
{
    g_autoptr(Error) error = error_copy(failed);
    fd_cleanup int fd = -1;
    struct stat st = {0};
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", shot->fd);
    if (!error && fstat(shot->fd, &st) < 0)
        error_set_errno(&error, errno, shot->vm, "its picture cannot be looked at");
    if (!error && (st.st_size == 0 || st.st_size > PICTURE_MAX))
        error_set(&error, ERROR_QEMU_FAILED, shot->vm, NULL, "its QEMU made no picture");
    /* QEMU may have it open for writing still, and could change what somebody looks at. */
    if (!error && fcntl(shot->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        error_set_errno(&error, errno, shot->vm, "its picture cannot be sealed");
    if (!error && (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        error_set_errno(&error, errno, shot->vm, "its picture cannot be opened");
    shot->done(error ? -1 : fd, error, shot->userdata);
    screenshot_free(shot);
}

static void on_dumped(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    finish(userdata, error);
}

static void on_added(Qmp *qmp, const json_t *result, const Error *failed, void *userdata)
{
    Screenshot *shot = userdata;
    g_autoptr(Error) error = error_copy(failed);
    json_int_t set = json_integer_value(json_object_get(result, "fdset-id"));
    int r = 0;
    if (!error) {
        g_autofree char *file = g_strdup_printf("/dev/fdset/%" JSON_INTEGER_FORMAT, set);
        json_t *arguments = json_pack("{ss ss}", "filename", file, "format", "png");
        if (shot->head > 0)
            (void) json_object_update_new(arguments, json_pack("{ss si}", "device", MACHINE_VIDEO, "head", (int) shot->head));
        r = qmp_call(qmp, "screendump", arguments, -1, ANSWER_USEC, on_dumped, shot);
        /* QEMU answers in order, and keeps what it has open until it is done. */
        if (r >= 0)
            (void) qmp_call(qmp, "remove-fd", json_pack("{sI}", "fdset-id", set), -1, 0, NULL, NULL);
    }
    if (r < 0)
        error_set_errno(&error, r, shot->vm, "QEMU cannot be asked for a picture");
    if (error)
        finish(shot, error);
}

static bool check(const VM *vm, uint32_t head, Error **ret_error)
{
    g_autoptr(Settings) settings = vm_check_display(vm, ret_error);
    if (!settings)
        return false;
    uint64_t heads = settings_get_number(settings, "Display", "Heads");
    return head < heads || error_set(ret_error, ERROR_UNSUPPORTED, vm->name, "Set Heads= in [Display] and restart it", "its display has %" G_GUINT64_FORMAT " head%s", heads, heads == 1 ? "" : "s");
}

bool vm_screenshot(VM *vm, uint32_t head, ScreenshotDone done, void *userdata, Error **ret_error)
{
    if (!vm_check_monitor(vm, ret_error) || !check(vm, head, ret_error))
        return false;
    fd_cleanup int fd = memfd_create("vmd-screenshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return error_set_errno(ret_error, errno, vm->name, "there is no memory for its picture");
    /* QEMU takes a descriptor of a set only for what it was opened for, which is writing alone. */
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    fd_cleanup int writable = open(path, O_WRONLY | O_CLOEXEC);
    if (writable < 0)
        return error_set_errno(ret_error, errno, vm->name, "its picture cannot be opened");
    Screenshot *shot = g_new0(Screenshot, 1);
    *shot = (Screenshot){.vm = g_strdup(vm->name), .head = head, .fd = steal_fd(&fd), .done = done, .userdata = userdata};
    int r = qmp_call(vm->instance->qmp, "add-fd", NULL, writable, ANSWER_USEC, on_added, shot);
    if (r >= 0)
        return true;
    screenshot_free(shot);
    return error_set_errno(ret_error, r, vm->name, "QEMU cannot be asked for a picture");
}
