#!/usr/bin/env bash
# A deployment as three commands. `cargo xtask bench azure-deploy` compares it with the action; the variables come from there.
#
# usage: deploy.sh login | deploy.sh deploy
set -euo pipefail
: "${WORK:?} ${LOGIN_SERVER:?} ${DOCKER_CONFIG:?} ${KUBECONFIG:?}"

login() {
  source "$(dirname "$0")/login.sh"
  registry_login
}

deploy() {
  : "${IMAGE:?} ${NAMESPACE:?}"
  docker tag "$IMAGE" "$LOGIN_SERVER/$IMAGE"
  docker push --quiet "$LOGIN_SERVER/$IMAGE" >/dev/null
  sed "s|image: .*flask-app:latest|image: $LOGIN_SERVER/$IMAGE|" "$WORK/k8s/deployment.yaml" >"$WORK/changed.yaml"
  kubectl apply --server-side --force-conflicts --filename "$WORK/k8s/namespace.yaml" --filename "$WORK/k8s/disruption-budget.yaml" \
    --filename "$WORK/k8s/network-policy.yaml" --filename "$WORK/k8s/service.yaml" --filename "$WORK/changed.yaml" >/dev/null
  kubectl --namespace "$NAMESPACE" rollout status deployment/flask-app --timeout 120s >/dev/null
}

"$1"
