# region.sh - named shared memory from the shell.
. "$(dirname "$0")/lib"

t 'create' 0 '' '' "$TONG" region create board --size 4K
t 'create again, as it is' 0 '' '' "$TONG" region create board --size 4096
t 'with --excl' 1 '' 'tong: region board: the name exists already, *; "tong region stat" shows it, *' \
    "$TONG" region create board --size 4K --excl
t 'with another size' 1 '' 'tong: region board: the name exists already, or exists with other options; *' \
    "$TONG" region create board --size 8K
t 'without a size' 2 '' 'tong: region: create needs --size N, 1 or more bytes; *' \
    "$TONG" region create none
t 'ls' 0 board '' "$TONG" region ls
t 'stat' 0 '*size *4096*mode *0600*locked *no' '' "$TONG" region stat board
t 'a mode for others in a folder of one user' 1 '' '*' "$TONG" region create quiet --size 1 --mode 0644
t 'makes nothing' 4 '' '*' "$TONG" region stat quiet
t 'a mode' 0 '*mode *0600*' '' sh -c '"$TONG" region create quiet --size 1 --mode 0600 && "$TONG" region stat quiet'
"$TONG" region rm quiet
t 'a region is no mailbox' 4 '' '*' "$TONG" stat board
t 'and they may share a name' 0 '' '' "$TONG" create board
"$TONG" rm board

head -c 4096 /dev/zero >"$work/zero"
"$TONG" region read board >"$work/got"
same 'new memory is zero' "$work/zero" "$work/got"
t 'write' 0 '' '' sh -c 'printf hello | "$TONG" region write board'
t 'read a part' 0 'ello' '' "$TONG" region read board --offset 1 --length 4
t 'write at an offset' 0 '' '' sh -c 'printf xyz | "$TONG" region write board --offset 4093'
t 'the end' 0 'xyz' '' "$TONG" region read board --offset 4093
t 'nothing at the very end' 0 '' '' "$TONG" region read board --offset 4096
t 'too much is refused' 1 '' \
    'tong: region board: the input is longer than the 3 bytes there are from --offset on, nothing was written; *' \
    sh -c 'printf 1234 | "$TONG" region write board --offset 4093'
t 'and nothing of it was written' 0 'xyz' '' "$TONG" region read board --offset 4093
t 'an offset beyond the end' 1 '' 'tong: region board: it has 4096 bytes; take a smaller --offset' \
    sh -c 'echo | "$TONG" region write board --offset 5000'
t 'a length beyond the end' 1 '' 'tong: region board: it has 4096 bytes; take a smaller --offset or --length' \
    "$TONG" region read board --offset 4090 --length 7
head -c 4096 /dev/urandom >"$work/bytes"
t 'all of it' 0 '' '' sh -c '"$TONG" region write board --timeout 5 <"$0"' "$work/bytes"
"$TONG" region read board >"$work/got"
same 'byte for byte' "$work/bytes" "$work/got"

t 'no such region' 4 '' 'tong: region none: no such name; "tong region ls" shows what there is, *' \
    "$TONG" region read none
t 'nor to write' 4 '' '*no such name*' sh -c '"$TONG" region write none </dev/null'
t 'nor to look at' 4 '' '*no such name*' "$TONG" region stat none
t 'nor to remove' 4 '' '*no such name*' "$TONG" region rm none
t 'a bad name' 2 '' 'tong: region a/b: an argument that cannot be; a name has 1 to 127 *' \
    "$TONG" region create a/b --size 1
t 'rm' 0 '' '' "$TONG" region rm board
t 'gone' 0 '' '' "$TONG" region ls
t 'more than the memory there is' 1 '' \
    'tong: region huge: no memory left for messages: max_bytes or the file system is full; take a smaller --size, *' \
    "$TONG" region create huge --size 900G
t 'leaves nothing' 0 '' '' "$TONG" region ls

t 'no verb' 2 '' 'tong: region: what to do is missing: create, ls, stat, read, write or rm; *' "$TONG" region
t 'an unknown verb' 2 '' 'tong: region: there is no region frob; say create, ls, stat, *' "$TONG" region frob
t 'no name' 2 '' 'tong: region: the NAME is missing; *' "$TONG" region read
t 'an option of another verb' 2 '' 'tong: region: --size is no option of region read; *' \
    "$TONG" region read board --size 4
finish
