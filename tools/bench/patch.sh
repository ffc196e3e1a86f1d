#!/usr/bin/env bash
# An image scanned, patched and scanned again, as a plain script. `cargo xtask bench copacetic-patch` compares it with
# the action; the variables come from there.
set -euo pipefail
: "${IMAGE:?} ${WORK:?} ${MIRROR:?} ${TOOLING:?} ${BUILDKIT:?}"
cleanup() { docker rm --force --volumes bench-patch-buildkit >/dev/null 2>&1 || true; }
trap cleanup EXIT
cleanup
scan() { trivy image --quiet --format json --list-all-pkgs --skip-db-update --skip-version-check --disable-telemetry --offline-scan --cache-dir "$WORK/cache" --output "$2" "$1"; }
scan "$IMAGE" "$WORK/before.json"

# The image goes through a registry, since BuildKit cannot see Docker's images.
served=$MIRROR/bench-patch
docker tag "$IMAGE" "$served:1"
docker push --quiet "$served:1" >/dev/null
docker tag "$TOOLING" "$served:tooling"
docker push --quiet "$served:tooling" >/dev/null
docker run --detach --name bench-patch-buildkit --network host --cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt seccomp=unconfined \
  --security-opt apparmor=unconfined --security-opt systempaths=unconfined --volume /sys/fs/cgroup:/sys/fs/cgroup --volume /var/lib/buildkit \
  "$BUILDKIT" --oci-worker-net=host >/dev/null
until docker exec bench-patch-buildkit buildctl debug workers >/dev/null 2>&1; do sleep 0.1; done
convert() { printf '{"action":"CONVERT","selector":{"identifier":"docker-image://%s"},"updates":{"identifier":"docker-image://%s:tooling"}}' "$1" "$served"; }
printf '{"rules":[%s,%s]}' "$(convert 'ghcr.io/project-copacetic/copacetic/debian:*')" "$(convert 'docker.io/library/debian:*')" >"$WORK/policy.json"
EXPERIMENTAL_BUILDKIT_SOURCE_POLICY=$WORK/policy.json copa patch --image "$served:1" --report "$WORK/before.json" \
  --tag 1-patched --addr docker-container://bench-patch-buildkit >"$WORK/copa.log" 2>&1
scan "$served:1-patched" "$WORK/after.json"
docker rmi --force "$served:1-patched" >/dev/null
