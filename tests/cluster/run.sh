#!/usr/bin/env bash
# Real kubectl through the tunnel: a real API server, the agent, the reference control plane and its front door.
#
#   tests/cluster/run.sh [api|node]     (default: api)
#
#   api    etcd and kube-apiserver on loopback; no root
#   node   a node with kubelet and containerd: logs of pods. Needs root; exits with 77 and says why where it cannot be
#
# Prints a line for each check and exits with 1 when one failed. Several may run at once.
#
# AGENT_BIN, DEVPLANE_BIN   programs to test (default: built with cargo)
# KUBEBUILDER_ASSETS, PIPEOPS_TEST_CACHE   see assets.sh
# CLUSTER_LOGS              folder for the logs of every part
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
tier=${1:-api}
case $tier in
    api | node) ;;
    *) sed -n '2,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; [ "$tier" = --help ] || exit 64; exit ;;
esac
namespace=tunnel
# shellcheck source=tests/cluster/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/cluster/checks/api.sh
. "$here/checks/$tier.sh"

say() { echo "cluster: $*" >&2; }
die() { say "$*"; exit 1; }

for program in openssl curl; do
    command -v "$program" > /dev/null || die "$program is missing: apt-get install $program"
done
why=$("$here/bed.sh" lacks "$tier")
if [ -n "$why" ]; then
    [ "$tier" = node ] && skip "$tier tier: $why"
    die "$why"
fi

# ------------------------------------------------------------------------------------------------------------------ set-up
work=$(mktemp -d "${TMPDIR:-/tmp}/pipeops-cluster.XXXXXX")
export BED_RUN=$work/bed BED_AUDIT=1

