# SPDX-License-Identifier: LGPL-2.1-or-later
# bash completion for vmctl(1), which says itself what may come next.

_vmctl() {
    local -a words=()
    local i word description glue='' current keep

    # Readline takes "--disk=/srv" apart at "=".
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ ${#words[@]} -gt 0 && ( $word == '=' || -n $glue ) ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        if [[ $word == '=' ]]; then glue=yes; else glue=''; fi
    done
    current=${words[-1]}
    keep=''
    if [[ $COMP_WORDBREAKS == *=* && $current == *=* ]]; then
        keep=${current%"${current##*=}"}
    fi

    COMPREPLY=()
    while IFS=$'\t' read -r word description; do
        if [[ $word == ':files' ]]; then
            compopt -o filenames 2>/dev/null
            while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "${current##*=}")
            return
        fi
        if [[ $word == ':commands' ]]; then
            while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -c -- "$current")
            return
        fi
        [[ $word == *= ]] && compopt -o nospace 2>/dev/null
        printf -v word '%q' "${word#"$keep"}"
        COMPREPLY+=("$word")
    done < <(vmctl complete -- "${words[@]}" 2>/dev/null)
}

complete -F _vmctl vmctl
