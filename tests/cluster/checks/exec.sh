# The checks of exec, attach and cp, for the node tier. `box` has all the pods' containers but one.
# shellcheck shell=bash disable=SC2154,SC2317 # the variables are those of run.sh; wait_until calls functions

# Whoever comes with these settings speaks SPDY.
spdy() { KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false KUBECTL_PORT_FORWARD_WEBSOCKETS=false "$@"; }
# Large amounts take their time on a busy machine.
long_way() { # tunnel|direct KUBECTL-ARGUMENT...
    local way=("${TUNNEL[@]}")
    [ "$1" = tunnel ] || way=("${DIRECT[@]}")
    shift
    timeout 120 "${way[@]}" "$@"
}
hash() { sha256sum | cut -d' ' -f1; }
speed() { awk -v bytes="$1" -v micros="$2" 'BEGIN { printf "%.1f MB/s", bytes / micros }'; } # BYTES MICROSECONDS
execs() { echo "/namespaces/$namespace/pods/box/exec"; }                                       # how the audit log names them

# Standard output, standard error and the exit code, each on its own.
apart() { # CODE COMMAND...: the same through the tunnel and directly
    local wanted=$1 way code
    shift
    for way in direct tunnel; do
        $way exec box -c box -- "$@" > "$work/$way.out" 2> "$work/$way.err" < /dev/null && code=0 || code=$?
        [ $code = "$wanted" ] || fail "$* gives $code, not $wanted ($way): $(cat "$work/$way.err")"
    done
    differ "the output of $* (left: directly)" "$(cat "$work/direct.out")" "$(cat "$work/tunnel.out")"
    differ "the errors of $* (left: directly)" "$(without_ids "$work/direct.err")" "$(without_ids "$work/tunnel.err")"
}
without_ids() { sed 's/"[0-9a-f]\{64\}"/ID/g' "$1"; }
exec_apart() {
    local code
    for code in 0 1 7 126; do
        apart $code sh -c "echo said; echo complained >&2; exit $code"
        differ "the output" said "$(cat "$work/tunnel.out")"
        differ "the errors" complained "$(head -n 1 "$work/tunnel.err")"
    done
    # shellcheck disable=SC2016 # for the shell of the pod
    apart 137 sh -c 'echo said; kill -KILL $$'
    apart 1 /bin/nothing-of-that-name
    echo "exit codes 0 1 7 126 137"
}

# Bytes into the pod, and what it counted of them.
upload() { # WAY FILE: the figure is the speed
    local begun answer wanted
    wanted=$(hash < "$2")
    begun=$(micros)
    answer=$(long_way "$1" exec -i box -c box -- sha256sum < "$2" 2> "$work/upload.error") || fail "kubectl gives $?: $(cat "$work/upload.error")"
    differ "what the pod got" "$wanted" "${answer%% *}"
    speed "$(stat -c %s "$2")" $(($(micros) - begun))
}
download() { # WAY BYTES
    local begun answer wanted
    wanted=$(direct exec box -c box -- sh -c "[ -e /tmp/$2 ] || head -c $2 /dev/urandom > /tmp/$2; sha256sum /tmp/$2") || fail "$wanted"
    begun=$(micros)
    answer=$(long_way "$1" exec box -c box -- cat "/tmp/$2" 2> "$work/download.error" | hash) || fail "kubectl: $(cat "$work/download.error")"
    differ "what came from the pod" "${wanted%% *}" "$answer"
    speed "$2" $(($(micros) - begun))
}
both_ways() { # upload|download ARGUMENT
    local through straight
    through=$("$1" tunnel "$2") || fail "$through"
    straight=$("$1" direct "$2") || fail "directly: $straight"
    echo "$through, directly $straight"
}
random_file() { # BYTES
    [ -e "$work/random-$1" ] || head -c "$1" /dev/urandom > "$work/random-$1"
}
exec_upload() { # BYTES
    random_file "$1"
    both_ways upload "$work/random-$1"
}
exec_download() { both_ways download "$1"; } # BYTES

