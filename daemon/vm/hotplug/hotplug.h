/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Hotplug: devices that come and go, in the settings file and, where the VM runs, in its machine. One at a time for each VM.
 *
 * Of [Network NAME], [Disk NAME] and [Share NAME] while it runs. All or nothing: where QEMU or the guest does not follow, the file stays as it is. */

#include "settings-dbus.h"
#include "vm.h"

/* Adds the section with these keys. ERROR_EXISTS: there is one of this name. */
bool vm_attach(VM *vm, const char *section, const SettingsChanges *changes, VMDone done, void *userdata, Error **ret_error);

/* Removes it; done when the guest has let go of the device. ERROR_NO_SUCH_DEVICE: there is none; ERROR_GUEST_UNRESPONSIVE: the guest
 * did not let go of it in time, and may yet. */
bool vm_detach(VM *vm, const char *section, VMDone done, void *userdata, Error **ret_error);

/* What a vmd before this one has left half done: an attach is undone, a detach goes on. Called when QEMU can be asked. */
void hotplug_recover(VM *vm);

/* Puts an image into a CD drive in place of what is there, or with "" takes that out. `section`: "Disk cd", or "" where the VM has one
 * drive only. ERROR_GUEST_UNRESPONSIVE: the guest keeps the tray locked; with `force` it is not asked. */
bool vm_change_medium(VM *vm, const char *section, const char *source, bool force, VMDone done, void *userdata, Error **ret_error);

/* The same, of a VM that runs, for what `settings` already say. */
bool vm_apply_medium(VM *vm, const char *section, const Settings *settings, VMDone done, void *userdata, Error **ret_error);

/* Puts a device usb-redir into the machine of a VM that runs, with a USB controller where it has none. `id`: what it, and its chardev, are called in QEMU;
 * `fd` (borrowed): the socket that it is behind. Changes no file. */
bool vm_plug_redirection(VM *vm, const char *id, int fd, VMDone done, void *userdata, Error **ret_error);
