/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "identity.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <glib.h>

#define GROUPS_MAX 65536 /* NGROUPS_MAX of the kernel */

static bool find_account(const char *name, uid_t uid, uid_t *ret_uid, char **ret_name)
{
    FILE *file = fopen("/etc/passwd", "re");
    bool found = false;
    for (struct passwd *p; file && !found && (p = fgetpwent(file));) {
        found = name ? g_str_equal(p->pw_name, name) : p->pw_uid == uid;
        if (found && ret_uid)
            *ret_uid = p->pw_uid;
        if (found && ret_name)
            *ret_name = g_strdup(p->pw_name);
    }
    if (file)
        (void) fclose(file);
    return found;
}

bool identity_find(const char *name, uid_t *ret)
{
    guint64 number;
    if (g_ascii_string_to_unsigned(name, 10, 0, UID_NOBODY_KNOWN - 1, &number, NULL)) {
        *ret = (uid_t) number;
        return true;
    }
    return find_account(name, 0, ret, NULL);
}

char *identity_name(uid_t uid)
{
    char *name = NULL;
    if (uid == 0)
        return g_strdup("root");
    return find_account(NULL, uid, NULL, &name) ? name : g_strdup_printf("%u", uid);
}

/* All groups of the user; g_free. */
static gid_t *find_groups(const struct passwd *account, int *ret_n)
{
    for (int n = 64; n <= GROUPS_MAX; n *= 2) {
        int found = n;
        gid_t *groups = g_new(gid_t, n);
        if (getgrouplist(account->pw_name, account->pw_gid, groups, &found) >= 0) {
            *ret_n = found;
            return groups;
        }
        g_free(groups);
    }
    return NULL;
}

static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
    return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

int identity_groups(uid_t uid, gid_t *ret_gid, GArray **ret_groups)
{
    struct passwd account, *found;
    char buffer[16384];
    int n = 0;
    int r = getpwuid_r(uid, &account, buffer, sizeof buffer, &found);
    if (r != 0 || !found)
        return r != 0 ? -r : -ESRCH;
    g_autofree gid_t *groups = find_groups(&account, &n);
    if (!groups)
        return -E2BIG;
    *ret_gid = account.pw_gid;
    *ret_groups = g_array_append_vals(g_array_new(FALSE, FALSE, sizeof(gid_t)), groups, (guint) n);
    return 0;
}

int identity_assume(uid_t uid)
{
    g_autoptr(GArray) groups = NULL;
    gid_t gid;
    int r = identity_groups(uid, &gid, &groups);
    if (r < 0)
        return r;
    /* The system calls themselves: libc's would change all threads. */
    if (syscall(SYS_setgroups, (size_t) groups->len, groups->data) < 0)
        return -errno;
    (void) setfsgid(gid);
    (void) setfsuid(uid);
    if (setfsgid((gid_t) -1) != (int) gid || setfsuid((uid_t) -1) != (int) uid)
        return -EPERM;
    return drop_capabilities();
}

int identity_make_for(uid_t uid)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = {};
    struct passwd account, *found;
    char buffer[16384];
    if (uid == geteuid())
        return 0;
    int r = getpwuid_r(uid, &account, buffer, sizeof buffer, &found);
    if (r != 0 || !found)
        return r != 0 ? -r : -ESRCH;
    (void) setfsgid(account.pw_gid);
    (void) setfsuid(uid);
    if (setfsgid((gid_t) -1) != (int) account.pw_gid || setfsuid((uid_t) -1) != (int) uid)
        return -EPERM;
    /* The kernel has taken those over files out of effect with the uid (capabilities(7)). */
    if (syscall(SYS_capget, &header, caps) < 0)
        return -errno;
    for (size_t i = 0; i < G_N_ELEMENTS(caps); i++)
        caps[i].effective = caps[i].permitted;
    return syscall(SYS_capset, &header, caps) < 0 ? -errno : 0;
}
