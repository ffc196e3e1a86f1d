#!/bin/bash
# What a workflow without the action does, one command after the other: test stage, tests, linters, image, smoke test.
set -euo pipefail
docker build --quiet --target test --tag "$IMAGE-test" app
docker run --rm --network none "$IMAGE-test"
in_stage() { docker run --rm --network none --entrypoint /opt/venv/bin/python "$IMAGE-test" -m "$@"; }
in_stage ruff check --no-cache --output-format json . || true
in_stage ruff format --check --no-cache . || true
in_stage mypy --output json --cache-dir /dev/null . || true
in_stage bandit --quiet --configfile pyproject.toml --format json --recursive . || true
in_stage pip check --disable-pip-version-check
docker build --quiet --tag "$IMAGE" app
container=$(docker run --detach --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --memory 256m --pids-limit 128 "$IMAGE")
address=$(docker inspect --format '{{.NetworkSettings.IPAddress}}' "$container")
until curl --silent --fail --noproxy '*' "http://$address:8000/health" > /dev/null; do sleep 0.2; done
docker stop "$container" > /dev/null
docker rm "$container" > /dev/null
