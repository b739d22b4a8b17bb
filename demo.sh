#!/usr/bin/env bash
# From nothing to a Service with an address, in network namespaces of its own: ./demo.sh --help
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
    cat <<'TEXT'
usage: ./demo.sh [--check] [--dhcp dnsmasq|isc|kea|udhcpd] [--kube inprocess|real|existing] [--config file|resources]
       ./demo.sh [--check] --protocol bgp [--kube inprocess|real] [--config file|resources]

  --check   unattended: ends after the last step, exit 0 only if every step was observed;
            the last line is a JSON object with the time of each step in seconds
  --dhcp    the DHCP server on the demo's LAN (default: dnsmasq)
  --kube    the Kubernetes API: an in-process API server (default), or a real kube-apiserver
            with etcd, built once from Debian's source package; or the cluster that KUBECONFIG names,
            in which the demo makes (and removes) the namespaces demo and dynamiclb-system
  --config  where the programs have their configuration from: a file (default), or the resources
            AddressService and L2Advertisement (not with --kube existing)
  --protocol bgp
            in place of DHCP and ARP: addresses of a reserved range, told to a router (FRR) by BGP; it
            spreads the traffic of a client behind it over both nodes, of which one is killed

Everything runs in network namespaces of its own, which are removed at the end.
TEXT
}
wrong() { echo "$1" >&2; echo >&2; usage >&2; exit 2; }

# Before anything is installed or built: a slip of the pen should not cost a minute.
sets=(demo)
arguments=("$@")
while [ $# -gt 0 ]; do
    case "$1 ${2-}" in
        --help*|-h*) usage; exit 0 ;;
        --check*) shift ;;
        "--dhcp dnsmasq"|"--dhcp isc"|"--dhcp kea"|"--dhcp udhcpd"|"--kube inprocess"|"--config file"|"--config resources"|"--protocol layer2") shift 2 ;;
        "--protocol bgp") sets+=(bgp); shift 2 ;;
        "--kube real") sets+=(cluster); shift 2 ;;
        "--kube existing") [ -n "${KUBECONFIG:-}" ] || wrong "--kube existing needs KUBECONFIG to name the cluster"; shift 2 ;;
        *) wrong "cannot understand $1 ${2-}" ;;
    esac
done

[ "$(id -u)" = 0 ] || { echo "demo.sh needs root: it makes network namespaces." >&2; exit 1; }
command -v dotnet >/dev/null || { echo "demo.sh needs the .NET 10 SDK (dotnet)." >&2; exit 1; }
lab/install.sh "${sets[@]}"
lab/build.sh lab AddressService Controller Speaker tests/KubeApi
exec dotnet artifacts/bin/Lab/release/DynamicLb.Lab.dll "${arguments[@]}"
