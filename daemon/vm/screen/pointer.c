/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pointer.h"

#include "display.h"
#include "instance.h"

/* QEMU's INPUT_EVENT_ABS_MAX. */
#define SCREEN_MAX 0x7fff
#define ANSWER_USEC (10 * G_USEC_PER_SEC)

static const char *const buttons_known[] = {"left", "middle", "right", "side", "extra", "wheel-up", "wheel-down", "wheel-left", "wheel-right", NULL};

typedef struct Call {
    VMDone done;
    void *userdata;
} Call;

static bool check_mouse(VM *vm, Error **ret_error)
{
    return vm_check_hears(vm, "it has no use for its mouse", ret_error);
}

static bool check_place(double x, double y, Error **ret_error)
{
    /* Not "x < 0 || x > 1": there is NaN. */
    return (x >= 0 && x <= 1 && y >= 0 && y <= 1) ||
        error_set(ret_error, ERROR_INVALID_SETTINGS, "the place", "Give each as a number from 0 to 1", "it is not on the screen");
}

static bool check_button(const char *button, Error **ret_error)
{
    if (g_strv_contains(buttons_known, button))
        return true;
    g_autofree char *known = g_strjoinv(", ", (char **) buttons_known);
    g_autofree char *way_out = g_strdup_printf("There are %s", known);
    return error_set(ret_error, ERROR_INVALID_SETTINGS, button, way_out, "the mouse has no such button");
}

static json_t *button_events(char **buttons, bool down)
{
    json_t *events = json_array();
    for (char **button = buttons; *button; button++)
        (void) json_array_append_new(events, json_pack("{ss s{sb ss}}", "type", "btn", "data", "down", down, "button", *button));
    return events;
}

static json_t *place_events(double x, double y)
{
    return json_pack("[{ss s{ss si}} {ss s{ss si}}]", "type", "abs", "data", "axis", "x", "value", (int) (x * SCREEN_MAX), "type", "abs", "data", "axis",
        "y", "value", (int) (y * SCREEN_MAX));
}

static void on_sent(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    g_autofree Call *call = userdata;
    call->done(error, call->userdata);
}

/* QEMU does them in order; a guest sees those of one array as one event. The last one is answered for all. */
static bool send(VM *vm, json_t *const *steps, size_t n, VMDone done, void *userdata, Error **ret_error)
{
    Call *call = g_new0(Call, 1);
    *call = (Call){done, userdata};
    int r = 0;
    for (size_t i = 0; i < n; i++) {
        bool last = i + 1 == n;
        json_t *arguments = json_pack("{so}", "events", steps[i]);
        if (r < 0)
            json_decref(arguments);
        else
            r = qmp_call(vm->instance->qmp, "input-send-event", arguments, -1, ANSWER_USEC, last ? on_sent : NULL, last ? call : NULL);
    }
    if (r >= 0)
        return true;
    g_free(call);
    return error_set_errno(ret_error, r, vm->name, "QEMU cannot be told what the mouse does");
}

bool vm_move_pointer(VM *vm, double x, double y, VMDone done, void *userdata, Error **ret_error)
{
    if (!check_place(x, y, ret_error) || !check_mouse(vm, ret_error))
        return false;
    json_t *const steps[] = {place_events(x, y)};
    return send(vm, steps, G_N_ELEMENTS(steps), done, userdata, ret_error);
}

bool vm_send_buttons(VM *vm, char **buttons, VMDone done, void *userdata, Error **ret_error)
{
    guint n = g_strv_length(buttons);
    if (n == 0)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "buttons", NULL, "there are none");
    if (n > POINTER_BUTTONS_MAX)
        return error_set(ret_error, ERROR_LIMIT_REACHED, "buttons", NULL, "nobody presses more than %u at once", POINTER_BUTTONS_MAX);
    for (char **button = buttons; *button; button++)
        if (!check_button(*button, ret_error))
            return false;
    if (!check_mouse(vm, ret_error))
        return false;
    json_t *const steps[] = {button_events(buttons, true), button_events(buttons, false)};
    return send(vm, steps, G_N_ELEMENTS(steps), done, userdata, ret_error);
}

bool vm_drag_pointer(VM *vm, double x, double y, const char *button, VMDone done, void *userdata, Error **ret_error)
{
    char *buttons[] = {(char *) button, NULL};
    if (!check_place(x, y, ret_error) || !check_button(button, ret_error) || !check_mouse(vm, ret_error))
        return false;
    json_t *const steps[] = {button_events(buttons, true), place_events(x, y), button_events(buttons, false)};
    return send(vm, steps, G_N_ELEMENTS(steps), done, userdata, ret_error);
}
