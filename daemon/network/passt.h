/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Passt: user networking (User=yes): a passt of the VM's own, in vmpasst-VM-SECTION.service, that reaches what any program of the host
 * does, and needs no link and no right. It ends with the connection to QEMU, so that nothing is left whoever ended what. */

#include "port.h"

typedef struct Passt Passt;

/* `tap` is the callee's: one descriptor, a stream of frames, and no link. */
typedef void (*PasstDone)(Tap *tap, const Error *error, void *userdata);

/* NULL and an Error: nothing was begun. The Passt is gone when `done` is called. */
Passt *passt_open(Manager *manager, const PortWish *wish, PasstDone done, void *userdata, Error **ret_error);
void passt_cancel(Passt *passt);
