# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What somebody at a viewer's window does with a guest, and sees of it. Sourced after lib.sh and screen.sh; the test has said start_screen.
# shellcheck disable=SC2154

# view VM VIEWER [OPTION...]: begins one.
view() {
    local name=$1
    viewer=$2
    shift 2
    vmctl view "$name" --viewer="$viewer" "$@" > "$work/view.log" 2>&1 &
    viewer_pid=$!
}
close_viewer() {
    kill "$viewer_pid"
    wait "$viewer_pid" || true
    eventually 10 eval '! pgrep -x "$viewer"'
    assert_equal "what is left in $XDG_RUNTIME_DIR" "" "$(find "$XDG_RUNTIME_DIR" -name 'vmctl-view*')"
}

# paint VM COLOUR: a text console of the guest's becomes one of the eight colours.
paint() { in_guest "$1" "printf '\033[0;4$2m\033[2J\033[H' > /dev/tty0" > /dev/null; }

# arrives VM TITLE TEXT: it is typed into the window. A viewer that has just begun may miss some of it, as may a busy guest.
arrives() {
    local i
    focus "$2" || return 1
    xdotool type --delay 60 "$3"
    xdotool key Return
    for ((i = 0; i < 30; i++)); do
        ! printed "$1" | grep -qxF "GUEST TYPED $3" || return 0
        sleep 0.1
    done
    return 1
}

# screen_is VM SIZE: of its first head. spicy gives the guest's screen the size of its window, and the guest takes its time.
screen_is() { [[ $(screen_size "$1") == "$2" ]]; }
# The best mode of a screen of the guest's.
mode_is() { [[ $(in_guest "$1" "head -n 1 /sys/class/drm/card0-Virtual-$2/modes") == "$3" ]]; }
# resize VM TITLE WIDTH HEIGHT HEAD: what of the window is not the guest's is what is between their sizes, once a window that has just come has
# its own.
resize() { eventually 20 is_resized "$@"; }
is_resized() {
    local window size before i
    window=$(window_of "$2")
    size=$(xdotool getwindowgeometry "$window" | sed -n 's/^ *Geometry: //p')
    before=$(in_guest "$1" "head -n 1 /sys/class/drm/card0-Virtual-$5/modes")
    [[ $before && $size ]] || return 1
    xdotool windowsize "$window" $(($3 + ${size%x*} - ${before%x*})) $(($4 + ${size#*x} - ${before#*x})) || return 1
    for ((i = 0; i < 10; i++)); do
        ! mode_is "$1" "$5" "$3x$4" || return 0
        sleep 0.5
    done
    return 1
}

# Wants xclip ("lay_out viewers") and, in the guest, a desktop.
host_copies() { printf '%s' "$1" | xclip -selection clipboard -in; }
guest_copies() { in_guest "$1" "printf '%s' '$2' | DISPLAY=:0 /usr/bin/xclip -selection clipboard -in > /dev/null 2>&1" > /dev/null; }
host_pastes() { [[ $(timeout 5 xclip -selection clipboard -out) == "$1" ]]; }
in_clipboard_of() { in_guest "$1" "DISPLAY=:0 timeout 5 /usr/bin/xclip -selection clipboard -out; echo"; }
guest_pastes() { [[ $(in_clipboard_of "$1") == "$2" ]]; }
