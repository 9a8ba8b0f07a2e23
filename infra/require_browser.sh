#!/usr/bin/env bash
# The page's tests drive a real Chromium: install Debian's where we may, else say what is missing.
set -euo pipefail

for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "make test: installing chromium …" >&2
    apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null
    exit 0
fi
echo "make test: chromium is missing; install it (Debian: apt-get install chromium) and run again" >&2
exit 2
