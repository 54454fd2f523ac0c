/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sound: spice-server's playback and record channels. One stream each way, of SOUND_CHANNELS channels, 16 bits each, signed, in the host's byte order.
 * Nothing waits and nothing is queued: what clients do not take in time is left out. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <spice.h>

#define SOUND_CHANNELS 2U
#define SOUND_FRAME_SIZE (SOUND_CHANNELS * sizeof(int16_t))

typedef enum SoundWay {
    SOUND_OUT, /* the guest plays */
    SOUND_IN,  /* it records */
    _SOUND_WAY_MAX,
} SoundWay;

typedef struct Sound Sound;

/* Joins the server; NULL: that failed. */
Sound *sound_new(SpiceServer *server);
void sound_free(Sound *sound);

/* How many frames a second there are, before it is enabled; false: clients know of no such rate. */
bool sound_set_rate(Sound *sound, SoundWay way, uint32_t rate);
void sound_enable(Sound *sound, SoundWay way, bool enabled);
/* Of each channel, 255 being all there is; what more there are than SOUND_CHANNELS is not looked at. */
void sound_set_volume(Sound *sound, SoundWay way, bool mute, const uint8_t *volume, size_t n);

/* `size` in bytes; what is no whole frame is left out. */
void sound_play(Sound *sound, const void *data, size_t size);
/* What clients say, and silence where they do not: never more than the time gone by, nor than `size` bytes. */
size_t sound_record(Sound *sound, void *ret, size_t size);
