#!/usr/bin/env bash
# From nothing to a Service with an address from DHCP, in network namespaces of its own: ./demo.sh --help
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

case " $* " in
    *" --help "*|*" -h "*) ;;
    *)
        [ "$(id -u)" = 0 ] || { echo "demo.sh needs root: it makes network namespaces." >&2; exit 1; }
        command -v dotnet >/dev/null || { echo "demo.sh needs the .NET 10 SDK (dotnet)." >&2; exit 1; }
        ;;
esac
sets=(demo)
case " $* " in *" --kube real "*) sets+=(cluster) ;; esac
case " $* " in *" --help "*|*" -h "*) ;; *) lab/install.sh "${sets[@]}" ;; esac

lab/build.sh lab AddressService Controller Speaker tests/KubeApi
exec dotnet artifacts/bin/Lab/release/DynamicLb.Lab.dll "$@"
