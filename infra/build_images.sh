#!/usr/bin/env bash
# Build the images with docker or buildah, write what each holds to sbom/, and print their sizes.
#   REGISTRY=registry.example.com/team TAG=0.2.0 PYTHON_IMAGE=python@sha256:… TARGETS="serving platform-gpu" infra/build_images.sh
set -euo pipefail

tag=${TAG:-0.1.0}
prefix=${REGISTRY:+${REGISTRY%/}/}
targets=${TARGETS:-training platform serving}
named='^[^@[:space:]]+@sha256:[0-9a-f]{64}$'
if [ -n "${PYTHON_IMAGE:-}" ] && [[ "$PYTHON_IMAGE" == *@* ]] && ! [[ "$PYTHON_IMAGE" =~ $named ]]; then
    echo "make images: PYTHON_IMAGE=$PYTHON_IMAGE: NAME@sha256: and 64 hex digits expected" >&2
    exit 2
fi
if ! [[ "${PYTHON_IMAGE:-}" =~ $named ]]; then
    said="the base is ${PYTHON_IMAGE:-the tag in the Dockerfile}, which anyone who may push it can move; PYTHON_IMAGE=python@sha256:… names one content"
    if [ -n "$prefix" ]; then
        echo "make images: images for $REGISTRY: $said" >&2
        exit 2
    fi
    echo "make images: $said" >&2
fi
base=(${PYTHON_IMAGE:+--build-arg "PYTHON_IMAGE=$PYTHON_IMAGE"})
if command -v docker >/dev/null; then
    export DOCKER_BUILDKIT=1 # without it a target also builds the stages that it does not need
    build=(docker build)
    images=(docker images)
    read_file() { docker run --rm --network none --entrypoint cat "$1" "$2"; }
elif command -v buildah >/dev/null; then
    build=(buildah build --layers)
    images=(buildah images)
    read_file() {
        local container
        container=$(buildah from "$1")
        buildah run "$container" cat "$2"
        buildah rm "$container" >/dev/null
    }
else
    echo "make images: docker or buildah is needed, neither is installed" >&2
    exit 2
fi
mkdir -p sbom
for target in $targets; do
    image="${prefix}personsearch-$target:$tag"
    "${build[@]}" "${base[@]}" --target "$target" --tag "$image" --file infra/docker/Dockerfile .
    read_file "$image" /opt/sbom/personsearch.cdx.json >"sbom/personsearch-$target-$tag.cdx.json"
done
"${images[@]}" | grep personsearch-
