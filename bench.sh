#!/usr/bin/env bash
# Benchmarks: ./bench.sh [--short] [--record] [NAME]...   The last lines are a table; ends with 1 when a target is missed. --help lists the names.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
command -v dotnet >/dev/null || { echo "bench.sh needs the .NET 10 SDK (dotnet)." >&2; exit 1; }
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
[ "$(id -u)" != 0 ] || lab/install.sh benchmarks
lab/build.sh lab AddressService Controller Speaker tests/KubeApi tests/BareList tests/Benchmarks
# What is measured from its start on is measured as it ships.
ship() {
    local machine=x64
    [ "$(uname -m)" != aarch64 ] || machine=arm64
    for project in "$@"; do
        # Not --use-current-runtime, which is known too late for what a published program is made of.
        dotnet publish "$project" -c Release -r "linux-$machine" -v q -nologo >artifacts/publish.log || { cat artifacts/publish.log >&2; exit 1; }
    done
}
case " $* " in
    *" controller "*) ship Controller tests/BareList ;;
    *" bgp "*) ship Speaker ;;
    "  "|" --record "|" --short "|" --short --record "|" --record --short ") ship Controller tests/BareList Speaker ;;
esac
exec dotnet artifacts/bin/Benchmarks/release/DynamicLb.Tests.Benchmarks.dll "$@"
