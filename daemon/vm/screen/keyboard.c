/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "keyboard.h"

#include <errno.h>
#include <string.h>

#include "display.h"
#include "key-name.h"
#include "keymap.h"
#include "manager.h"
#include "steps.h"
#include "task.h"

#define ANSWER_USEC (10 * G_USEC_PER_SEC)
/* Reading a layout takes some 10 ms; a file system that hangs is another thing. */
#define LAYOUT_USEC (30 * G_USEC_PER_SEC)
/* How long QEMU holds each key before the next one, and before it releases the next one. */
#define HOLD_MSEC 30
/* A PS/2 keyboard remembers 16 bytes, and a stroke has up to eight: a guest must have read one before the next but one comes. That is a matter of
 * microseconds, unless the host lets its CPU wait, and an emulated one needs much of it. */
#define STROKE_USEC (20 * 1000)
#define STROKE_TCG_USEC (50 * 1000)
#define INTERVAL_MAX_USEC (10 * G_USEC_PER_SEC)
#define PAUSED_USEC (200 * 1000)
#define TEXT_BYTES_MAX ((size_t) KEYMAP_TEXT_MAX * 6)

/* As QEMU takes numbers: those behind 0xe0 with the highest bit. */
enum { SHIFT = 0x2a, RIGHT_ALT = 0xb8 };

struct Keyboard {
    Instance *instance;
    bool busy;
    sd_event_source *timer;

    VMDone pressed;         /* keys are pressed */
    TypingBegun begun;      /* a text becomes strokes */
    void *userdata;
    Task *task;

    Job *job;               /* it is typed */
    GArray *strokes;
    guint next;
    uint64_t interval;
};

/* ---- what both need ---- */

/* NULL and an Error, where no key can be pressed now. */
static Keyboard *take_keyboard(VM *vm, Error **ret_error)
{
    g_autofree char *thing = vm_thing(vm);
    if (!vm_check_hears(vm, "it hears no keys", ret_error))
        return NULL;
    Keyboard *keyboard = vm->instance->keyboard;
    if (keyboard && keyboard->busy) {
        error_set(ret_error, ERROR_BUSY, thing, "Try again when that is done (vmctl jobs)", "something is just being typed");
        return NULL;
    }
    if (!keyboard) {
        keyboard = vm->instance->keyboard = g_new0(Keyboard, 1);
        keyboard->instance = vm->instance;
    }
    return keyboard;
}

/* Nothing is under way any more. */
static void rest(Keyboard *keyboard)
{
    keyboard->busy = false;
    keyboard->timer = sd_event_source_disable_unref(keyboard->timer);
    g_clear_pointer(&keyboard->task, task_abandon);
    g_clear_pointer(&keyboard->strokes, g_array_unref);
    keyboard->pressed = NULL;
    keyboard->begun = NULL;
    keyboard->job = NULL;
    keyboard->next = 0;
}

/* Whatever it is that is under way. */
static void finish(Keyboard *keyboard, const Error *error)
{
    VMDone pressed = keyboard->pressed;
    TypingBegun begun = keyboard->begun;
    Job *job = keyboard->job;
    void *userdata = keyboard->userdata;
    rest(keyboard);
    if (pressed)
        pressed(error, userdata);
    if (begun)
        begun(NULL, error, userdata);
    if (job)
        job_finish(job, error);
}

static void finish_errno(Keyboard *keyboard, int r)
{
    g_autoptr(Error) error = NULL;
    /* Its monitor is closed a moment before its guard says that it has ended. */
    if (r == -ENOTCONN)
        error_set(&error, ERROR_NOT_RUNNING, keyboard->instance->vm->name, NULL, "it has ended");
    else
        error_set_errno(&error, r, keyboard->instance->vm->name, "QEMU cannot be given keys");
    finish(keyboard, error);
}

