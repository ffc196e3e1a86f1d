#!/usr/bin/env bash
# What both scripts sign in to the registry with; the variables come from the benchmark.

# A run's token becomes Entra's, that one the registry's, as the action does it.
registry_login() {
  : "${AZURE:?} ${TENANT:?} ${CLIENT:?} ${OIDC_REQUEST_TOKEN:?} ${LOGIN_SERVER:?} ${DOCKER_CONFIG:?} ${CURL_CA_BUNDLE:?}"
  local assertion token refresh
  field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"; }
  assertion=$(curl --silent --header "Authorization: bearer $OIDC_REQUEST_TOKEN" "http://$AZURE/oidc/token?api-version=2.0&audience=api://AzureADTokenExchange" | field value)
  token=$(curl --silent --data-urlencode "client_id=$CLIENT" --data-urlencode grant_type=client_credentials --data-urlencode scope=https://containerregistry.azure.net/.default \
    --data-urlencode client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer --data-urlencode "client_assertion=$assertion" \
    "http://$AZURE/$TENANT/oauth2/v2.0/token" | field access_token)
  refresh=$(curl --silent --data-urlencode grant_type=access_token --data-urlencode "service=$LOGIN_SERVER" --data-urlencode "tenant=$TENANT" \
    --data-urlencode "access_token=$token" "https://$LOGIN_SERVER/oauth2/exchange" | field refresh_token)
  docker login --username 00000000-0000-0000-0000-000000000000 --password-stdin "$LOGIN_SERVER" <<<"$refresh" >/dev/null 2>&1
}
