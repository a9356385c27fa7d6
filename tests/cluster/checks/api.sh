# The checks of the api tier.
# shellcheck shell=bash disable=SC2154 # the variables are those of run.sh

checks() {
    start_long_watch
    check readyz raw_readyz
    check version same_lines 0 version
    check get get_one
    check get-table same_lines 0 get configmaps,services
    check describe same_lines 0 describe configmap seed
    check api-resources same_lines 0 api-resources
    check explain same_lines 0 explain configmap.data
    check can-i-yes same_lines 0 auth can-i create configmaps
    check can-i-no same_lines 1 auth can-i delete secrets
    check apply-server-side apply_server_side
    check apply-client-side apply_client_side
    check patch patch
    check label label
    check replace-large replace_large
    check delete delete
    check not-found same_lines 1 get configmap nothing-of-that-name
    check forbidden forbidden
    check bad-token bad_token
    check no-token no_token
    check exec-refused exec_refused
    check exec-forbidden exec_forbidden
    check watch-latency watch_latency
    check watch-cancelled watch_cancelled
    check list-8-mib big_list
    check list-8-mib-memory big_list_memory
    check parallel-watches parallel_watches
    check parallel-kubectl parallel_kubectl
    check watch-35-s long_watch
}

checks_without_agent() {
    check watch-ends-with-the-agent long_watch_ended
    check no-agent no_agent
}

# -------------------------------------------------------------------------------------------------------------------- read
raw_readyz() {
    local answer
    answer=$(tunnel get --raw /readyz) || fail "$answer"
    differ /readyz ok "$answer"
}

get_one() {
    local answer text
    admin -n "$namespace" create configmap seed --from-literal=greeting='täglich "grüßt" <&>' > /dev/null || fail "it cannot be made"
    answer=$(same 0 get configmap seed -o yaml) || fail "$answer"
    text=$(tunnel get configmap seed -o 'jsonpath={.data.greeting}')
    differ "the value" 'täglich "grüßt" <&>' "$text"
}

forbidden() {
    local answer
    answer=$(same 1 get secrets) || fail "$answer"
    grep -q '^Error from server (Forbidden): secrets is forbidden: User "system:serviceaccount:tunnel:tester" cannot list resource "secrets" in API group "" in the namespace "tunnel"$' <<< "$answer" \
        || fail "not the API server's own words: $answer"
    answer=$(same 1 delete namespace "$namespace") || fail "$answer"
    grep -q 'cannot delete resource "namespaces"' <<< "$answer" || fail "$answer"
    answer=$(tunnel_curl "/api/v1/namespaces/$namespace/secrets" "${bearer[@]}" -o /dev/null -w '%{http_code} %{content_type}')
    differ "the answer" "403 application/json" "$answer"
    echo "403"
}

bad_token() {
    local answer
    answer=$(same 1 --token not-a-token get configmaps) || fail "$answer"
    grep -q "You must be logged in to the server" <<< "$answer" || fail "$answer"
    answer=$(tunnel_curl /api -H 'Authorization: Bearer not-a-token' -w '\n%{http_code}')
    grep -q '"reason": *"Unauthorized"' <<< "$answer" || fail "$answer"
    differ "the status" 401 "$(tail -n 1 <<< "$answer")"
    echo 401
}

no_token() {
    local code path=/api/v1/namespaces/$namespace/configmaps/without-token
    code=$(tunnel_curl "$path" -o "$work/no-token" -w '%{http_code}')
    case $code in 401 | 403) ;; *) fail "status $code: $(cat "$work/no-token")" ;; esac
    [ "$(audit_count ResponseComplete "$path" "$agent_user")" = 0 ] || fail "it was asked with the agent's own token"
    echo "$code"
}

# Without a kubelet there is nobody to run anything, and the API server says so, whoever asks and over whichever protocol.
exec_refused() {
    local protocol answer
    admin -n "$namespace" create serviceaccount default > /dev/null || fail "no default service account"
    admin -n "$namespace" run box --image nothing --restart Never > /dev/null || fail "no pod"
    for protocol in true false; do
        export KUBECTL_REMOTE_COMMAND_WEBSOCKETS=$protocol
        answer=$(same 1 exec box -- true) || fail "$answer"
        grep -q '^Error from server (BadRequest): pod box does not have a host assigned$' <<< "$answer" || fail "not the API server's own words: $answer"
        answer=$(same 1 exec nothing-of-that-name -- true) || fail "$answer"
    done
    echo "BadRequest, NotFound"
}
exec_forbidden() {
    local protocol answer
    for protocol in true false; do
        export KUBECTL_REMOTE_COMMAND_WEBSOCKETS=$protocol
        answer=$(same 1 --token "$reader_token" exec box -- true) || fail "$answer"
        grep -q '^Error from server (Forbidden): pods "box" is forbidden: .* cannot .* resource "pods/exec"' <<< "$answer" || fail "$answer"
    done
    echo 403
}

