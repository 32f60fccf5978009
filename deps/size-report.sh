#!/usr/bin/env bash
# Builds each kind of file and prints a table of their sizes, in Markdown. Called by `make size-report`.

set -euo pipefail
cd "$(dirname "$0")/.."
unset MAKEFLAGS MFLAGS MAKELEVEL
system=nano_ssh_server.glibc-system
trap 'rm -f $system' EXIT

# row LABEL FILE
row() { printf '| %-44s | %9d | %5.2f |\n' "$1" "$(stat -c %s "$2")" "$(stat -c %s "$2" | awk '{ print $1 / 1e6 }')"; }

{
	make -f Makefile.musl all
	make -f Makefile.glibc DEPS=system BINARY=$system all
	make -f Makefile.glibc all
} >&2
if command -v upx >/dev/null; then make -f Makefile.musl upx >&2; fi

printf '| %-44s | %9s | %5s |\n|%s|%s:|%s:|\n' "static file" "bytes" "MB" "$(printf -- '-%.0s' {1..46})" "----------" "------"
row "glibc, pinned libraries" nano_ssh_server.glibc
row "glibc, the distribution's libraries" $system
row "musl, pinned libraries" nano_ssh_server.musl
if command -v upx >/dev/null; then row "musl, packed by upx" nano_ssh_server.musl.upx; else echo "(no packed file: upx is not installed)"; fi
