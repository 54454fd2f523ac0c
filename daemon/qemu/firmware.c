/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "firmware.h"

#include <jansson.h>
#include <string.h>

#include "descriptor.h"

void firmware_free(Firmware *firmware)
{
    if (!firmware)
        return;
    g_free(firmware->descriptor);
    g_free(firmware->code);
    g_free(firmware->code_format);
    g_free(firmware->template);
    g_free(firmware->template_format);
    g_free(firmware);
}

char **firmware_folders(bool user)
{
    return descriptor_folders("firmware", user);
}

const char *firmware_package(const char *architecture)
{
    if (g_str_equal(architecture, "x86_64") || g_str_equal(architecture, "i386"))
        return "Install the package with UEFI firmware: ovmf on Debian, edk2-ovmf on Fedora";
    if (g_str_equal(architecture, "aarch64") || g_str_equal(architecture, "arm"))
        return "Install the package with UEFI firmware: qemu-efi-aarch64 on Debian, edk2-aarch64 on Fedora";
    return NULL;
}

/* ---- one descriptor ---- */

static bool has_word(const json_t *array, const char *word)
{
    size_t i;
    json_t *one;
    json_array_foreach((json_t *) array, i, one)
        if (g_strcmp0(json_string_value(one), word) == 0)
            return true;
    return false;
}

static bool is_for_machine(const json_t *targets, const FirmwareWish *wish)
{
    size_t i, j;
    json_t *target, *pattern;
    json_array_foreach((json_t *) targets, i, target) {
        if (g_strcmp0(json_string_value(json_object_get(target, "architecture")), wish->architecture) != 0)
            continue;
        json_array_foreach(json_object_get(target, "machines"), j, pattern)
            if (json_is_string(pattern) && g_pattern_match_simple(json_string_value(pattern), wish->machine))
                return true;
    }
    return false;
}

/* {"filename": ..., "format": ...}: new strings. */
static bool read_file(const json_t *mapping, const char *key, char **ret_path, char **ret_format)
{
    const json_t *file = json_object_get(mapping, key);
    const char *path = json_string_value(json_object_get(file, "filename")), *format = json_string_value(json_object_get(file, "format"));
    if (!path || !g_path_is_absolute(path) || !format)
        return false;
    *ret_path = g_strdup(path);
    *ret_format = g_strdup(format);
    return true;
}

/* Code and variables in two flash chips. Others there are keep no variables, or keep them in the code's file: their mapping is not understood
 * here, which is no fault of theirs. */
static bool is_split_flash(const json_t *mapping)
{
    const char *device = json_string_value(json_object_get(mapping, "device")), *mode = json_string_value(json_object_get(mapping, "mode"));
    return g_strcmp0(device, "flash") == 0 && (!mode || g_str_equal(mode, "split"));
}

/* What fits, the better the smaller; -1: nothing. One that has Secure Boot but no keys lets in all as well, and wants SMM for
 * nothing. */
static int rate(const json_t *descriptor, const FirmwareWish *wish)
{
    const json_t *features = json_object_get(descriptor, "features");
    bool secure = has_word(features, "secure-boot"), enrolled = has_word(features, "enrolled-keys");
    if (!has_word(json_object_get(descriptor, "interface-types"), "uefi") || !is_split_flash(json_object_get(descriptor, "mapping")) ||
        !is_for_machine(json_object_get(descriptor, "targets"), wish))
        return -1;
    if (wish->secure_boot)
        return secure && enrolled ? 0 : -1;
    return enrolled ? -1 : secure;
}

static bool is_understood(const json_t *descriptor)
{
    const json_t *targets = json_object_get(descriptor, "targets"), *features = json_object_get(descriptor, "features");
    return json_is_object(descriptor) && json_is_array(json_object_get(descriptor, "interface-types")) && json_is_array(targets) &&
        json_is_array(features) && json_is_string(json_object_get(json_object_get(descriptor, "mapping"), "device"));
}

static Firmware *read_firmware(const char *path, const json_t *descriptor)
{
    g_autoptr(Firmware) firmware = g_new0(Firmware, 1);
    const json_t *mapping = json_object_get(descriptor, "mapping");
    firmware->descriptor = g_strdup(path);
    firmware->smm = has_word(json_object_get(descriptor, "features"), "requires-smm");
    if (!read_file(mapping, "executable", &firmware->code, &firmware->code_format) ||
        !read_file(mapping, "nvram-template", &firmware->template, &firmware->template_format))
        return NULL;
    return g_steal_pointer(&firmware);
}

/* ---- the folders ---- */

/* NULL: it says nothing, or nothing that is understood. */
static json_t *load(int root_fd, const char *path)
{
    json_t *descriptor = descriptor_load(root_fd, path);
    if (!descriptor || is_understood(descriptor))
        return descriptor;
    g_warning("%s: it is passed over: it is no firmware that vmd understands", path);
    json_decref(descriptor);
    return NULL;
}

Firmware *firmware_find(int root_fd, const char *const *folders, const FirmwareWish *wish, Error **ret_error)
{
    g_autoptr(GPtrArray) paths = descriptor_list(root_fd, folders);
    g_autoptr(Firmware) best = NULL;
    int best_rate = G_MAXINT;
    for (guint i = 0; i < paths->len && best_rate > 0; i++) {
        const char *path = paths->pdata[i];
        json_t *descriptor = load(root_fd, path);
        int rated = descriptor ? rate(descriptor, wish) : -1;
        Firmware *firmware = rated >= 0 && rated < best_rate ? read_firmware(path, descriptor) : NULL;
        json_decref(descriptor);
        if (!firmware)
            continue;
        firmware_free(best);
        best = firmware;
        best_rate = rated;
    }
    if (!best) {
        g_autofree char *all = g_strjoinv(" or ", (char **) folders);
        error_set(ret_error, ERROR_UNSUPPORTED, "Firmware=uefi", firmware_package(wish->architecture), "no UEFI firmware%s for the machine %s is described in %s",
            wish->secure_boot ? " with Secure Boot and its keys" : "", wish->machine, all);
    }
    return g_steal_pointer(&best);
}
