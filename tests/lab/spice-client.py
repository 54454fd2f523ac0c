#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""spice-client.py VM|SOCKET [SHARED-FOLDER]: a SPICE client on spice-gtk's GLib half, that gets each of its channels by OpenDisplay(), or by the
socket of vmctl view --listen.

It does what its input says, a line a command, and answers each with one line:

channels               those that are open
picture HEAD           WIDTHxHEIGHT and the most frequent colour of that screen, as rrggbb
same HEAD FILE         whether that screen is what the PNG shows, each pixel of it
cursor                 WIDTHxHEIGHT, the hot spot and the first pixel of the cursor, as rrggbbaa
agent                  whether the guest has one, and it has said what it can do
type TEXT              lower case letters, digits and blanks, and return
pointer X Y            to there, and a click
screen (HEAD W H)...   what size that screen is to have, or several at once; 0 0: unplug it
copy TEXT, paste       clipboard; paste says what was copied in the guest since it was asked for last
hear                   the pitch in Hz of what the guest has played since it was asked for last, and on how many channels
speak HZ               gives the guest a tone, while it records
cd FILE                lends it a CD drive by USB; no FILE: takes it away again
stick NAME             lends it a USB device of this machine
send FILE              drops it on the screen; "sent" when the guest's agent has it, else why not
hold KEY               presses a key and does not release it; hold button: the left one of the mouse
again N                leaves, and comes again, so many times; each time until it has the picture, and all of the channels that it had
anew                   comes, and waits for nothing
visit N [MS]           comes, and leaves when it has said its display's first message, which nobody may have read yet; so many times. MS: it
                       takes its time before it says anything on that channel"""

import array
import collections
import ctypes
import math
import socket
import sys

import gi

gi.require_version("SpiceClientGLib", "2.0")
gi.require_version("GdkPixbuf", "2.0")
from gi.repository import GdkPixbuf, Gio, GLib, GObject, SpiceClientGLib as Spice  # noqa: E402

TEXT = 1  # VD_AGENT_CLIPBOARD_UTF8_TEXT
on = GObject.Object.connect  # Session and Channel have a connect() of their own
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
path = "/org/vmd1/vm/" + "".join(c if c.isalnum() and c.isascii() else f"_{ord(c):02x}" for c in sys.argv[1])
rows = ["1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"]
scan_codes = {c: start + i for start, row in zip([0x02, 0x10, 0x1e, 0x2c], rows) for i, c in enumerate(row)} | {" ": 0x39, "\n": 0x1c}
opened, channels, screens = set(), {}, {}
state = {"cursor": "none", "copied": "", "pasted": "", "samples": array.array("h"), "played": 0, "recording": False, "tone": 0, "spoken": 0}


def open_display():
    if sys.argv[1].startswith("/"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(sys.argv[1])
        return connection.detach()
    reply, fds = bus.call_with_unix_fd_list_sync("org.vmd1", path, "org.vmd1.VM", "OpenDisplay", GLib.Variant("(s)", ("spice",)),
                                                 GLib.VariantType("(h)"), Gio.DBusCallFlags.NONE, 30000, None, None)
    return fds.get(reply[0])


def name_of(channel):
    return type(channel).__name__.removesuffix("Channel").lower() + (str(channel.props.channel_id) if isinstance(channel, Spice.DisplayChannel) else "")


# ---- what channels tell

def on_channel_event(channel, event):
    if event == Spice.ChannelEvent.OPENED:
        opened.add(channel)
    else:
        opened.discard(channel)


def on_primary(channel, _format, width, height, stride, _shmid, data):
    screens[channel.props.channel_id] = (width, height, stride, data)


def on_cursor(_channel, width, height, hot_x, hot_y, data):
    state["cursor"] = f"{width}x{height} {hot_x},{hot_y} {ctypes.string_at(data, 4).hex()}"


def on_selection_request(main, selection, kind):
    data = state["copied"].encode()
    Spice.MainChannel.clipboard_selection_notify(main, selection, kind, data)
    return True


def on_selection_grab(main, selection, _kinds, _n):
    main.clipboard_selection_request(selection, TEXT)
    return True


def on_selection(_main, _selection, _kind, data, size):
    state["pasted"] = ctypes.string_at(data, size).decode()


def on_playback_start(_channel, _format, n, rate):
    state["played"], state["rate"] = n, rate


def on_playback(_channel, data, size):
    state["samples"].frombytes(ctypes.string_at(data, size))


def on_record_start(channel, _format, n, rate):
    state["recording"] = True
    GLib.timeout_add(20, speak_on, channel, n, rate)


def speak_on(channel, n, rate):
    samples = array.array("h")
    for _ in range(rate // 50):
        samples.extend([int(12000 * math.sin(2 * math.pi * state["tone"] * state["spoken"] / rate))] * n)
        state["spoken"] += 1
    channel.send_data(samples.buffer_info()[0], len(samples) * 2, 0)
    return state["recording"]


def on_open(channel, _tls):
    fd = open_display()
    if not (late and isinstance(channel, Spice.DisplayChannel)):
        return channel.open_fd(fd)
    GLib.timeout_add(late, lambda: channel.open_fd(fd) and False)
    return True


def on_new(_session, channel):
    channels.setdefault(name_of(channel), channel)
    on(channel, "open-fd", on_open)
    on(channel, "channel-event", on_channel_event)
    if isinstance(channel, Spice.MainChannel):
        on(channel, "main-clipboard-selection-request", on_selection_request)
        on(channel, "main-clipboard-selection-grab", on_selection_grab)
        on(channel, "main-clipboard-selection", on_selection)
        return  # the session has opened it
    if isinstance(channel, Spice.DisplayChannel):
        on(channel, "display-primary-create", on_primary)
        on(channel, "display-primary-destroy", lambda c: screens.pop(c.props.channel_id, None))
    if isinstance(channel, Spice.CursorChannel):
        on(channel, "cursor-set", on_cursor)
    if isinstance(channel, Spice.PlaybackChannel):
        on(channel, "playback-start", on_playback_start)
        on(channel, "playback-data", on_playback)
    if isinstance(channel, Spice.RecordChannel):
        on(channel, "record-start", on_record_start)
        on(channel, "record-stop", lambda _c: state.update(recording=False))
    Spice.Channel.connect(channel)


# ---- what is asked

def pause(milliseconds):
    over = []
    GLib.timeout_add(milliseconds, lambda: over.append(True))
    while not over:
        GLib.MainContext.default().iteration(True)


def names_of_opened():
    return {name_of(channel) for channel in opened}


def do_channels():
    return " ".join(sorted(names_of_opened()))


def do_agent():
    main = channels["main"].props
    return "yes" if main.agent_connected and main.agent_caps_0 else "no"


def do_picture(head):
    if int(head) not in screens:
        return "none"
    width, height, stride, data = screens[int(head)]
    pixels = ctypes.string_at(data, stride * height)
    found = collections.Counter(pixels[y * stride + x:y * stride + x + 3] for y in range(0, height, 4) for x in range(0, width * 4, 16))
    return f"{width}x{height} {found.most_common(1)[0][0][::-1].hex()}"


def do_same(head, file):
    shot = GdkPixbuf.Pixbuf.new_from_file(file)
    width, height, stride, data = screens.get(int(head), (0, 0, 0, 0))
    if (width, height) != (shot.get_width(), shot.get_height()):
        return f"{width}x{height} for {shot.get_width()}x{shot.get_height()}"
    pixels, wanted, wanted_stride = ctypes.string_at(data, stride * height), shot.get_pixels(), shot.get_rowstride()
    for y in range(height):
        row, other = pixels[y * stride:y * stride + width * 4], wanted[y * wanted_stride:y * wanted_stride + width * 3]
        if any(row[2 - i::4] != other[i::3] for i in range(3)):
            return f"{width}x{height}, but row {y} differs"
    return f"{width}x{height}"


def do_cursor():
    return state["cursor"]


def do_type(*words):
    for c in " ".join(words) + "\n":
        channels["inputs"].key_press_and_release(scan_codes[c])
        pause(50)  # QEMU's keyboard keeps 16 bytes for the guest
    return "typed"


def do_pointer(x, y):
    inputs = channels["inputs"]
    inputs.position(int(x), int(y), 0, 0)
    inputs.button_press(1, 1)
    inputs.button_release(1, 0)
    return "client" if channels["main"].props.mouse_mode == 2 else "server"


def do_screen(*sizes):
    main = channels["main"]
    for head, width, height in zip(*[iter(map(int, sizes))] * 3):
        main.update_display_enabled(head, width > 0, False)
        main.update_display(head, 0, 0, width, height, False)
    return "sent" if main.send_monitor_config() else "there is no agent"


def do_copy(*words):
    state["copied"] = " ".join(words)
    channels["main"].clipboard_selection_grab(0, [TEXT])
    return "copied"


def do_paste():
    text, state["pasted"] = state["pasted"], ""
    return text


def do_hear():
    samples, state["samples"] = state["samples"], array.array("h")
    n = state["played"]
    mono = [s for s in samples[::n or 1]]
    loud = [s for s in mono if abs(s) > 500]
    if len(loud) < 1000:
        return "nothing"
    ups = [i for i in range(1, len(mono)) if mono[i - 1] < 0 <= mono[i]]
    periods = sorted(b - a for a, b in zip(ups, ups[1:]))
    return f"{round(state['rate'] / periods[len(periods) // 2])} {n}"


def do_speak(tone):
    state["tone"] = int(tone)
    return "speaks"


def do_cd(*files):
    if files:
        usb.create_shared_cd_device(files[0])
        pause(500)
    devices = usb.get_devices()
    for device in devices:
        if files:
            usb.connect_device_async(device, None, lambda manager, result: manager.connect_device_finish(result))
        else:
            usb.disconnect_device(device)
    return f"{'lent' if files else 'taken'} {len(devices)}"


def do_stick(*words):
    devices = {device.get_description(None): device for device in usb_devices}
    found = [device for name, device in devices.items() if " ".join(words) in name]
    if not found:
        return f"there are {', '.join(devices) or 'none'}"
    lent = []

    def on_lent(manager, result):
        try:
            lent.append("lent" if manager.connect_device_finish(result) else "not lent")
        except GLib.Error as error:
            lent.append(error.message)

    usb.connect_device_async(found[0], None, on_lent)
    while not lent:
        GLib.MainContext.default().iteration(True)
    return lent[0]


def do_send(*words):
    why, ended = [], []

    def on_sent(main, result):
        try:
            ended.append("sent" if main.file_copy_finish(result) else "not sent")
        except GLib.Error as error:
            ended.append(error.message)

    def on_task(_main, task):
        on(task, "finished", lambda _task, error: why.append(error.message) if error else None)

    handler = on(channels["main"], "new-file-transfer", on_task)
    channels["main"].file_copy_async([Gio.File.new_for_path(" ".join(words))], Gio.FileCopyFlags.NONE, None, None, None, on_sent)
    while not (why or ended):  # of a task that fails at once spice-gtk may never say that the copy has ended
        GLib.MainContext.default().iteration(True)
    channels["main"].handler_disconnect(handler)
    return (why + ended)[0]


def do_hold(key):
    if key == "button":
        channels["inputs"].button_press(1, 1)
    else:
        channels["inputs"].key_press(scan_codes[key])
    return "held"


def do_again(times):
    had = names_of_opened()
    for _ in range(int(times)):
        # In spice-server 0.15 a display's channel that ends before its first message (dcc_start()) is used after it was freed.
        pause(100)
        session.disconnect()
        pause(100)
        for known in (opened, channels, screens):
            known.clear()
        begin()
        while not (names_of_opened() >= had and 0 in screens):
            GLib.MainContext.default().iteration(True)
    return f"again on {len(names_of_opened())} channels"


def do_anew():
    for known in (opened, channels, screens):
        known.clear()
    begin()
    return "begun"


def do_visit(times, ms=0):
    global late
    late = int(ms)
    context = GLib.MainContext.default()
    for _ in range(int(times)):
        session.disconnect()
        do_anew()
        while not any(name.startswith("display") for name in names_of_opened()):
            context.iteration(True)
        while context.iteration(False):
            pass
    session.disconnect()
    late = 0
    return "visited"


def on_line(stream, result):
    line, _ = stream.read_line_finish_utf8(result)
    if line is None:
        loop.quit()
        return
    verb, *words = line.split()
    try:
        answer = globals()[f"do_{verb}"](*words)
    except (GLib.Error, TypeError, KeyError) as error:
        answer = f"error: {error}"
    print(answer, flush=True)
    stream.read_line_async(0, None, on_line)


def begin():
    global session, usb
    session = Spice.Session()
    if len(sys.argv) > 2:
        session.props.shared_dir = sys.argv[2]
    usb = Spice.UsbDeviceManager.get(session)  # before its channels come
    usb_devices.clear()
    on(usb, "device-added", lambda _manager, device: usb_devices.append(device))
    on(usb, "device-removed", lambda _manager, device: usb_devices.remove(device) if device in usb_devices else None)
    on(usb, "device-error", lambda _manager, _device, error: print(f"usb: {error.message}", file=sys.stderr, flush=True))
    on(session, "channel-new", on_new)
    session.open_fd(open_display())


session = usb = None
late = 0
usb_devices = []  # get_devices() unrefs twice in Python, which ends the program where a device is real
begin()
loop = GLib.MainLoop()
Gio.DataInputStream.new(Gio.UnixInputStream.new(0, False)).read_line_async(0, None, on_line)
loop.run()
