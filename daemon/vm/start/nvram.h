/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Nvram: what a machine with UEFI has beside its disks: the firmware's code, which is the host's or its QEMU's tree's, and its variables, the NVRAM, which are
 * the VM's.
 *
 *     STATE_DIR/nvram/NAME.fd          made by the first start, from the template that comes with the code
 *                     NAME@secure.fd   the same with SecureBoot=yes: another template, with keys
 *
 * It belongs to the VM's owner, as a volume does, and is opened with the owner's rights; its folder is vmd's. It is raw: nobody flushes a flash
 * chip, and what is written is in the file at once, also when QEMU is killed. A Worker makes it, since firmware comes as raw files and as
 * others. Where disks have names, in snapshots and backups, its is NVRAM_DISK. */

#include "machine.h"
#include "vm.h"

typedef struct NvramOpening NvramOpening;

/* Once, not before nvram_open() has returned: all is open, or an error. */
typedef void (*NvramDone)(const Error *error, void *userdata);

/* Finds the firmware and opens both. `tree`: of its QEMU; where that has none that fits, the host's counts. `machine`: its full name. `make`: what is missing; else only what would be is looked for. *ret stays
 * NULL, and `done` does not come, where the VM has no UEFI. False and an Error: nothing was begun. */
bool nvram_open(const VM *vm, const Settings *settings, const QemuBuild *build, const QemuTree *tree, const char *machine, bool make, NvramDone done, void *userdata,
    NvramOpening **ret, Error **ret_error);
/* After that: moves what was opened into `parts`; there may be none, on machines that do without. And closes it. */
void nvram_take(NvramOpening *opening, MachineParts *parts);
void nvram_close(MachineParts *parts);
/* `done` does not come any more. NULL is fine. */
void nvram_free(NvramOpening *opening);

/* The NVRAM's file with these settings, whether or not it is there; a new string. NULL: they want no UEFI. */
char *vm_nvram_path(const VM *vm, const Settings *settings);
/* The same where the VM has it: it runs with it, or it is there. */
char *vm_find_nvram(const VM *vm, const Settings *settings);

/* What a caller has kept of it, a qcow2 image, open for reading, takes its place; the VM must not run. `done` comes as of all that is done to a
 * VM. False and an Error: nothing was begun. */
bool vm_import_nvram(VM *vm, int fd, VMDone done, void *userdata, Error **ret_error);

/* Of a VM that is forgotten: all of it, with what snapshots have. */
void vm_delete_nvram(const VM *vm);