exec_parallel() {
    local n pid pids=() begun
    begun=$(micros)
    for n in {0..9}; do
        # shellcheck disable=SC2016 # for the shell of the pod
        tunnel exec box -c box -- sh -c 'i=0; while [ $i -lt 400 ]; do echo "$0 $i"; i=$((i+1)); done' "$n" > "$work/exec-$n" 2>&1 < /dev/null &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || fail "kubectl failed: $(tail -n 1 "$work"/exec-?)"; done
    for n in {0..9}; do
        cmp -s <(seq 0 399 | sed "s/^/$n /") "$work/exec-$n" || fail "not the 400 lines of $n: $(diff <(seq 0 399 | sed "s/^/$n /") "$work/exec-$n" | head -n 5)"
    done
    echo "10 at once, $((($(micros) - begun) / 1000)) ms"
}

# Who may not, may not; the words are the API server's.
exec_forbidden() {
    local answer
    answer=$(same 1 --token "$reader_token" exec box -c box -- true) || fail "$answer"
    grep -q '^Error from server (Forbidden): pods "box" is forbidden: User "system:serviceaccount:tunnel:reader" cannot .* resource "pods/exec"' <<< "$answer" || fail "$answer"
    answer=$(spdy same 1 --token "$reader_token" exec box -c box -- true) || fail "$answer"
    same 1 exec nothing-of-that-name -- true > /dev/null || fail "$(same 1 exec nothing-of-that-name -- true)"
    same 1 exec box -c nothing-of-that-name -- true || fail "over WebSocket"
}

exec_identity() {
    local lines foreign
    lines=$(audit_lines ResponseStarted '"subresource":"exec"' '"code":101')
    foreign=$(grep -Fv -e "\"username\":\"system:serviceaccount:$namespace:tester\"" -e '"username":"admin"' <<< "$lines" || true)
    [ -n "$lines" ] || fail "the audit log has none"
    [ -z "$foreign" ] || fail "somebody else's: $foreign"
    [ "$(audit_count ResponseComplete "/namespaces/$namespace/" "\"username\":\"$agent_user\"" '"pods"')" = 0 ] || fail "pods were asked for as the agent"
    echo "$(wc -l <<< "$lines") times exec"
}

# Whoever goes away takes the stream with him, up to the API server.
exec_cancelled() {
    local protocol pid killed closed all=
    for protocol in env spdy; do
        $protocol "${TUNNEL[@]}" exec box -c box -- sh -c "echo begun; sleep 77; # cancelled-$protocol" > "$work/cancelled-exec" 2>&1 < /dev/null &
        pid=$!
        wait_until 10 grep -qs begun "$work/cancelled-exec" || fail "it did not begin within 10 s: $(cat "$work/cancelled-exec")"
        killed=$(micros)
        kill -KILL "$(kubectl_of "$pid")"
        wait_until 2 audit_reaches 1 ResponseComplete "$(execs)" "cancelled-$protocol" || fail "2 s after kubectl was killed exec is still open at the API server ($protocol)"
        closed=$(audit_lines ResponseComplete "$(execs)" "cancelled-$protocol" | tail -n 1 | audit_micros)
        all+="$(((closed - killed) / 1000)) ms "
    done
    echo "WebSocket ${all/ ms / ms, SPDY }"
}
kubectl_of() { # PID: it or its child
    local child=
    read -r child < "/proc/$1/task/$1/children" || true
    echo "${child%% *}" | grep . || echo "$1"
}

start_long_exec() {
    "${TUNNEL[@]}" exec box -c box -- sh -c 'echo begun; sleep 38; echo over; exit 3' > "$work/long-exec" 2>&1 < /dev/null &
    long_exec=$! long_exec_begun=$(micros)
    track $long_exec
}
long_exec_ended() {
    local seconds
    wait_until 60 is_over "$long_exec" || fail "it still runs"
    seconds=$((($(micros) - long_exec_begun) / 1000000))
    differ "what it said" "begun over command terminated with exit code 3" "$(xargs < "$work/long-exec")"
    echo "38 s; seen at $seconds s"
}

