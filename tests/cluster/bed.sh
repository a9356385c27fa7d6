#!/usr/bin/env bash
# A real Kubernetes for tests, without images, downloads or a network.
#
#   bed.sh up api          etcd and kube-apiserver on free loopback ports; no root
#   bed.sh up node         a whole node (and controller-manager, scheduler, kube-proxy, containerd, kubelet), all in network,
#                          mount, PID, IPC, UTS and cgroup namespaces of its own (root)
#   bed.sh lacks api|node  why that cannot come up on this machine; nothing when it can
#   bed.sh exec CMD...     run CMD where the cluster can be reached
#   bed.sh nsexec CMD...   node: run CMD in all of the node's namespaces (ctr, nft, ps)
#   bed.sh outside CMD...  node: run CMD in a network outside the cluster, 198.51.100.1: pods and node can dial it, it cannot
#                          dial them. Where a control plane goes. In the api tier the same as exec
#   bed.sh image T.tar     node: import an image archive made by mkimage.sh
#   bed.sh signal PART SIGNAL     STOP, CONT, KILL: etcd apiserver kcm scheduler proxy containerd kubelet
#   bed.sh restart PART [SECONDS] end it, stay away for SECONDS, start it again
#   bed.sh status          what runs and how much memory it takes
#   bed.sh down            end all of it, by pid, and remove every file
#
# BED_RUN      folder for keys, logs and state; one for each bed (required)
# BED_ASSETS   folder of the programs (default: what assets.sh finds or builds)
# BED_AUDIT    set: write an audit log, log/audit.json
# BED_LOGS     folder: `down` copies the logs there
# BED_TTL      node: seconds after which it ends by itself (default 7200)
#
# After `up`, BED_RUN holds admin.conf (a kubeconfig), server (the URL), pki/ca.crt, pki/admin.crt, pki/admin.key.
set -euo pipefail

SELF=$(readlink -f "${BASH_SOURCE[0]}")
HERE=$(dirname "$SELF")
usage() { sed -n '2,26s/^# \{0,1\}//p' "$SELF"; }

RUN=${BED_RUN:-}
export BED_RUN=$RUN
PKI=$RUN/pki LOG=$RUN/log PIDS=$RUN/pid STATE=$RUN/state
NODE=node1 NODE_IP=10.200.0.1 SERVICE_CIDR=10.96.0.0/16 SERVICE_IP=10.96.0.1 POD_NET=10.244
SERVER=

say() { echo "bed: $*" >&2; }
die() { say "$*"; exit 1; }
now() { date +%s%3N; }
waitfor() { # SECONDS WHAT CMD...
    local end=$(($(now) + $1 * 1000)) what=$2
    shift 2
    until "$@" > /dev/null 2>&1; do
        [ "$(now)" -lt "$end" ] || { say "gave up waiting for $what"; return 1; }
        sleep 0.05
    done
}

# ------------------------------------------------------------------------------------------------------------ certificates
make_ca() { # NAME COMMON-NAME
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=$2" \
        -keyout "$PKI/$1.key" -out "$PKI/$1.crt" -addext basicConstraints=critical,CA:TRUE \
        -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature 2> /dev/null
}
make_cert() { # NAME CA SUBJECT USAGE [ALTERNATIVE-NAMES]
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$3" -keyout "$PKI/$1.key" -out "$PKI/$1.csr" 2> /dev/null
    {
        echo "basicConstraints=CA:FALSE"
        echo "keyUsage=critical,digitalSignature,keyEncipherment"
        echo "extendedKeyUsage=$4"
        [ -z "${5:-}" ] || echo "subjectAltName=$5"
    } > "$PKI/$1.ext"
    openssl x509 -req -in "$PKI/$1.csr" -CA "$PKI/$2.crt" -CAkey "$PKI/$2.key" -set_serial "0x$(openssl rand -hex 8)" \
        -days 3650 -extfile "$PKI/$1.ext" -out "$PKI/$1.crt" 2> /dev/null
    rm -f "$PKI/$1.csr" "$PKI/$1.ext"
}
make_pki() { # TIER
    mkdir -p "$PKI"
    chmod 700 "$PKI"
    make_ca ca bed-ca
    make_ca front-ca bed-front-proxy-ca
    make_cert apiserver ca /CN=kube-apiserver serverAuth \
        "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$NODE_IP,IP:$SERVICE_IP"
    make_cert apiserver-kubelet ca /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
    make_cert front-client front-ca /CN=front-proxy-client clientAuth
    make_cert admin ca /O=system:masters/CN=admin clientAuth
    openssl ecparam -genkey -name prime256v1 -noout -out "$PKI/sa.key" 2> /dev/null
    openssl ec -in "$PKI/sa.key" -pubout -out "$PKI/sa.pub" 2> /dev/null
    [ "$1" = node ] || return 0
    make_cert kcm ca /CN=system:kube-controller-manager clientAuth
    make_cert scheduler ca /CN=system:kube-scheduler clientAuth
    make_cert proxy ca /CN=system:kube-proxy clientAuth
    make_cert kubelet ca "/O=system:nodes/CN=system:node:$NODE" serverAuth,clientAuth "DNS:$NODE,IP:$NODE_IP,IP:127.0.0.1"
}
kubeconfig() { # USER...: writes USER.conf
    local user
    for user in "$@"; do
        cat > "$RUN/$user.conf" << Y
apiVersion: v1
kind: Config
clusters: [{name: bed, cluster: {server: "$SERVER", certificate-authority: $PKI/ca.crt}}]
users: [{name: $user, user: {client-certificate: $PKI/$user.crt, client-key: $PKI/$user.key}}]
contexts: [{name: bed, context: {cluster: bed, user: $user}}]
current-context: bed
Y
        chmod 600 "$RUN/$user.conf"
    done
}

