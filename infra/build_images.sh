#!/usr/bin/env bash
# Build the three images with docker or buildah, and print their sizes.
#   REGISTRY=registry.example.com/team TAG=0.2.0 PYTHON_IMAGE=python@sha256:… infra/build_images.sh
set -euo pipefail

tag=${TAG:-0.1.0}
prefix=${REGISTRY:+${REGISTRY%/}/}
base=(${PYTHON_IMAGE:+--build-arg "PYTHON_IMAGE=$PYTHON_IMAGE"})
if command -v docker >/dev/null; then
    export DOCKER_BUILDKIT=1 # without it a target also builds the stages that it does not need
    build=(docker build)
    images=(docker images)
elif command -v buildah >/dev/null; then
    build=(buildah build --layers)
    images=(buildah images)
else
    echo "make images: docker or buildah is needed, neither is installed" >&2
    exit 2
fi
for target in training platform serving; do
    "${build[@]}" "${base[@]}" --target "$target" --tag "${prefix}personsearch-$target:$tag" --file infra/docker/Dockerfile .
done
"${images[@]}" | grep personsearch-
