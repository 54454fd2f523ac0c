/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The pager, as systemd's tools have it: $SYSTEMD_PAGER, $PAGER or less, on a terminal only. */

#include <stdbool.h>

/* stdout goes through it from here on. Does nothing where stdout is no terminal or none is wanted. With
 * `wrap` long lines are shown in full, else they are cut and can be scrolled. */
void pager_open(bool not_wanted, bool wrap);
bool pager_is_open(void);

/* Ends the output and waits until the reader leaves. */
void pager_close(void);
