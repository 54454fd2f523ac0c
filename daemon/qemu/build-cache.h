/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The builds that were asked once, as JSON in CACHE_DIR/qemu/: one file a path, 0644, replaced as a whole.
 *
 * A cache is only a memory: a file that is missing, corrupt, written for another format or for a binary that
 * has changed since is the same as none, and is written anew after the next probe. */

#include "build-facts.h"

/* The build that was remembered for this identity, a reference of the caller's; NULL when there is none. */
QemuBuild *build_cache_load(const char *cache_dir, const BuildIdentity *identity);

/* Returns a negative errno; nothing depends on it but speed. Creates the folder when it is missing. */
int build_cache_save(const char *cache_dir, const QemuBuild *build);
