/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu-sound.h"

#include "cleanup.h"
#include "qemu-listener.h"

#define AUDIO_PATH "/org/qemu/Display1/Audio"
#define AUDIO_INTERFACE "org.qemu.Display1.Audio"

/* QEMU asks for 10 ms, and that again and again. */
#define READ_MAX (64U * 1024U)

typedef struct Stream {
    QemuSound *owner;
    SoundWay way;
    bool begun;
    uint64_t id; /* the newest one that can be heard */
    QemuListener *listener;
} Stream;

struct QemuSound {
    Sound *sound;
    Stream streams[_SOUND_WAY_MAX];
};

/* Whether it is of the stream that is heard. */
static bool is_heard(const Stream *stream, uint64_t id)
{
    return stream->begun && stream->id == id;
}

static int on_init(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Stream *stream = userdata;
    uint64_t id;
    uint8_t bits, channels;
    int is_signed, is_float, big;
    uint32_t rate, frame, second;
    if (sd_bus_message_read(m, "tybbuyuub", &id, &bits, &is_signed, &is_float, &rate, &channels, &frame, &second, &big) < 0)
        return 0;
    bool known = bits == 16 && is_signed && !is_float && channels == SOUND_CHANNELS && frame == SOUND_FRAME_SIZE && big == (G_BYTE_ORDER == G_BIG_ENDIAN);
    sound_enable(stream->owner->sound, stream->way, false);
    stream->begun = known && sound_set_rate(stream->owner->sound, stream->way, rate);
    stream->id = id;
    if (!stream->begun)
        g_warning("QEMU's sound is of a form that clients do not know: %u bits, %u channels, %u Hz", bits, channels, rate);
    return 0;
}

static int on_fini(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Stream *stream = userdata;
    uint64_t id;
    if (sd_bus_message_read(m, "t", &id) < 0 || !is_heard(stream, id))
        return 0;
    sound_enable(stream->owner->sound, stream->way, false);
    stream->begun = false;
    return 0;
}

static int on_set_enabled(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    const Stream *stream = userdata;
    uint64_t id;
    int enabled;
    if (sd_bus_message_read(m, "tb", &id, &enabled) >= 0 && is_heard(stream, id))
        sound_enable(stream->owner->sound, stream->way, enabled);
    return 0;
}

static int on_set_volume(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    const Stream *stream = userdata;
    uint64_t id;
    int mute;
    const void *volume;
    size_t n;
    if (sd_bus_message_read(m, "tb", &id, &mute) >= 0 && sd_bus_message_read_array(m, 'y', &volume, &n) >= 0 && is_heard(stream, id))
        sound_set_volume(stream->owner->sound, stream->way, mute, volume, n);
    return 0;
}

static int on_write(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    const Stream *stream = userdata;
    uint64_t id;
    const void *data;
    size_t size;
    if (sd_bus_message_read(m, "t", &id) >= 0 && sd_bus_message_read_array(m, 'y', &data, &size) >= 0 && is_heard(stream, id))
        sound_play(stream->owner->sound, data, size);
    return 0;
}

/* QEMU goes on with less than it wants, and with nothing. */
static int on_read(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    const Stream *stream = userdata;
    uint32_t data[READ_MAX / sizeof(uint32_t)];
    g_autoptr(sd_bus_message) reply = NULL;
    uint64_t id, size;
    size_t n = 0;
    int r = sd_bus_message_read(m, "tt", &id, &size);
    if (r < 0)
        return r;
    if (is_heard(stream, id))
        n = sound_record(stream->owner->sound, data, MIN(size, sizeof data));
    r = sd_bus_message_new_method_return(m, &reply);
    if (r >= 0)
        r = sd_bus_message_append_array(reply, 'y', data, n);
    return r < 0 ? r : sd_bus_send(sd_bus_message_get_bus(m), reply, NULL);
}

#define TOLD(name, types, handler) SD_BUS_METHOD(name, types, NULL, handler, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY)
#define TOLD_OF_BOTH                                                                                                                                           \
    TOLD("Init", "tybbuyuub", on_init), TOLD("Fini", "t", on_fini), TOLD("SetEnabled", "tb", on_set_enabled), TOLD("SetVolume", "tbay", on_set_volume)

static const sd_bus_vtable out_vtable[] = {
    SD_BUS_VTABLE_START(0),
    TOLD_OF_BOTH,
    TOLD("Write", "tay", on_write),
    SD_BUS_VTABLE_END,
};

static const sd_bus_vtable in_vtable[] = {
    SD_BUS_VTABLE_START(0),
    TOLD_OF_BOTH,
    SD_BUS_METHOD("Read", "tt", "ay", on_read, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

static const QemuListenerKind kinds[_SOUND_WAY_MAX] = {
    [SOUND_OUT] = {
        .what = "what is played",
        .interface = AUDIO_INTERFACE,
        .method = "RegisterOutListener",
        .path = "/org/qemu/Display1/AudioOutListener",
        .interfaces = {{"org.qemu.Display1.AudioOutListener", out_vtable}},
    },
    [SOUND_IN] = {
        .what = "what is recorded",
        .interface = AUDIO_INTERFACE,
        .method = "RegisterInListener",
        .path = "/org/qemu/Display1/AudioInListener",
        .interfaces = {{"org.qemu.Display1.AudioInListener", in_vtable}},
    },
};

QemuSound *qemu_sound_new(sd_event *event, sd_bus *bus, Sound *sound)
{
    QemuSound *qemu_sound = g_new0(QemuSound, 1);
    qemu_sound->sound = sound;
    for (SoundWay way = 0; way < _SOUND_WAY_MAX; way++) {
        Stream *stream = &qemu_sound->streams[way];
        *stream = (Stream) {.owner = qemu_sound, .way = way};
        stream->listener = qemu_listener_new(event, bus, &kinds[way], AUDIO_PATH, stream);
        if (!stream->listener) {
            qemu_sound_free(qemu_sound);
            return NULL;
        }
    }
    return qemu_sound;
}

void qemu_sound_free(QemuSound *qemu_sound)
{
    if (!qemu_sound)
        return;
    for (SoundWay way = 0; way < _SOUND_WAY_MAX; way++) {
        qemu_listener_free(qemu_sound->streams[way].listener);
        sound_enable(qemu_sound->sound, way, false);
    }
    g_free(qemu_sound);
}
