/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm-guest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call-options.h"
#include "cleanup.h"
#include "control.h"
#include "execute.h"
#include "value.h"

/* ---- ExecuteInGuest ---- */

typedef struct ExecuteCall {
    char **command, **environment;
    uint64_t timeout;
    const void *input; /* the message's */
    size_t input_size;
} ExecuteCall;

static void execute_call_clear(ExecuteCall *call)
{
    g_strfreev(call->command);
    g_strfreev(call->environment);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ExecuteCall, execute_call_clear)

static size_t size_of(char **words)
{
    size_t size = 0;
    for (char **word = words; word && *word; word++)
        size += strlen(*word) + 1;
    return size;
}

static bool is_environment(char **words)
{
    for (char **word = words; word && *word; word++)
        if (**word == '=' || !strchr(*word, '='))
            return false;
    return true;
}

/* All but the options. */
static bool read_command(sd_bus_message *m, ExecuteCall *call, Error **ret_error)
{
    int r = sd_bus_message_read_strv(m, &call->command);
    if (r >= 0)
        r = sd_bus_message_read_array(m, 'y', &call->input, &call->input_size);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    if (!call->command || !*call->command || !**call->command)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "command", NULL, "there is none");
    if (size_of(call->command) > EXECUTE_WORDS_MAX)
        return error_set(ret_error, ERROR_LIMIT_REACHED, "command", NULL, "it has more than %u bytes", EXECUTE_WORDS_MAX);
    return call->input_size <= EXECUTE_INPUT_MAX || error_set(ret_error, ERROR_LIMIT_REACHED, "input", "Send it by a file in the guest",
        "it has more than %u bytes", EXECUTE_INPUT_MAX);
}

bool check_execute(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    g_auto(ExecuteCall) call = {0};
    return read_command(m, &call, ret_error);
}

static bool read_execute(sd_bus_message *m, ExecuteCall *call, Error **ret_error)
{
    const CallOption options[] = {{"environment", 'a', &call->environment}, {"timeout", 't', &call->timeout}, {NULL}};
    if (!read_command(m, call, ret_error) || !call_options_read(m, options, ret_error))
        return false;
    if (!is_environment(call->environment))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "environment", NULL, "what is in it is NAME=VALUE");
    return size_of(call->environment) <= EXECUTE_WORDS_MAX - size_of(call->command) ||
        error_set(ret_error, ERROR_LIMIT_REACHED, "environment", NULL, "with the command it has more than %u bytes", EXECUTE_WORDS_MAX);
}

static int append_bytes(sd_bus_message *reply, const char *key, const void *data, size_t size)
{
    int r = sd_bus_message_open_container(reply, 'e', "sv");
    if (r >= 0)
        r = sd_bus_message_append(reply, "s", key);
    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'v', "ay");
    if (r >= 0)
        r = sd_bus_message_append_array(reply, 'y', data, size);
    for (unsigned i = 0; r >= 0 && i < 2; i++)
        r = sd_bus_message_close_container(reply);
    return r;
}

static bool reply_executed(sd_bus_message *m, const ExecuteResult *result, Error **ret_error)
{
    g_autoptr(sd_bus_message) reply = NULL;
    int r = reply_array_new(m, "{sv}", &reply);
    if (r >= 0)
        r = sd_bus_message_append(reply, "{sv}", result->killed ? "signal" : "exit-status", "x", result->status);
    if (r >= 0)
        r = append_bytes(reply, "output", result->output.data, result->output.size);
    if (r >= 0)
        r = append_bytes(reply, "errors", result->errors.data, result->errors.size);
    if (r >= 0)
        r = sd_bus_message_append(reply, "{sv}{sv}", "output-truncated", "b", (int) result->output.truncated, "errors-truncated", "b",
            (int) result->errors.truncated);
    return reply_array_send(reply, r, ret_error);
}

/* It has been answered, or (with an error) is answered by that. */
static void close_reply(LaterReply *later, const Error *error)
{
    Manager *manager = later->manager;
    if (error)
        reply_error(later->message, error);
    reply_later_free(later);
    manager_check_idle(manager);
}

static bool answer_later(bool begun, LaterReply *later)
{
    if (!begun)
        reply_later_free(later);
    return begun;
}

static void on_executed(const ExecuteResult *result, const Error *failed, void *userdata)
{
    LaterReply *later = userdata;
    g_autoptr(Error) error = error_copy(failed);
    if (!error)
        (void) reply_executed(later->message, result, &error);
    close_reply(later, error);
}

