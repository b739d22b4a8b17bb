#!/usr/bin/env bash
# Builds projects in Release: lab/build.sh [folder of a project]...; without arguments the whole solution. One build at a time, and
# none when nothing has changed since the last one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
# For a registry that is slow, or fails now and then.
export NUGET_ENHANCED_MAX_NETWORK_TRY_COUNT="${NUGET_ENHANCED_MAX_NETWORK_TRY_COUNT:-6}"

mkdir -p artifacts
exec 9>artifacts/.build.lock
flock 9

# Only what a program's bytes can depend on; the stamp is the time of the newest build.
key="$(echo "${*:-all}" | tr ' /' '__')"
stamp="artifacts/.built-$key"
if [ -e "$stamp" ] && [ -z "$(find . -path ./artifacts -prune -o -path ./.git -prune -o -path ./docs -prune -o \
        \( -name '*.cs' -o -name '*.csproj' -o -name '*.props' -o -name '*.targets' -o -name '.editorconfig' -o -path './AddressService/Dashboard/Files/*' -o -name '*.html' -o -name global.json \) \
        -newer "$stamp" -print -quit)" ]; then
    exit 0
fi

start=$SECONDS
echo "Building in Release ..."
log="artifacts/build-$key.log"
started="$(mktemp artifacts/.started.XXXXXX)"
# The exit status of a build is all that counts; its output is worth reading only when it failed. The build's own servers, which outlive it,
# must not inherit the lock.
build() (
    [ $# -gt 0 ] || set -- DynamicLb.sln
    for project in "$@"; do dotnet build "$project" -c Release -v q -nologo || exit 1; done
) >"$log" 2>&1 9>&-
# NU1301 and its kin: a package or its index could not be fetched.
if ! build "$@" && ! { grep -qE 'NU1301|NU1801|NU1100|NU1101|NU1102' "$log" && sleep 10 && build "$@"; }; then
    rm -f "$started"
    grep -E 'error|warning' "$log" | sort -u | head -n 40 >&2 || tail -n 40 "$log" >&2
    exit 1
fi
mv -f "$started" "$stamp"
echo "Built in $((SECONDS - start)) s"