static void wait_for(Keyboard *keyboard, uint64_t usec, sd_event_time_handler_t then)
{
    keyboard->timer = sd_event_source_disable_unref(keyboard->timer);
    int r = sd_event_add_time_relative(keyboard->instance->vm->manager->event, &keyboard->timer, CLOCK_MONOTONIC, usec, 1000, then, keyboard);
    if (r < 0)
        finish_errno(keyboard, r);
}

/* ---- keys ---- */

static int on_released(sd_event_source *source, uint64_t usec, void *userdata)
{
    finish(userdata, NULL);
    return 0;
}

/* QEMU answers before it presses. */
static void on_keys_taken(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Keyboard *keyboard = userdata;
    if (error)
        finish(keyboard, error);
    else
        wait_for(keyboard, (uint64_t) keyboard->next * 2 * HOLD_MSEC * 1000, on_released);
}

static json_t *read_keys(char **names, Error **ret_error)
{
    json_t *keys = json_array();
    for (char **name = names; *name; name++) {
        const char *qcode = key_name_to_qcode(*name, ret_error);
        if (!qcode) {
            json_decref(keys);
            return NULL;
        }
        (void) json_array_append_new(keys, json_pack("{ss ss}", "type", "qcode", "data", qcode));
    }
    return keys;
}

bool vm_send_keys(VM *vm, char **names, VMDone done, void *userdata, Error **ret_error)
{
    guint n = g_strv_length(names);
    if (n == 0)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "keys", NULL, "there are none");
    if (n > KEYS_MAX)
        return error_set(ret_error, ERROR_LIMIT_REACHED, "keys", NULL, "nobody presses more than %u at once", KEYS_MAX);
    Keyboard *keyboard = take_keyboard(vm, ret_error);
    json_t *keys = keyboard ? read_keys(names, ret_error) : NULL;
    if (!keys)
        return false;
    int r = qmp_call(vm->instance->qmp, "send-key", json_pack("{so si}", "keys", keys, "hold-time", HOLD_MSEC), -1, ANSWER_USEC, on_keys_taken, keyboard);
    if (r < 0)
        return error_set_errno(ret_error, r, vm->name, "QEMU cannot be given keys");
    keyboard->busy = true;
    keyboard->next = n;
    keyboard->pressed = done;
    keyboard->userdata = userdata;
    return true;
}

/* ---- text ---- */

static int on_time(sd_event_source *source, uint64_t usec, void *userdata);

static json_t *event_of(int key, bool down)
{
    return json_pack("{ss s{sb s{ss si}}}", "type", "key", "data", "down", down, "key", "type", "number", "data", key);
}

/* All of it at once, so that no end of vmd or of the job comes between a key and its release. */
static json_t *events_of(const Stroke *stroke)
{
    const int keys[] = {stroke->shift ? SHIFT : 0, stroke->right_alt ? RIGHT_ALT : 0, stroke->key};
    json_t *events = json_array();
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        if (keys[i])
            (void) json_array_append_new(events, event_of(keys[i], true));
    for (size_t i = G_N_ELEMENTS(keys); i > 0; i--)
        if (keys[i - 1])
            (void) json_array_append_new(events, event_of(keys[i - 1], false));
    return events;
}

static void on_stroke(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Keyboard *keyboard = userdata;
    if (error)
        return finish(keyboard, error);
    job_set_progress(keyboard->job, (double) ++keyboard->next / (double) keyboard->strokes->len);
    wait_for(keyboard, keyboard->interval, on_time);
}

