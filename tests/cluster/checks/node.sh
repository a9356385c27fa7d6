# The checks of the node tier.
# shellcheck shell=bash disable=SC2154 # the variables are those of run.sh

# shellcheck source=tests/cluster/checks/exec.sh
. "$here/checks/exec.sh"
# shellcheck source=tests/cluster/checks/forward.sh
. "$here/checks/forward.sh"

checks() {
    check cannot-be-dialled cannot_be_dialled
    check pods-run pods_run
    start_long_exec
    start_chatter
    check logs-follow logs_follow
    check logs-whole same_lines 0 logs ticker
    check logs-tail same_lines 0 logs ticker --tail=5
    check logs-cancelled logs_cancelled
    check get-pods same_lines 0 get pods -o wide
    check get-nodes same_lines 0 get nodes -o wide
    check describe-pod same_lines 0 describe pod ticker
    check describe-node-forbidden same_lines 1 get --raw /api/v1/nodes/node1/proxy/pods
    check logs-of-nothing same_lines 1 logs nothing-of-that-name
    check exec exec_apart
    check exec-forbidden exec_forbidden
    check exec-stdin-64-mib exec_upload 67108864
    check exec-stdout-64-mib exec_download 67108864
    check exec-spdy spdy exec_apart
    check exec-spdy-stdin-8-mib spdy exec_upload 8388608
    check exec-spdy-stdout-8-mib spdy exec_download 8388608
    check exec-terminal exec_terminal
    check exec-parallel exec_parallel
    check exec-cancelled exec_cancelled
    check attach attach
    check cp cp_tree
    check port-forward-100 forward_tcp websocket get
    check port-forward-spdy-100 forward_tcp spdy create
    check port-forward-service forward_service
    check kubectl-proxy kubectl_proxy
    check service service
    check service-unknown service_unknown
    check logs-rotated rotated_log
    check exec-38-s long_exec_ended
    check exec-identity exec_identity
    check nothing-refused nothing_refused
    start_follower
}

checks_without_agent() {
    check logs-end-with-the-agent wait_until 5 is_over "$follower"
}

# Where the plane is, the way to the API server is through the tunnel or not at all.
cannot_be_dialled() {
    ! timeout 1 "${outside[@]}" bash -c 'exec 3<> /dev/tcp/198.51.100.2/6443' 2> /dev/null || fail "the API server can be dialled"
}

pods_run() {
    admin -n "$namespace" wait --for=create serviceaccount/default --timeout=30s > /dev/null || fail "no default service account"
    admin -n "$namespace" apply -f "$here/pods.yaml" > /dev/null || fail "they cannot be made"
    admin -n "$namespace" wait --for=condition=Ready pod/ticker pod/talker pod/box pod/chatter --timeout=30s 2>&1 || fail "they do not get ready"
    echo "4 pods"
}

# When the machine's uptime was zero. It counts hundredths, so what matters is when it has just moved on.
started_at() {
    local before now
    read -r before _ < /proc/uptime
    now=$before
    while [ "$now" = "$before" ]; do read -r now _ < /proc/uptime; done
    awk -v now="$EPOCHREALTIME" -v up="$now" 'BEGIN { printf "%.4f", now - up }'
}

# Only lines that were written after the first one had come say how long one takes: the earlier ones were there already.
logs_follow() {
    local boot delays
    boot=$(started_at)
    tunnel logs -f ticker 2> "$work/follow.error" | stamp > "$work/follow" || fail "$(cat "$work/follow.error")"
    differ "the number of lines" 150 "$(wc -l < "$work/follow")"
    differ "the text (left: directly)" "$(direct logs ticker)" "$(cut -d' ' -f2- "$work/follow")"
    delays=$(awk -v boot="$boot" 'NR == 1 { first = $1 } boot + $4 > first { print ($1 - boot - $4) * 1000 }' "$work/follow")
    [ "$(wc -l <<< "$delays")" -ge 50 ] || fail "only $(wc -l <<< "$delays") lines came while the pod ran"
    [ "$(most <<< "$delays")" -le 500 ] || fail "more than 500 ms: $(spread <<< "$delays")"
    spread <<< "$delays"
}

# Whoever goes away takes the stream with him, up to the API server.
logs_cancelled() {
    local pid killed closed follows=("/namespaces/$namespace/pods/talker/log" follow=true)
    "${TUNNEL[@]}" logs -f talker > "$work/talker" 2>&1 < /dev/null &
    pid=$!
    track "$pid"
    wait_until 10 grep -q '^line' "$work/talker" || fail "no line within 10 s: $(cat "$work/talker")"
    killed=$(micros)
    kill -KILL "$pid"
    wait_until 2 audit_reaches 1 ResponseComplete "${follows[@]}" || fail "2 s after kubectl was killed the stream is still open at the API server"
    closed=$(audit_lines ResponseComplete "${follows[@]}" | tail -n 1 | audit_micros)
    echo "$(((closed - killed) / 1000)) ms"
}

# The agent's policy allows what RBAC allows. kubectl may go on in silence where it does not.
nothing_refused() {
    ! grep -m 1 "Refused a request" "$work/agent.log" || fail "the agent refused it"
}

start_follower() {
    "${TUNNEL[@]}" logs -f talker > "$work/follower" 2>&1 < /dev/null &
    follower=$!
    track "$follower"
    wait_until 10 grep -q '^line' "$work/follower" || true
}
