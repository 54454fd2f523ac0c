# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What tests of networks share: a place beyond the host, and looks at what the kernel has. To be sourced after lib.sh.

# shellcheck disable=SC2154 # lib.sh has them

# make_uplink: the host gets a link "up0" with the default route to the namespace "beyond", which answers at 198.51.100.2 and
# 2001:db8:1::2, has a route to nothing else, and serves the text "beyond" by HTTP.
make_uplink() {
    ip netns add beyond
    ip link add up0 type veth peer name down0 netns beyond
    ip addr add 198.51.100.1/24 dev up0
    ip addr add 2001:db8:1::1/64 dev up0 nodad
    ip link set up0 up
    ip netns exec beyond ip addr add 198.51.100.2/24 dev down0
    ip netns exec beyond ip addr add 2001:db8:1::2/64 dev down0 nodad
    ip netns exec beyond ip link set down0 up
    ip netns exec beyond ip link set lo up
    ip route add default via 198.51.100.2
    ip -6 route add default via 2001:db8:1::2
    serve_http beyond beyond
}

# serve_http NAMESPACE TEXT [PORT]
serve_http() {
    mkdir -p "$work/www-$1"
    echo "$2" > "$work/www-$1/index.html"
    ip netns exec "$1" busybox httpd -p "[::]:${3:-80}" -h "$work/www-$1"
}

# fetch HOST [PORT]: what a web server gives; fetch_beyond: the same from beyond. By bash, since the static wget crashes.
fetch() { timeout 5 bash -c "$get" get "$@"; }
fetch_beyond() { timeout 5 ip netns exec beyond bash -c "$get" get "$@"; }
# shellcheck disable=SC2016
get='exec 3<> "/dev/tcp/$1/${2:-80}" && printf "GET / HTTP/1.0\r\n\r\n" >&3 && tr -d "\r" <&3 | sed "1,/^$/d"'

# network_property NAME PROPERTY
network_property() {
    busctl --json=short get-property org.vmd1 "/org/vmd1/network/$1" org.vmd1.Network "$2" | jq -r .data
}
network_state_is() { [[ $(network_property "$1" State) == "$2" ]]; }
network_call() { # network_call NAME METHOD ARGUMENT...
    local path=/org/vmd1/network/$1 method=$2
    shift 2
    gdbus call --system --timeout $((120 * slow)) -d org.vmd1 -o "$path" -m "org.vmd1.Network.$method" -- "$@"
}

# make_network NAME KEY=VALUE...: a file, as an administrator would write it.
make_network() {
    local name=$1 line
    shift
    {
        echo '[Network]'
        for line; do echo "$line"; done
    } > "/etc/vmd/$name.net"
    eventually 5 network_state_is "$name" stopped
}

# address_of NAME [FAMILY]: of a running VM, as vmd knows it.
address_of() {
    local pattern='[.]'
    [[ ${2:-4} == 4 ]] || pattern=:
    busctl --json=short get-property org.vmd1 "$(path_of "$1")" org.vmd1.VM Addresses |
        jq -r --arg p "$pattern" '[.data[][2] | select(test($p))][0] // empty'
}
has_address() { [[ -n $(address_of "$@") ]]; }

# start_net_vm NAME: and wait until its guest has got an IPv4 address.
start_net_vm() {
    start_vm "$1"
    printed "$1" | grep -q "GUEST ADDRESS" || guest_prints "$1" "GUEST ADDRESS" 30
}

# no_network_leftovers: no link, rule, unit, file or process of a network is there.
no_network_leftovers() {
    eventually 10 no_links
    eventually 10 no_rules
    eventually 10 no_network_units
    eventually 5 no_network_files
    eventually 5 no_lease_files
    ! pgrep -af 'dnsmasq.*/run/vmd' || fail "a dnsmasq is left"
}
no_links() { ! ip -o link | grep -E 'vmbr-|vmtap|vmmt'; }
no_rules() { ! nft list tables | grep vmd; }
no_network_units() { ! systemctl list-units --all --plain --no-legend 'vmnet-*' | grep .; }
no_network_files() { ! find /run/vmd/network /run/vmd/port -mindepth 1 | grep .; }
no_lease_files() { ! compgen -G '/run/vmnet-*' && ! compgen -G '/run/private/vmnet-*'; }

in_guest_reaches() { [[ $(in_guest "$1" 'get 198.51.100.2') == beyond ]]; } # in_guest_reaches NAME: what is beyond
no_passt() { ! pgrep -a passt; }
