# Runs in a pod of the cluster, next to the requests in HTTP/1.0 (`0001.http`). Each response of the API server is
# one line: `seaworthy-response 0001 ` and its bytes, compressed so that many fit into the log.
set -u
# kubectl has the address, the CA certificate and the token; it adds them to each request on a local port of the pod.
exec 3< <(exec kubectl proxy --port=0 2>&1)
proxy=$!
output=
while read -r line <&3; do
  case $line in
  *' serve on '*) port=${line##*:}; break ;;
  *) output="$output$line " ;;
  esac
done
if [ -z "${port:-}" ]; then
  echo "kubectl proxy did not start: $output"
  exit 1
fi
for request in *.http; do
  exec 4<>"/dev/tcp/127.0.0.1/$port"
  cat "$request" >&4
  printf 'seaworthy-response %s ' "${request%.http}"
  gzip -c <&4 | base64 -w 0
  echo
  exec 4>&-
done
kill "$proxy"