finish() {
    local code=$?
    trap - EXIT INT TERM
    end_tracked
    if [ $code != 0 ] || [ "$failed" -gt 0 ]; then
        local log
        for log in agent devplane; do
            [ ! -s "$work/$log.log" ] || { echo "--- the end of the log of $log"; tail -n 60 "$work/$log.log"; }
        done
    fi
    if [ -n "${CLUSTER_LOGS:-}" ]; then
        mkdir -p "$CLUSTER_LOGS"
        cp "$work"/*.log "$CLUSTER_LOGS/" 2> /dev/null || true
    fi
    BED_LOGS=${CLUSTER_LOGS:-} "$here/bed.sh" down || true
    rm -rf "$work"
    exit $code
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Before the bed: it takes memory and processor time.
if [ -z "${AGENT_BIN:-}" ] || [ -z "${DEVPLANE_BIN:-}" ]; then
    command -v cargo > /dev/null || die "cargo is missing: install Rust with rustup (https://rustup.rs), or set AGENT_BIN and DEVPLANE_BIN"
    (cd "$root" && cargo build --quiet --locked -p pipeops-agent -p devplane) >&2
    programs=$(cd "$root" && cargo metadata --locked --no-deps --format-version 1 | field target_directory)/debug
    AGENT_BIN=${AGENT_BIN:-$programs/pipeops-agent} DEVPLANE_BIN=${DEVPLANE_BIN:-$programs/devplane}
fi
for program in "$AGENT_BIN" "$DEVPLANE_BIN"; do [ -x "$program" ] || die "$program is not there"; done

BED_ASSETS=$("$here/assets.sh" "$tier")
export BED_ASSETS
kubectl=$BED_ASSETS/kubectl
"$here/bed.sh" up "$tier"
server=$(cat "$work/bed/server")
ca=$work/bed/pki/ca.crt

# Where each program runs. In the node tier plane and users are outside of the cluster, which cannot be dialled from there.
inside=("$here/bed.sh" exec) outside=("$here/bed.sh" outside) plane_address=127.0.0.1
[ "$tier" = api ] || plane_address=198.51.100.1
ADMIN=("${inside[@]}" "$kubectl" --kubeconfig "$work/bed/admin.conf" --cache-dir "$work/cache-admin")
admin() { timeout 60 "${ADMIN[@]}" "$@"; }
admin_curl() { # PATH CURL-ARGUMENT...
    local path=$1
    shift
    "${inside[@]}" curl -sS --fail-with-body --max-time 30 --cacert "$ca" --cert "$work/bed/pki/admin.crt" --key "$work/bed/pki/admin.key" \
        "$@" "$server$path"
}

admin apply -f - > /dev/null << Y
apiVersion: v1
kind: Namespace
metadata: {name: pipeops-system}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: pipeops-agent, namespace: pipeops-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: pipeops-agent}
rules:
- {apiGroups: [""], resources: [nodes, pods], verbs: [get, list]}
- {apiGroups: [""], resources: [services], verbs: [get]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: pipeops-agent}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: pipeops-agent}
subjects:
- {kind: ServiceAccount, name: pipeops-agent, namespace: pipeops-system}
---
apiVersion: v1
kind: Namespace
metadata: {name: $namespace}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: tester, namespace: $namespace}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: $namespace}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tester, namespace: $namespace}
rules:
- {apiGroups: [""], resources: [configmaps], verbs: ["*"]}
- {apiGroups: [""], resources: [pods, pods/log, services, events], verbs: [get, list, watch]}
- {apiGroups: [""], resources: [pods/exec, pods/attach, pods/portforward], verbs: [get, create]}
- {apiGroups: [""], resources: [services/proxy], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tester, namespace: $namespace}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: tester}
subjects:
- {kind: ServiceAccount, name: tester, namespace: $namespace}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: $namespace}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: $namespace}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
- {kind: ServiceAccount, name: reader, namespace: $namespace}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: tester}
rules:
- {apiGroups: [""], resources: [nodes], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: tester}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: tester}
subjects:
- {kind: ServiceAccount, name: tester, namespace: $namespace}
Y
token=$(admin -n "$namespace" create token tester)
# shellcheck disable=SC2034 # for the checks
reader_token=$(admin -n "$namespace" create token reader)
agent_token=$(admin -n pipeops-system create token pipeops-agent)
agent_user=system:serviceaccount:pipeops-system:pipeops-agent

# The plane says in one line where it listens.
mkfifo "$work/announcement"
"${outside[@]}" "$DEVPLANE_BIN" serve --ca-file "$work/plane-ca.pem" --verbose --public-host "$plane_address" \
    --listen "$plane_address:0" --gateway-listen "$plane_address:0" --kube-listen "$plane_address:0" --apps-listen "$plane_address:0" \
    --app "web.test=$namespace/web:80" --app "pods.test=$namespace/web-pods:8080" --app "nowhere.test=$namespace/nowhere:80" \
    > "$work/announcement" 2> "$work/devplane.log" < /dev/null &
plane_pid=$!
track $plane_pid
exec 3< "$work/announcement"
read -r -t 20 -u 3 announcement || die "devplane did not say within 20 s where it listens: $(tail -n 3 "$work/devplane.log")"
kube_url=$(field kube_url <<< "$announcement")
[ -n "$kube_url" ] || die "devplane announces no kube_url: $announcement"

cat > "$work/agent.conf" << Y
apiVersion: v1
kind: Config
clusters: [{name: bed, cluster: {server: "$server", certificate-authority: $ca}}]
users: [{name: agent, user: {token: $agent_token}}]
contexts: [{name: bed, context: {cluster: bed, user: agent}}]
current-context: bed
Y
cat > "$work/agent.yaml" << Y
pipeops:
  api_url: $(field api_url <<< "$announcement")
  token: $(field token <<< "$announcement")
  tls: {ca_file: $work/plane-ca.pem}
agent: {cluster_name: cluster-test, state_dir: $work/state, port: 0}
kubernetes: {kubeconfig: $work/agent.conf}
logging: {level: debug}
Y
mkdir "$work/state"
agent_begun=$(micros)
"${inside[@]}" env -u KUBECONFIG "$AGENT_BIN" run --config "$work/agent.yaml" > "$work/agent.log" 2>&1 < /dev/null &
agent_pid=$!
track $agent_pid

# kubectl as a user with a token of his own: through the tunnel, and straight to the API server to compare.
AS_TESTER=("$kubectl" --kubeconfig /dev/null --token "$token" --namespace "$namespace")
TUNNEL=("${outside[@]}" "${AS_TESTER[@]}" --cache-dir "$work/cache-tunnel" --server "$kube_url" --certificate-authority "$work/plane-ca.pem")
DIRECT=("${inside[@]}" "${AS_TESTER[@]}" --cache-dir "$work/cache-direct" --server "$server" --certificate-authority "$ca")
tunnel() { timeout 30 "${TUNNEL[@]}" "$@"; }
direct() { timeout 30 "${DIRECT[@]}" "$@"; }
tunnel_curl() { # PATH CURL-ARGUMENT...
    local path=$1
    shift
    "${outside[@]}" curl -sS --max-time 30 --cacert "$work/plane-ca.pem" "$@" "$kube_url$path"
}
# shellcheck disable=SC2034 # for the checks
bearer=(-H "Authorization: Bearer $token")

# ------------------------------------------------------------------------------------------------------------------ checks
registered_or_over() { grep -q "Agent registered successfully via WebSocket" "$work/agent.log" || is_over $agent_pid; }
registered() {
    wait_until 15 registered_or_over || fail "not within 15 s"
    ! is_over $agent_pid || fail "the agent has ended"
    echo "$((($(micros) - agent_begun) / 1000)) ms after the start, process and all"
}

# The same command through the tunnel and directly must give the same text and CODE. Ages go on between the two, so there is more
# than one try.
same() { # CODE KUBECTL-ARGUMENT...
    local wanted=$1 through straight code tries=5
    shift
    while [ $tries -gt 0 ]; do
        tries=$((tries - 1))
        straight=$(direct "$@" 2>&1) && code=0 || code=$?
        [ $code = "$wanted" ] || fail "kubectl $* gives $code already directly: $straight"
        through=$(tunnel "$@" 2>&1) && code=0 || code=$?
        [ "$through" != "$straight" ] || [ $code != "$wanted" ] || break
    done
    differ "kubectl $* (left: directly)" "$straight" "$through"
    differ "the exit code of kubectl $*" "$wanted" $code
    echo "$through"
}
same_lines() { # CODE KUBECTL-ARGUMENT...: the figure is how much was the same
    local answer
    answer=$(same "$@") || fail "$answer"
    echo "$(wc -l <<< "$answer") lines"
}

# Nothing that the plane asks for may be done with the agent's own token.
own_token() {
    local uris
    uris=$(audit_lines ResponseComplete "\"username\":\"$agent_user\"" | field requestURI | sort | uniq -c)
    [ -n "$uris" ] || fail "the audit log has nothing from the agent: is it asked for the right user?"
    local foreign
    foreign=$(awk '$2 !~ "^/version$|^/api/v1/(nodes|pods)[?]|/services/[a-z-]+$|/endpointslices[?]"' <<< "$uris")
    [ -z "$foreign" ] || fail "requests with the agent's own token: $foreign"
    echo "$(awk '{ n += $1 } END { print n }' <<< "$uris") requests of its own, for version, nodes, pods, services"
}

no_secrets() {
    local secret
    for secret in "$token" "$agent_token" "$(field token <<< "$announcement")"; do
        ! grep -qF -- "$secret" "$work/agent.log" || fail "a token is in the agent's log: $(grep -nF -- "$secret" "$work/agent.log" | head -n 1 | cut -c1-300)"
    done
    echo "$(wc -l < "$work/agent.log") lines"
}

# Ends a program with SIGTERM; leaves the milliseconds in $took and the exit code in $code.
terminate() { # PID
    local begun
    begun=$(micros)
    kill -TERM "$1"
    wait_until 6 is_over "$1" || true
    took=$((($(micros) - begun) / 1000))
    if is_over "$1"; then
        code=0
        wait "$1" || code=$?
    else
        code="none, it still runs"
    fi
}
ended_well() { # MILLISECONDS EXIT-CODE
    [ "$2" = 0 ] || fail "after SIGTERM: exit code $2 after $1 ms"
    [ "$1" -lt 5000 ] || fail "it took $1 ms after SIGTERM"
    echo "$1 ms"
}

check registered registered
[ "$failed" = 0 ] || { echo "$passed passed, $failed failed"; exit 1; }
# shellcheck disable=SC2034 # for the checks
idle=$(memory $agent_pid VmRSS)
checks
check own-token own_token
check no-token-in-the-log no_secrets
terminate $agent_pid
check agent-ends ended_well "$took" "$code"
checks_without_agent
terminate $plane_pid
check plane-ends ended_well "$took" "$code"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] || exit 1