static void go_on(Keyboard *keyboard)
{
    VM *vm = keyboard->instance->vm;
    g_autoptr(Error) error = NULL;
    if (keyboard->job->state == JOB_CANCELLING) {
        error_set(&error, ERROR_CANCELLED, vm->name, NULL, "the typing was cancelled");
        return finish(keyboard, error);
    }
    if (keyboard->next >= keyboard->strokes->len)
        return finish(keyboard, NULL);
    if (!vm_hears(vm))
        return wait_for(keyboard, PAUSED_USEC, on_time);
    const Stroke *stroke = &g_array_index(keyboard->strokes, Stroke, keyboard->next);
    int r = qmp_call(vm->instance->qmp, "input-send-event", json_pack("{so}", "events", events_of(stroke)), -1, ANSWER_USEC, on_stroke, keyboard);
    if (r < 0)
        finish_errno(keyboard, r);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
    go_on(userdata);
    return 0;
}

/* go_on() sees it before the next stroke. */
static void on_cancel(Job *job, void *userdata)
{
}

typedef struct Wording {
    char *text, *layout;
    GArray *strokes;
    Error *error;
} Wording;

static void wording_free(void *userdata)
{
    Wording *wording = userdata;
    g_free(wording->text);
    g_free(wording->layout);
    g_clear_pointer(&wording->strokes, g_array_unref);
    error_free(wording->error);
    g_free(wording);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Wording, wording_free)

/* In the thread. */
static void find_strokes(void *data)
{
    Wording *wording = data;
    wording->strokes = keymap_strokes(wording->layout, wording->text, &wording->error);
}

static void on_strokes(void *data, void *userdata)
{
    Keyboard *keyboard = userdata;
    VM *vm = keyboard->instance->vm;
    g_autoptr(Wording) wording = data;
    g_autoptr(Error) late = NULL;
    keyboard->task = NULL;
    if (!wording)
        error_set(&late, ERROR_TIMED_OUT, "layout", NULL, "it could not be read in time");
    if (!wording || wording->error)
        return finish(keyboard, wording ? wording->error : late);
    g_autofree char *path = vm_object_path(vm);
    TypingBegun begun = keyboard->begun;
    keyboard->begun = NULL;
    keyboard->strokes = g_steal_pointer(&wording->strokes);
    keyboard->job = job_new(vm->manager->jobs, JOB_TYPE_TEXT, path, on_cancel, keyboard);
    begun(keyboard->job->path, NULL, keyboard->userdata);
    wait_for(keyboard, 0, on_time);
}

bool vm_type_text(VM *vm, const char *text, const char *layout, uint64_t interval, TypingBegun done, void *userdata, Error **ret_error)
{
    static const TaskSpec spec = {.run = find_strokes, .done = on_strokes, .free_data = wording_free, .timeout_usec = LAYOUT_USEC};
    if (strlen(text) > TEXT_BYTES_MAX)
        return error_set(ret_error, ERROR_LIMIT_REACHED, "text", "Type it in parts", "it has more than %u characters", KEYMAP_TEXT_MAX);
    if (interval > INTERVAL_MAX_USEC)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "interval", NULL, "it is at most 10 s");
    Keyboard *keyboard = take_keyboard(vm, ret_error);
    if (!keyboard)
        return false;
    Wording *wording = g_new0(Wording, 1);
    wording->text = g_strdup(text);
    wording->layout = g_strdup(layout);
    int r = task_new(vm->manager->event, &spec, wording, keyboard, &keyboard->task);
    if (r < 0) {
        wording_free(wording);
        return error_set_errno(ret_error, r, vm->name, "the text cannot be worked out");
    }
    keyboard->busy = true;
    keyboard->interval = interval > 0 ? interval : vm->instance->kvm ? STROKE_USEC : STROKE_TCG_USEC;
    keyboard->begun = done;
    keyboard->userdata = userdata;
    return true;
}

void keyboard_free(Keyboard *keyboard)
{
    if (!keyboard)
        return;
    if (keyboard->busy) {
        g_autoptr(Error) error = NULL;
        error_set(&error, ERROR_NOT_RUNNING, keyboard->instance->vm->name, NULL, "it has ended");
        if (keyboard->instance->qmp)
            qmp_forget(keyboard->instance->qmp, keyboard);
        finish(keyboard, error);
    }
    g_free(keyboard);
}
