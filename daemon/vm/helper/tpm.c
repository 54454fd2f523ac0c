/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tpm.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "instance.h"
#include "manager.h"

#define PROGRAM "swtpm"

bool tpm_prepare(Instance *instance, const Settings *settings, MachineParts *parts, Error **ret_error)
{
    MachineTpm type = machine_tpm(settings);
    if (type == MACHINE_TPM_NONE)
        return true;
    g_autofree char *of_tree = instance->tree ? tree_find_program(qemu_tree_fd(instance->tree), PROGRAM) : NULL;
    g_autofree char *program = of_tree ? g_strdup(of_tree) : g_find_program_in_path(PROGRAM), *path = tpm_folder(instance->vm);
    if (!program)
        return error_set(ret_error, ERROR_UNSUPPORTED, "[TPM]", "Install the package swtpm", "there is no program " PROGRAM " on this host");
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return error_set_errno(ret_error, errno, path, "the folder of the TPM's state cannot be made");
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return error_set_errno(ret_error, errno, NULL, "a socket cannot be made");
    parts->tpm_fd = fds[0];

    Helper *helper = helpers_add(instance, HELPER_TPM, NULL, program);
    if (of_tree)
        helper_set_of_tree(helper);
    helper_set_folder(helper, path, TPM_FILE_MAX);
    helper_add_fd(helper, fds[1]);
    helper_add_argument(helper, "socket");
    if (type == MACHINE_TPM_2)
        helper_add_argument(helper, "--tpm2");
    helper_add_argument(helper, "--ctrl");
    helper_add_argument(helper, "type=unixio,clientfd=%d", fds[1]);
    helper_add_argument(helper, "--tpmstate");
    helper_add_argument(helper, "dir=%s,mode=0600", path);
    helper_add_argument(helper, "--terminate");
    return true;
}

void tpm_delete(const VM *vm)
{
    g_autofree char *path = tpm_folder(vm);
    dirs_remove(path);
}
