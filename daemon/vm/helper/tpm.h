/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* TPM: a swtpm beside QEMU, for [TPM].
 *
 * What a TPM remembers without power is a file in STATE_DIR/tpm/VM, which swtpm makes at the first start and replaces as a whole at each
 * change. The folder belongs to the uid that the VM's swtpm has, and nobody else's process reads it. What it remembers only
 * while it has power is part of the VM's memory, where QEMU keeps that. There are no certificates of a manufacturer in it.
 *
 * The state goes with the VM. Snapshots and backups have a copy (tpm_state_*). */

#include "helpers.h"
#include "machine.h"
#include "vm.h"

/* Adds the helper of a VM that starts, and QEMU's end of the socket, to `parts`; nothing where it has no TPM. */
bool tpm_prepare(Instance *instance, const Settings *settings, MachineParts *parts, Error **ret_error);

/* Of a VM that does not run. */
void tpm_delete(const VM *vm);

/* tpm-state.c: what it remembers without power, for whoever keeps a copy: a text, "" where the VM has none; g_free. NULL and an Error. While
 * the VM runs this is what it is at this moment, whole, as its guest has been told. */
char *tpm_state_read(const VM *vm, Error **ret_error);
/* Puts it back, whole and on disk. Of a VM that does not run. */
bool tpm_state_write(const VM *vm, const char *state, Error **ret_error);
#define TPM_STATE_MAX (4U << 20) /* what is longer is none */

/* A state is some KiB; no file of a TPM may be larger. */
#define TPM_FILE_MAX (UINT64_C(1) << 20)

/* A new string. */
char *tpm_folder(const VM *vm);
