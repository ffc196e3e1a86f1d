#!/usr/bin/env bash
# The pipeline as a plain script: the same steps with docker, trivy, copa and kubectl on the same local services, one after the
# other. `cargo xtask bench pipeline` compares it with the actions; the variables come from there, and the time after each
# part goes there.
set -euo pipefail
: "${SOURCE:?} ${COMMIT:?} ${WORK:?} ${LOGIN_SERVER:?} ${MIRROR:?} ${GITHUB:?} ${GITHUB_TOKEN:?} ${REPOSITORY:?} ${AZURE:?} ${TENANT:?} ${CLIENT:?} ${OIDC_REQUEST_TOKEN:?} ${TOOLING:?} ${BUILDKIT:?} ${KUBECONFIG:?} ${CURL_CA_BUNDLE:?}"
image=flask-app:$COMMIT
source "$(dirname "$0")/login.sh"
cleanup() { docker rm --force --volumes bench-app bench-buildkit >/dev/null 2>&1 || true; }
trap cleanup EXIT
cleanup
lap() { echo "$1 $EPOCHREALTIME" >>"$WORK/laps"; }
lap begin

# Build, test, lint, smoke-test.
docker build --quiet --target test --tag flask-app:bench-test "$SOURCE/app" >/dev/null
docker run --rm --network none flask-app:bench-test >"$WORK/tests.log" 2>&1
in_stage() { docker run --rm --network none --entrypoint /opt/venv/bin/python flask-app:bench-test -m "$@"; }
in_stage ruff check --no-cache --output-format json . >"$WORK/ruff.json" || true
in_stage ruff format --check --no-cache . >"$WORK/ruff-format.log" || true
in_stage mypy --output json --cache-dir /dev/null . >"$WORK/mypy.json" || true
in_stage bandit --quiet --configfile pyproject.toml --format json --recursive . >"$WORK/bandit.json" || true
in_stage pip check --disable-pip-version-check >"$WORK/pip.log"
docker build --quiet --build-arg "APP_COMMIT=$COMMIT" --tag "$image" "$SOURCE/app" >/dev/null
docker run --detach --name bench-app --read-only --tmpfs /tmp --cap-drop ALL "$image" >/dev/null
address=$(docker inspect --format '{{.NetworkSettings.IPAddress}}' bench-app)
until curl --silent --fail "http://$address:8000/health" >/dev/null; do sleep 0.2; done
docker stop bench-app >/dev/null
lap build

# Scan, and show the findings in the Security tab.
scan() { trivy image --quiet --format json --list-all-pkgs --scanners vuln,secret --db-repository "$MIRROR/trivy-db:2" --cache-dir "$WORK/trivy" --output "$2" "$1"; }
show() {
  trivy convert --quiet --format sarif --output "$1.sarif" "$1.json"
  gzip --stdout "$1.sarif" | base64 --wrap=0 >"$1.base64"
  printf '{"commit_sha":"%s","ref":"refs/heads/main","sarif":"%s"}' "$COMMIT" "$(cat "$1.base64")" >"$1.upload"
  curl --silent --fail --header @"$WORK/token" --header 'Content-Type: application/json' --data-binary @"$1.upload" \
    "http://$GITHUB/repos/$REPOSITORY/code-scanning/sarifs" >/dev/null
}
printf 'Authorization: bearer %s' "$GITHUB_TOKEN" >"$WORK/token"
scan "$image" "$WORK/before.json"
show "$WORK/before"
lap scan

# Patch: the image goes through a registry, since BuildKit cannot see Docker's images.
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
show "$WORK/after"
lap patch

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
lap deploy
