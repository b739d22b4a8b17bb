#!/usr/bin/env bash
# Builds kube-apiserver, kube-controller-manager and kube-proxy from Debian's own source package, once,
# into a cache folder outside the repository, and prints that folder on standard output.
#
# usage: lab/kube/build.sh            prints the folder that holds the three binaries
#        lab/kube/build.sh --check    prints it only when they are there already; exit 1 otherwise
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

version=1.20.2
cache="${DYNAMICLB_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/dynamiclb}/kubernetes-$version"
binaries=(kube-apiserver kube-controller-manager kube-proxy)

complete() { local b; for b in "${binaries[@]}"; do [ -x "$cache/bin/$b" ] || return 1; done; }
say() { printf 'kubernetes %s: %s\n' "$version" "$*" >&2; }

if complete; then echo "$cache/bin"; exit 0; fi
if [ "${1:-}" = --check ]; then exit 1; fi

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9                                # two builds at once would fight over one tree
if complete; then echo "$cache/bin"; exit 0; fi

log="$cache/build.log"
: > "$log"
step() { say "$1"; shift; "$@" >>"$log" 2>&1 || { say "failed; the end of $log:"; tail -n 20 "$log" >&2; exit 1; }; }

# The machine's own package sources stay as they are: the source index lives in the cache folder.
apt_dir="$cache/apt"
mkdir -p "$apt_dir/sources" "$apt_dir/lists/partial"
shopt -s nullglob
for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
  [ -f "$f" ] || continue
  sed -nE 's/^deb( +\[[^]]*\])? +(\S*debian\S*) +(bookworm\S*) .*/deb-src\1 \2 \3 main/p' "$f"
done | sort -u > "$apt_dir/sources/src.list"
for f in /etc/apt/sources.list.d/*.sources; do
  if grep -qE '^URIs:.*debian' "$f"; then sed 's/^Types:.*/Types: deb-src/' "$f" > "$apt_dir/sources/$(basename "$f")"; fi
done
apt_src=(apt-get -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$apt_dir/sources" -o Dir::State::lists="$apt_dir/lists")

export DEBIAN_FRONTEND=noninteractive
# Another apt may be at work, a mirror may fail for a moment.
patient=(-o Acquire::Retries=5 -o DPkg::Lock::Timeout=600)
again() { "$@" || { sleep 10; "$@"; } || { sleep 30; "$@"; }; }
apt_src+=("${patient[@]}")
step "installing the Go toolchain (golang-1.19-go, dpkg-dev, rsync)" "$here/../install.sh" toolchain
step "reading the source index" again "${apt_src[@]}" update
cd "$cache"
rm -rf src && mkdir src && cd src
step "downloading the source package" again "${apt_src[@]}" source --download-only kubernetes
step "unpacking" sh -c 'dpkg-source --no-check -x kubernetes_*.dsc tree'

gopath="$cache/gopath"
rm -rf "$gopath" && mkdir -p "$gopath/src/k8s.io"
ln -s "$cache/src/tree" "$gopath/src/k8s.io/kubernetes"
cd "$gopath/src/k8s.io/kubernetes"

# reflect2 1.0.1, which the tree carries, crashes with Go 1.18 and later on the first write of a custom resource.
rm -rf vendor/github.com/modern-go/reflect2
cp -rL /usr/share/gocode/src/github.com/modern-go/reflect2 vendor/github.com/modern-go/reflect2
find vendor/github.com/modern-go/reflect2 -name '*_test.go' -delete

export GOPATH="$gopath" GO111MODULE=off GOFLAGS= GOPROXY=off PATH="/usr/lib/go-1.19/bin:$PATH" GOCACHE="$cache/gocache"
step "generating code" make generated_files
base=k8s.io/kubernetes/vendor/k8s.io/component-base/version
ldflags="-s -w -X $base.gitVersion=v$version -X $base.gitMajor=1 -X $base.gitMinor=20"
mkdir -p "$cache/bin"
for b in "${binaries[@]}"; do
  step "building $b (a few minutes)" go build -ldflags "$ldflags" -o "$cache/bin/$b.part" "k8s.io/kubernetes/cmd/$b"
  mv "$cache/bin/$b.part" "$cache/bin/$b"
done
rm -rf "$cache/src" "$gopath" "$cache/gocache" "$apt_dir"
say "done"
echo "$cache/bin"
