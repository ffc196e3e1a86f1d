#!/usr/bin/env bash
# A deployment as three commands. `cargo xtask bench azure-deploy` runs it beside the action; the variables come from there.
#
# usage: deploy.sh login | deploy.sh deploy
set -euo pipefail
: "${WORK:?} ${LOGIN_SERVER:?} ${DOCKER_CONFIG:?} ${KUBECONFIG:?}"

login() {
  : "${AZURE:?} ${TENANT:?} ${CLIENT:?} ${OIDC_REQUEST_TOKEN:?} ${CURL_CA_BUNDLE:?}"
  field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"; }
  assertion=$(curl --silent --header "Authorization: bearer $OIDC_REQUEST_TOKEN" "http://$AZURE/oidc/token?api-version=2.0&audience=api://AzureADTokenExchange" | field value)
  token=$(curl --silent --data-urlencode "client_id=$CLIENT" --data-urlencode grant_type=client_credentials --data-urlencode scope=https://containerregistry.azure.net/.default \
    --data-urlencode client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer --data-urlencode "client_assertion=$assertion" \
    "http://$AZURE/$TENANT/oauth2/v2.0/token" | field access_token)
  refresh=$(curl --silent --data-urlencode grant_type=access_token --data-urlencode "service=$LOGIN_SERVER" --data-urlencode "tenant=$TENANT" \
    --data-urlencode "access_token=$token" "https://$LOGIN_SERVER/oauth2/exchange" | field refresh_token)
  docker login --username 00000000-0000-0000-0000-000000000000 --password-stdin "$LOGIN_SERVER" <<<"$refresh" >/dev/null 2>&1
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
