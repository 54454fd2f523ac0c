/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "control.h"

#include <string.h>

#include "guest.h"
#include "guest-act.h"
#include "manager.h"
#include "quiesce.h"

#define ANSWER_USEC (30 * G_USEC_PER_SEC)
#define TRIM_USEC (30 * 60 * G_USEC_PER_SEC) /* disks take their time for it */

/* ---- what it is ---- */

typedef struct Inspection {
    GuestAct *act;
    unsigned step;
    GuestInfo info;
    GuestInfoDone done;
    void *userdata;
} Inspection;

static void login_clear(void *row)
{
    GuestLogin *login = row;
    g_free(login->user);
    g_free(login->domain);
}

static void file_system_clear(void *row)
{
    GuestFileSystem *fs = row;
    g_free(fs->device);
    g_free(fs->path);
    g_free(fs->type);
}

static char *text(const json_t *object, const char *key)
{
    return guest_text(json_object_get(object, key), GUEST_TEXT_MAX);
}

/* Numbers that a guest cannot mean are 0. */
static uint64_t number(const json_t *object, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(object, key));
    return n > 0 ? (uint64_t) n : 0;
}

static void take(char **field, const json_t *object, const char *key)
{
    g_free(*field);
    *field = text(object, key);
}

static void read_agent(GuestInfo *info, const json_t *answer)
{
    take(&info->agent_version, answer, "version");
}

static void read_os(GuestInfo *info, const json_t *answer)
{
    take(&info->os_id, answer, "id");
    take(&info->os_name, answer, "pretty-name");
    take(&info->os_version, answer, "version-id");
    take(&info->kernel, answer, "kernel-release");
    take(&info->machine, answer, "machine");
}

static void read_hostname(GuestInfo *info, const json_t *answer)
{
    take(&info->hostname, answer, "host-name");
}

static void read_time_zone(GuestInfo *info, const json_t *answer)
{
    json_int_t offset = json_integer_value(json_object_get(answer, "offset"));
    take(&info->time_zone, answer, "zone");
    info->utc_offset = offset > -86400 && offset < 86400 ? offset : 0;
}

static void read_logins(GuestInfo *info, const json_t *answer)
{
    size_t i;
    const json_t *row;
    json_array_foreach(answer, i, row)
    {
        double since = json_number_value(json_object_get(row, "login-time"));
        GuestLogin login = {.user = text(row, "user"), .domain = text(row, "domain"), .since = since > 0 && since < 1e12 ? (uint64_t) (since * G_USEC_PER_SEC) : 0};
        if (info->logins->len >= GUEST_LIST_MAX) {
            login_clear(&login);
            break;
        }
        g_array_append_val(info->logins, login);
    }
}

static void read_file_systems(GuestInfo *info, const json_t *answer)
{
    size_t i;
    const json_t *row;
    json_array_foreach(answer, i, row)
    {
        if (info->file_systems->len >= GUEST_LIST_MAX)
            break;
        GuestFileSystem fs = {.device = text(row, "name"), .path = text(row, "mountpoint"), .type = text(row, "type"), .size = number(row, "total-bytes"),
            .used = number(row, "used-bytes")};
        g_array_append_val(info->file_systems, fs);
    }
}

/* An agent need not have all of them. */
static const struct {
    const char *command;
    void (*read)(GuestInfo *info, const json_t *answer);
} questions[] = {
    {"guest-info", read_agent},
    {"guest-get-osinfo", read_os},
    {"guest-get-host-name", read_hostname},
    {"guest-get-timezone", read_time_zone},
    {"guest-get-users", read_logins},
    {"guest-get-fsinfo", read_file_systems},
};

static void inspection_free(Inspection *inspection)
{
    GuestInfo *info = &inspection->info;
    g_array_unref(info->file_systems);
    g_array_unref(info->logins);
    for (char **field = &info->agent_version; field <= &info->time_zone; field++)
        g_free(*field);
    g_free(inspection);
}

static void inspected(Inspection *inspection, const Error *error)
{
    inspection->done(error ? NULL : &inspection->info, error, inspection->userdata);
    inspection_free(inspection);
}

static void on_inspection_broken(const Error *error, void *userdata)
{
    inspected(userdata, error);
}

static bool ask_next(Inspection *inspection, Error **ret_error);

