# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What tests of TPMs are written with, beside lib.sh. The guest speaks to its TPM in raw commands (TPM 2.0 Library, part 3).

tpm_index=01500000             # of the NV memory that is written to
tpm_owner=40000001             # whose authorisation is empty
tpm_password=00000009400000090000000000 # a session with that

# tpm_command NAME HEX: sends a command without its tag and size, and prints the answer, all in hexadecimal.
tpm_command() {
    local text
    text=8002$(printf %08x $((${#2} / 2 + 6)))$2
    # shellcheck disable=SC2001
    in_guest "$1" "exec 3<>/dev/tpm0; printf '$(sed 's/../\\x&/g' <<< "$text")' >&3; dd bs=4096 count=1 <&3 2> /dev/null | hexdump -v -e '/1 \"%02x\"'; exec 3>&-; echo"
}

# tpm_does NAME HEX: the same, and it must succeed.
tpm_does() {
    local answer
    answer=$(tpm_command "$1" "$2")
    [[ ${answer:12:8} == 00000000 ]] || fail "the TPM of $1 answers \"$answer\" to $2"
    echo "$answer"
}

tpm_define() { tpm_does "$1" "0000012a$tpm_owner${tpm_password}0000000e${tpm_index}000b0206000600000008" > /dev/null; }

tpm_write() { # tpm_write NAME EIGHT-CHARACTERS
    tpm_does "$1" "00000137$tpm_owner$tpm_index${tpm_password}0008$(printf %s "$2" | xxd -p)0000" > /dev/null
}

tpm_read() { # tpm_read NAME: the eight characters
    local answer
    answer=$(tpm_does "$1" "0000014e$tpm_owner$tpm_index${tpm_password}00080000")
    xxd -r -p <<< "${answer:32:16}"
}

# tpm_extend NAME: PCR 16, which the guest keeps until it is reset.
tpm_extend() { tpm_does "$1" "0000018200000010${tpm_password}00000001000b$(printf '%064d' 7)" > /dev/null; }
tpm_pcr() { in_guest "$1" 'cat /sys/class/tpm/tpm0/pcr-sha256/16'; }
