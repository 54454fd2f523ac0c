# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# For tests of pools and volumes: calls on D-Bus, without vmctl, and the files behind them. Sourced after lib.sh.

# shellcheck disable=SC2034
pool=/var/lib/vmd/pools/default

gdbus monitor --system --dest org.vmd1 --object-path /org/vmd1 > "$work/signals" 2>&1 &

# pool_call POOL METHOD ARGUMENT...: in GVariant's text form.
pool_call() {
    local object=/org/vmd1/pool/$1 method=$2
    shift 2
    gdbus call --system --dest org.vmd1 --object-path "$object" --method "org.vmd1.Pool.$method" -- "$@"
}

# pool_fails ERROR POOL METHOD ARGUMENT...: what it says is in $output.
pool_fails() {
    local error=$1
    shift
    fails pool_call "$@"
    [[ $output == *"org.vmd1.Error.$error: "* ]] || fail "$*: expected the error $error, got: $output"
}

# A vmd that has just come counts from 1 again: what was said before the job began is not about it.
job_mark=0
since_mark() { tail -n "+$((job_mark + 1))" "$work/signals"; }
job_ended() { since_mark | grep -E "JobRemoved \(uint32 $1, " > /dev/null; }

# ended_as JOB: "'done', ''", or what else JobRemoved said of it.
ended_as() {
    eventually 60 job_ended "$1"
    since_mark | sed -nE "s/.*JobRemoved \(uint32 $1, objectpath '[^']*', (.*)\)$/\1/p"
}

# begin_job POOL METHOD ARGUMENT...: its number in $job.
begin_job() {
    job_mark=$(wc -l < "$work/signals")
    job=$(pool_call "$@") || fail "$*: no job"
    job=${job#*/job/}
    job=${job%%[!0-9]*}
}

# pool_job POOL METHOD ARGUMENT...: and it is done.
pool_job() {
    begin_job "$@"
    assert_equal "the job of $2 $3" "'done', ''" "$(ended_as "$job")"
}

# volume NAME KEY [POOL]: what GetVolume says.
volume() {
    busctl --json=short call org.vmd1 "/org/vmd1/pool/${3:-default}" org.vmd1.Pool GetVolume s "$1" | jq -r ".data[0][\"$2\"].data"
}

volume_is() { [[ $(volume "$1" "$2") == "$3" ]]; } # volume_is NAME KEY VALUE

# What is in the pool's folder, half made files too: "a.img b.img".
files() { find "$pool" -mindepth 1 -printf '%f\n' | LC_ALL=C sort | paste -sd ' '; }

no_part_files() { ! compgen -G "$pool/.*.part" > /dev/null; }

no_workers() { [[ -z $(systemctl list-units --all --no-legend 'vmd-job-*') ]]; }

call ListPools > /dev/null # vmd makes the folders when it starts
default_runs() { [[ $(busctl --json=short get-property org.vmd1 /org/vmd1/pool/default org.vmd1.Pool State 2> /dev/null | jq -r .data) == running ]]; }
eventually 10 default_runs
