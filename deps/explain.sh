#!/usr/bin/env bash
# Runs the command given, shows what it prints, and when it fails adds what the linker's well-known complaints mean.
# The guard finds most of these earlier; what comes through arises only with the whole program.
# Usage: deps/explain.sh COMMAND...

set -uo pipefail
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$@" 2>&1 | tee "$log" >&2
status=${PIPESTATUS[0]}
[ "$status" -ne 0 ] || exit 0

hint() { printf 'toolchain: %s\n     fix: %s\n' "$1" "$2" >&2; }

if grep -q 'undefined reference to .__libc_start_main' "$log"; then
	hint "start files and C library are not of one kind" "leave CC, CGO_LDFLAGS and LDFLAGS unset, so that the makefile uses its own compiler"
elif grep -qE 'undefined reference to .__([a-z0-9_]+_chk|isoc(99|23)_[a-z]+|ctype_[a-z]+_loc)' "$log"; then
	hint "an object was compiled against glibc's headers and is linked with musl" "go clean -cache, leave CC and CGO_CFLAGS unset, and make again"
elif grep -qE 'cannot find -l(sodium|crypto)|sodium\.h: No such file|openssl/[a-z_]+\.h: No such file' "$log"; then
	hint "libsodium or libcrypto is not where the compiler looks" "leave CC unset; or DEPS=system with libsodium-dev and libssl-dev installed"
elif grep -qE '(linux|asm|asm-generic)/[a-z_]+\.h: No such file' "$log"; then
	hint "the kernel's headers are missing" "apt-get install linux-libc-dev, rm -rf the sysroot, and make again"
elif grep -q 'requires go >= ' "$log"; then
	hint "this Go is too old" "install Go 1.26 or newer: https://go.dev/dl/"
fi
exit "$status"