# ------------------------------------------------------------------------------------------------------------------- write
manifest() { # NAME VALUE
    printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s","labels":{"made":"by-apply"}},"data":{"value":"%s"}}' "$1" "$2"
}
stored() { admin -n "$namespace" get configmap "$1" -o "jsonpath=$2"; } # NAME JSONPATH

apply_server_side() {
    local answer
    answer=$(manifest server-side one | tunnel apply --server-side -f - 2>&1) || fail "$answer"
    differ "the answer" "configmap/server-side serverside-applied" "$answer"
    answer=$(manifest server-side two | tunnel apply --server-side -f - 2>&1) || fail "$answer"
    differ "the value" two "$(stored server-side '{.data.value}')"
    differ "the kind of change" Apply "$(stored server-side '{.metadata.managedFields[0].operation}')"
    # Somebody else's field is a conflict, in the API server's own words.
    ! answer=$(manifest server-side three | tunnel apply --server-side --field-manager other -f - 2>&1) || fail "no conflict: $answer"
    grep -q 'conflict with "kubectl": .data.value' <<< "$answer" || fail "$answer"
}

apply_client_side() {
    local answer
    answer=$(manifest client-side one | tunnel apply -f - 2>&1) || fail "$answer"
    differ "the answer" "configmap/client-side created" "$answer"
    answer=$(manifest client-side one | tunnel apply -f - 2>&1) || fail "$answer"
    differ "the answer" "configmap/client-side unchanged" "$answer"
    answer=$(manifest client-side two | tunnel apply -f - 2>&1) || fail "$answer"
    differ "the answer" "configmap/client-side configured" "$answer"
    differ "the value" two "$(stored client-side '{.data.value}')"
}

patch() {
    local answer kind
    for kind in strategic merge; do
        answer=$(tunnel patch configmap client-side --type "$kind" -p "{\"data\":{\"$kind\":\"yes\"}}" 2>&1) || fail "$answer"
        differ "the value" yes "$(stored client-side "{.data.$kind}")"
    done
    answer=$(tunnel patch configmap client-side --type json -p '[{"op":"add","path":"/data/json","value":"yes"}]' 2>&1) || fail "$answer"
    differ "the value" yes "$(stored client-side '{.data.json}')"
}

label() {
    local answer
    answer=$(tunnel label configmap client-side colour=blue 2>&1) || fail "$answer"
    differ "the answer" "configmap/client-side labeled" "$answer"
    differ "the label" blue "$(stored client-side '{.metadata.labels.colour}')"
    answer=$(tunnel get configmaps -l colour=blue -o name 2>&1) || fail "$answer"
    differ "the list" configmap/client-side "$answer"
}

# A request body of several messages.
replace_large() {
    head -c 600000 /dev/urandom | base64 -w 0 > "$work/large"
    local answer
    answer=$(tunnel create configmap large --from-file=blob="$work/large" 2>&1) || fail "$answer"
    cmp -s <(stored large '{.data.blob}') "$work/large" || fail "what is stored is not what was sent"
    echo "$(($(stat -c %s "$work/large") / 1024)) KiB"
}

delete() {
    local answer
    answer=$(tunnel delete configmap client-side 2>&1) || fail "$answer"
    differ "the answer" 'configmap "client-side" deleted from tunnel namespace' "$answer"
    ! answer=$(stored client-side '{.data}' 2>&1) || fail "it is still there: $answer"
}

# ------------------------------------------------------------------------------------------------------------------- watch
start_watch() { # NAME [WAY]: a watch of the ConfigMap NAME; its lines, each with the time, go to a file
    local file=$work/$1${2:+-$2} way=("${TUNNEL[@]}")
    [ "${2:-}" != direct ] || way=("${DIRECT[@]}")
    mkfifo "$file.pipe"
    stamp < "$file.pipe" > "$file.lines" 2> /dev/null &
    "${way[@]}" get configmap "$1" -w -o 'jsonpath={.data.t}{"\n"}' > "$file.pipe" 2> "$file.error" < /dev/null &
    watcher=$!
    track "$watcher"
}
watches_of() { echo "fieldSelector=metadata.name%3D$1"; } # how the audit log names them
watch_is_open() { audit_reaches "$2" ResponseStarted "$(watches_of "$1")" '"verb":"watch"'; } # NAME COUNT
change() { # NAME: writes the time into it, straight at the API server; leaves it in $value
    value=$EPOCHREALTIME
    admin_curl "/api/v1/namespaces/$namespace/configmaps/$1" -X PATCH -o /dev/null -H 'Content-Type: application/merge-patch+json' \
        -d "{\"data\":{\"t\":\"$value\"}}"
}
make_watched() { admin -n "$namespace" create configmap "$1" --from-literal=t=0 > /dev/null; }
latencies() { awk '$2 > 0 { print ($1 - $2) * 1000 }' "$1"; }

