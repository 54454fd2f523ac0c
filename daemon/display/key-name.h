/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Key names: what people call keys becomes what QEMU calls them (its QKeyCode). Knows no VMs. */

#include "error.h"

/* "ctrl", "Ctrl", "control", "KEY_LEFTCTRL": "ctrl"; static. NULL and InvalidSettings, with names that are like it, for no key. */
const char *key_name_to_qcode(const char *name, Error **ret_error);

/* What QEMU calls the key `i`, from 0, modifiers first; NULL: there are no more. Static. */
const char *key_name_known(size_t i);
