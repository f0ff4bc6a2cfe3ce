# What the suite needs of others, into target/interop, and our own programs. Sourced.

install() {
  for tool in cargo python3 node npm go timeout; do
    command -v "$tool" >/dev/null || die "needs $tool"
  done
  mkdir -p "$CACHE"
  install_python
  install_node
  install_go
}

install_python() {
  ! cmp -s "$HERE/python/requirements.txt" "$CACHE/requirements.txt" || return 0
  step python3 -m venv "$CACHE/venv" || die "python3 -m venv does not work: install python3-venv"
  while read -r package; do
    step "$PYTHON" -m pip install --quiet --disable-pip-version-check "$package" ||
      die "pip cannot install $package"
  done <"$HERE/python/requirements.txt"
  cp "$HERE/python/requirements.txt" "$CACHE/requirements.txt"
}

install_node() {
  ! cmp -s "$HERE/node/package.json" "$CACHE/package.json" || return 0
  mkdir -p "$CACHE/npm" && cp "$HERE/node/package.json" "$CACHE/npm/package.json"
  step npm install --prefix "$CACHE/npm" --silent --no-audit --no-fund ||
    die "npm cannot install one of: $(cd "$CACHE/npm" &&
      node -p 'Object.entries(require("./package.json").dependencies).map((e) => e.join("@")).join(" ")')"
  cp "$HERE/node/package.json" "$CACHE/package.json"
}

# Modules go where go puts them; a go that is too old for go.mod fetches a newer one, since 1.21.
install_go() {
  local version
  version=$(GOTOOLCHAIN=local go env GOVERSION)
  printf 'go1.21\n%s\n' "$version" | sort --check=quiet --version-sort ||
    die "$(command -v go) is $version: needs 1.21 or later"
  step go build -C "$HERE/go" -mod=readonly -o "$CACHE/go/" ./... ||
    die "go cannot build $HERE/go; its modules: $(cd "$HERE/go" && sed -n 's/^\t\([^ ]* v[^ ]*\)$/\1/p' go.mod | tr '\n' ' ')"
}

build() {
  cd "$ROOT"
  step cargo build --release --quiet --bin grpc-multiplexer-server \
    --bin grpc-multiplexer-client --bin interop-backend --bin interop-caller
}
