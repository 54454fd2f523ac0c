# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What a SPICE client does with a guest that has two heads and a desktop, whoever speaks SPICE for it. Sourced after spice-client.sh; the guest is $vm, and
# what is lent lies in $work.
# shellcheck disable=SC2154

# in_back COMMAND: in the guest; no child of its shell, which takes the end of one for the end of its input.
in_back() { in_guest "$vm" "(sh -c '($1) &')" > /dev/null; }
prints() { [[ $(in_guest "$vm" "$1") == "$2" ]]; } # prints COMMAND TEXT: in the guest
viewers() { busctl --json=short get-property org.vmd1 "$(path_of "$vm")" org.vmd1.VM DisplayClients | jq -c '[.data[] | [.[1], .[3], .[5]]]'; }
bridge() { property "$vm" Helpers | jq '.[] | select(.[0] == "spice" and .[1] > 0) | .[1]'; } # vmd-spice's PID, where there is one
viewers_are() { [[ $(viewers) == "$1" ]]; }
has_channels() { eventually 20 answers "$*" channels; } # has_channels NAME...: the client, at last

# qemu_without WHAT...: vmd has been told what its QEMU has, and now that it has none of these, such as spice or chardev-dbus.
qemu_without() {
    local word
    vmctl create -q known --accelerator=tcg
    vmctl explain known > /dev/null
    vmctl delete -q known
    systemctl stop vmd.service
    for word in "$@"; do
        sed -i "s/\"$word\"/\"no-$word\"/" /var/cache/vmd/qemu/*.json
    done
}

# The guest draws.
sees() {
    when "the guest paints its screen"
    in_guest "$vm" "printf '\033[0;42m\033[2J\033[H' > /dev/tty0" > /dev/null
    expect "it sees that"
    eventually 10 answers "1280x800 00aa00" picture 0
}

# And gets keys and the pointer.
sees_and_types() {
    sees
    when "it types"
    mark_console "$vm"
    ask type hello 123 > /dev/null
    guest_prints "$vm" "GUEST TYPED hello 123"
    when "it points"
    eventually 10 prints 'grep -l "spice vdagent" /sys/class/input/event*/device/name | cut -d / -f 5 > /run/tablet; [ -s /run/tablet ] && echo there' there
    in_guest "$vm" 'exec 7< "/dev/input/$(cat /run/tablet)"' > /dev/null # which gathers what comes before it is read
    in_back 'exec cat <&7 > /run/events'
    assert_equal "whose pointer it is" client "$(ask pointer 100 200)"
    expect "that the guest's tablet is there, and clicks"
    eventually 10 prints 'od -An -v -tu2 -w24 /run/events | awk "\$9 == 3 { at = at \" \" \$11 } \$9 == 1 { at = at \" \" \$10 } END { print at }"' " 100 200 272 272"
}

# The guest's screens stay as they are from then on.
has_the_cursor() {
    when "the guest's cursor becomes another one"
    in_back 'cursor ff204060 5 9'
    expect "that it has it"
    eventually 10 answers "64x64 5,9 204060ff" cursor
}

# Both screens.
resizes_screens() {
    when "it gives the screens other sizes"
    # In one message, as viewers do: Linux' virtio-gpu can miss a change that comes while it asks for the one before.
    ask screen 0 800 600 1 640 480 > /dev/null
    expect "that they have them"
    eventually 10 prints 'head -qn 1 /sys/class/drm/card0-Virtual-[12]/modes | tr "\n" " "; echo' "800x600 640x480 "
    eventually 10 answers "800x600 00aa00" picture 0
    eventually 10 answers "640x480 00aa00" picture 1
    when "it takes one away"
    ask screen 1 0 0 > /dev/null
    eventually 10 prints 'cat /sys/class/drm/card0-Virtual-2/status' disconnected
}

# Both ways.
shares_the_clipboard() {
    when "it copies, and the guest does"
    ask copy from the host > /dev/null
    eventually 10 prints 'DISPLAY=:0 timeout 5 /usr/bin/xclip -selection clipboard -out -t UTF8_STRING; echo' "from the host"
    in_guest "$vm" 'printf "from the guest" | DISPLAY=:0 /usr/bin/xclip -selection clipboard -in > /dev/null 2>&1' > /dev/null
    eventually 10 answers "from the guest" paste
}

