#!/bin/bash
# Who may connect to a server: passwords and certificates, right and wrong ones.
. "$(dirname "$0")/lib"
. "$(dirname "$0")/nats_server"

if ! command -v openssl >/dev/null; then
    skip 'everything' 'openssl is not installed'
    finish
fi

# An authority, and a server's certificate for this computer.
certificates() {
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/ca.key" -out "$work/ca.pem" -subj /CN=authority -days 2 &&
        openssl req -newkey rsa:2048 -nodes -keyout "$work/server.key" -out "$work/server.csr" -subj /CN=server &&
        printf 'subjectAltName=%s\n' "$1" >"$work/names" &&
        openssl x509 -req -in "$work/server.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial \
            -out "$work/server.pem" -days 2 -extfile "$work/names"
} >/dev/null 2>&1

tls='tls { cert_file: "'$work/server.pem'", key_file: "'$work/server.key'" }'
users='authorization { users: [ { user: ann, password: secret } ] }'

nats_begin "$users" || finish
port=${TONG_NATS_URL##*:}
t 'the right password' 0 'hi' '' env TONG_NATS_URL="nats://ann:secret@127.0.0.1:$port" \
    sh -c '"$TONG" send nats:a hi && "$TONG" receive nats:a --timeout 20'
t 'a wrong password' 1 '' '*: no permission*' \
    env TONG_NATS_URL="nats://ann:guess@127.0.0.1:$port" "$TONG" create nats:b
t 'none' 1 '' '*: no permission*' env TONG_NATS_URL="nats://127.0.0.1:$port" "$TONG" create nats:b
t 'who has a certificate to show talks to nobody without TLS' 1 '' '*' \
    env TONG_NATS_URL="nats://ann:secret@127.0.0.1:$port" TONG_NATS_CERT="$work/none.pem" "$TONG" create nats:b
nats_end

# Two teams on one server, with the subjects that docs/network.md names.
team() {
    printf '{ user: %s, password: secret, permissions: { publish: ["%s.>", "$JS.API.>", "$JS.ACK.>", "_INBOX.>"], ' \
        "$1" "$1"
    printf 'subscribe: ["%s.>", "_INBOX.>"] } }' "$1"
}
nats_begin "authorization { users: [ $(team red), $(team blue) ] }" || finish
port=${TONG_NATS_URL##*:}
as() {
    TONG_NATS_URL="nats://$1:secret@127.0.0.1:$port" TONG_NATS_SPACE=$2 "${@:3}"
}
t 'a team in its space' 0 'hi' '' as red red sh -c '"$TONG" send nats:team hi && "$TONG" receive nats:team --timeout 20'
t 'and not in the other one' 1 '' '*: no permission*' as blue red "$TONG" send nats:team hi
nats_end

certificates IP:127.0.0.1
nats_begin "$tls" || finish
t 'a certificate that is trusted' 0 'hi' '' env TONG_NATS_CA="$work/ca.pem" \
    sh -c '"$TONG" send nats:a hi && "$TONG" receive nats:a --timeout 20'
t 'one of an authority nobody knows' 1 '' "*the server's certificate is not trusted*" \
    "$TONG" create nats:b
nats_end

certificates DNS:elsewhere.example
nats_begin "$tls" || finish
t 'one that names another host' 1 '' "*or names another host*" \
    env TONG_NATS_CA="$work/ca.pem" "$TONG" create nats:b
nats_end
finish
