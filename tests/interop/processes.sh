# Processes that `run` starts, all of which end with it. Sourced.

WORK=$(mktemp -d)
started=()
step=

die() {
  echo "interop: $*" >&2
  exit 1
}

cleanup() {
  trap - EXIT
  local pids=(${step:+"$step"} "${started[@]}")
  kill "${pids[@]}" 2>/dev/null || true
  for _ in {1..50}; do
    kill -0 "${pids[@]}" 2>/dev/null || break
    sleep 0.1
  done
  kill -9 "${pids[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$WORK"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs a command such that a signal to this script need not wait for its end.
step() {
  "$@" &
  step=$!
  local code=0
  wait "$step" || code=$?
  step=
  return "$code"
}

# launch NAME COMMAND...: starts a process.
launch() {
  local name=$1
  shift
  : >"$WORK/$name.log"
  "$@" >>"$WORK/$name.log" 2>&1 &
  started+=("$!")
}

# says NAME PATTERN: waits until the output of NAME matches, as long as what was started last lives.
says() {
  local pid=${started[-1]}
  for _ in {1..300}; do
    ! grep -q -- "$2" "$WORK/$1.log" || return 0
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.05
  done
  cat "$WORK/$1.log" >&2
  die "$1 did not say \"$2\" within 15 s"
}

# start NAME READY COMMAND...: starts a process and waits until its output matches READY.
start() {
  launch "$1" "${@:3}"
  says "$1" "$2"
}

# The address that the output of NAME gives after PREFIX.
address() {
  sed -n "s/.*$2\([^ ,]*\).*/\1/p" "$WORK/$1.log" | head -n 1
}
