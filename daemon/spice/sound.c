/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sound.h"

#include <string.h>

#include <glib.h>

#include "value.h"

#define RATE_MIN 8000U
#define RATE_MAX 48000U /* Opus's, by which clients hear */

/* Who did not record for so long gets nothing of that time. */
#define LAG_USEC (USEC_PER_SEC / 5)

struct Sound {
    bool enabled[_SOUND_WAY_MAX];
    uint32_t rate[_SOUND_WAY_MAX];
    SpicePlaybackInstance playback;
    SpiceRecordInstance record;
    uint32_t *frames; /* spice-server's, which are being filled; NULL: none */
    uint32_t n_frames, filled;
    uint64_t since, recorded; /* µs; frames since then */
};

bool sound_set_rate(Sound *sound, SoundWay way, uint32_t rate)
{
    if (rate < RATE_MIN || rate > RATE_MAX)
        return false;
    sound->rate[way] = rate;
    if (way == SOUND_OUT)
        spice_server_set_playback_rate(&sound->playback, rate);
    else
        spice_server_set_record_rate(&sound->record, rate);
    return true;
}

static void start_again(Sound *sound)
{
    sound->since = (uint64_t) g_get_monotonic_time();
    sound->recorded = 0;
}

/* What has been begun is filled with silence. */
static void give_frames(Sound *sound)
{
    if (!sound->frames)
        return;
    memset(sound->frames + sound->filled, 0, (size_t) (sound->n_frames - sound->filled) * SOUND_FRAME_SIZE);
    spice_server_playback_put_samples(&sound->playback, g_steal_pointer(&sound->frames));
}

void sound_enable(Sound *sound, SoundWay way, bool enabled)
{
    if (sound->enabled[way] == enabled)
        return;
    sound->enabled[way] = enabled;
    if (way == SOUND_IN && enabled) {
        start_again(sound);
        spice_server_record_start(&sound->record);
    } else if (way == SOUND_IN)
        spice_server_record_stop(&sound->record);
    else if (enabled)
        spice_server_playback_start(&sound->playback);
    else {
        give_frames(sound);
        spice_server_playback_stop(&sound->playback);
    }
}

void sound_set_volume(Sound *sound, SoundWay way, bool mute, const uint8_t *volume, size_t n)
{
    uint16_t wide[SOUND_CHANNELS];
    uint8_t channels = (uint8_t) MIN(n, SOUND_CHANNELS);
    for (uint8_t i = 0; i < channels; i++)
        wide[i] = (uint16_t) (volume[i] * (UINT16_MAX / UINT8_MAX));
    if (way == SOUND_OUT) {
        spice_server_playback_set_volume(&sound->playback, channels, wide);
        spice_server_playback_set_mute(&sound->playback, mute);
    } else {
        spice_server_record_set_volume(&sound->record, channels, wide);
        spice_server_record_set_mute(&sound->record, mute);
    }
}

void sound_play(Sound *sound, const void *data, size_t size)
{
    const uint8_t *from = data;
    size_t left = sound->enabled[SOUND_OUT] ? size / SOUND_FRAME_SIZE : 0;
    while (left > 0) {
        if (!sound->frames) {
            sound->filled = 0;
            spice_server_playback_get_buffer(&sound->playback, &sound->frames, &sound->n_frames);
        }
        if (!sound->frames)
            return; /* nobody listens, or takes what there is already */
        size_t n = MIN(left, sound->n_frames - sound->filled);
        memcpy(sound->frames + sound->filled, from, n * SOUND_FRAME_SIZE);
        from += n * SOUND_FRAME_SIZE;
        left -= n;
        sound->filled += (uint32_t) n;
        if (sound->filled == sound->n_frames)
            give_frames(sound);
    }
}

size_t sound_record(Sound *sound, void *ret, size_t size)
{
    uint64_t passed = (uint64_t) g_get_monotonic_time() - sound->since, rate = sound->rate[SOUND_IN], due = passed * rate / USEC_PER_SEC;
    if (!sound->enabled[SOUND_IN] || due <= sound->recorded)
        return 0;
    size_t n = MIN(due - sound->recorded, size / SOUND_FRAME_SIZE);
    if (due - sound->recorded > rate * LAG_USEC / USEC_PER_SEC)
        start_again(sound);
    else
        sound->recorded += n;
    uint32_t got = spice_server_record_get_samples(&sound->record, ret, (uint32_t) MIN(n, UINT32_MAX));
    if (got > 0)
        return got * SOUND_FRAME_SIZE;
    memset(ret, 0, n * SOUND_FRAME_SIZE);
    return n * SOUND_FRAME_SIZE;
}

Sound *sound_new(SpiceServer *server)
{
    static const SpicePlaybackInterface playback = {
        .base = {SPICE_INTERFACE_PLAYBACK, "what the guest plays", SPICE_INTERFACE_PLAYBACK_MAJOR, SPICE_INTERFACE_PLAYBACK_MINOR}};
    static const SpiceRecordInterface record = {
        .base = {SPICE_INTERFACE_RECORD, "what the guest records", SPICE_INTERFACE_RECORD_MAJOR, SPICE_INTERFACE_RECORD_MINOR}};
    Sound *sound = g_new0(Sound, 1);
    G_STATIC_ASSERT(SOUND_FRAME_SIZE == sizeof *sound->frames);
    sound->playback.base.sif = &playback.base;
    sound->record.base.sif = &record.base;
    if (spice_server_add_interface(server, &sound->playback.base) < 0) {
        g_free(sound);
        return NULL;
    }
    if (spice_server_add_interface(server, &sound->record.base) < 0) {
        spice_server_remove_interface(&sound->playback.base);
        g_free(sound);
        return NULL;
    }
    return sound;
}

void sound_free(Sound *sound)
{
    if (!sound)
        return;
    sound_enable(sound, SOUND_OUT, false);
    sound_enable(sound, SOUND_IN, false);
    spice_server_remove_interface(&sound->playback.base);
    spice_server_remove_interface(&sound->record.base);
    g_free(sound);
}