bool method_execute(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    g_auto(ExecuteCall) call = {.timeout = USEC_INFINITY};
    if (!read_execute(m, &call, ret_error))
        return false;
    const ExecuteWish wish = {
        .command = call.command,
        .environment = call.environment,
        .input = call.input,
        .input_size = call.input_size,
        .timeout = call.timeout,
        .caller = sd_bus_message_get_sender(m),
    };
    LaterReply *later = reply_later(manager, m);
    return answer_later(vm_execute(object, &wish, on_executed, later, ret_error), later);
}

/* ---- GetGuestInfo ---- */

static int open_list(sd_bus_message *reply, const char *key, const char *type, const char *row)
{
    int r = sd_bus_message_open_container(reply, 'e', "sv");
    if (r >= 0)
        r = sd_bus_message_append(reply, "s", key);
    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'v', type);
    return r < 0 ? r : sd_bus_message_open_container(reply, 'a', row);
}

static int close_list(sd_bus_message *reply, int r)
{
    for (unsigned i = 0; r >= 0 && i < 3; i++)
        r = sd_bus_message_close_container(reply);
    return r;
}

static int append_lists(sd_bus_message *reply, const GuestInfo *info)
{
    int r = open_list(reply, "file-systems", "a(ssstt)", "(ssstt)");
    for (guint i = 0; r >= 0 && i < info->file_systems->len; i++) {
        const GuestFileSystem *fs = &g_array_index(info->file_systems, GuestFileSystem, i);
        r = sd_bus_message_append(reply, "(ssstt)", fs->path, fs->type, fs->device, fs->size, fs->used);
    }
    r = close_list(reply, r);
    if (r >= 0)
        r = open_list(reply, "logins", "a(sst)", "(sst)");
    for (guint i = 0; r >= 0 && i < info->logins->len; i++) {
        const GuestLogin *login = &g_array_index(info->logins, GuestLogin, i);
        r = sd_bus_message_append(reply, "(sst)", login->user, login->domain, login->since);
    }
    return close_list(reply, r);
}

static void on_info(const GuestInfo *info, const Error *failed, void *userdata)
{
    LaterReply *later = userdata;
    g_autoptr(Error) error = error_copy(failed);
    g_autoptr(sd_bus_message) reply = NULL;
    if (error)
        return close_reply(later, error);
    const struct {
        const char *key, *value;
    } words[] = {
        {"agent-version", info->agent_version}, {"os-id", info->os_id}, {"os-name", info->os_name}, {"os-version", info->os_version}, {"kernel", info->kernel},
        {"machine", info->machine}, {"hostname", info->hostname}, {"time-zone", info->time_zone},
    };
    int r = reply_array_new(later->message, "{sv}", &reply);
    for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(words); i++)
        if (*words[i].value)
            r = sd_bus_message_append(reply, "{sv}", words[i].key, "s", words[i].value);
    if (r >= 0)
        r = sd_bus_message_append(reply, "{sv}", "utc-offset", "x", info->utc_offset);
    if (r >= 0)
        r = append_lists(reply, info);
    (void) reply_array_send(reply, r, &error);
    close_reply(later, error);
}

bool method_get_guest_info(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    LaterReply *later = reply_later(manager, m);
    return answer_later(vm_guest_info(object, sd_bus_message_get_sender(m), on_info, later, ret_error), later);
}

/* ---- FreezeGuest, ThawGuest, TrimGuest ---- */

bool method_freeze_guest(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    uint64_t limit = GUEST_FREEZE_USEC;
    const CallOption options[] = {{"timeout", 't', &limit}, {NULL}};
    if (!call_options_read(m, options, ret_error))
        return false;
    if (limit == 0 || limit > GUEST_FREEZE_MAX_USEC)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "timeout", NULL, "it is at most 10 minutes");
    LaterReply *later = reply_later(manager, m);
    return answer_later(vm_guest_freeze(object, limit, reply_done, later, ret_error), later);
}

bool method_thaw_guest(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    LaterReply *later = reply_later(manager, m);
    return answer_later(vm_guest_thaw(object, sd_bus_message_get_sender(m), reply_done, later, ret_error), later);
}

