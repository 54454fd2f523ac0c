# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What tests/bench-network and bench-storage share: arguments, the build, a lab or a machine, and benchmarks/measure-BENCH run in it. Sourced
# with $bench and $here set; then the script says how its guest is made (make_guest) and calls run_bench.

top=$(dirname "$here")
usage() { sed -n '4,/^set /{/^#/s/^#\( \|$\)//p}' "$0"; }

options=() results='' machine=''
while [[ $# -gt 0 ]]; do
    case $1 in
    --quick) options+=(--quick) ;;
    --machine) machine=yes options+=(--emulated) ;;
    --accelerator) options+=("--accelerator=${2:?}"); shift ;;
    --accelerator=*) options+=("$1") ;;
    --results) results=$(realpath -m "${2:?}"); shift ;;
    --results=*) results=$(realpath -m "${1#*=}") ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done

cache=${VMD_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vmd-tests}
build=${BUILD_DIR:-$cache/build-$(sha256sum <<< "$top" | cut -c 1-8)-plain}
as_root=()
[[ $EUID -eq 0 ]] || as_root=(sudo -E)
work=$(mktemp -d)
name=bench-$bench-$$
export LAB_DIR=$work/lab LAB_OWNER=$$ LAB_BIND=$work/guest:/lab/guest
lab=("${as_root[@]}" "$here/lab/lab")

# shellcheck disable=SC2317
clean_up() {
    "${lab[@]}" halt "$name" 2> /dev/null || true
    "${as_root[@]}" rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

quietly() {
    "$@" > "$work/log" 2>&1 < /dev/null || { cat "$work/log" >&2; echo "bench-$bench: this failed: $*" >&2; exit 1; }
}

# guest_runs PROGRAM [LIBRARIES [MODULE...]]: makes the tests' guest with it, by another initramfs behind its own, whose /init is benchmarks/BENCH-init.
# LIBRARIES: folders that are looked in first. With modules: it has those, and the kernel that knows screens.
guest_runs() {
    local file tree=$work/tree
    if [[ $# -gt 2 ]]; then
        "$here/guest/build" --full "$work/tests-guest" "$here/benchmarks/$bench-init" "${@:3}"
    else
        "$here/guest/build" "$work/tests-guest"
    fi
    mkdir -p "$work/guest" "$tree/usr/bin"
    cp "$work/tests-guest/vmlinuz" "$work/guest"
    install "$here/benchmarks/$bench-init" "$tree/init"
    install -t "$tree/usr/bin" "$1"
    while read -r file; do
        install -D "$file" "$tree/usr/lib/${file##*/}"
        [[ $file != */ld-linux* ]] || install -D "$file" "$tree$file"
    done < <(LD_LIBRARY_PATH=${2:-} ldd "$1" | grep -oE '/[^ ]+')
    (cd "$tree" && find . -print0 | cpio --quiet --null -o -H newc -R 0:0) | cat "$work/tests-guest/initrd" - > "$work/guest/initrd"
}

# The script's make_guest() calls guest_runs.
run_bench() {
    local status=0
    "$here/install-deps" build run lab test
    mkdir -p "$build"
    [[ -e $build/build.ninja ]] || quietly meson setup "$build" "$top" --wrap-mode=nodownload
    quietly ninja -C "$build" all tests/benchmarks/bench-client
    quietly env DESTDIR="$work/stage" meson install -C "$build" --no-rebuild
    install -D -t "$work/stage/usr/libexec/vmd-bench" "$build/tests/benchmarks/bench-client" "$here/benchmarks/measure-$bench"
    install -m 644 -t "$work/stage/usr/libexec/vmd-bench" "$here"/benchmarks/*.py
    make_guest

    if [[ -n $machine ]]; then
        mkdir "$work/share"
        printf '%s\n' '#!/bin/bash' 'modprobe kvm_amd 2> /dev/null || modprobe kvm_intel' 'modprobe vhost_net' 'mkdir -p /lab/guest' \
            'mount --bind /job/guest /lab/guest' 'ln -s /job/share /lab/share' \
            "/usr/libexec/vmd-bench/measure-$bench ${options[*]}" > "$work/job"
        chmod +x "$work/job"
        MACHINE_TIMEOUT=3000 "${as_root[@]}" "$here/machine/machine" "$work" "$work/stage" > "$work/log" 2>&1 &
        wait $! || status=$?
        [[ $status -eq 0 ]] || tail -n 20 "$work/log" >&2
        cat "$work/output"
        if [[ -n $results ]]; then
            mkdir -p "$results"
            cp "$work"/{journal,share/samples.json,share/table.md} "$results" 2> /dev/null || true
        fi
        exit "$status"
    fi

    mkdir -p "$work/lab/$name/share"
    quietly "${lab[@]}" boot "$name" "$work/stage"

    # In the background, so that a signal to this script ends the container at once.
    "${lab[@]}" enter "$name" systemd-run -q --pipe --wait --service-type=exec --unit=bench -p LimitNOFILE=65536 \
        -p WorkingDirectory=/root "/usr/libexec/vmd-bench/measure-$bench" "${options[@]}" < /dev/null &
    wait $! || status=$?
    if [[ -n $results ]]; then
        mkdir -p "$results"
        "${lab[@]}" enter "$name" journalctl -q --no-pager -o short-precise > "$results/journal" 2>&1 || true
        cp "$work/lab/$name/share"/{samples.json,table.md} "$results" 2> /dev/null || true
    elif [[ $status -ne 0 ]]; then
        "${lab[@]}" enter "$name" journalctl -q --no-pager -n 40 >&2 || true
    fi
    exit "$status"
}
