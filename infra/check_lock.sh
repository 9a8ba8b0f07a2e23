#!/usr/bin/env bash
# The locks must be what pyproject.toml and infra/docker/gpu.in resolve to, keeping the versions that are already locked.
set -euo pipefail

resolved=$(mktemp)
trap 'rm -f "$resolved"' EXIT
cp requirements.lock "$resolved"
.venv/bin/uv $(cat infra/lock.args) --quiet pyproject.toml --output-file "$resolved" >/dev/null
if ! diff --unified=0 requirements.lock "$resolved"; then
    echo "requirements.lock is not in step with pyproject.toml: run make lock" >&2
    exit 1
fi
cp infra/docker/gpu.lock "$resolved"
.venv/bin/uv $(cat infra/docker/gpu.args) --quiet infra/docker/gpu.in --output-file "$resolved" >/dev/null
if ! diff --unified=0 infra/docker/gpu.lock "$resolved"; then
    echo "infra/docker/gpu.lock is not in step with requirements.lock: run make lock" >&2
    exit 1
fi
if grep -nE 'https?://' requirements.lock infra/docker/gpu.lock; then
    echo "a lock names an index address" >&2
    exit 1
fi
