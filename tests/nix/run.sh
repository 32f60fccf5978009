#!/usr/bin/env bash
# Runs the real `nix-shell shell-musl.nix --run 'make -f Makefile.musl'` against the stand-in for nixpkgs beside this file, in a
# store of its own, and checks that the makefile took the shell's compiler and libraries.

set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
unset CC CGO_CFLAGS CGO_LDFLAGS MAKEFLAGS MFLAGS MAKELEVEL PKG_CONFIG_PATH PKG_CONFIG_LIBDIR

# A finished toolchain to cut up, and a store that is nobody else's.
export NANO_STANDIN=${NANO_BUILD:-$top/build}/musl
export NIX_PATH=nixpkgs=$top/tests/nix/nixpkgs
export NIX_STORE_DIR=$scratch/store NIX_STATE_DIR=$scratch/state NIX_LOG_DIR=$scratch/log NIX_CONF_DIR=$scratch/conf
# nix-shell puts the folder of its bash first in PATH: one without a gcc.
mkdir "$scratch/bash"
ln -s "$BASH" "$scratch/bash/bash"
export NIX_REMOTE='' NIX_BUILD_SHELL=$scratch/bash/bash
options=(--option sandbox false --option substitute false --option build-users-group "")

passed=0 failed=0
# check NAME COMMAND...
check() {
	local name=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
		echo "ok   nix: $name"
	else
		failed=$((failed + 1))
		echo "FAIL nix: $name"
	fi
}
# attribute EXPRESSION: of the shell, as one word.
attribute() { nix-instantiate "${options[@]}" --eval --strict --json -E "let s = import ./shell-musl.nix { }; in $1" | tr -d '"[]'; }
# in_shell: the command of the README. NANO_BUILD shows what the makefile builds: nothing but its note of what it found.
in_shell() {
	NANO_BUILD=$scratch/build nix-shell "${options[@]}" shell-musl.nix \
		--run "make -f Makefile.musl BINARY=$scratch/nano_ssh_server.musl && command -v gcc" >"$scratch/out" 2>&1 || { tail -n 30 "$scratch/out" && return 1; }
}
printed() { grep -qx -- "$1" "$scratch/out"; }
absent() { [ ! -e "$1" ]; }

[ -f "$NANO_STANDIN/sysroot/lib/libcrypto.a" ] || { echo "nix: no toolchain in $NANO_STANDIN: make -f Makefile.musl first" >&2; exit 1; }

tools=$(attribute 'map (p: p.name) s.nativeBuildInputs')
check "tools asked for: $tools" [ "$tools" = gcc,gnumake,pkg-config,go,perl,file,binutils ]
# shellcheck disable=SC2016 # nix's ${ }
archives=$(attribute 'map (p: "${p.name} ${if p.static then "static" else "shared"}") s.buildInputs')
check "libraries asked for: $archives" [ "$archives" = "libsodium static,openssl static" ]

check "nix-shell shell-musl.nix --run 'make -f Makefile.musl'" in_shell
check "the banner's first line" printed 'Nano SSH Server - MUSL Build Environment'
check "the banner's second line" printed 'This shell uses musl libc instead of glibc'
check "the shell's compiler" printed "$scratch/store/.*/bin/gcc"
check "no libraries built" absent "$scratch/build/musl/sysroot"
check "no compiler made" absent "$scratch/build/musl/bin"
check "nothing fetched" absent "$scratch/build/cache"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
