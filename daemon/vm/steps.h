/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of this folder call of each other: the things done to a VM over time (Start, Stop, Save)
 * hear of QEMU's events and of the instance's end here. Only daemon/vm and daemon/snapshot include this, and what settles a VM. */

#include "instance.h"

typedef struct Stop Stop;
typedef struct Save Save;
typedef struct Hotplug Hotplug;

/* start.c, launch.c */
void start_monitor_ready(Start *start);
void start_monitor_closed(Start *start, const Error *error);
void start_event(Start *start, const char *name, const json_t *data);
void start_cancel(Start *start);
bool start_awaits_usb(const Start *start); /* all but the guest's first step is done */
void start_helper_lost(Start *start);
/* The instance has ended while it was starting; frees the Start and answers its caller. The VM's state has been set. */
void start_ended(Start *start, const InstanceEnd *end);

/* stop.c: true when the event was for the stop alone. */
bool stop_event(Stop *stop, const char *name, const json_t *data);
/* The instance has ended: the job is done, or failed when it was a reboot. Frees the Stop. */
void stop_ended(Stop *stop);

/* save.c */
bool save_event(Save *save, const char *name, const json_t *data);
/* Frees the Save; true when the state was saved. */
bool save_ended(Save *save);

/* hotplug.c */
bool hotplug_event(Hotplug *hotplug, const char *name, const json_t *data);
void hotplug_ended(Hotplug *hotplug); /* frees it and answers its caller */
bool hotplug_is_of(const Hotplug *hotplug, const char *kind); /* a device of that kind comes or goes, "USB" */
/* What the VM is to run with when it is done; NULL: it cannot be read. The caller frees. */
Settings *hotplug_next_settings(const Hotplug *hotplug);

/* Whether vmd went away while it saved: the half file is removed, and the guest should go on. */
bool save_was_interrupted(const VM *vm);

/* recover.c */
void recover_monitor_ready(VM *vm);
void recover_tell_calls(Instance *instance); /* those of vm_await_monitor() */
void recover_instance_ending(Instance *instance); /* they wait for its end then */
void recovery_free(Recovery *recovery);

/* end.c: what becomes of a VM that no process is left of: a transient one is forgotten, with its file; of another
 * the file is read again. The VM may be gone afterwards. */
void vm_settle(VM *vm);

/* run.c: NotRunning or Busy unless QEMU can be asked; and unless nothing else is done to the VM. */
bool vm_check_monitor(VM *vm, Error **ret_error);
bool vm_check_idle(VM *vm, Error **ret_error);
/* The same, but for what does not mind that the VM ends, or is just ending: a deleted snapshot's data is merged at any other time as well. */
bool vm_check_stoppable(VM *vm, Error **ret_error);
/* Unsupported where its memory would fit no machine that its settings make, since devices came or went; Busy while one does. */
bool vm_check_memory(const VM *vm, Error **ret_error);
