# Completion of tong for bash. The command itself says what may stand at the cursor.

_tong() {
    local cur=${COMP_WORDS[COMP_CWORD]} whole word line glue= i
    local -a words=()
    COMPREPLY=()

    # bash parts a word at = and :, tong wants it whole.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ ${#words[@]} -gt 0 && ($word == [=:] || -n $glue) ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        glue=
        [[ $word != [=:] ]] || glue=yes
    done
    [[ $cur != [=:] ]] || cur=
    whole=${words[*]:${#words[@]} - 1}

    while IFS= read -r line; do
        case $line in
        :files)
            compopt -o filenames 2>/dev/null
            while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$cur")
            ;;
        :commands)
            while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -c -- "$cur")
            ;;
        *)
            # Without what it says about it, and without what bash does not replace.
            line=${line%%$'\t'*}
            COMPREPLY+=("${line#"${whole%"$cur"}"}")
            ;;
        esac
    done < <("${1/#\~\//$HOME/}" complete "${words[@]}" 2>/dev/null)
}

complete -F _tong tong