# Three, and one that does not fit.
drops_files() {
    when "it drops files on the screen"
    head -c 1M /dev/urandom > "$work/random bytes"
    : > "$work/empty"
    echo "a file of the höst's" > "$work/höst"
    expect "that the guest has them, whole, where its user looks for them"
    for file in "random bytes" empty höst; do
        assert_equal "what it says of $file" sent "$(ask send "$work/$file")"
        assert_equal "$file" "$(sha256sum < "$work/$file")" "$(in_guest "$vm" "sha256sum < '/root/Downloads/$file'")"
    done
    when "it drops what the guest has no room for"
    truncate -s 4G "$work/large"
    assert_matches "what it says" "free space" "$(ask send "$work/large")"
    expect "that nothing of it is left there"
    assert_equal "how many files" 3 "$(in_guest "$vm" 'ls /root/Downloads | wc -l')"
}

# Both ways. tone HZ in the guest: that long 0.5 s on two channels of 16 bits, 44100 a second, on its stdout.
hears_and_speaks() {
    local tone='tone() { awk -v hz="$1" "BEGIN { for (i = 0; i < 22050; i++) printf \"%s\", (int(i * hz * 2 / 44100) % 2) ? \"\\020\\020\\020\\020\" : \"\\360\\360\\360\\360\" }"; }'
    when "the guest plays a tone of 1000 Hz"
    in_guest "$vm" "$tone; tone 1000 > /run/tone; /usr/bin/aplay -q -D hw:0 -t raw -f S16_LE -c 2 -r 44100 /run/tone" > /dev/null
    expect "that it hears that"
    assert_matches "what it hears" "^(99[0-9]|100[0-9]|101[0-9]) 2$" "$(ask hear)"
    when "it speaks at 500 Hz while the guest records"
    ask speak 500 > /dev/null
    expect "that most waves are as long as that"
    in_guest "$vm" '/usr/bin/arecord -q -D hw:0 -t raw -f S16_LE -c 2 -r 44100 -d 2 /run/record' > /dev/null
    assert_matches "how many samples" "^8[89]$" "$(in_guest "$vm" 'od -An -v -td2 -w4 /run/record | awk "{ if (p < 0 && \$1 >= 0) { print NR - last; last = NR } p = \$1 }" |
        sort | uniq -c | sort -n | tail -n 1 | awk "{ print \$2 }"')"
}

# shares_a_folder: which the client was begun with
shares_a_folder() {
    when "the guest asks for a file of the folder that it shares"
    in_guest "$vm" 'exec 5<> /dev/virtio-ports/org.spice-space.webdav.0; printf "\001\000\000\000\000\000\000\000\026\000GET /file HTTP/1.0\r\n\r\n" >&5; timeout 3 cat <&5 > /run/dav; exec 5>&-' > /dev/null
    assert_equal "what it gets" "a file of the host's" "$(in_guest "$vm" 'grep -ao "a file of the host.s" /run/dav')"
}

# By USB; the client is killed while the guest reads.
lends_a_cd() {
    when "it lends the guest a CD drive"
    truncate -s 1M "$work/cd.iso"
    dd if=/dev/urandom of="$work/cd.iso" bs=1000 count=1000 conv=notrunc status=none
    assert_equal "what it says" "lent 1" "$(ask cd "$work/cd.iso")"
    eventually 20 prints '[ -b /dev/sr0 ] && echo there' there
    expect "that the guest reads the CD"
    assert_equal "its content" "$(sha256sum < "$work/cd.iso")" "$(in_guest "$vm" 'sha256sum < /dev/sr0')"
    assert_equal "how fast the guest thinks it is" 480 "$(in_guest "$vm" 'cat /sys/block/sr0/device/../../../../../speed')"
    when "it is killed while the guest reads"
    in_back 'while dd if=/dev/sr0 of=/dev/null bs=64k iflag=direct 2> /dev/null; do date >> /run/reads; done; echo ended > /run/reader'
    eventually 10 prints '[ -s /run/reads ] && echo reads' reads
    kill_client
    expect "that the drive is gone, and the guest goes on"
    eventually 20 prints 'cat /run/reader; [ -e /dev/sr0 ] || echo gone' "ended
gone"
    eventually 10 viewers_are "[]"
}
