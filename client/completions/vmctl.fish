# SPDX-License-Identifier: LGPL-2.1-or-later
# fish completion for vmctl(1), which says itself what may come next.

function __vmctl_complete
    set -l words (commandline -opc) (commandline -ct)
    vmctl complete -- $words[2..] 2>/dev/null
end

function __vmctl_wants_files
    __vmctl_complete | string match -q ':files*'
end

function __vmctl_wants_commands
    __vmctl_complete | string match -q ':commands*'
end

# fish has completions for another program of this name.
complete -e -c vmctl
complete -c vmctl -f
complete -c vmctl -n 'not __vmctl_wants_commands' -a '(__vmctl_complete | string match -v ":files*")'
complete -c vmctl -n __vmctl_wants_files -F
complete -c vmctl -n __vmctl_wants_commands -a '(__fish_complete_command)'
