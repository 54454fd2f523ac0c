/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "preview.h"

#include "interfaces.h"
#include "machine-memory.h"
#include "manager.h"
#include "nvram.h"
#include "passthrough.h"
#include "questions.h"
#include "sources.h"

/* How long the files may take to be opened. */
#define SOURCES_USEC (20 * G_USEC_PER_SEC)

typedef struct Preview {
    Manager *manager;
    char *name; /* the VM may go meanwhile */
    sd_id128_t uuid;
    Settings *settings;
    Questions *questions;
    NvramOpening *nvram;
    const Answers *answers; /* the questions' */
    PreviewDone done;
    void *userdata;
} Preview;

static void finish(Preview *preview, Command *command, const Error *error)
{
    preview->done(command, error, preview->userdata);
    settings_free(preview->settings);
    questions_free(preview->questions);
    nvram_free(preview->nvram);
    g_free(preview->name);
    g_free(preview);
}

static Command *make_command(Preview *preview, MachineParts *parts, Error **ret_error)
{
    char uuid[SD_ID128_UUID_STRING_MAX];
    const Answers *answers = preview->answers;
    parts->name = preview->name;
    parts->uuid = sd_id128_to_uuid_string(preview->uuid, uuid);
    parts->settings = preview->settings;
    parts->build = answers->build;
    parts->kvm = answers->kvm;
    parts->io_uring = preview->manager->io_uring;
    parts->own_pids = preview->manager->user;
    /* No socket is made for a preview; 3 is the first number that one could have. */
    parts->monitor_fd = 3;
    parts->guard_fd = 4;
    parts->agent_fd = 5;
    parts->console_fd = g_str_equal(settings_get_string(preview->settings, "Console", "Type"), "none") ? -1 : 6;
    parts->tpm_fd = 7;
    parts->vsock_fd = 8;
    parts->vsock_cid = MAX(3, (uint32_t) settings_get_number(preview->settings, "VM", "VSockCID"));
    for (size_t i = 0; i < G_N_ELEMENTS(parts->spice_fds); i++)
        parts->spice_fds[i] = 9 + (int) i;
    int next = 9 + MACHINE_SPICE_FDS;
    for (guint i = 0; i < parts->shares->len; i++)
        ((MachineShare *) parts->shares->pdata[i])->socket_fd = next++;
    g_autoptr(GArray) sizes = machine_memory_sizes(preview->settings, parts->build, ret_error), fds = g_array_new(FALSE, FALSE, sizeof(int));
    for (guint i = 0; sizes && i < sizes->len; i++, next++)
        g_array_append_val(fds, next);
    parts->memory_fds = fds;
    Command *command = sizes ? machine_command(parts, ret_error) : NULL;
    parts->memory_fds = NULL;
    for (guint i = 0; i < parts->shares->len; i++)
        ((MachineShare *) parts->shares->pdata[i])->socket_fd = -1;
    return command;
}

static void on_sources(void *data, void *userdata)
{
    Preview *preview = userdata;
    MachineParts parts = {.kernel_fd = -1, .initrd_fd = -1};
    g_autoptr(Error) error = NULL;
    g_autoptr(Command) command = NULL;
    char uuid[SD_ID128_UUID_STRING_MAX];
    if (sources_take(data, &parts, &error) &&
        interfaces_preview(sd_id128_to_uuid_string(preview->uuid, uuid), preview->settings, &parts, &error)) {
        passthrough_preview(preview->settings, &parts);
        if (preview->nvram)
            nvram_take(preview->nvram, &parts);
        command = make_command(preview, &parts, &error);
    }
    sources_close(&parts);
    nvram_close(&parts);
    g_clear_pointer(&parts.interfaces, g_ptr_array_unref);
    g_clear_pointer(&parts.pci, g_ptr_array_unref);
    finish(preview, command, error);
}

static VM *find_vm(const Preview *preview, Error **ret_error)
{
    VM *vm = manager_find_vm(preview->manager, preview->name);
    if (!vm)
        error_set(ret_error, ERROR_NO_SUCH_VM, preview->name, NULL, "it has been deleted");
    return vm;
}

static void on_nvram(const Error *error, void *userdata)
{
    Preview *preview = userdata;
    g_autoptr(Error) failed = NULL;
    SourcesOpening *opening;
    if (error)
        return finish(preview, NULL, error);
    const VM *vm = find_vm(preview, &failed);
    if (!vm || !sources_open(vm, preview->settings, preview->answers->tree, (uid_t) -1, SOURCES_USEC, on_sources, preview, &opening, &failed))
        finish(preview, NULL, failed);
}

static void on_answers(const Answers *answers, const Error *error, void *userdata)
{
    Preview *preview = userdata;
    g_autoptr(Error) failed = NULL;
    if (error)
        return finish(preview, NULL, error);
    preview->answers = answers;
    const VM *vm = find_vm(preview, &failed);
    const char *machine = vm ? machine_type(preview->settings, answers->build, &failed) : NULL;
    if (!machine || !nvram_open(vm, preview->settings, answers->build, answers->tree, machine, false, on_nvram, preview, &preview->nvram, &failed))
        return finish(preview, NULL, failed);
    if (!preview->nvram)
        on_nvram(NULL, preview);
}

bool vm_preview(VM *vm, PreviewDone done, void *userdata, Error **ret_error)
{
    Settings *settings = vm_load_settings(vm, ret_error);
    if (!settings)
        return false;
    Preview *preview = g_new0(Preview, 1);
    preview->manager = vm->manager;
    preview->name = g_strdup(vm->name);
    preview->uuid = vm->uuid;
    preview->settings = settings;
    preview->done = done;
    preview->userdata = userdata;
    preview->questions = questions_new(vm->manager, settings, on_answers, preview);
    questions_ask(preview->questions);
    return true;
}
