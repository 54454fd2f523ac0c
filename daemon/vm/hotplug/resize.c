/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A disk's image that grows while its VM runs: by the QEMU that has it open, which tells the guest. */

#include "resize.h"

#include "backup.h"
#include "bitmaps.h"
#include "instance.h"
#include "machine.h"
#include "steps.h"

#define QMP_USEC (60 * G_USEC_PER_SEC)

typedef struct Resize {
    char *name;
    uint64_t size;
    VMDone done;
    void *userdata;
} Resize;

static void finish(Resize *resize, const Error *error)
{
    VMDone done = resize->done;
    void *userdata = resize->userdata;
    g_free(resize->name);
    g_free(resize);
    done(error, userdata);
}

static void on_resized(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    finish(userdata, error);
}

/* A disk whose QEMU was killed may have what no image grows with. QEMU does one after the other: where it does not remove it, the growing fails. */
static void remove_spoilt_bitmaps(Qmp *qmp, const json_t *inserted)
{
    json_t *actions = json_array();
    bitmaps_remove(actions, inserted, BITMAPS_SPOILT);
    if (json_array_size(actions) > 0)
        (void) qmp_call(qmp, "transaction", json_pack("{sO}", "actions", actions), -1, QMP_USEC, NULL, NULL);
    json_decref(actions);
}

/* What is on top changes with each snapshot. */
static void on_blocks(Qmp *qmp, const json_t *result, const Error *failed, void *userdata)
{
    Resize *resize = userdata;
    g_autoptr(Error) error = error_copy(failed);
    const json_t *inserted = machine_disk_find_inserted(result, resize->name);
    if (!error && !inserted)
        error_set(&error, ERROR_NO_SUCH_DEVICE, resize->name, "Stop the VM first", "its QEMU has no such disk");
    if (error)
        return finish(resize, error);
    remove_spoilt_bitmaps(qmp, inserted);
    int r = qmp_call(qmp, "block_resize", json_pack("{sO sI}", "node-name", json_object_get(inserted, "node-name"), "size", (json_int_t) resize->size), -1,
        QMP_USEC, on_resized, resize);
    if (r < 0) {
        error_set_errno(&error, r, resize->name, "QEMU cannot be asked");
        finish(resize, error);
    }
}

bool vm_resize_disk(VM *vm, const char *name, uint64_t size, VMDone done, void *userdata, Error **ret_error)
{
    if (!vm_check_idle(vm, ret_error) || !vm_check_unbacked(vm, ret_error))
        return false;
    Resize *resize = g_new0(Resize, 1);
    resize->name = g_strdup(name);
    resize->size = size;
    resize->done = done;
    resize->userdata = userdata;
    int r = qmp_call(vm->instance->qmp, "query-block", NULL, -1, QMP_USEC, on_blocks, resize);
    if (r >= 0)
        return true;
    g_free(resize->name);
    g_free(resize);
    return error_set_errno(ret_error, r, vm->name, "QEMU cannot be asked");
}
