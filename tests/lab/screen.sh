# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A screen for viewers, which is a file: Xvfb, and what tests see on it and do to it. Sourced after lib.sh.

start_screen() {
    export DISPLAY=:9 HOME=/root XDG_RUNTIME_DIR=/run/user/0 NO_AT_BRIDGE=1 GDK_BACKEND=x11
    # shellcheck disable=SC2154
    mkdir -p "$XDG_RUNTIME_DIR" "$work/screen"
    Xvfb "$DISPLAY" -noreset -screen 0 1280x900x24 -fbdir "$work/screen" > "$work/xvfb.log" 2>&1 &
    eventually 20 test -S /tmp/.X11-unix/X9
}

# share_of COLOUR: how many of a thousand pixels of the screen have it, as rrggbb. The file is an X window dump.
share_of() {
    python3 - "$work/screen/Xvfb_screen0" "$1" << 'END'
import struct, sys
data = open(sys.argv[1], "rb").read()
header = struct.unpack(">25I", data[:100])
size, width, height, line, colours = header[0], header[4], header[5], header[12], header[19]
wanted, found = bytes.fromhex(sys.argv[2])[::-1], 0
start = size + colours * 12
for y in range(height):
    row = data[start + y * line:start + y * line + width * 4]
    found += sum(row[x:x + 3] == wanted for x in range(0, len(row), 4))
print(found * 1000 // (width * height))
END
}
shows() { [[ $(share_of "$1") -ge $2 ]]; } # shows COLOUR AT-LEAST

# window_of TITLE|CLASS: spicy cuts a title after 31 bytes, so one of a longer name is known by its class.
window_of() { xdotool search --onlyvisible --any --name --class "$1" | tail -n 1; }
# focus TITLE|CLASS: the window gets the keys; there is no window manager.
focus() {
    local window
    window=$(window_of "$1")
    [[ $window ]] || return 1
    xdotool windowfocus --sync "$window" mousemove --window "$window" 200 300 click 1
}
has_window() { xdotool search --onlyvisible --name "$1" > /dev/null; }

# A window manager, for viewers that want the whole screen. "lay_out windows" comes first.
start_windows() {
    dwm.default > "$work/windows.log" 2>&1 &
    eventually 20 xdotool search --class '^dwm$'
}
# fills TITLE: the window has all of the screen.
fills() { [[ $(xdotool search --onlyvisible --name "$1" getwindowgeometry) == *"Position: 0,0 "*"Geometry: 1280x900"* ]]; }
# keyboard_is taken|free: whether a window has it for itself, with the keys that are the window manager's.
keyboard_is() {
    python3 - "$1" << 'END'
import ctypes, sys
x = ctypes.CDLL("libX11.so.6")
x.XOpenDisplay.restype, x.XDefaultRootWindow.restype = ctypes.c_void_p, ctypes.c_ulong
display = ctypes.c_void_p(x.XOpenDisplay(None))
refused = x.XGrabKeyboard(display, ctypes.c_ulong(x.XDefaultRootWindow(display)), 0, 1, 1, ctypes.c_ulong(0))
sys.exit(("taken" if refused else "free") != sys.argv[1])
END
}
