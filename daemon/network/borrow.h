/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Borrow: a tap for a user's vmd, which may not make one: the system's vmd opens it (OpenTap), where polkit lets the user. */

#include "port.h"

typedef struct Borrow Borrow;

/* `tap` is the callee's. */
typedef void (*BorrowDone)(Tap *tap, const Error *error, void *userdata);

/* NULL and an Error: nothing was begun. The Borrow is gone when `done` is called. */
Borrow *borrow_tap(Manager *manager, const PortWish *wish, BorrowDone done, void *userdata, Error **ret_error);
void borrow_cancel(Borrow *borrow);
