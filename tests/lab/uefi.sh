# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What tests of UEFI share: the guest reads and writes a variable of its own, which is in the NVRAM. Of this GUID those are that Linux lets
# be changed.

uefi_variable=/sys/firmware/efi/efivars/Vmd-cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0

[[ -e /usr/share/qemu/firmware/60-edk2-x86_64.json ]] || skip "there is no OVMF here"

# write_variable NAME VALUE: the guest NAME does.
write_variable() {
    assert_matches "the guest writes" ok "$(in_guest "$1" "cd /; grep -q efivarfs /proc/mounts || mount -t efivarfs efivarfs /sys/firmware/efi/efivars
        printf '\7\0\0\0$2' > $uefi_variable && echo ok")"
}

# read_variable NAME: "" where there is none.
read_variable() {
    in_guest "$1" "grep -q efivarfs /proc/mounts || mount -t efivarfs efivarfs /sys/firmware/efi/efivars; tail -c +5 $uefi_variable 2> /dev/null; echo"
}
