/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Viewers: the programs that show a display in a window, and how each is told where it is. To add one, add a row in viewer.c. */

#include "client.h"

typedef struct Viewer Viewer;

/* `program`: one of those of --viewer= (option.c), or NULL: the first that is installed. `type`: "spice" or "vnc". NULL: it has said why. */
const Viewer *viewer_find(const char *program, const char *type);

/* Its command line, for the display of `vm` behind the socket `path`; NULL-terminated, the caller frees. */
char **viewer_command(const Viewer *viewer, const char *type, const char *path, const char *vm, bool full_screen);

/* "spice+unix:///run/x": what people paste into a viewer; the caller frees. */
char *viewer_uri(const char *type, const char *path);
