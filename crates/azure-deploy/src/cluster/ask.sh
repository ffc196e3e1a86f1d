# Runs in a pod of the cluster, beside the questions as HTTP/1.0 requests (`0001.http`). Each answer of the API server is
# one line: `seaworthy-answer 0001 ` and its bytes, packed so that many fit into the log.
set -u
# kubectl has the address, the authority and the token; it adds them to what comes in on a port of the pod's own.
exec 3< <(exec kubectl proxy --port=0 2>&1)
proxy=$!
said=
while read -r line <&3; do
  case $line in
  *' serve on '*) port=${line##*:}; break ;;
  *) said="$said$line " ;;
  esac
done
if [ -z "${port:-}" ]; then
  echo "kubectl proxy did not start: $said"
  exit 1
fi
for question in *.http; do
  exec 4<>"/dev/tcp/127.0.0.1/$port"
  cat "$question" >&4
  printf 'seaworthy-answer %s ' "${question%.http}"
  gzip -c <&4 | base64 -w 0
  echo
  exec 4>&-
done
kill "$proxy"