# --------------------------------------------------------------------------------------------------------------- terminals
# A terminal of its own for a kubectl: what is written to descriptor 7 is typed, and $work/NAME.screen is what is on it.
terminal() { # NAME KUBECTL-ARGUMENT...; sets terminal_pid
    local name=$1
    shift
    rm -f "$work/$name.keys" "$work/$name.screen"
    mkfifo "$work/$name.keys"
    printf '#!/usr/bin/env bash\ntty > %q\nstty rows 24 cols 80\nexec %s\n' "$work/$name.tty" "$(printf '%q ' "${TUNNEL[@]}" "$@")" > "$work/$name.sh"
    chmod +x "$work/$name.sh"
    SHELL=/bin/bash script -qefc "$work/$name.sh" "$work/$name.record" < "$work/$name.keys" > "$work/$name.screen" 2>&1 &
    terminal_pid=$!
    track $terminal_pid
    exec 7> "$work/$name.keys"
}
shown() { tr -d '\r' < "$work/$1.screen" | grep -qE -- "$2"; } # NAME EXPRESSION
type_in() { printf '%s\n' "$*" >&7; }

# shellcheck disable=SC2016 # for the shell of the pod
exec_terminal() {
    local code=0 begun
    terminal tty exec -it box -c box -- sh
    wait_until 10 shown tty '# ' || fail "no prompt: $(cat "$work/tty.screen")"
    # What is typed is shown by the terminal of the pod, once.
    begun=$(micros)
    type_in 'echo $((6*7))'
    wait_until 5 shown tty '^42$' || fail "no answer: $(cat "$work/tty.screen")"
    begun=$((($(micros) - begun) / 1000))
    shown tty 'echo \$\(\(6\*7\)\)$' || fail "no echo: $(cat "$work/tty.screen")"
    type_in 'tty; stty size'
    wait_until 5 shown tty '^24 80$' || fail "not the size of the terminal: $(cat "$work/tty.screen")"
    shown tty '^/dev/pts/[0-9]+$' || fail "no terminal in the pod: $(cat "$work/tty.screen")"
    # The kernel tells kubectl, and kubectl the pod.
    stty -F "$(cat "$work/tty.tty")" rows 33 cols 101
    resized() { type_in 'stty size'; wait_until 1 shown tty '^33 101$'; }
    wait_until 5 resized || fail "the new size did not arrive: $(cat "$work/tty.screen")"
    type_in 'echo s$((1))p; sleep 70'
    wait_until 5 shown tty '^s1p$' || fail "no answer: $(cat "$work/tty.screen")"
    printf '\003' >&7
    type_in 'echo "code $?"; exit 9'
    wait_until 5 shown tty '^code 130$' || fail "control-C did not end it: $(cat "$work/tty.screen")"
    wait_until 5 is_over $terminal_pid || fail "the shell has ended, kubectl has not: $(cat "$work/tty.screen")"
    exec 7>&-
    wait $terminal_pid || code=$?
    differ "the exit code" 9 $code
    echo "an answer after $begun ms, 24x80, then 33x101, exit code 9"
}

