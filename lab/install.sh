#!/usr/bin/env bash
# Installs the Debian packages that a set of tasks needs and that are missing: lab/install.sh demo|bgp|network|cluster|benchmarks|toolchain...
# Nothing it installs may start: a DHCP server of the lab must never speak on the machine's own network. A policy-rc.d
# that refuses every start stands during the installation, and is taken away (or put back as it was) afterwards.
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: lab/install.sh demo|bgp|network|cluster|benchmarks|toolchain..." >&2; exit 2; }

# package:command that shows it is there:what for. The command also accepts a package of another origin; - where there is none.
demo="iproute2:ip:namespaces
nftables:nft:stand-in for kube-proxy
util-linux:setpriv:processes end with the lab
procps:ps:the lab's own check for leftovers
curl:curl:the client that fetches the page
iputils-arping:arping:the client that resolves the address
iputils-ping:ping:reachability
tcpdump:tcpdump:captures of the lab's LAN
jq:jq:reading the API by hand
kubernetes-client:kubectl:playing with the demo
dnsmasq-base:dnsmasq:DHCP server (the base package, which has no service)
isc-dhcp-server:dhcpd:DHCP server
kea-dhcp4-server:kea-dhcp4:DHCP server
kea-dhcp6-server:kea-dhcp6:DHCPv6 server
udhcpd:udhcpd:DHCP server"
network="$demo
ndisc6:ndisc6:the client that resolves IPv6 addresses
isc-dhcp-relay:dhcrelay:DHCP relay agent
kea-admin:perfdhcp:what the address service is measured against
frr:/usr/lib/frr/bgpd:BGP router
bird2:bird:BGP router
gobgpd:gobgpd:BGP router
chromium:chromium:browser of the dashboard's tests"
bgp="frr:/usr/lib/frr/bgpd:BGP router"
benchmarks="$demo
$bgp
gobgpd:gobgpd:what the speaker's BGP is measured against
kea-admin:perfdhcp:what the address service is measured against"
cluster="iproute2:ip:namespaces
curl:curl:readiness of the API server
etcd-server:etcd:store of the real kube-apiserver
kubernetes-client:kubectl:applies the manifest
iptables:iptables:the real kube-proxy
conntrack:conntrack:the real kube-proxy"
toolchain="golang-1.19-go:/usr/lib/go-1.19/bin/go:builds the real kube-apiserver
golang-github-modern-go-reflect2-dev:-:a part of it
dpkg-dev:dpkg-source:unpacks its source package
make:make:its code is generated
rsync:rsync:its code is generated
gcc:gcc:its C parts
libc6-dev:-:its C parts"

PATH="$PATH:/usr/sbin:/sbin"
policy=/usr/sbin/policy-rc.d
saved="$policy.dynamiclb-saved"
lock=/run/lock/dynamiclb-install.lock
restore() {
    if [ -e "$saved" ]; then mv -f "$saved" "$policy"; else rm -f "$policy"; fi
}

declare -A reason=() wanted=()
for set in "$@"; do
    case "$set" in demo|bgp|network|cluster|benchmarks|toolchain) ;; *) echo "unknown set: $set" >&2; exit 2 ;; esac
    while IFS=: read -r package command why; do
        if [ "$command" = - ]; then
            [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || reason[$package]="$why"
        elif ! command -v "$command" >/dev/null 2>&1; then
            reason[$package]="$why"
        fi
        wanted[$package]="$why"
    done <<<"${!set}"
done
# An installation that was killed leaves packages whose programs are there and do not work, since their users and folders are not.
while read -r package status; do
    case "$status" in unpacked|half-*) reason[$package]="${wanted[$package]} (was installed by half)" ;; esac
done < <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${!wanted[@]}" 2>/dev/null || true)

if [ ${#reason[@]} = 0 ]; then
    # And it leaves the policy, unless another is at work right now.
    if [ "$(id -u)" = 0 ] && grep -qs dynamiclb-lab "$policy"; then
        mkdir -p "${lock%/*}"
        (flock -n 8 && restore) 8>"$lock" || true
    fi
    exit 0
fi

[ "$(id -u)" = 0 ] || { echo "missing packages: ${!reason[*]} (run as root to install them)" >&2; exit 1; }

# Two runs at once would fight for apt's lock and for the policy file.
mkdir -p "${lock%/*}"
exec 8>"$lock"
flock 8

echo "Installing with apt-get (no service will be started):"
for package in "${!reason[@]}"; do echo "  $package: ${reason[$package]}"; done

if [ -e "$policy" ] && ! grep -q 'dynamiclb-lab' "$policy" && [ ! -e "$saved" ]; then cp -a "$policy" "$saved"; fi
trap restore EXIT
trap 'exit 130' INT TERM HUP
rm -f "$policy"
printf '#!/bin/sh\n# dynamiclb-lab: temporary, no service starts while packages are installed\nexit 101\n' >"$policy"
chmod 755 "$policy"

# From /proc, since ps may be among what is missing. A lab's own, whose data is in a folder of the lab, are no package's.
servers() {
    for process in /proc/[0-9]*; do
        if grep -qsaE '/dlb[0-9]+x[0-9]' "$process/cmdline"; then continue; fi
        case "$(cat "$process/comm" 2>/dev/null)" in
            dhcpd|dhcrelay|kea-dhcp4|kea-dhcp6|udhcpd|dnsmasq|etcd|bgpd|zebra|watchfrr|bird|gobgpd)
                [ "$(readlink "$process/ns/net" 2>/dev/null)" != "$(readlink /proc/self/ns/net)" ] || echo "${process#/proc/}" ;;
        esac
    done
}
before="$(servers)"

export DEBIAN_FRONTEND=noninteractive
lists=/var/lib/apt/lists
log="$(mktemp)"
# Another apt may be at work (a machine that was just started looks for updates), a mirror may fail for a moment.
apt() { apt-get -q -o Acquire::Retries=5 -o DPkg::Lock::Timeout=600 "$@" >>"$log" 2>&1; }
if [ -z "$(find "$lists" -maxdepth 1 -name '*_Packages*' -mtime -1 -print -quit 2>/dev/null)" ]; then
    apt update || true
fi
for pause in 5 30 0; do
    if apt install -y --no-install-recommends "${!reason[@]}"; then break; fi
    if [ "$pause" = 0 ]; then tail -n 30 "$log" >&2; exit 1; fi
    echo "that failed; once more in $pause s"
    sleep "$pause"
    # What a killed run left half done has to be ended first.
    dpkg --configure -a >>"$log" 2>&1 || true
    apt update || true
done
rm -f "$log"

started="$(comm -13 <(sort <<<"$before") <(servers | sort))"
if [ -n "$started" ]; then
    echo "a package started a server on this machine, stopping it: $started" >&2
    kill $started
    exit 1
fi

# What starts at the next boot would speak on the machine's network as well: a fresh installation is left disabled.
if command -v systemctl >/dev/null 2>&1; then
    for package in "${!reason[@]}"; do
        case "$package" in
            isc-dhcp-server|isc-dhcp-relay|kea-dhcp4-server|kea-dhcp6-server|udhcpd|frr|gobgpd) systemctl disable "$package" >/dev/null 2>&1 || true ;;
            bird2) systemctl disable bird >/dev/null 2>&1 || true ;;
            etcd-server) systemctl disable etcd >/dev/null 2>&1 || true ;;
        esac
    done
fi
echo "Installed: ${!reason[*]}"
