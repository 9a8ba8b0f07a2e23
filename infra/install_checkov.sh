#!/usr/bin/env bash
# Checkov, whose dependencies do not fit beside ours, in an environment of its own. Run again, it does nothing.
set -euo pipefail

version=3.3.30
environment=$HOME/.cache/personsearch/checkov
[ "$(cat "$environment/version" 2>/dev/null)" = "$version" ] && exit 0
echo "make check: installing checkov $version …" >&2
.venv/bin/uv venv --quiet --clear --python .venv/bin/python "$environment"
.venv/bin/uv pip install --quiet --python "$environment/bin/python" "checkov==$version"
echo "$version" > "$environment/version"