static void on_trimmed(const GArray *trimmed, const Error *failed, void *userdata)
{
    LaterReply *later = userdata;
    g_autoptr(Error) error = error_copy(failed);
    g_autoptr(sd_bus_message) reply = NULL;
    if (error)
        return close_reply(later, error);
    int r = reply_array_new(later->message, "(sts)", &reply);
    for (guint i = 0; r >= 0 && i < trimmed->len; i++) {
        const GuestTrimmed *row = &g_array_index(trimmed, GuestTrimmed, i);
        r = sd_bus_message_append(reply, "(sts)", row->path, row->trimmed, row->problem);
    }
    (void) reply_array_send(reply, r, &error);
    close_reply(later, error);
}

bool method_trim_guest(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    LaterReply *later = reply_later(manager, m);
    return answer_later(vm_guest_trim(object, sd_bus_message_get_sender(m), on_trimmed, later, ret_error), later);
}

/* ---- SetGuestPassword, AddGuestSSHKeys ---- */

#define USER_MAX 256U
#define PASSWORD_MAX 4096
#define KEYS_MAX 64U
#define KEY_MAX 16384U

static bool read_user(sd_bus_message *m, const char **ret, Error **ret_error)
{
    int r = sd_bus_message_read(m, "s", ret);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    return (**ret && strlen(*ret) <= USER_MAX && !strpbrk(*ret, ":\n\r")) || error_set(ret_error, ERROR_INVALID_SETTINGS, "user", NULL, "nobody has this name");
}

/* From a memfd, so that to read it waits for nobody; and no line of it can become one of chpasswd's. */
static GBytes *read_password(int fd, Error **ret_error)
{
    struct stat st;
    if (fcntl(fd, F_GET_SEALS) < 0 || fstat(fd, &st) < 0 || st.st_size == 0 || st.st_size > PASSWORD_MAX) {
        error_set(ret_error, ERROR_INVALID_SETTINGS, "password", NULL, "it is no memfd with at most %d bytes", PASSWORD_MAX);
        return NULL;
    }
    g_autofree char *data = g_malloc((gsize) st.st_size);
    size_t size = (size_t) st.st_size;
    if (pread(fd, data, size, 0) != st.st_size)
        error_set_errno(ret_error, errno ? errno : EIO, "password", "it cannot be read");
    else if (memchr(data, '\0', size) || memchr(data, '\n', size))
        error_set(ret_error, ERROR_INVALID_SETTINGS, "password", NULL, "it is one line");
    else
        return g_bytes_new_take(g_steal_pointer(&data), size);
    return NULL;
}

bool method_set_guest_password(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    bool crypted = false;
    const CallOption options[] = {{"crypted", 'b', &crypted}, {NULL}};
    const char *user;
    int fd;
    if (!read_user(m, &user, ret_error))
        return false;
    int r = sd_bus_message_read(m, "h", &fd);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    g_autoptr(GBytes) password = call_options_read(m, options, ret_error) ? read_password(fd, ret_error) : NULL;
    if (!password)
        return false;
    LaterReply *later = reply_later(manager, m);
    return answer_later(vm_guest_set_password(object, sd_bus_message_get_sender(m), user, password, crypted, reply_done, later, ret_error), later);
}

/* `keys`: new. */
static bool read_keys(sd_bus_message *m, const char **ret_user, char ***ret_keys, Error **ret_error)
{
    g_auto(GStrv) keys = NULL;
    if (!read_user(m, ret_user, ret_error))
        return false;
    int r = sd_bus_message_read_strv(m, &keys);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    if (!keys || !*keys || g_strv_length(keys) > KEYS_MAX)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "keys", NULL, "there are 1 to %u", KEYS_MAX);
    for (char **key = keys; *key; key++)
        if (!strchr(*key, ' ') || strpbrk(*key, "\n\r") || strlen(*key) > KEY_MAX)
            return error_set(ret_error, ERROR_INVALID_SETTINGS, "keys", "It is a line such as \"ssh-ed25519 AAAA...\"", "one of them is no public key of SSH");
    *ret_keys = g_steal_pointer(&keys);
    return true;
}

bool check_guest_keys(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    g_auto(GStrv) keys = NULL;
    const char *user;
    return read_keys(m, &user, &keys, ret_error);
}

bool method_add_guest_keys(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    g_auto(GStrv) keys = NULL;
    const char *user;
    bool replace = false;
    const CallOption options[] = {{"replace", 'b', &replace}, {NULL}};
    if (!read_keys(m, &user, &keys, ret_error) || !call_options_read(m, options, ret_error))
        return false;
    LaterReply *later = reply_later(manager, m);
    return answer_later(vm_guest_add_keys(object, sd_bus_message_get_sender(m), user, keys, replace, reply_done, later, ret_error), later);
}
