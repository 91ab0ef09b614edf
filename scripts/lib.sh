# What several scripts need; to be sourced.
# shellcheck shell=bash

# The oldest cargo that builds ctxprof, as in Cargo.toml.
readonly MINIMAL_CARGO=1.85

say() { echo "${0##*/}: $*" >&2; }
die() { say "$*"; exit 1; }

# Runs a command as root: directly, or through sudo.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Whether version $1 is at least $2.
at_least() { [ "$(printf '%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# Installs Debian's or Ubuntu's packages, those missing of them.
install_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null | grep -q '^installed$' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get > /dev/null || die "please install: ${missing[*]} (no apt-get here to do it)"
  say "installing ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 update
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=120 install --no-install-recommends "${missing[@]}" > /dev/null
}

cargo_version() { cargo --version 2> /dev/null | awk '{print $2}'; }

# Puts a cargo that is new enough on PATH: the one that is there, rustup's of this or the invoking user, or a package.
ensure_cargo() {
  local home
  home=$(getent passwd "${SUDO_USER:-$(id -un)}" | cut -d: -f6)
  [ -x "$home/.cargo/bin/cargo" ] && PATH=$home/.cargo/bin:$PATH
  if ! at_least "$(cargo_version)" "$MINIMAL_CARGO"; then
    install_packages gcc libc6-dev
    if apt-cache show cargo-1.85 > /dev/null 2>&1; then
      install_packages cargo-1.85 rustc-1.85
      PATH=/usr/lib/rust-1.85/bin:$PATH
    else
      install_packages cargo rustc
    fi
  fi
  at_least "$(cargo_version)" "$MINIMAL_CARGO" ||
    die "cargo $MINIMAL_CARGO or newer is needed, here is $(cargo_version); see https://rustup.rs"
  command -v cc > /dev/null || install_packages gcc libc6-dev
}
