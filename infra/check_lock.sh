#!/usr/bin/env bash
# requirements.lock must be what pyproject.toml resolves to, keeping the versions that are already locked.
set -euo pipefail

resolved=$(mktemp)
trap 'rm -f "$resolved"' EXIT
cp requirements.lock "$resolved"
.venv/bin/uv $(cat infra/lock.args) --quiet pyproject.toml --output-file "$resolved" >/dev/null
if ! diff --unified=0 requirements.lock "$resolved"; then
    echo "requirements.lock is not in step with pyproject.toml: run make lock" >&2
    exit 1
fi
if grep -nE 'https?://' requirements.lock; then
    echo "requirements.lock names an index address" >&2
    exit 1
fi
