#!/usr/bin/env bash
# Finds or builds the Kubernetes programs that the cluster tests need, and prints the folder that holds them.
#
#   tests/cluster/assets.sh api      etcd, kube-apiserver, kubectl
#   tests/cluster/assets.sh node     these and kube-controller-manager, kube-scheduler, kubelet, kube-proxy
#   tests/cluster/assets.sh cached   prints the folder when it needs no build, else fails
#   tests/cluster/assets.sh deps     installs the Debian packages of the node tier (root)
#
# KUBEBUILDER_ASSETS   a folder with the programs; taken first
# PIPEOPS_TEST_CACHE   where the built ones are kept (default: ${XDG_CACHE_HOME:-~/.cache}/pipeops-agent-tests)
#
# The build needs Go 1.24 or later and takes some 16 minutes of processor time, once.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
api=(etcd kube-apiserver kubectl)
node=("${api[@]}" kube-controller-manager kube-scheduler kubelet kube-proxy)
packages=(containerd runc containernetworking-plugins busybox-static nftables iptables conntrack iproute2 openssl util-linux procps)

say() { echo "assets: $*" >&2; }
die() { say "$*"; exit 1; }

has() { # FOLDER PROGRAM...
    local folder=$1 program
    shift
    for program in "$@"; do [ -x "$folder/$program" ] || return 1; done
}

# One binary that is all of them, told apart by its name.
build() { # FOLDER
    local out=$1 go version minor package program
    go=$(command -v go || echo /usr/local/go/bin/go)
    [ -x "$go" ] || die "Go 1.24 or later is missing: install it from https://go.dev/dl, or set KUBEBUILDER_ASSETS to a folder with ${node[*]}"
    minor=$("$go" env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
    [ "${minor:-0}" -ge 24 ] || die "$("$go" env GOVERSION) is too old: Go 1.24 or later is needed, see https://go.dev/dl"
    version=$(sed -n 's/^require k8s.io\/kubernetes //p' "$here/kube/go.mod")
    minor=${version#v1.} minor=${minor%%.*}
    local flags="-s -w"
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
        flags+=" -X $package.gitCommit=unknown -X $package.buildDate=1970-01-01T00:00:00Z"
    done
    say "building Kubernetes $version into $out; this is done once"
    mkdir -p "$out.new"
    (cd "$here/kube" && CGO_ENABLED=0 GOFLAGS="-mod=readonly -buildvcs=false" "$go" build -trimpath -ldflags "$flags" -o "$out.new/kubebed" .) >&2
    for program in "${node[@]}"; do ln -sf kubebed "$out.new/$program"; done
    mv "$out.new" "$out"
}

case ${1:-} in
    api) wanted=("${api[@]}") ;;
    node | cached) wanted=("${node[@]}") ;;
    deps)
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
        exit
        ;;
    *) sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 64 ;;
esac

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
    if has "$KUBEBUILDER_ASSETS" "${wanted[@]}"; then
        echo "$KUBEBUILDER_ASSETS"
        exit
    fi
    has "$KUBEBUILDER_ASSETS" "${api[@]}" || die "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS has not all of: ${api[*]}"
    # It has what the usual sets have; a whole node needs more.
fi

cache=${PIPEOPS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pipeops-agent-tests}
hash=$(cat "$here"/kube/{go.mod,go.sum,main.go} | sha256sum)
folder=$cache/kubebed-${hash:0:16}
if ! has "$folder" "${wanted[@]}"; then
    [ "$1" != cached ] || die "$folder is not there yet"
    mkdir -p "$cache"
    # Whoever comes second waits and finds it done.
    exec 9> "$cache/lock"
    flock 9
    if ! has "$folder" "${wanted[@]}"; then
        rm -rf "$folder" "$folder.new"
        build "$folder"
    fi
fi
echo "$folder"
