#!/usr/bin/env bash
# The pipeline as a plain script: the same steps with docker, trivy, copa and kubectl on the same stand-ins.
# `cargo xtask bench pipeline` runs it beside the actions; the variables come from there.
set -euo pipefail
: "${SOURCE:?} ${COMMIT:?} ${WORK:?} ${LOGIN_SERVER:?} ${MIRROR:?} ${AZURE:?} ${TENANT:?} ${CLIENT:?} ${OIDC_REQUEST_TOKEN:?} ${TOOLING:?} ${BUILDKIT:?} ${KUBECONFIG:?} ${CURL_CA_BUNDLE:?}"
image=flask-app:$COMMIT
source "$(dirname "$0")/login.sh"
cleanup() { docker rm --force --volumes bench-app bench-buildkit >/dev/null 2>&1 || true; }
trap cleanup EXIT
cleanup

# Build, test, smoke-test.
docker build --quiet --target test --tag flask-app:bench-test "$SOURCE/app" >/dev/null
docker run --rm --network none flask-app:bench-test >"$WORK/tests.log" 2>&1
docker build --quiet --build-arg "APP_COMMIT=$COMMIT" --tag "$image" "$SOURCE/app" >/dev/null
docker run --detach --name bench-app --read-only --tmpfs /tmp --cap-drop ALL "$image" >/dev/null
address=$(docker inspect --format '{{.NetworkSettings.IPAddress}}' bench-app)
until curl --silent --fail "http://$address:8000/health" >/dev/null; do sleep 0.2; done
docker stop bench-app >/dev/null

# Scan.
scan() { trivy image --quiet --format json --list-all-pkgs --scanners vuln,secret --db-repository "$MIRROR/trivy-db:2" --cache-dir "$WORK/trivy" --output "$2" "$1"; }
scan "$image" "$WORK/before.json"

# Patch: the image goes through a registry, since BuildKit cannot see the engine's images.
docker tag "$image" "$MIRROR/flask-app:$COMMIT"
docker push --quiet "$MIRROR/flask-app:$COMMIT" >/dev/null
docker tag "$TOOLING" "$MIRROR/tooling:1"
docker push --quiet "$MIRROR/tooling:1" >/dev/null
docker run --detach --name bench-buildkit --network host --cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt seccomp=unconfined \
  --security-opt apparmor=unconfined --security-opt systempaths=unconfined --volume /sys/fs/cgroup:/sys/fs/cgroup --volume /var/lib/buildkit \
  "$BUILDKIT" --oci-worker-net=host >/dev/null
until docker exec bench-buildkit buildctl debug workers >/dev/null 2>&1; do sleep 0.2; done
convert() { printf '{"action":"CONVERT","selector":{"identifier":"docker-image://%s"},"updates":{"identifier":"docker-image://%s/tooling:1"}}' "$1" "$MIRROR"; }
printf '{"rules":[%s,%s]}' "$(convert 'ghcr.io/project-copacetic/copacetic/debian:*')" "$(convert 'docker.io/library/debian:*')" >"$WORK/policy.json"
EXPERIMENTAL_BUILDKIT_SOURCE_POLICY=$WORK/policy.json copa patch --image "$MIRROR/flask-app:$COMMIT" --report "$WORK/before.json" \
  --tag "$COMMIT-patched" --addr docker-container://bench-buildkit >"$WORK/copa.log" 2>&1
docker tag "$MIRROR/flask-app:$COMMIT-patched" "$image-patched"
scan "$image-patched" "$WORK/after.json"

# Push.
export DOCKER_CONFIG=$WORK/docker
registry_login
for tag in "$COMMIT" "$COMMIT-patched" latest; do
  source=$image
  [ "$tag" = "$COMMIT" ] || source=$image-patched
  docker tag "$source" "$LOGIN_SERVER/flask-app:$tag"
  docker push --quiet "$LOGIN_SERVER/flask-app:$tag" >/dev/null
done
digest=$(docker inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$LOGIN_SERVER/flask-app:$COMMIT-patched" | grep "^$LOGIN_SERVER" | head -1)

# Deploy, serve.
cp -r "$SOURCE/k8s" "$WORK/k8s"
sed -i "s|image: .*flask-app:latest|image: $digest|" "$WORK/k8s/deployment.yaml"
kubectl apply --server-side --force-conflicts --filename "$WORK/k8s/namespace.yaml" >/dev/null
kubectl apply --server-side --force-conflicts --filename "$WORK/k8s" >/dev/null
kubectl --namespace web rollout status deployment/flask-app --timeout 120s >/dev/null
until ip=$(kubectl --namespace web get service flask-app --output 'jsonpath={.status.loadBalancer.ingress[0].ip}') && [ -n "$ip" ]; do sleep 0.5; done
for _ in 1 2 3; do curl --silent --fail --retry 10 --retry-connrefused "http://$ip/health" >/dev/null; done
