#!/usr/bin/env bash
# All tests: ./test.sh [unit|network|cluster]...   The last line is "N passed, N failed, N skipped".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

suites=()
for suite in "$@"; do
    case "$suite" in
        unit|network|cluster) suites+=("$suite") ;;
        *) echo "usage: ./test.sh [unit|network|cluster]..."; [ "$suite" = --help ] && exit 0 || exit 2 ;;
    esac
done
[ ${#suites[@]} -gt 0 ] || suites=(unit network cluster)
command -v dotnet >/dev/null || { echo "test.sh needs the .NET 10 SDK (dotnet)." >&2; exit 1; }
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

passed=0 failed=0 skipped=0
finish() {
    trap - EXIT
    [ "$passed" -gt 0 ] || { [ "$failed" -gt 0 ] || failed=1; }
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ] && exit 0 || exit 1
}
trap 'failed=$((failed + 1)); finish' EXIT
fault() { echo "FAILED: $1"; failed=$((failed + 1)); }

run=()
for suite in "${suites[@]}"; do
    if [ "$suite" != unit ] && [ "$(id -u)" != 0 ]; then
        # In CI nobody would notice a suite that never runs.
        if [ -n "${CI:-}" ]; then fault "the $suite suite needs root"; else echo "skipped: the $suite suite needs root"; skipped=$((skipped + 1)); fi
    else
        run+=("$suite")
    fi
done

sets=()
for suite in "${run[@]}"; do [ "$suite" = unit ] || sets+=("$suite"); done
[ ${#sets[@]} = 0 ] || lab/install.sh "${sets[@]}"

lab/build.sh
logs=artifacts/test-logs
mkdir -p "$logs"

echo "Checking the formatting ..."
# Style and analyzer rules are errors of the build already; what remains is white space, which needs no compilation.
dotnet format whitespace . --folder --verify-no-changes --exclude artifacts >"$logs/format.log" 2>&1 || { head -n 20 "$logs/format.log"; fault "formatting (dotnet format whitespace . --folder)"; }

if [ -f openapi/address-service.v1.json ]; then
    echo "Checking that openapi/ matches the code ..."
    generated="$(find artifacts/obj/AddressService artifacts/bin/AddressService/release -name 'address-service.v1.json' -o -name 'DynamicLb.AddressService.json' 2>/dev/null | head -n 1 || true)"
    if [ -n "$generated" ]; then
        cmp -s "$generated" openapi/address-service.v1.json || fault "openapi/address-service.v1.json is not what the code describes"
    elif ! git diff --quiet -- openapi; then
        # The build writes the document in place.
        git --no-pager diff --stat -- openapi
        fault "the build changed openapi/: commit it"
    fi
fi

for suite in "${run[@]}"; do
    project="${suite^}"
    if [ "$suite" = cluster ] && ! lab/kube/build.sh >"$logs/kube-build.log" 2>&1; then
        tail -n 20 "$logs/kube-build.log"
        fault "building kube-apiserver"
        continue
    fi
    echo "Running the $suite suite ..."
    log="$logs/$suite.log"
    start=$SECONDS
    status=0
    timeout --kill-after=30 1200 dotnet "artifacts/bin/$project/release/DynamicLb.Tests.$project.dll" -noColor >"$log" 2>&1 || status=$?
    # Total: 12, Errors: 0, Failed: 0, Skipped: 0, Not Run: 0, Time: 1.0s
    summary="$(grep -aE 'Total: [0-9]+, .*Failed: [0-9]+, .*Skipped: [0-9]+' "$log" | tail -n 1 || true)"
    if [ -z "$summary" ]; then
        tail -n 30 "$log"
        fault "the $suite suite ended with $status and no summary"
        continue
    fi
    count() { sed -E "s/.*$1: ([0-9]+).*/\1/" <<<"$summary"; }
    bad=$(($(count Failed) + $(count Errors)))
    passed=$((passed + $(count Total) - $(count Failed) - $(count Skipped)))
    skipped=$((skipped + $(count Skipped)))
    failed=$((failed + bad))
    [ "$(count Total)" -gt 0 ] || fault "the $suite suite ran no test"
    [ "$status" = 0 ] || [ "$bad" -gt 0 ] || fault "the $suite suite ended with $status"
    grep -aE '\[SKIP\]|^MEASURED' "$log" || true
    # With what failed, the first lines of why.
    grep -aE -A 12 '\[FAIL\]' "$log" || true
    echo "$suite: $summary, $((SECONDS - start)) s, log in $log"
done
finish