static void on_told(GuestAct *act, const json_t *result, const Error *error, void *userdata)
{
    Inspection *inspection = userdata;
    g_autoptr(Error) failed = NULL;
    if (error && error->code != ERROR_UNSUPPORTED && error->code != ERROR_FAILED)
        failed = error_copy(error);
    else if (!error)
        questions[inspection->step].read(&inspection->info, result);
    if (!failed && ++inspection->step < G_N_ELEMENTS(questions) && ask_next(inspection, &failed))
        return;
    guest_act_end(act);
    inspected(inspection, failed);
}

static bool ask_next(Inspection *inspection, Error **ret_error)
{
    return guest_act_ask(inspection->act, questions[inspection->step].command, NULL, ANSWER_USEC, on_told, ret_error);
}

bool vm_guest_info(VM *vm, const char *caller, GuestInfoDone done, void *userdata, Error **ret_error)
{
    Inspection *inspection = g_new0(Inspection, 1);
    GuestInfo *info = &inspection->info;
    inspection->done = done;
    inspection->userdata = userdata;
    info->file_systems = g_array_new(FALSE, FALSE, sizeof(GuestFileSystem));
    g_array_set_clear_func(info->file_systems, file_system_clear);
    info->logins = g_array_new(FALSE, FALSE, sizeof(GuestLogin));
    g_array_set_clear_func(info->logins, login_clear);
    for (char **field = &info->agent_version; field <= &info->time_zone; field++)
        *field = g_strdup("");
    inspection->act = guest_act_new(vm, caller, false, on_inspection_broken, inspection, ret_error);
    if (inspection->act && ask_next(inspection, ret_error))
        return true;
    if (inspection->act)
        guest_act_end(inspection->act);
    inspection_free(inspection);
    return false;
}

/* ---- one question, one answer ---- */

typedef struct Order {
    bool frozen; /* also while the file systems are */
    GuestAct *act;
    GuestTrimDone trimmed; /* either */
    VMDone done;
    void *userdata;
} Order;

static void order_done(Order *order, const GArray *trimmed, const Error *error)
{
    if (order->trimmed)
        order->trimmed(trimmed, error, order->userdata);
    else
        order->done(error, order->userdata);
    g_free(order);
}

static void on_order_broken(const Error *error, void *userdata)
{
    order_done(userdata, NULL, error);
}

/* Takes the arguments. */
static bool give_order(VM *vm, const char *caller, const char *command, json_t *arguments, uint64_t usec, GuestActAnswer answer, const Order *what, Error **ret_error)
{
    Order *order = g_memdup2(what, sizeof *what);
    order->act = guest_act_new(vm, caller, what->frozen, on_order_broken, order, ret_error);
    if (!order->act)
        json_decref(arguments);
    else if (guest_act_ask(order->act, command, arguments, usec, answer, ret_error))
        return true;
    else
        guest_act_end(order->act);
    g_free(order);
    return false;
}

static void on_obeyed(GuestAct *act, const json_t *result, const Error *error, void *userdata)
{
    guest_act_end(act);
    order_done(userdata, NULL, error);
}

bool vm_guest_set_password(VM *vm, const char *caller, const char *user, GBytes *password, bool crypted, VMDone done, void *userdata, Error **ret_error)
{
    gsize size;
    const guchar *data = g_bytes_get_data(password, &size);
    const Order order = {.done = done, .userdata = userdata};
    g_autofree char *base64 = g_base64_encode(data, size);
    bool begun = give_order(vm, caller, "guest-set-user-password", json_pack("{ss ss sb}", "username", user, "password", base64, "crypted", (int) crypted),
        ANSWER_USEC, on_obeyed, &order, ret_error);
    explicit_bzero(base64, strlen(base64));
    return begun;
}

bool vm_guest_add_keys(VM *vm, const char *caller, const char *user, char **keys, bool reset, VMDone done, void *userdata, Error **ret_error)
{
    const Order order = {.done = done, .userdata = userdata};
    json_t *array = json_array();
    for (char **key = keys; *key; key++)
        (void) json_array_append_new(array, json_string(*key));
    return give_order(vm, caller, "guest-ssh-add-authorized-keys", json_pack("{ss so sb}", "username", user, "keys", array, "reset", (int) reset), ANSWER_USEC, on_obeyed, &order,
        ret_error);
}

static void trimmed_clear(void *row)
{
    GuestTrimmed *trimmed = row;
    g_free(trimmed->path);
    g_free(trimmed->problem);
}

