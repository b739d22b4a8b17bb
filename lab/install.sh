#!/usr/bin/env bash
# Installs the Debian packages that a set of tasks needs and that are missing: lab/install.sh demo|bgp|network|cluster|benchmarks...
# Nothing it installs may start: a DHCP server of the lab must never speak on the machine's own network. A policy-rc.d
# that refuses every start stands during the installation, and is taken away (or put back as it was) afterwards.
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: lab/install.sh demo|bgp|network|cluster|benchmarks..." >&2; exit 2; }

# package:command that shows it is there:what for. The command also accepts a package of another origin.
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

PATH="$PATH:/usr/sbin:/sbin"
declare -A reason=()
for set in "$@"; do
    case "$set" in demo|bgp|network|cluster|benchmarks) ;; *) echo "unknown set: $set" >&2; exit 2 ;; esac
    while IFS=: read -r package command why; do
        if ! command -v "$command" >/dev/null 2>&1; then reason[$package]="$why"; fi
    done <<<"${!set}"
done
[ ${#reason[@]} -gt 0 ] || exit 0

[ "$(id -u)" = 0 ] || { echo "missing packages: ${!reason[*]} (run as root to install them)" >&2; exit 1; }

# Two runs at once would fight for apt's lock and for the policy file.
exec 8>/run/lock/dynamiclb-install.lock
flock 8

echo "Installing with apt-get (no service will be started):"
for package in "${!reason[@]}"; do echo "  $package: ${reason[$package]}"; done

policy=/usr/sbin/policy-rc.d
saved="$policy.dynamiclb-saved"
restore() {
    if [ -e "$saved" ]; then mv -f "$saved" "$policy"; else rm -f "$policy"; fi
}
if [ -e "$policy" ] && ! grep -q 'dynamiclb-lab' "$policy" && [ ! -e "$saved" ]; then cp -a "$policy" "$saved"; fi
trap restore EXIT
trap 'exit 130' INT TERM HUP
rm -f "$policy"
printf '#!/bin/sh\n# dynamiclb-lab: temporary, no service starts while packages are installed\nexit 101\n' >"$policy"
chmod 755 "$policy"

# From /proc, since ps may be among what is missing.
servers() {
    for process in /proc/[0-9]*; do
        case "$(cat "$process/comm" 2>/dev/null)" in
            dhcpd|dhcrelay|kea-dhcp4|kea-dhcp6|udhcpd|dnsmasq|etcd|bgpd|zebra|watchfrr|bird|gobgpd)
                [ "$(readlink "$process/ns/net" 2>/dev/null)" != "$(readlink /proc/self/ns/net)" ] || echo "${process#/proc/}" ;;
        esac
    done
}
before="$(servers)"

export DEBIAN_FRONTEND=noninteractive
lists=/var/lib/apt/lists
if [ -z "$(find "$lists" -maxdepth 1 -name '*_Packages*' -mtime -1 -print -quit 2>/dev/null)" ]; then
    apt-get update -q
fi
log="$(mktemp)"
if ! apt-get install -y -q --no-install-recommends "${!reason[@]}" >"$log" 2>&1; then
    apt-get update -q >>"$log" 2>&1 || true
    apt-get install -y -q --no-install-recommends "${!reason[@]}" >>"$log" 2>&1 || { tail -n 30 "$log" >&2; exit 1; }
fi
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
