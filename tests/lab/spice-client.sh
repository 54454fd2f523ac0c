# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# spice-client.py, asked line by line. Sourced after lib.sh; the test says "lay_out viewers".

client_of() { # client_of VM [SHARED-FOLDER]: from now on, ask() asks it
    # shellcheck disable=SC2154
    coproc CLIENT { exec python3 "$(dirname "$0")/spice-client.py" "$@" 2> "$work/client.err"; }
    client=$CLIENT_PID client_in=${CLIENT[1]} client_out=${CLIENT[0]}
}
ask() {
    local answer
    printf '%s\n' "$*" >&"$client_in"
    # shellcheck disable=SC2154
    read -r -t $((20 * slow)) answer <&"$client_out" || { cat "$work/client.err"; fail "the client does not answer \"$*\""; }
    printf '%s\n' "$answer"
}
answers() { [[ $(ask "${@:2}") == "$1" ]]; } # answers WHAT COMMAND
end_client() {
    kill "$client"
    wait "$client" || true
}
kill_client() {
    kill -KILL "$client"
    wait "$client" || true
}