static void on_trimmed(GuestAct *act, const json_t *result, const Error *error, void *userdata)
{
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(GuestTrimmed));
    const json_t *paths = json_object_get(result, "paths"), *row;
    g_autoptr(Error) nonsense = NULL;
    size_t i;
    g_array_set_clear_func(all, trimmed_clear);
    if (!error && !json_is_array(paths))
        guest_act_nonsense(act, "guest-fstrim", &nonsense);
    json_array_foreach(paths, i, row)
    {
        GuestTrimmed trimmed = {.path = text(row, "path"), .problem = text(row, "error"), .trimmed = number(row, "trimmed")};
        if (all->len < GUEST_LIST_MAX)
            g_array_append_val(all, trimmed);
        else
            trimmed_clear(&trimmed);
    }
    guest_act_end(act);
    order_done(userdata, all, error ?: nonsense);
}

bool vm_guest_trim(VM *vm, const char *caller, GuestTrimDone done, void *userdata, Error **ret_error)
{
    const Order order = {.trimmed = done, .userdata = userdata};
    return give_order(vm, caller, "guest-fstrim", NULL, TRIM_USEC, on_trimmed, &order, ret_error);
}

/* ---- file systems that stand still ---- */

struct GuestHold {
    Instance *instance;
    Quiesce *quiesce;
    sd_event_source *timer; /* the thaw */
    uint64_t limit;
    VMDone done; /* NULL: it has been told */
    void *userdata;
};

static void hold_free(GuestHold *hold)
{
    hold->instance->hold = NULL;
    sd_event_source_disable_unref(hold->timer);
    vm_quiesce_end(hold->quiesce);
    g_free(hold);
}

/* Frees it, unless all is well. */
static void tell_holder(GuestHold *hold, const Error *error)
{
    VMDone done = hold->done;
    void *userdata = hold->userdata;
    hold->done = NULL;
    if (error)
        hold_free(hold);
    if (done)
        done(error, userdata);
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata)
{
    GuestHold *hold = userdata;
    g_message("VM %s: its time is over, so the guest's file systems are thawed", hold->instance->vm->name);
    hold_free(hold);
    return 0;
}

static void on_held(bool frozen, const Error *why_not, void *userdata)
{
    GuestHold *hold = userdata;
    g_autoptr(Error) error = frozen ? NULL : error_copy(why_not);
    int r = frozen ? sd_event_add_time_relative(hold->instance->vm->manager->event, &hold->timer, CLOCK_MONOTONIC, hold->limit, 0, on_limit, hold) : 0;
    if (r < 0)
        error_set_errno(&error, r, hold->instance->vm->name, "nobody would thaw them");
    tell_holder(hold, error);
}

bool vm_guest_freeze(VM *vm, uint64_t limit, VMDone done, void *userdata, Error **ret_error)
{
    g_autofree char *thing = vm_thing(vm);
    if (!guest_find_agent(vm, ret_error))
        return false;
    if (vm->instance->hold)
        return error_set(ret_error, ERROR_BUSY, thing, "See vmctl guest fsthaw", "its guest's file systems are frozen");
    GuestHold *hold = vm->instance->hold = g_new0(GuestHold, 1);
    *hold = (GuestHold){.instance = vm->instance, .limit = limit, .done = done, .userdata = userdata};
    hold->quiesce = vm_quiesce_begin(vm, on_held, hold);
    return true;
}

bool vm_guest_thaw(VM *vm, const char *caller, VMDone done, void *userdata, Error **ret_error)
{
    const Order order = {.frozen = true, .done = done, .userdata = userdata};
    g_autofree char *thing = vm_thing(vm);
    g_autoptr(Error) thawed = NULL;
    if (!guest_find_agent(vm, ret_error))
        return false;
    GuestHold *hold = vm->instance->hold;
    if (!hold && instance_is_quiescing(vm->instance))
        return error_set(ret_error, ERROR_BUSY, thing, "Wait for it (vmctl jobs)", "its guest's file systems are frozen for a snapshot or a backup");
    error_set(&thawed, ERROR_CANCELLED, thing, NULL, "they were thawed meanwhile");
    if (hold && hold->done)
        tell_holder(hold, thawed);
    else if (hold)
        hold_free(hold);
    /* Once more, for the answer, which comes after that of the first; and where somebody else has frozen them. */
    return give_order(vm, caller, "guest-fsfreeze-thaw", NULL, ANSWER_USEC, on_obeyed, &order, ret_error);
}

void guest_hold_break(Instance *instance)
{
    g_autoptr(Error) error = NULL;
    error_set(&error, ERROR_NOT_RUNNING, instance->vm->name, NULL, "it has ended");
    if (instance->hold && instance->hold->done)
        tell_holder(instance->hold, error);
    else if (instance->hold)
        hold_free(instance->hold);
}
