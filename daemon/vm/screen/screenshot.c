/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "screenshot.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "display.h"
#include "frame.h"
#include "instance.h"
#include "machine.h"
#include "manager.h"
#include "steps.h"
#include "task.h"

/* No screen that QEMU has needs more. */
#define PICTURE_MAX (256U * 1024U * 1024U)
#define LOOK_NAME "vmd-look"
#define ANSWER_USEC (30 * G_USEC_PER_SEC)

typedef struct Screenshot {
    char *vm;
    uint32_t head;
    bool gl;
    int fd; /* the memfd */
    sd_event *event; /* the manager's */
    int peer; /* a viewer's connection; -1: none */
    ScreenshotDone done;
    void *userdata;
} Screenshot;

static void screenshot_free(Screenshot *shot)
{
    close_fd(&shot->fd);
    close_fd(&shot->peer);
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
    Screenshot *shot = userdata;
    g_autoptr(Error) none = NULL;
    if (error && shot->gl)
        error_set(&none, ERROR_UNSUPPORTED, shot->vm, shot->head > 0 ? "There is one of the first head" : "Set Type=spice or Type=vnc in [Display] and restart it",
            "QEMU makes no such picture of a guest that draws with GL=yes (%s)", error->cause);
    finish(shot, none ?: error);
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

/* ---- as a viewer ---- */

/* QEMU makes pictures of its own memory, where what a graphics processor draws is not; viewers are given it. */
typedef struct Look {
    char *vm;
    int peer;
    GByteArray *png;
    Error *error;
} Look;

static void look_free(void *data)
{
    Look *look = data;
    close_fd(&look->peer);
    g_clear_pointer(&look->png, g_byte_array_unref);
    error_free(look->error);
    g_free(look->vm);
    g_free(look);
}

/* In the thread. */
static void look_run(void *data)
{
    Look *look = data;
    look->png = frame_fetch(look->peer, look->vm, &look->error);
}

static void on_looked(void *data, void *userdata)
{
    Screenshot *shot = userdata;
    Look *look = data;
    g_autoptr(Error) error = look ? error_copy(look->error) : NULL;
    if (!look)
        error_set(&error, ERROR_TIMED_OUT, shot->vm, NULL, "QEMU did not show in time what is on its screen");
    else if (!error && write(shot->fd, look->png->data, look->png->len) != (ssize_t) look->png->len)
        error_set(&error, ERROR_FAILED, shot->vm, NULL, "there is no memory for its picture");
    if (look)
        look_free(look);
    finish(shot, error);
}

static void on_let_in(Qmp *qmp, const json_t *result, const Error *failed, void *userdata)
{
    const TaskSpec spec = {.run = look_run, .done = on_looked, .free_data = look_free, .timeout_usec = ANSWER_USEC};
    Screenshot *shot = userdata;
    if (failed)
        return finish(shot, failed);
    Look *look = g_new0(Look, 1);
    Task *task;
    look->vm = g_strdup(shot->vm);
    look->peer = steal_fd(&shot->peer);
    int r = task_new(shot->event, &spec, look, shot, &task);
    if (r >= 0)
        return;
    g_autoptr(Error) error = NULL;
    error_set_errno(&error, r, shot->vm, "no thread can be made to look at its screen");
    look_free(look);
    finish(shot, error);
}

static int begin_look(Screenshot *shot, Qmp *qmp)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    fd_cleanup int theirs = fds[0];
    shot->peer = fds[1];
    int r = qmp_call(qmp, "getfd", json_pack("{ss}", "fdname", LOOK_NAME), theirs, ANSWER_USEC, NULL, NULL);
    return r < 0 ? r : qmp_call(qmp, "add_client", json_pack("{ss ss sb}", "protocol", "vnc", "fdname", LOOK_NAME, "skipauth", 1), -1, ANSWER_USEC, on_let_in, shot);
}

/* ---- the call ---- */

static bool check(const VM *vm, uint32_t head, bool *ret_gl, bool *ret_look, Error **ret_error)
{
    g_autoptr(Settings) settings = vm_check_display(vm, ret_error);
    if (!settings)
        return false;
    *ret_gl = machine_display_has_gl(settings);
    *ret_look = *ret_gl && head == 0 && machine_display_speaks(settings, "vnc"); /* which shows no other */
    uint64_t heads = settings_get_number(settings, "Display", "Heads");
    return head < heads || error_set(ret_error, ERROR_UNSUPPORTED, vm->name, "Set Heads= in [Display] and restart it", "its display has %" G_GUINT64_FORMAT " head%s", heads, heads == 1 ? "" : "s");
}

bool vm_screenshot(VM *vm, uint32_t head, ScreenshotDone done, void *userdata, Error **ret_error)
{
    bool gl = false, look = false;
    if (!vm_check_monitor(vm, ret_error) || !check(vm, head, &gl, &look, ret_error))
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
    *shot = (Screenshot){.vm = g_strdup(vm->name), .head = head, .gl = gl, .event = vm->manager->event, .peer = -1, .fd = steal_fd(&fd), .done = done, .userdata = userdata};
    int r = look ? begin_look(shot, vm->instance->qmp) : qmp_call(vm->instance->qmp, "add-fd", NULL, writable, ANSWER_USEC, on_added, shot);
    if (r >= 0)
        return true;
    screenshot_free(shot);
    return error_set_errno(ret_error, r, vm->name, "QEMU cannot be asked for a picture");
}