# Counted from before the change is sent, so the time that it takes to make the change is in it; a second watch, made directly,
# shows how much that is.
watch_latency() {
    local n watcher beside value
    make_watched watched
    start_watch watched direct
    beside=$watcher
    start_watch watched
    wait_until 10 watch_is_open watched 2 || fail "the watches did not arrive at the API server within 10 s: $(cat "$work/watched.error")"
    for n in {1..20}; do
        change watched || fail "change $n failed"
        wait_until 5 grep -q " $value\$" "$work/watched.lines" || fail "change $n is not through after 5 s"
    done
    kill "$watcher" "$beside"
    [ "$(latencies "$work/watched.lines" | most)" -le 500 ] || fail "more than 500 ms: $(latencies "$work/watched.lines" | spread)"
    echo "$(latencies "$work/watched.lines" | spread); directly $(latencies "$work/watched-direct.lines" | spread)"
}

# Whoever goes away takes his watch with him, up to the API server.
watch_cancelled() {
    local n watcher killed closed all=
    make_watched cancelled
    for n in {1..5}; do
        start_watch cancelled
        wait_until 10 watch_is_open cancelled "$n" || fail "no watch arrived at the API server within 10 s: $(cat "$work/cancelled.error")"
        killed=$(micros)
        kill -KILL "$watcher"
        wait_until 2 audit_reaches "$n" ResponseComplete "$(watches_of cancelled)" '"verb":"watch"' \
            || fail "round $n: 2 s after kubectl was killed the watch is still open at the API server"
        closed=$(audit_lines ResponseComplete "$(watches_of cancelled)" '"verb":"watch"' | tail -n 1 | audit_micros)
        all+=$(awk -v t="$((closed - killed))" 'BEGIN { print t / 1000 }')$'\n'
        rm "$work/cancelled.pipe"
    done
    printf %s "$all" | spread
}

start_long_watch() {
    make_watched long
    start_watch long
    long_watcher=$watcher long_begun=$(micros)
}
long_watch() {
    local value rest
    wait_until 10 watch_is_open long 1 || fail "it did not begin: $(cat "$work/long.error")"
    # Past the usual 30 s of whatever is between.
    rest=$((36000000 - ($(micros) - long_begun)))
    [ "$rest" -le 0 ] || ! wait_until $((rest / 1000000 + 1)) is_over "$long_watcher" || fail "it ended before 36 s: $(cat "$work/long.error")"
    change long || fail "the change failed"
    wait_until 5 grep -q " $value\$" "$work/long.lines" || fail "a change after $((($(micros) - long_begun) / 1000000)) s is not through: $(cat "$work/long.error")"
    ! is_over "$long_watcher" || fail "it has ended: $(cat "$work/long.error")"
    differ "the number of watches that were needed" 1 "$(audit_count ResponseStarted "$(watches_of long)" '"verb":"watch"')"
    echo "$((($(micros) - long_begun) / 1000000)) s old, $(tail -n 1 "$work/long.lines" | awk '{ printf "%.1f", ($1 - $2) * 1000 }') ms"
}
# With the agent gone nobody is left to end it properly.
long_watch_ended() {
    wait_until 5 is_over "$long_watcher" || fail "kubectl still waits 5 s after the agent's end"
}

# ------------------------------------------------------------------------------------------------------------------ amount
# Not pretty, so that curl and kubectl get the same text.
big="/api/v1/namespaces/$namespace/configmaps?labelSelector=size%3Dbig&pretty=false"
make_big() {
    local n
    [ ! -e "$work/big-made" ] || return 0
    for n in {1..9}; do
        {
            printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"big-%s","labels":{"size":"big"}},"data":{"blob":"' "$n"
            head -c 700000 /dev/urandom | base64 -w 0
            printf '"}}'
        } > "$work/big.json"
        admin_curl "/api/v1/namespaces/$namespace/configmaps" -o /dev/null -H 'Content-Type: application/json' --data-binary @"$work/big.json" \
            || return 1
    done
    touch "$work/big-made"
}
# The list's own version is the cluster's and moves on.
without_version() { sed '1s/"metadata":{"resourceVersion":"[0-9]*"}//' "$1"; }

