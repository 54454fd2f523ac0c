# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# USB sticks of the machine's. They are the kernel's own: gadgets behind a controller that is none. Sourced after lib.sh; the test says "kernel: full".
# shellcheck disable=SC2154

gadgets=/sys/kernel/config/usb_gadget
# make_ports N: they are 0 to N-1.
make_ports() {
    modprobe -a dummy_hcd libcomposite
    rmmod dummy_hcd
    modprobe dummy_hcd num="$1"
    mountpoint -q /sys/kernel/config || mount -t configfs config /sys/kernel/config
}
# make_stick NAME SERIAL: a stick with NAME's text on it, in nobody's port yet.
make_stick() {
    local dir=$gadgets/$1
    { echo "this is $1"; head -c 1M /dev/zero; } > "$work/$1.img"
    mkdir -p "$dir"/{strings/0x409,configs/c.1,functions/mass_storage.0}
    echo 0x0951 > "$dir/idVendor"
    echo 0x1666 > "$dir/idProduct"
    echo "$2" > "$dir/strings/0x409/serialnumber"
    echo Maker > "$dir/strings/0x409/manufacturer"
    echo "Stick $1" > "$dir/strings/0x409/product"
    echo "$work/$1.img" > "$dir/functions/mass_storage.0/lun.0/file"
    ln -s "$dir/functions/mass_storage.0" "$dir/configs/c.1/"
}
plug() { echo "dummy_udc.$2" > "$gadgets/$1/UDC"; } # plug NAME PORT
pull() { echo > "$gadgets/$1/UDC"; }
port_of() { vmctl usb list --json | jq -r --arg serial "$1" '.[] | select(.serial == $serial) | .port'; }
vm_of() { vmctl usb list --json | jq -r --arg serial "$1" '.[] | select(.serial == $serial) | .vm'; }
is_listed() { [[ -n $(port_of "$1") ]]; }
vm_is() { [[ $(vm_of "$1") == "$2" ]]; }
guest_reads() { assert_matches "what is on the stick" "this is $2" "$(in_guest "$1" 'head -n 1 /dev/sd[a-z]')"; }
sticks() { in_guest "$1" 'ls -d /sys/block/sd* 2> /dev/null | wc -l'; }
guest_has() { [[ $(sticks "$1") == "$2" ]]; }
disks_are() { [[ $(find /sys/block -name 'sd?' | wc -l) == "$1" ]]; } # the host's
