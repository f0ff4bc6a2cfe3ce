# shellcheck shell=bash
# Sourced by scripts that need packages of python or node: each list goes into a folder of its own, once.

die() {
  echo "$(basename "$(dirname "$0")"): $*" >&2
  exit 1
}

# needs TOOL...
needs() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || die "needs $tool"
  done
}

# python_packages FOLDER REQUIREMENTS: FOLDER/venv has what the file REQUIREMENTS lists.
python_packages() {
  local folder=$1 list=$2
  cmp -s "$list" "$folder/requirements.txt" && return
  mkdir -p "$folder"
  python3 -m venv --clear "$folder/venv" || die "python3 -m venv does not work: install python3-venv"
  "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$list" ||
    die "pip cannot install one of: $(paste -sd' ' "$list")"
  cp "$list" "$folder/requirements.txt"
}

# node_packages FOLDER PACKAGES: FOLDER/node_modules has what the package.json PACKAGES lists.
node_packages() {
  local folder=$1 list=$2
  cmp -s "$list" "$folder/installed.json" && return
  mkdir -p "$folder"
  cp "$list" "$folder/package.json"
  npm install --prefix "$folder" --silent --no-audit --no-fund ||
    die "npm cannot install one of: $(node -p 'Object.entries(require(process.argv[1]).dependencies)
      .map((entry) => entry.join("@")).join(" ")' "$folder/package.json")"
  cp "$list" "$folder/installed.json"
}
