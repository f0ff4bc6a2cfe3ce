#!/usr/bin/env bash
# `buf curl` against the server: calls to the edge with its backend's reflection, and discovery
# with the server's own.
#
# Usage: buf.sh BUF ADDRESS CLIENT_ID LABEL
set -uo pipefail

BUF=$1 URL=http://$2 ID=$3 LABEL=$4
ECHO=$URL/grpc.multiplexer.examples.v1.EchoService
passed=0 cases=0

plain() {
  timeout 20 "$BUF" curl --http2-prior-knowledge --protocol grpc "$@" 2>&1 | tr -d ' \n'
}

to_edge() {
  plain --reflect-header "client-id: $ID" --header "client-id: $ID" "$@"
}

# check NAME PATTERN COMMAND...: the output, without spaces and line ends, must match.
check() {
  local name=$1 pattern=$2 output
  shift 2
  output=$("$@")
  cases=$((cases + 1))
  if grep -qE -- "$pattern" <<<"$output"; then
    passed=$((passed + 1))
    echo "ok   $LABEL: $name"
  else
    echo "FAIL $LABEL: $name: got $output"
  fi
}

check 'unary' '^\{"text":"hello"\}$' \
  to_edge --data '{"text": "hello"}' "$ECHO/Echo"
check 'server stream' '^\{"text":"hi"\}\{"text":"hi","index":1\}$' \
  to_edge --data '{"text": "hi", "count": 2}' "$ECHO/ServerStream"
check 'client stream' '^\{"text":"a,b","messages":2\}$' \
  to_edge --data '{"text": "a"} {"text": "b"}' "$ECHO/ClientStream"
check 'bidi stream' '^\{"text":"a"\}\{"text":"b","index":1\}$' \
  to_edge --data '{"text": "a"} {"text": "b"}' "$ECHO/BidiStream"
check 'reflection v1' 'grpc.multiplexer.examples.v1.EchoService' \
  plain --reflect-protocol grpc-v1 --reflect-header "client-id: $ID" --list-services "$URL"
check 'reflection v1alpha' 'grpc.multiplexer.examples.v1.EchoService' \
  plain --reflect-protocol grpc-v1alpha --reflect-header "client-id: $ID" --list-services "$URL"
check 'health of the backend' '"status":"SERVING"' \
  to_edge --data '{"service": "grpc.multiplexer.examples.v1.EchoService"}' \
  "$URL/grpc.health.v1.Health/Check"
# buf shows details as base64: ASKED_FOR in the ErrorInfo, status_code in the BadRequest.
check 'error with details' 'failed_precondition.*notnow.*ErrorInfo.*BU0tFRF9GT1.*BadRequest.*N0YXR1c19jb2Rl' \
  to_edge --data '{"status_code": 9, "status_message": "not now"}' "$ECHO/Echo"
check 'error of the server' 'not_found' \
  plain --reflect-header "client-id: $ID" --header 'client-id: nobody' "$ECHO/Echo"
check 'discovery, reflection of the server' "\"servers\":\[.*\"$ID\".*\]" \
  plain "$URL/grpc.multiplexer.v1.DiscoveryService/ListGRPCServer"
check 'health of the server' '"status":"SERVING"' \
  plain "$URL/grpc.health.v1.Health/Check"

echo "$passed/$cases $LABEL"
[ "$passed" = "$cases" ]
