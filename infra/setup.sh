#!/usr/bin/env bash
# Build .venv from requirements.lock. uv is taken from PyPI into .venv itself, so the machine stays as it was.
set -euo pipefail

python=$(command -v python3.11 || command -v python3 || true)
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)
if [ "$version" != 3.11 ]; then
    echo "make setup: Python 3.11 is needed, found ${version:-none}; install python3.11 with its venv module" >&2
    exit 2
fi
[ -x .venv/bin/pip ] || "$python" -m venv .venv
[ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check uv
echo "make setup: installing $(grep -c '^[a-z0-9].*==' requirements.lock) packages, about a minute …" >&2
.venv/bin/uv pip install --quiet --python .venv/bin/python --compile-bytecode --require-hashes -r requirements.lock
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --editable .
