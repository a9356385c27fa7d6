# The checks of port-forward, kubectl's proxy, services and a log that is rotated, for the node tier.
# shellcheck shell=bash disable=SC2154 # the variables are those of run.sh

# ------------------------------------------------------------------------------------------------------------ port-forward
start_forward() { # NAME KUBECTL-ARGUMENT...: leaves its pid in $forwarder and the port in $port
    local name=$1 command=("${TUNNEL[@]}")
    shift
    if [ "$name" = spdy ]; then command=(env KUBECTL_PORT_FORWARD_WEBSOCKETS=false "${command[@]}"); fi
    "${command[@]}" port-forward --address 127.0.0.1 "$@" > "$work/forward-$name" 2>&1 < /dev/null &
    forwarder=$!
    track "$forwarder"
    wait_until 10 grep -q '^Forwarding from' "$work/forward-$name" || fail "it does not listen after 10 s: $(cat "$work/forward-$name")"
    port=$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$work/forward-$name")
}

# Each connection sends something of its own and has it back. All are open before the first of them says anything.
forward_tcp() { # NAME
    local begun folder=$work/forwarded-$1 forwarder port n
    start_forward "$1" pod/box :7000
    mkdir "$folder"
    for n in {1..100}; do { echo "connection $n"; head -c 12000 /dev/urandom | base64; } > "$folder/$n.sent"; done
    begun=$(micros)
    timeout 60 "${outside[@]}" bash -c "$talkers" _ "$port" "$folder" > "$work/talkers" 2>&1 || fail "the connections: $(tail -n 3 "$work/talkers")"
    begun=$((($(micros) - begun) / 1000))
    for n in {1..100}; do
        cmp -s "$folder/$n.sent" "$folder/$n.got" || fail "connection $n got $(stat -c %s "$folder/$n.got") bytes, $(head -n 1 "$folder/$n.got"): $(tail -n 3 "$work/forward-$1")"
    done
    ! grep -i error "$work/forward-$1" || fail "kubectl complains: $(tail -n 3 "$work/forward-$1")"
    kill "$(kubectl_of "$forwarder")"
    echo "100 connections at once, $begun ms"
}
# shellcheck disable=SC2016 # for the bash outside
talkers='
    connections=()
    for n in {1..100}; do
        exec {connection}<> /dev/tcp/127.0.0.1/$1 || exit 1
        connections+=($connection)
    done
    for n in {1..100}; do
        connection=${connections[n - 1]}
        cat "$2/$n.sent" >&$connection &
        head -c "$(stat -c %s "$2/$n.sent")" <&$connection > "$2/$n.got" &
    done
    wait'

forward_service() {
    local forwarder port answer
    start_forward service service/web :80
    answer=$("${outside[@]}" curl -sS --max-time 10 "http://127.0.0.1:$port/") || fail "$answer: $(cat "$work/forward-service")"
    differ "the answer" "hello from the bed" "$answer"
    kill "$(kubectl_of "$forwarder")"
    # Where nothing listens the pod's refusal is told, at which kubectl gives up.
    start_forward refused pod/box :7
    ! "${outside[@]}" curl -sS --max-time 10 "http://127.0.0.1:$port/" 2> /dev/null || fail "an answer from nowhere"
    wait_until 5 grep -q 'onnection refused' "$work/forward-refused" || fail "no reason: $(cat "$work/forward-refused")"
    wait_until 5 is_over "$forwarder" || fail "kubectl goes on: $(cat "$work/forward-refused")"
    grep -o 'connect: [Cc]onnection refused' "$work/forward-refused" | head -n 1
}