# --------------------------------------------------------------------------------------------------------------- processes
# A pid is kept with its start time, so that a recycled one is never ended.
started() { sed 's/^.*) //' "/proc/$1/stat" 2> /dev/null | cut -d' ' -f20; }
start() { # NAME CMD...
    local name=$1
    shift
    mkdir -p "$RUN/cmd"
    printf '%q ' "$@" > "$RUN/cmd/$name"
    setsid "$@" >> "$LOG/$name.log" 2>&1 < /dev/null &
    echo "$! $(started $!)" > "$PIDS/$name"
}
pid_of() { # NAME: prints the pid of a part that lives
    local pid when
    read -r pid when 2> /dev/null < "$PIDS/$1" && [ -n "$pid" ] && [ "$(started "$pid")" = "$when" ] && echo "$pid"
}
gone() { ! pid_of "$1" > /dev/null; }
stop() { # NAME
    local pid
    pid=$(pid_of "$1") || return 0
    kill -TERM "$pid" 2> /dev/null || true
    waitfor 5 "the end of $1" gone "$1" || kill -KILL "$pid" 2> /dev/null || true
}

control_plane() { # PORT ETCD-PORT ETCD-PEER-PORT BIND-ADDRESS RECONCILER
    local port=$1 client=$2 peer=$3 audit=()
    rm -rf "$STATE/etcd"
    mkdir -p "$STATE/etcd"
    chmod 700 "$STATE/etcd"
    start etcd "$ASSETS/etcd" --data-dir "$STATE/etcd" --unsafe-no-fsync --log-level warn --name bed \
        --listen-client-urls "http://127.0.0.1:$client" --advertise-client-urls "http://127.0.0.1:$client" \
        --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
        --initial-cluster "bed=http://127.0.0.1:$peer"
    # Before it listens the API server would back off for seconds.
    waitfor 20 "etcd (see $LOG/etcd.log)" bash -c "exec 3<>/dev/tcp/127.0.0.1/$client" || return 1
    ! gone etcd || return 1
    if [ -n "${BED_AUDIT:-}" ]; then
        printf 'apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n' > "$RUN/audit.yaml"
        audit=(--audit-policy-file "$RUN/audit.yaml" --audit-log-path "$LOG/audit.json")
    fi
    start apiserver "$ASSETS/kube-apiserver" --etcd-servers "http://127.0.0.1:$client" --bind-address "$4" --secure-port "$port" \
        --advertise-address "$NODE_IP" --endpoint-reconciler-type "$5" --service-cluster-ip-range "$SERVICE_CIDR" \
        --tls-cert-file "$PKI/apiserver.crt" --tls-private-key-file "$PKI/apiserver.key" --client-ca-file "$PKI/ca.crt" \
        --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged=true \
        --service-account-issuer https://kubernetes.default.svc.cluster.local --service-account-key-file "$PKI/sa.pub" \
        --service-account-signing-key-file "$PKI/sa.key" \
        --kubelet-client-certificate "$PKI/apiserver-kubelet.crt" --kubelet-client-key "$PKI/apiserver-kubelet.key" \
        --kubelet-certificate-authority "$PKI/ca.crt" --kubelet-preferred-address-types InternalIP \
        --requestheader-client-ca-file "$PKI/front-ca.crt" --requestheader-allowed-names front-proxy-client \
        --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
        --requestheader-extra-headers-prefix X-Remote-Extra- \
        --proxy-client-cert-file "$PKI/front-client.crt" --proxy-client-key-file "$PKI/front-client.key" \
        --profiling=false "${audit[@]}"
    waitfor 60 "the API server's /readyz (see $LOG/apiserver.log)" answers_or_gone
    ! gone apiserver
}
answers_or_gone() { gone apiserver || "$ASSETS/kubectl" --kubeconfig "$RUN/admin.conf" get --raw /readyz; }

