#!/usr/bin/env bash
# The tests of alerts need promtool. Debian's package starts a server when it is installed, so it is only unpacked.
set -euo pipefail

folder=$HOME/.cache/personsearch/prometheus
command -v promtool >/dev/null && exit 0
[ -x "$folder/usr/bin/promtool" ] && exit 0
if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
    echo "make test: fetching promtool …" >&2
    mkdir -p "$folder"
    cd "$folder"
    apt-get download -qq prometheus 2>/dev/null || { [ "$(id -u)" = 0 ] && apt-get update -qq && apt-get download -qq prometheus; }
    dpkg-deb --extract prometheus_*.deb .
    rm prometheus_*.deb
    exit 0
fi
echo "make test: promtool is missing; install it (Debian: apt-get install prometheus) and run again" >&2
exit 2