# ------------------------------------------------------------------------------------------------------------------ attach
# shellcheck disable=SC2016 # for the shell of the pod
attach() {
    local listener teller
    "${TUNNEL[@]}" attach box -c echo > "$work/attach.out" 2> "$work/attach.err" < /dev/null &
    listener=$!
    track $listener
    mkfifo "$work/attach.in"
    "${TUNNEL[@]}" attach -i box -c echo < "$work/attach.in" > "$work/attach-i.out" 2> "$work/attach-i.err" &
    teller=$!
    track $teller
    exec 8> "$work/attach.in"
    wait_until 10 audit_reaches 2 ResponseStarted '"subresource":"attach"' || fail "they did not arrive: $(cat "$work"/attach*.err)"
    heard() { echo "knock" >&8; wait_until 1 grep -q knock "$work/$1"; }
    wait_until 10 heard attach-i.out || fail "nothing came back: $(cat "$work/attach-i.err")"
    wait_until 10 heard attach.out || fail "who only listens heard nothing: $(cat "$work/attach.err")"
    echo "täglich <&>" >&8
    wait_until 5 grep -qx "got täglich <&>" "$work/attach-i.out" || fail "not the line: $(cat "$work/attach-i.out")"
    wait_until 5 grep -qx "heard täglich <&>" "$work/attach-i.err" || fail "not on standard error: $(cat "$work/attach-i.err")"
    wait_until 5 grep -qx "got täglich <&>" "$work/attach.out" || fail "who only listens did not hear it: $(cat "$work/attach.out")"
    kill "$listener" "$teller"
    exec 8>&-
    wait_until 2 audit_reaches 2 ResponseComplete '"subresource":"attach"' || fail "2 s after the end of both they are still open at the API server"
    terminal term attach -it box -c term
    typed() { type_in 'echo $((6*7))'; wait_until 1 shown term '^42$'; }
    wait_until 10 typed || fail "no answer in the terminal: $(cat "$work/term.screen")"
    kill "$(kubectl_of "$terminal_pid")"
    exec 7>&-
    echo "with input, without, with a terminal"
}

# ---------------------------------------------------------------------------------------------------------------------- cp
listing() { # FOLDER: each file with its mode and content, each link with its target
    (cd "$1" && find . -type f -exec stat -c '%a %n' {} + -exec sha256sum {} + -o -type l -printf '%p -> %l\n') | sort
}
in_pod() { # FOLDER: the same, by busybox
    direct exec box -c box -- sh -c "cd $1 && find . -type f -exec stat -c '%a %n' {} + && find . -type f -exec sha256sum {} + && \
        find . -type l | while read -r l; do echo \"\$l -> \$(readlink \"\$l\")\"; done" | sort
}
cp_tree() {
    local tree=$work/tree begun up down size n way
    mkdir -p "$tree/many" "$tree/mit Abstand/äöü"
    head -c 33554432 /dev/urandom > "$tree/large"
    for n in {1..300}; do echo "file $n" > "$tree/many/$n"; done
    head -c 100000 /dev/urandom > "$tree/mit Abstand/äöü/ß €.bin"
    printf '#!/bin/sh\n' > "$tree/run me"
    : > "$tree/empty"
    chmod 755 "$tree/run me"
    ln -s large "$tree/link"
    size=$(du -sb "$tree" | cut -f1)
    begun=$(micros)
    long_way tunnel cp "$tree" box:/tmp/tree -c box > "$work/cp.out" 2>&1 || fail "to the pod: $(tail -n 3 "$work/cp.out")"
    up=$(speed "$size" $(($(micros) - begun)))
    differ "what is in the pod" "$(listing "$tree")" "$(in_pod /tmp/tree)"
    # From a pod kubectl leaves links out and says so, and modes are the umask's.
    begun=$(micros)
    for way in tunnel direct; do
        long_way $way cp box:/tmp/tree "$work/tree-$way" -c box > "$work/cp-$way.out" 2>&1 || fail "from the pod ($way): $(tail -n 3 "$work/cp-$way.out")"
        [ -n "${down:-}" ] || down=$(speed "$size" $(($(micros) - begun)))
    done
    differ "what came from the pod (left: directly)" "$(listing "$work/tree-direct")" "$(listing "$work/tree-tunnel")"
    diff -r --no-dereference --exclude link "$tree" "$work/tree-tunnel" > "$work/cp.diff" || fail "not what was there: $(head -n 5 "$work/cp.diff")"
    said() { sort "$work/cp-$1.out" | sed "s#tree-$1#tree#g"; }
    differ "what kubectl says (left: directly)" "$(said direct)" "$(said tunnel)"
    echo "$(find "$tree" -type f | wc -l) files, to the pod $up, back $down"
}
