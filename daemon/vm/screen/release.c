/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "release.h"

#include "display.h"
#include "key-name.h"
#include "manager.h"

#define ANSWER_USEC (10 * G_USEC_PER_SEC)
/* Of the 16 bytes that a keyboard remembers each takes up to three, and somebody may be typing. */
#define KEYS_AT_ONCE 2U
#define INTERVAL_USEC (40 * 1000)
#define PAUSED_USEC (200 * 1000)

struct Release {
    Instance *instance;
    sd_event_source *timer;
    bool buttons;
    size_t next; /* key */
};

static json_t *next_events(Release *release)
{
    static const char *const buttons[] = {"left", "middle", "right", "side", "extra"};
    json_t *events = json_array();
    for (size_t i = 0; release->buttons && i < G_N_ELEMENTS(buttons); i++)
        (void) json_array_append_new(events, json_pack("{ss s{sb ss}}", "type", "btn", "data", "down", 0, "button", buttons[i]));
    release->buttons = false;
    for (size_t i = 0; i < KEYS_AT_ONCE && key_name_known(release->next); i++)
        (void) json_array_append_new(events, json_pack("{ss s{sb s{ss ss}}}", "type", "key", "data", "down", 0, "key", "type", "qcode", "data",
            key_name_known(release->next++)));
    return events;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
    Release *release = userdata;
    const Instance *instance = release->instance;
    bool hears = instance->qmp && vm_hears(instance->vm);
    if (hears && qmp_call(instance->qmp, "input-send-event", json_pack("{so}", "events", next_events(release)), -1, ANSWER_USEC, NULL, NULL) < 0)
        return 0;
    if (hears && !key_name_known(release->next))
        return 0;
    (void) sd_event_source_set_time_relative(source, hears ? INTERVAL_USEC : PAUSED_USEC);
    (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

void release_begin(Release **release, Instance *instance, bool keys)
{
    if (!*release) {
        *release = g_new0(Release, 1);
        (*release)->instance = instance;
        (*release)->next = SIZE_MAX;
    }
    sd_event_source_disable_unref((*release)->timer);
    (*release)->timer = NULL;
    (*release)->buttons = true;
    if (keys)
        (*release)->next = 0;
    (void) sd_event_add_time_relative(instance->vm->manager->event, &(*release)->timer, CLOCK_MONOTONIC, 0, 1000, on_time, *release);
}

void release_free(Release *release)
{
    if (!release)
        return;
    sd_event_source_disable_unref(release->timer);
    g_free(release);
}