big_list() {
    local size
    make_big || fail "the objects cannot be made"
    admin_curl "$big" -o "$work/big-direct" || fail "the list cannot be read directly"
    tunnel_curl "$big" "${bearer[@]}" -o "$work/big-tunnel" -w '%{http_code}' > "$work/big-status" || fail "curl failed"
    differ "the status" 200 "$(cat "$work/big-status")"
    size=$(stat -c %s "$work/big-direct")
    [ "$size" -ge $((8 * 1024 * 1024)) ] || fail "only $size bytes"
    cmp -s <(without_version "$work/big-direct") <(without_version "$work/big-tunnel") \
        || fail "not what the API server gives directly: $(stat -c %s "$work/big-tunnel") bytes of $size"
    tunnel get --raw "$big" > "$work/big-kubectl" || fail "kubectl failed"
    cmp -s <(without_version "$work/big-direct") <(without_version "$work/big-kubectl") || fail "kubectl, with compression, gets something else"
    echo "$size bytes"
}

# Four at once are far more than the agent may buffer, which is 8 MiB; the rest is for a build with debug assertions.
big_list_memory() {
    local n peak limit=$((16 * 1024)) urls=()
    make_big || fail "the objects cannot be made"
    for n in {1..4}; do urls+=(-o "$work/big-$n" "$kube_url$big"); done
    "${outside[@]}" curl -sS --max-time 60 --cacert "$work/plane-ca.pem" "${bearer[@]}" --parallel --parallel-immediate "${urls[@]}" 2> "$work/big-error" \
        || fail "curl: $(tail -n 1 "$work/big-error")"
    peak=$(memory "$agent_pid" VmHWM)
    for n in {1..4}; do
        cmp -s <(without_version "$work/big-direct") <(without_version "$work/big-$n") || fail "list $n is not intact"
    done
    [ "$peak" -le $limit ] || fail "the agent took up to $peak kB of memory, $idle kB after its start; the bound is $limit kB"
    echo "four at once; the agent's peak RSS is $peak kB, $idle kB after its start, bound $limit kB"
}

# Fifty requests of three seconds each, at once, and short ones beside them.
parallel_watches() {
    local n begun took codes urls=() curls short
    for n in {1..50}; do
        urls+=(-o /dev/null "$kube_url/api/v1/namespaces/$namespace/configmaps?watch=1&timeoutSeconds=3&fieldSelector=metadata.name%3Dparallel-$n")
    done
    begun=$(micros)
    "${outside[@]}" curl -sS --max-time 60 --cacert "$work/plane-ca.pem" "${bearer[@]}" --parallel --parallel-immediate --parallel-max 50 \
        -w '%{http_code}\n' "${urls[@]}" > "$work/parallel" 2> "$work/parallel-error" &
    curls=$!
    track $curls
    wait_until 10 audit_reaches 50 ResponseStarted "fieldSelector=metadata.name%3Dparallel-" || fail "only \
$(audit_count ResponseStarted "fieldSelector=metadata.name%3Dparallel-") of 50 watches reached the API server"
    [ "$(audit_count ResponseComplete "fieldSelector=metadata.name%3Dparallel-")" = 0 ] || fail "some were over before all had begun"
    for n in {1..10}; do
        tunnel_curl /version "${bearer[@]}" -o /dev/null -w '%{time_total}\n' || fail "a short request failed beside them"
    done | awk '{ print $1 * 1000 }' > "$work/short"
    short=$(most < "$work/short")
    wait "$curls" || fail "curl: $(tail -n 1 "$work/parallel-error")"
    took=$((($(micros) - begun) / 1000))
    codes=$(sort "$work/parallel" | uniq -c | xargs)
    differ "the statuses" "50 200" "$codes"
    [ "$took" -lt 6000 ] || fail "50 requests of 3 s took $took ms"
    [ "$short" -lt 1000 ] || fail "a short request beside them took $short ms"
    echo "50 of 3000 ms each took $took ms; a short one beside them with a new connection: $(spread < "$work/short")"
}

parallel_kubectl() {
    local through straight
    through=$(fifty "${TUNNEL[@]}") || fail "$through"
    straight=$(fifty "${DIRECT[@]}") || fail "directly: $straight"
    echo "50 processes in $through ms, directly $straight ms"
}
fifty() { # KUBECTL...
    local n pid pids=() begun
    begun=$(micros)
    for n in {1..50}; do
        "$@" get --raw /version > "$work/version-$n" 2>&1 < /dev/null &
        pids+=($!)
        track $!
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || fail "kubectl failed: $(grep -L gitVersion "$work"/version-* | head -n 1 | xargs cat)"
    done
    [ "$(grep -l '"gitVersion"' "$work"/version-* | wc -l)" = 50 ] || fail "not all have the answer"
    echo "$((($(micros) - begun) / 1000))"
}

no_agent() {
    local code
    code=$(tunnel_curl /version "${bearer[@]}" -o /dev/null -w '%{http_code}')
    differ "the status" 503 "$code"
    echo 503
}
