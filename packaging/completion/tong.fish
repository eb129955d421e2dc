# Completion of tong for fish. The command itself says what may stand at the cursor.

function __tong_complete
    set -l words (commandline -opc)
    set -l start (commandline -ct)
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    set -e words[1]
    for line in ($program complete $words "$start" 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path "$start"
            case :commands
                complete -C "$start"
            case '*'
                echo $line
        end
    end
end

complete -c tong -f -a '(__tong_complete)'
