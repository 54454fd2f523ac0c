/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Control: what the guest agent tells of a guest and does in it for a caller, but for commands (execute.h): each is a guest-act.h of one or a few questions.
 *
 * All of it is the guest's word. Strings are cut and have no control characters, lists are bounded. */

#include "vm.h"

#define GUEST_LIST_MAX 256U /* rows of what a guest tells */
#define GUEST_TEXT_MAX 256U

/* A file system of the guest's. */
typedef struct GuestFileSystem {
    char *device, *path, *type;
    uint64_t size, used; /* 0: not told */
} GuestFileSystem;

typedef struct GuestLogin {
    char *user, *domain;
    uint64_t since; /* µs, CLOCK_REALTIME */
} GuestLogin;

typedef struct GuestInfo {
    /* "" where it is not told. */
    char *agent_version, *os_id, *os_name, *os_version, *kernel, *machine, *hostname, *time_zone;
    int64_t utc_offset; /* s, of the time zone */
    GArray *file_systems; /* GuestFileSystem */
    GArray *logins;       /* GuestLogin */
} GuestInfo;

/* Each exactly once, not from within the call that began it. What it is given is borrowed. */
typedef void (*GuestInfoDone)(const GuestInfo *info, const Error *error, void *userdata);
bool vm_guest_info(VM *vm, const char *caller, GuestInfoDone done, void *userdata, Error **ret_error);

typedef struct GuestTrimmed {
    char *path, *problem; /* "": it was trimmed */
    uint64_t trimmed;     /* bytes */
} GuestTrimmed;

typedef void (*GuestTrimDone)(const GArray *trimmed, const Error *error, void *userdata); /* GuestTrimmed */
bool vm_guest_trim(VM *vm, const char *caller, GuestTrimDone done, void *userdata, Error **ret_error);

/* `password`: its bytes, as crypt(3) has made them where it is `crypted`. */
bool vm_guest_set_password(VM *vm, const char *caller, const char *user, GBytes *password, bool crypted, VMDone done, void *userdata, Error **ret_error);

/* `reset`: in place of those that are there. */
bool vm_guest_add_keys(VM *vm, const char *caller, const char *user, char **keys, bool reset, VMDone done, void *userdata, Error **ret_error);

/* Freezes its file systems, and thaws them after `limit` µs, when vmd is restarted, or by vm_guest_thaw(), whichever comes first; whoever asks for it may leave. */
#define GUEST_FREEZE_USEC (60 * G_USEC_PER_SEC)
#define GUEST_FREEZE_MAX_USEC (10 * 60 * G_USEC_PER_SEC)
bool vm_guest_freeze(VM *vm, uint64_t limit, VMDone done, void *userdata, Error **ret_error);
/* Thaws them whoever has frozen them, but for a snapshot or backup. */
bool vm_guest_thaw(VM *vm, const char *caller, VMDone done, void *userdata, Error **ret_error);

/* ---- daemon/vm ---- */

/* The VM has ended. */
void guest_hold_break(Instance *instance);
