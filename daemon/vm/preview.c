/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "preview.h"

#include "manager.h"
#include "open.h"
#include "questions.h"

typedef struct Preview {
    Manager *manager;
    char *name;
    sd_id128_t uuid;
    Settings *settings;
    Questions *questions;
    PreviewDone done;
    void *userdata;
} Preview;

static void finish(Preview *preview, Command *command, const Error *error)
{
    preview->done(command, error, preview->userdata);
    settings_free(preview->settings);
    questions_free(preview->questions);
    g_free(preview->name);
    g_free(preview);
}

static Command *make_command(Preview *preview, const Answers *answers, Error **ret_error)
{
    Opened opened;
    opened_init(&opened);
    char uuid[SD_ID128_UUID_STRING_MAX];
    Command *command = NULL;

    if (open_boot(&opened, preview->settings, (uid_t) -1, ret_error) &&
        open_disks(&opened, preview->settings, NULL, NULL, ret_error)) {
        MachineParts parts = opened.parts;
        parts.name = preview->name;
        parts.uuid = sd_id128_to_uuid_string(preview->uuid, uuid);
        parts.settings = preview->settings;
        parts.build = answers->build;
        parts.kvm = answers->kvm;
        parts.io_uring = preview->manager->io_uring;
        /* No socket is made for a preview; 3 is the first number that one could have. */
        parts.monitor_fd = 3;
        parts.guard_fd = 4;
        parts.agent_fd = 5;
        parts.console_fd = g_str_equal(settings_get_string(preview->settings, "Console", "Type"), "none") ? -1 : 6;
        command = machine_command(&parts, ret_error);
    }
    opened_close(&opened);
    return command;
}

static void on_answers(const Answers *answers, const Error *error, void *userdata)
{
    Preview *preview = userdata;
    g_autoptr(Error) failed = NULL;
    if (error)
        return finish(preview, NULL, error);
    g_autoptr(Command) command = make_command(preview, answers, &failed);
    finish(preview, command, failed);
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
