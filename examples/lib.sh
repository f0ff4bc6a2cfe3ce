# shellcheck shell=bash
# Sourced by the `run` of each example: processes on free ports that end with the script, and output that must be right,
# and in the example's README.md.
#
# BIN is the folder of the programs, PYTHON has what python/requirements.txt lists, and node finds what
# node/package.json lists.
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
EXAMPLES=$(dirname "$HERE")
BIN=${BIN:-${CARGO_TARGET_DIR:-$EXAMPLES/../target}/release}
PYTHON=${PYTHON:-python3}
WORK=$(mktemp -d)
declare -A started=()

# No configuration of whoever runs this, and nothing left behind.
export HOME=$WORK PYTHONDONTWRITEBYTECODE=1
unset "${!GRPC_MULTIPLEXER_@}"

die() {
  echo "$(basename "$HERE"): $*" >&2
  exit 1
}

cleanup() {
  trap '' EXIT INT TERM
  local name
  for name in "${!started[@]}"; do stop "$name"; done
  rm -rf "$WORK"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start NAME READY COMMAND...: starts a process and waits until it prints READY.
start() {
  launch "$1" "${@:3}"
  prints "$1" "$2"
}

# launch NAME COMMAND...: starts a process.
launch() {
  : >"$WORK/$1.log"
  "${@:2}" >>"$WORK/$1.log" 2>&1 &
  started[$1]=$!
}

# prints NAME TEXT: waits until the process NAME has printed TEXT.
prints() {
  local runs=yes
  for _ in {1..400}; do
    kill -0 "${started[$1]}" 2>/dev/null || runs=
    grep -qF -- "$2" "$WORK/$1.log" && return
    [ -n "$runs" ] || break
    sleep 0.05
  done
  cat "$WORK/$1.log" >&2
  die "$1 did not print \"$2\" within 20 s"
}

# printed NAME OUTPUT: all that the process NAME has printed must be OUTPUT.
printed() {
  local got
  got=$(cat "$WORK/$1.log")
  [ "$got" = "$2" ] || die "$1 printed
$got
but expected was
$2"
  shown "$2"
}

# stop NAME: ends a process, the hard way when it takes longer than 10 s.
stop() {
  local pid=${started[$1]}
  unset "started[$1]"
  kill "$pid" 2>/dev/null || return 0
  for _ in {1..200}; do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.05
  done
  kill -9 "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}

# after NAME TEXT: what stands behind TEXT in the output of the process NAME, up to a space or comma.
after() {
  sed -n "s/.*$2\([^ ,]*\).*/\1/p" "$WORK/$1.log" | head -n 1
}

# start_server [FLAG...]: a server; PROXY and TUNNELS are its addresses for callers and for edges.
start_server() {
  start server multiplexer_listener= "$BIN/grpc-multiplexer-server" \
    --proxy-listener 127.0.0.1:0 --multiplexer-listener 127.0.0.1:0 --warm-up 0s "$@"
  PROXY=$(after server proxy_listener=)
  TUNNELS=$(after server multiplexer_listener=)
}

# start_edge CLIENT_ID BACKEND [FLAG...]: an edge, connected to the server.
start_edge() {
  local id=$1 backend=$2
  shift 2
  start "$id" "connected client_id=$id" "$BIN/grpc-multiplexer-client" --client-id "$id" \
    --multiplexer-address "$TUNNELS" --grpc-server-address "$backend" "$@"
}

# start_backend NAME COMMAND...: a thermometer; BACKEND is its address.
start_backend() {
  start "$1" 'listens on' "${@:2}"
  BACKEND=$(after "$1" 'listens on ')
}

# reads ROOM COMMAND...: the caller COMMAND must read the thermometer of ROOM.
reads() {
  ends 0 "21.5 degrees in the $1
21.5
21.6
21.7" "${@:2}"
}

# fails OUTPUT COMMAND...: the caller COMMAND must fail with OUTPUT.
fails() {
  ends 1 "$@"
}

# ends CODE OUTPUT COMMAND...: the command must end with CODE and print exactly OUTPUT.
ends() {
  local want_code=$1 want=$2 code=0 got
  shift 2
  got=$(timeout 30 "$@" 2>&1) || code=$?
  [ "$got" = "$want" ] && [ "$code" = "$want_code" ] ||
    die "$* ended with $code and printed
$got
but expected was $want_code and
$want"
  shown "$want"
}

# shown TEXT: each line of TEXT must be one of README.md, so that it shows what is true.
shown() {
  local line
  while read -r line; do
    grep -qxF -- "$line" "$HERE/README.md" || die "README.md does not show: $line"
  done <<<"$1"
}