# ---------------------------------------------------------------------------------------------------------- kubectl's proxy
kubectl_proxy() {
    local proxy url path=/api/v1/namespaces/$namespace answer watch
    "${TUNNEL[@]}" proxy --port 0 --reject-paths '^/nothing' > "$work/proxy" 2>&1 < /dev/null &
    proxy=$!
    track $proxy
    wait_until 10 grep -q '^Starting to serve' "$work/proxy" || fail "it does not listen after 10 s: $(cat "$work/proxy")"
    url=http://$(sed -n 's/^Starting to serve on //p' "$work/proxy")
    asked() { "${outside[@]}" curl -sS --max-time 10 "$@"; }
    answer=$(asked "$url$path/pods/box" | sed -n 's/^  *"name": "\(box\)",$/\1/p' | head -n 1)
    differ "a GET" box "$answer"
    answer=$(asked "$url$path/services/web:80/proxy/") || fail "the service's proxy: $answer"
    differ "the service's answer" "hello from the bed" "$answer"
    asked -N "$url$path/configmaps?watch=1&timeoutSeconds=20&fieldSelector=metadata.name%3Dthrough-proxy" > "$work/proxy-watch" 2> /dev/null &
    watch=$!
    track $watch
    wait_until 10 audit_reaches 1 ResponseStarted "metadata.name%3Dthrough-proxy" || fail "the watch did not arrive"
    admin -n "$namespace" create configmap through-proxy --from-literal=t=0 > /dev/null
    wait_until 5 grep -q '"type":"ADDED".*through-proxy' "$work/proxy-watch" || fail "the watch says nothing: $(cat "$work/proxy-watch")"
    answer=$(timeout 30 "${outside[@]}" "$kubectl" --kubeconfig /dev/null --server "$url" --namespace "$namespace" --cache-dir "$work/cache-proxy" \
        exec box -c box -- echo by way of the proxy 2>&1) || fail "exec: $answer"
    differ "exec" "by way of the proxy" "$answer"
    kill "$watch" "$(kubectl_of $proxy)"
    echo "GET, service, watch, exec"
}

# ---------------------------------------------------------------------------------------------------------------- services
app() { # HOST CURL-ARGUMENT...: through the listener for applications
    local host=$1
    shift
    "${outside[@]}" curl -sS --max-time 20 -H "Host: $host" "$@" "$(field apps_url <<< "$announcement")/"
}
service() {
    local host answer times
    for host in web.test pods.test; do
        answer=$(app $host --fail-with-body) || fail "$host: $answer"
        differ "the answer of $host" "hello from the bed" "$answer"
    done
    [ "$(audit_count ResponseComplete "\"username\":\"$agent_user\"" "/namespaces/$namespace/services/web\"")" -ge 1 ] || fail "the agent did not ask where it is"
    times=$(for _ in {1..20}; do app web.test -o /dev/null -w '%{time_total}\n' | awk '{ print $1 * 1000 }'; done)
    [ "$(wc -l <<< "$times")" = 20 ] || fail "some of 20 requests failed"
    echo "by its address and by its pods; $(spread <<< "$times")"
}
service_unknown() {
    local answer
    answer=$(app nowhere.test -w '\n%{http_code}') || fail "$answer"
    differ "the status" 502 "$(tail -n 1 <<< "$answer")"
    ! grep -E '[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+' <<< "$answer" || fail "an address is in the answer: $answer"
    xargs <<< "$answer"
}

# ----------------------------------------------------------------------------------------------------------- a rotated log
chatter_lines=4000
start_chatter() {
    "${TUNNEL[@]}" logs -f chatter > "$work/chatter-tunnel" 2> "$work/chatter-error" < /dev/null &
    chatter=$!
    "${DIRECT[@]}" logs -f chatter > "$work/chatter-direct" 2>&1 < /dev/null &
    chatter_direct=$!
    track $chatter
    track $chatter_direct
    wait_until 10 audit_reaches 2 ResponseStarted "/pods/chatter/log" || true
    direct exec chatter -- touch /tmp/go > /dev/null 2>&1 || true
}
rotated_log() {
    local rotations
    wait_until 60 is_over "$chatter" || fail "it has not ended: $(tail -n 1 "$work/chatter-tunnel" | cut -c1-80)"
    wait_until 10 is_over "$chatter_direct" || fail "directly it has not ended"
    rotations=$("$here/bed.sh" nsexec sh -c 'ls /var/log/pods/*_chatter_*/chatter' | grep -c '^0.log.')
    [ "$rotations" -ge 2 ] || fail "only $rotations rotations"
    differ "the numbers of the lines" "$(seq 0 $((chatter_lines - 1)))" "$(cut -d' ' -f1 "$work/chatter-tunnel")"
    cmp -s "$work/chatter-direct" "$work/chatter-tunnel" || fail "not what came directly: $(diff "$work/chatter-direct" "$work/chatter-tunnel" | head -n 5)"
    echo "$chatter_lines lines, $rotations rotated files"
}
