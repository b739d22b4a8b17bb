#!/usr/bin/env bash
# Builds projects in Release: lab/build.sh [folder of a project]...; without arguments the whole solution. One build at a time, and
# none when nothing has changed since the last one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

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
# The exit status of a build is all that counts; its output is worth reading only when it failed.
if ! {
    if [ $# = 0 ]; then dotnet build DynamicLb.sln -c Release -v q -nologo
    else for project in "$@"; do dotnet build "$project" -c Release -v q -nologo || exit 1; done; fi
} >"$log" 2>&1; then
    rm -f "$started"
    grep -E 'error|warning' "$log" | sort -u | head -n 40 >&2 || tail -n 40 "$log" >&2
    exit 1
fi
mv -f "$started" "$stamp"
echo "Built in $((SECONDS - start)) s"
