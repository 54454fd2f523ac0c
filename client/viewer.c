/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "viewer.h"

#include <string.h>

#include "report.h"

struct Viewer {
    const char *program, *package;
    const char *spice, *vnc; /* @PATH@; NULL: it does not speak that */
    const char *title, *full_screen;
    const char *more[2];
};

static const Viewer viewers[] = {
    {"remote-viewer", "virt-viewer", "spice+unix://@PATH@", NULL, "--title=@NAME@", "--full-screen",
        {"--hotkeys=toggle-fullscreen=shift+f11,release-cursor=shift+f12"}},
    {"spicy", "spice-client-gtk, or spice-gtk-tools", "--uri=spice+unix://@PATH@", NULL, "--title=@NAME@", "--full-screen", {NULL}},
    {"vncviewer", "tigervnc-viewer, or tigervnc", NULL, "@PATH@", NULL, "-FullScreen", {NULL}},
};

static const char *location(const Viewer *viewer, const char *type)
{
    return strcmp(type, "spice") == 0 ? viewer->spice : viewer->vnc;
}

/* All that are known here can show nothing without; what they say of it themselves is GTK's or X's. */
static bool has_desktop(void)
{
    return g_getenv("DISPLAY") || g_getenv("WAYLAND_DISPLAY");
}

const Viewer *viewer_find(const char *program, const char *type)
{
    const Viewer *known = viewers, *installed = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(viewers) && !installed; i++) {
        const Viewer *viewer = &viewers[i];
        if (program && strcmp(program, viewer->program) != 0)
            continue;
        known = viewer;
        g_autofree char *found = location(viewer, type) ? g_find_program_in_path(viewer->program) : NULL;
        if (found)
            installed = viewer;
    }
    if (program && !location(known, type))
        (void) report_usage("--viewer=%s: it does not speak %s", program, type);
    else if (!has_desktop())
        (void) report("view: there is no desktop here to open a window on (neither DISPLAY nor WAYLAND_DISPLAY is set). "
                      "Use vmctl -H HOST view where there is one, or vmctl screenshot");
    else if (installed)
        return installed;
    else
        (void) report("%s: it is not installed. Install the package %s, or use --listen=PATH", program ?: "a viewer",
            program ? known->package : strcmp(type, "spice") == 0 ? "virt-viewer" : "tigervnc-viewer");
    return NULL;
}

static char *fill_in(const char *word, const char *path, const char *vm)
{
    g_autoptr(GString) text = g_string_new(word);
    g_string_replace(text, "@PATH@", path, 0);
    g_string_replace(text, "@NAME@", vm, 0);
    return g_string_free(g_steal_pointer(&text), false);
}

char **viewer_command(const Viewer *viewer, const char *type, const char *path, const char *vm, bool full_screen)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    g_ptr_array_add(words, g_strdup(viewer->program));
    for (size_t i = 0; i < G_N_ELEMENTS(viewer->more) && viewer->more[i]; i++)
        g_ptr_array_add(words, g_strdup(viewer->more[i]));
    if (viewer->title)
        g_ptr_array_add(words, fill_in(viewer->title, path, vm));
    if (full_screen)
        g_ptr_array_add(words, g_strdup(viewer->full_screen));
    g_ptr_array_add(words, fill_in(location(viewer, type), path, vm));
    g_ptr_array_add(words, NULL);
    return (char **) g_ptr_array_steal(words, NULL);
}

char *viewer_uri(const char *type, const char *path)
{
    return g_strdup_printf("%s+unix://%s", type, path);
}
