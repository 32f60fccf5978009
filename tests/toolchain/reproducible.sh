#!/usr/bin/env bash
# Two copies of the tree in different folders give the same bytes. The first copy takes over this tree's finished libraries
# and Go's usual cache; the second makes everything anew: libraries, cache and all. Only the source tarballs are shared.

set -euo pipefail
export LC_ALL=C
unset CC CGO_CFLAGS CGO_LDFLAGS MAKEFLAGS MFLAGS MAKELEVEL PKG_CONFIG_PATH PKG_CONFIG_LIBDIR
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${NANO_BUILD:-$top/build}
unset NANO_BUILD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
first=$scratch/one second=$scratch/another/folder/two

# One picture of the tree for both, so that an editor at work changes nothing.
(cd "$top" && git ls-files -z --cached --others --exclude-standard | xargs -0r ls -d 2>/dev/null | tar -cf "$scratch/tree.tar" -T -)
for copy in "$first" "$second"; do
	mkdir -p "$copy"
	tar -xf "$scratch/tree.tar" -C "$copy"
done
mkdir -p "$first/build/musl"
cp -a "$build/musl/bin" "$build/musl/sysroot" "$build/musl/stamps" "$first/build/musl/"

# make_in FOLDER: with a clean environment but for the tarballs.
make_in() { (cd "$1" && NANO_DEPS_CACHE=$build/cache make -f Makefile.musl) >"$scratch/log" 2>&1 || { tail -n 20 "$scratch/log" && exit 1; }; }
make_in "$first"
GOCACHE=$scratch/gocache GOFLAGS="${GOFLAGS:-} -modcacherw" make_in "$second"

passed=0 failed=0
# same FILE: in both copies.
same() {
	if cmp "$first/$1" "$second/$1"; then
		passed=$((passed + 1))
		echo "ok   reproducible: $1 $(sha256sum <"$first/$1" | cut -c 1-16)"
	else
		failed=$((failed + 1))
		echo "FAIL reproducible: $1"
	fi
}
same nano_ssh_server.musl
for archive in libc libsodium libcrypto; do same build/musl/sysroot/lib/$archive.a; done

# Nothing of the folder it was built in is in the file.
if grep -qaF -e "$scratch" -e "$(cd "$scratch" && pwd -P)" "$first/nano_ssh_server.musl"; then
	failed=$((failed + 1))
	echo "FAIL reproducible: the file names its build folder"
else
	passed=$((passed + 1))
	echo "ok   reproducible: no build folder in the file"
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