# ---------------------------------------------------------------------------------------------------------------- api tier
# Three ports that nobody has, below those that the kernel gives out.
free_ports() {
    local used port found=()
    used=$(awk 'FNR > 1 { sub(/.*:/, "", $2); print $2 }' /proc/net/tcp /proc/net/tcp6 2> /dev/null || true)
    while [ ${#found[@]} -lt 3 ]; do
        port=$((18000 + RANDOM % 14000))
        grep -qix "$(printf %04x "$port")" <<< "$used" || found+=("$port")
    done
    echo "${found[@]}"
}
up_api() {
    local begun attempt ports
    begun=$(now)
    make_pki api
    for attempt in 1 2 3; do
        read -ra ports <<< "$(free_ports)"
        SERVER=https://127.0.0.1:${ports[0]}
        kubeconfig admin
        if control_plane "${ports[@]}" 127.0.0.1 none; then
            echo "$SERVER" > "$RUN/server"
            say "the api tier is up after $(($(now) - begun)) ms: export KUBECONFIG=$RUN/admin.conf"
            return
        fi
        stop apiserver
        stop etcd
        grep -qs "address already in use" "$LOG/etcd.log" "$LOG/apiserver.log" || break
        say "somebody took one of the ports ${ports[*]} (attempt $attempt)"
    done
    tail -n 5 "$LOG"/*.log >&2
    die "the api tier did not come up"
}

# --------------------------------------------------------------------------------------------------------------- node tier
CONTROLLERS=(cpu cpuacct cpuset memory devices freezer blkio pids)
lacks_node() {
    local program
    [ "$(id -u)" = 0 ] || { echo "it needs root"; return; }
    for program in containerd runc ctr nsenter unshare ip nft openssl busybox; do
        command -v "$program" > /dev/null || { echo "$program is missing: tests/cluster/assets.sh deps installs what is needed"; return; }
    done
    [ -x /usr/lib/cni/bridge ] || { echo "the CNI plugins are missing: tests/cluster/assets.sh deps installs what is needed"; return; }
    [ ! -e /sys/fs/cgroup/cgroup.controllers ] || { echo "this machine has cgroup v2 only, and the node is made for cgroup v1"; return; }
    [ -d /sys/fs/cgroup/memory ] || { echo "no cgroup v1 controllers below /sys/fs/cgroup"; return; }
    unshare --mount --net --pid --ipc --uts --cgroup --fork true 2> /dev/null || echo "namespaces may not be made here"
}
cgroup_folders() {
    local controller path
    for controller in "${CONTROLLERS[@]}" systemd; do
        path=$(awk -F: -v c="$controller" '$2 == c || $2 == "name=" c { print $3 }' /proc/self/cgroup)
        [ ! -d "/sys/fs/cgroup/$controller" ] || echo "/sys/fs/cgroup/$controller${path%/}"
    done
}
up_node() {
    local begun folder id=bed-$$ why
    why=$(lacks_node)
    [ -z "$why" ] || die "$why"
    begun=$(now)
    SERVER=https://$NODE_IP:6443
    make_pki node
    kubeconfig admin kcm scheduler proxy kubelet
    echo "$SERVER" > "$RUN/server"
    # A cgroup below our own in every hierarchy: it becomes the root of the node's cgroup namespace.
    : > "$RUN/cgroups"
    for folder in $(cgroup_folders); do
        mkdir "$folder/$id"
        echo "$folder/$id" >> "$RUN/cgroups"
        case $folder in
            */cpuset*)
                cat "$folder/cpuset.cpus" > "$folder/$id/cpuset.cpus"
                cat "$folder/cpuset.mems" > "$folder/$id/cpuset.mems"
                ;;
        esac
    done
    (
        while read -r folder; do echo "$BASHPID" > "$folder/cgroup.procs"; done < "$RUN/cgroups"
        exec setsid unshare --mount --net --pid --ipc --uts --cgroup --fork --kill-child --propagation private \
            bash "$SELF" __init > "$LOG/init.log" 2>&1 < /dev/null
    ) &
    echo "$! $(started $!)" > "$PIDS/unshare"
    waitfor 120 "the node (see $LOG/init.log)" ready_or_failed || true
    [ -e "$RUN/ready" ] || { tail -n 8 "$LOG/init.log" >&2; die "the node did not come up"; }
    say "the node tier is up after $(($(now) - begun)) ms ($(tr '\n' ',' < "$RUN/ready"))"
}
ready_or_failed() { [ -e "$RUN/ready" ] || [ -e "$RUN/failed" ] || gone unshare; }

init() { # PID 1 of the node's PID namespace
    trap 'touch "$RUN/failed"' ERR
    SERVER=https://$NODE_IP:6443
    local begun controller
    begun=$(now)
    lap() { echo "$* +$(($(now) - begun)) ms" >> "$RUN/laps"; }
    hostname "$NODE"
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    mount -t tmpfs tmpfs /sys/fs/cgroup
    for controller in "${CONTROLLERS[@]}"; do
        mkdir "/sys/fs/cgroup/$controller"
        mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
    done
    mkdir /sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
    mkdir -p "$STATE"
    mount -t tmpfs -o mode=700 tmpfs "$STATE"
    mount -t tmpfs tmpfs /run
    mkdir -p /run/containerd /run/lock "$STATE"/{varlog,kubelet,kubelet-var,containerd,cni-state}
    mount --bind "$STATE/varlog" /var/log
    mkdir -p /var/lib/kubelet
    mount --bind "$STATE/kubelet-var" /var/lib/kubelet
    mount --make-rshared /
    ip link set lo up
    ip link add br-node type bridge
    ip addr add "$NODE_IP/24" dev br-node
    ip link set br-node up
    ip link add cni0 type bridge
    ip addr add "$POD_NET.0.1/24" dev cni0
    ip link set cni0 up
    ip route add default dev br-node # so that service addresses have a route; kube-proxy rewrites them
    echo 1 > /proc/sys/net/ipv4/ip_forward
    ip netns add outside
    ip link add out0 type veth peer name eth0 netns outside
    ip addr add 198.51.100.2/24 dev out0
    ip link set out0 up
    ip -n outside addr add 198.51.100.1/24 dev eth0
    ip -n outside link set lo up
    ip -n outside link set eth0 up
    nft -f - << Y
table inet bed {
  chain outpost { type nat hook postrouting priority srcnat; oifname "out0" masquerade; }
  chain inbound { type filter hook input priority filter; iifname "out0" ct state new drop; }
  chain through { type filter hook forward priority filter; iifname "out0" ct state new drop; }
}
Y
    lap namespaces
    start_containerd
    lap containerd
    control_plane 6443 2379 2380 0.0.0.0 lease
    lap apiserver
    # Without the higher rates the default ServiceAccount comes five seconds late.
    start kcm "$ASSETS/kube-controller-manager" --kubeconfig "$RUN/kcm.conf" --authentication-kubeconfig "$RUN/kcm.conf" \
        --authorization-kubeconfig "$RUN/kcm.conf" --bind-address 127.0.0.1 --leader-elect=false --use-service-account-credentials \
        --service-account-private-key-file "$PKI/sa.key" --root-ca-file "$PKI/ca.crt" --cluster-signing-cert-file "$PKI/ca.crt" \
        --cluster-signing-key-file "$PKI/ca.key" --allocate-node-cidrs=false --kube-api-qps 500 --kube-api-burst 1000
    start scheduler "$ASSETS/kube-scheduler" --kubeconfig "$RUN/scheduler.conf" --authentication-kubeconfig "$RUN/scheduler.conf" \
        --authorization-kubeconfig "$RUN/scheduler.conf" --bind-address 127.0.0.1 --leader-elect=false
    start_kubelet
    start proxy "$ASSETS/kube-proxy" --kubeconfig "$RUN/proxy.conf" --hostname-override "$NODE" --proxy-mode nftables \
        --cluster-cidr "$POD_NET.0.0/16" --conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0s \
        --conntrack-tcp-timeout-close-wait 0s --bind-address "$NODE_IP" --healthz-bind-address 127.0.0.1:10256 \
        --metrics-bind-address 127.0.0.1:10249 --oom-score-adj 0 --nodeport-addresses "$NODE_IP/32"
    export KUBECONFIG=$RUN/admin.conf
    waitfor 60 "a Ready node" node_ready
    lap node
    waitfor 30 "the default service account" "$ASSETS/kubectl" -n default get serviceaccount default
    lap serviceaccount
    mv "$RUN/laps" "$RUN/ready"
    # bash reaps orphans; the end of PID 1 ends everything.
    sleep "${BED_TTL:-7200}" &
    wait $! || true
}
node_ready() {
    # shellcheck disable=SC2016 # a jsonpath
    [ "$("$ASSETS/kubectl" get node "$NODE" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]
}
start_containerd() {
    cat > "$RUN/containerd.toml" << Y
version = 2
root = "$STATE/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/bed/pause:1"
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$RUN/cni"
Y
    mkdir -p "$RUN/cni"
    cat > "$RUN/cni/10-bed.conflist" << Y
{"cniVersion":"0.4.0","name":"bed","plugins":[
 {"type":"bridge","bridge":"cni0","isGateway":true,"hairpinMode":true,
  "ipam":{"type":"host-local","dataDir":"$STATE/cni-state","ranges":[[{"subnet":"$POD_NET.0.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}}]}
Y
    start containerd containerd --config "$RUN/containerd.toml" --log-level warn
    waitfor 20 "containerd (see $LOG/containerd.log)" ctr version
    # The pod's image and the pause image: the one static file of busybox.
    local root=$STATE/rootfs applet
    mkdir -p "$root"/{bin,tmp,www,etc,proc,sys,dev,root} "$STATE/pausefs/bin"
    chmod 1777 "$root/tmp"
    cp /bin/busybox "$root/bin/"
    for applet in $(busybox --list); do [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"; done
    echo 'root:x:0:0:root:/root:/bin/sh' > "$root/etc/passwd"
    echo 'hello from the bed' > "$root/www/index.html"
    cp /bin/busybox "$STATE/pausefs/bin/sleep"
    "$HERE/mkimage.sh" "$STATE/busybox.tar" localhost/bed/busybox:1 "$root" '["/bin/sh"]'
    "$HERE/mkimage.sh" "$STATE/pause.tar" localhost/bed/pause:1 "$STATE/pausefs" '["/bin/sleep","2147483647"]'
    ctr -n k8s.io images import --no-unpack "$STATE/pause.tar"
    ctr -n k8s.io images import "$STATE/busybox.tar"
}
start_kubelet() {
    echo "nameserver 127.0.0.1" > "$RUN/resolv.conf"
    cat > "$RUN/kubelet.yaml" << Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 0.0.0.0
readOnlyPort: 0
healthzBindAddress: 127.0.0.1
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $PKI/kubelet.crt
tlsPrivateKeyFile: $PKI/kubelet.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
maxOpenFiles: $(ulimit -Hn)
enforceNodeAllocatable: [pods]
localStorageCapacityIsolation: false
evictionHard: {memory.available: "0%", nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%"}
imageGCHighThresholdPercent: 100
resolvConf: $RUN/resolv.conf
clusterDomain: cluster.local
clusterDNS: [10.96.0.10]
nodeStatusUpdateFrequency: 4s
podLogsDir: /var/log/pods
containerLogMaxSize: 64Ki
containerLogMaxFiles: 5
containerLogMonitorInterval: 3s
volumePluginDir: $STATE/volume-plugins
Y
    start kubelet "$ASSETS/kubelet" --config "$RUN/kubelet.yaml" --kubeconfig "$RUN/kubelet.conf" --root-dir "$STATE/kubelet" \
        --hostname-override "$NODE" --node-ip "$NODE_IP"
}
init_pid() {
    local pid children=
    pid=$(pid_of unshare) && read -r children < "/proc/$pid/task/$pid/children"
    [ -n "$children" ] || die "the node does not run"
    echo "${children%% *}"
}

# ---------------------------------------------------------------------------------------------------------------- commands
tier() { cat "$RUN/tier" 2> /dev/null; }
# Runs one of our functions where the parts live: their pids are those of the node's PID namespace.
inside() {
    if [ "$(tier)" = api ]; then "$@"; else nsenter -t "$(init_pid)" -a -- bash "$SELF" __inside "$@"; fi
}
signal() { # PART SIGNAL
    local pid
    pid=$(pid_of "$1") || die "$1 does not run"
    kill "-$2" "$pid"
}
restart() { # PART SECONDS
    stop "$1"
    sleep "$2"
    eval "start $1 $(cat "$RUN/cmd/$1")"
}
status() {
    local part pid
    echo "tier: $(tier)" || { echo down; return 1; }
    if [ "$(tier)" = node ]; then
        nsenter -t "$(init_pid)" -a -- ps -eo pid,rss,time,args | cut -c1-120
    else
        for part in etcd apiserver; do
            if pid=$(pid_of "$part"); then
                echo "$part: pid $pid, $(awk '/VmRSS/ { print $2 }' "/proc/$pid/status") kB"
            else
                echo "$part: gone"
            fi
        done
    fi
}
remove_cgroup() { # FOLDER
    find "$1" -depth -type d -exec rmdir {} + 2> /dev/null || true
    [ ! -d "$1" ]
}
down() {
    local pid folder
    [ -d "$RUN" ] || return 0
    if [ "$(tier)" = node ]; then
        if pid=$(init_pid 2> /dev/null); then
            kill -KILL "$pid" 2> /dev/null || true # PID 1 of the namespace: the kernel ends all the rest
            waitfor 10 "the node's end" gone unshare || true
        fi
        if [ -e "$RUN/cgroups" ]; then
            while read -r folder; do
                [ ! -d "$folder" ] || waitfor 3 "the end of $folder" remove_cgroup "$folder" || true
            done < "$RUN/cgroups"
        fi
        rmdir /var/lib/kubelet 2> /dev/null || true
    else
        stop apiserver
        stop etcd
    fi
    if [ -n "${BED_LOGS:-}" ]; then
        mkdir -p "$BED_LOGS"
        cp -r "$LOG/." "$BED_LOGS/" 2> /dev/null || true
    fi
    rm -rf "$RUN"
}

command=${1:-help}
case $command in
    help | -h | --help) usage; exit ;;
    lacks)
        case ${2:-} in
            api) command -v openssl > /dev/null || echo "openssl is missing: apt-get install openssl" ;;
            node) lacks_node ;;
            *) usage; exit 64 ;;
        esac
        exit
        ;;
esac
[ -n "$RUN" ] || die "BED_RUN is not set: a folder for the bed's state"
shift
case $command in
    up)
        tier=${1:-}
        case $tier in api | node) ;; *) usage; exit 64 ;; esac
        [ ! -e "$RUN/tier" ] || die "$RUN is in use: bed.sh down first"
        ASSETS=${BED_ASSETS:-$("$HERE/assets.sh" "$tier")}
        export BED_ASSETS=$ASSETS
        mkdir -p "$RUN" "$LOG" "$PIDS"
        echo "$ASSETS" > "$RUN/assets"
        echo "$tier" > "$RUN/tier"
        "up_$tier"
        ;;
    __init)
        ASSETS=$BED_ASSETS
        init
        ;;
    __inside)
        # Else a part that is started again would live in the caller's cgroup.
        for controller in "${CONTROLLERS[@]}" systemd; do echo $$ > "/sys/fs/cgroup/$controller/cgroup.procs"; done
        "$@"
        ;;
    exec) if [ "$(tier)" = node ]; then exec nsenter -t "$(init_pid)" -n -- "$@"; else exec "$@"; fi ;;
    nsexec) exec nsenter -t "$(init_pid)" -a -- "$@" ;;
    outside)
        if [ "$(tier)" = node ]; then exec nsenter --net="/proc/$(init_pid)/root/run/netns/outside" -- "$@"; else exec "$@"; fi
        ;;
    image) nsenter -t "$(init_pid)" -a -- ctr -n k8s.io images import "$(readlink -f "$1")" ;;
    signal) inside signal "$1" "$2" ;;
    restart) inside restart "$1" "${2:-0}" ;;
    status) status ;;
    down) down ;;
    *) usage; exit 64 ;;
esac
