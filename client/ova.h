/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* OVA: a machine as other programs export it: a tar archive of a description (OVF) and disks.
 *
 * The archive is hostile input: names in it are only compared and shown, nothing is unpacked under them. Disks go through nameless temporary
 * files to vmd, which trusts them no more than any other image. */

#include "client.h"

/* Makes volumes "WORD-0.qcow2" and so on of its disks, in order, and says how a VM of them is made. Returns an exit code. */
int ova_import(Client *client, const char *file, int fd, const char *word);

/* create --ova: makes volumes "VM-0.qcow2" and so on in the pool "default", and has the options begin with what its description says. `volumes`
 * gets their names, with the pool, also when it fails: for image_remove_disk(). `texts` gets values of options, which live as long as those. Returns an
 * exit code; does nothing where there is no --ova. */
int ova_make_machine(Client *client, const char *vm, GPtrArray *volumes, GPtrArray *texts);
