#!/usr/bin/env bash
# Provokes each complaint of the toolchain (deps/guard.sh, explain.sh, verify.sh, setup.sh, fetch.sh) and checks that it names
# the culprit and the fix. Needs the musl sysroot; `make -f Makefile.musl toolchain` sees to that.

set -euo pipefail
export LC_ALL=C
unset CC CGO_CFLAGS CGO_LDFLAGS MAKEFLAGS MFLAGS
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${NANO_BUILD:-$top/build}
scratch=$(mktemp -d)
chmod 755 "$scratch"
trap 'rm -rf "$scratch"' EXIT
cd "$top"
passed=0 failed=0

# fails_with NAME PATTERN... -- COMMAND...: the command fails and its output has every pattern (grep -E).
fails_with() { expect fail "$@"; }
works_with() { expect work "$@"; }
expect() {
	local outcome=$1 name=$2 patterns=() pattern out bad='' status=work
	shift 2
	while [ "$1" != -- ]; do patterns+=("$1") && shift; done
	shift
	out=$("$@" 2>&1) || status=fail
	[ "$status" = "$outcome" ] || bad="it should $outcome"
	for pattern in "${patterns[@]}"; do
		grep -qE -- "$pattern" <<<"$out" || bad="$bad; no match for: $pattern"
	done
	if [ -z "$bad" ]; then
		passed=$((passed + 1))
		echo "ok   $name"
	else
		failed=$((failed + 1))
		printf 'FAIL %s: %s\n%s\n' "$name" "$bad" "$out"
	fi
}

# guard CC [CGO_LDFLAGS]: the guard as the makefile calls it for musl.
guard() { env LIBC=musl DEPS=deps CC="$1" CGO_CFLAGS='' CGO_LDFLAGS="${2:-}" PKG_CONFIG_PATH='' PKG_CONFIG_LIBDIR="$scratch" deps/guard.sh; }

# toolchain NAME: a copy of the musl toolchain to break; its compiler finds its own sysroot.
toolchain() {
	mkdir "$scratch/$1"
	cp -r "$build/musl/bin" "$build/musl/sysroot" "$scratch/$1/"
	echo "$scratch/$1"
}

compilers() {
	local broken
	works_with "the makefile's own compiler" -- guard "$build/musl/bin/cc"
	fails_with "a compiler for glibc" 'CC=gcc compiles for .* with glibc.s headers' 'fix: leave CC unset' -- make -f Makefile.musl guard CC=gcc
	fails_with "a compiler for glibc, from the environment" 'CC=gcc compiles for' 'fix:' -- env CC=gcc make -f Makefile.musl guard
	fails_with "a compiler for musl in the glibc build" 'with musl.s headers' 'fix:' -- make -f Makefile.glibc guard DEPS=system "CC=$build/musl/bin/cc"
	fails_with "no compiler" 'CC=/nowhere/cc does not compile' 'fix:' -- guard /nowhere/cc

	broken=$(toolchain start)
	ar d "$broken/sysroot/lib/libc.a" __libc_start_main.lo
	fails_with "__libc_start_main" 'undefined reference to .__libc_start_main' 'start files \(crt1.o\)' 'fix:' -- guard "$broken/bin/cc"
	fails_with "__libc_start_main in the last link" 'start files and C library are not of one kind' 'fix:' -- \
		deps/explain.sh "$broken/bin/cc" -x c - -o "$scratch/x" < <(echo 'int main(void){return 0;}')

	cat >"$scratch/mixed" <<-END
		#!/bin/sh
		for a; do case \$a in -c | -E | -fsyntax-only) exec $build/musl/bin/cc "\$@" ;; esac; done
		exec gcc "\$@"
	END
	chmod 755 "$scratch/mixed"
	fails_with "musl's headers, glibc's libc.a" "compiles with musl's headers but links glibc's libc.a" 'fix:' -- guard "$scratch/mixed"
}

libraries() {
	local broken name
	mkdir "$scratch/fortified"
	cat >"$scratch/fortified/a.c" <<-'END'
		#include <stdio.h>
		#include <string.h>
		char text[9];
		void sodium_fill(const char *from, size_t n) { memcpy(text, from, n); snprintf(text, n, "%s", from); }
	END
	gcc -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -c -o "$scratch/fortified/a.o" "$scratch/fortified/a.c"
	ar rcD "$scratch/fortified/libsodium.a" "$scratch/fortified/a.o"
	fails_with "an archive of glibc's headers" "fortified/libsodium.a was compiled against glibc's headers \(it wants __memcpy_chk" 'fix: rm -rf' -- \
		guard "$build/musl/bin/cc" "-L$scratch/fortified"
	fails_with "a fortified object in the last link" "compiled against glibc's headers" 'fix:' -- \
		deps/explain.sh "$build/musl/bin/cc" -x c - -x none "$scratch/fortified/a.o" -o "$scratch/x" < <(echo 'int main(void){return 0;}')

	for name in sodium crypto; do
		broken=$(toolchain "no$name")
		rm "$broken/sysroot/lib/lib$name.a"
		fails_with "no lib$name.a" "cannot find -l$name" 'fix:' -- guard "$broken/bin/cc"
	done
	broken=$(toolchain noheader)
	rm "$broken/sysroot/include/sodium.h"
	fails_with "no sodium.h" 'does not find the headers of libsodium' 'fix:' -- guard "$broken/bin/cc"
	broken=$(toolchain nokernel)
	rm -r "$broken/sysroot/include/linux"
	fails_with "no kernel headers in the sysroot" 'linux/mman.h: no such file' 'fix: apt-get install linux-libc-dev' -- guard "$broken/bin/cc"
	# shellcheck disable=SC2016 # meant for the inner shell
	fails_with "no kernel headers on the machine" 'linux/mman.h: no such file in /nowhere' 'apt-get install linux-libc-dev' -- \
		env NANO_KERNEL_HEADERS=/nowhere SYSROOT="$scratch" bash -c '. deps/lib.sh; . deps/musl.sh; copy_kernel_headers "$SYSROOT"'
}

finished_files() {
	local cc=$build/musl/bin/cc
	echo 'int main(void) { return 0; }' >"$scratch/m.c"
	gcc -s -o "$scratch/dynamic" "$scratch/m.c"
	"$cc" -o "$scratch/unstripped" "$scratch/m.c"
	"$cc" -s -o "$scratch/good" "$scratch/m.c"
	"$cc" -s -static-pie -o "$scratch/pie" "$scratch/m.c"
	echo 'int main(void) { return 3; }' | "$cc" -s -x c - -o "$scratch/dies"
	works_with "a static file" 'static, stripped, starts alone' -- deps/verify.sh "$scratch/good"
	works_with "a static PIE file" 'static, stripped, starts alone' -- deps/verify.sh "$scratch/pie"
	fails_with "a file still dynamic" 'dynamic: still dynamic: file says' 'fix:' -- deps/verify.sh "$scratch/dynamic"
	fails_with "a file not stripped" 'not stripped' 'fix:' -- deps/verify.sh "$scratch/unstripped"
	if [ "$(id -u)" = 0 ] || unshare -r true 2>/dev/null; then
		fails_with "a file that does not start" 'does not start in an empty root folder' 'fix:' -- deps/verify.sh "$scratch/dies"
	fi
}

sources() {
	mkdir "$scratch/cache"
	echo 'not musl' >"$scratch/cache/musl-1.2.6.tar.gz"
	fails_with "a tarball that is another" "cache/musl-1.2.6.tar.gz is not musl 1.2.6: expected SHA-256 d585fd3b[0-9a-f]{56}, found [0-9a-f]{64}" 'Fix:' -- \
		env NANO_BUILD="$scratch/b1" NANO_DEPS_CACHE="$scratch/cache" deps/fetch.sh musl
	mkdir -p "$scratch/path" "$scratch/empty"
	printf '#!/bin/sh\nexit 1\n' | tee "$scratch/path/curl" "$scratch/path/apt-get" "$scratch/path/apt-cache" >"$scratch/path/wget"
	chmod 755 "$scratch/path/"*
	fails_with "a tarball not to be had" 'musl 1.2.6 is not to be had' 'Fix: put musl-1.2.6.tar.gz into a folder and set NANO_DEPS_CACHE' -- \
		env PATH="$scratch/path:$PATH" NANO_BUILD="$scratch/b2" NANO_DEPS_CACHE="$scratch/empty" deps/fetch.sh musl
	source_lists
}

# The private source lists, from both formats of apt's own.
source_lists() {
	local etc=$scratch/etc lists=$scratch/b3/apt
	mkdir -p "$etc/sources.list.d"
	printf 'ID=debian\nVERSION_CODENAME=bookworm\n' >"$scratch/os-release"
	cat >"$etc/sources.list" <<-'END'
		# deb http://old.invalid/debian bookworm main
		deb [arch=amd64 signed-by=/key.gpg] http://mirror.invalid/debian bookworm main contrib # ours
		deb http://mirror.invalid/security bookworm-security main
		deb http://other.invalid/tool stable-tool main
		deb http://other.invalid/tool somewhere main
	END
	cat >"$etc/sources.list.d/debian.sources" <<-'END'
		Types: deb
		URIs: http://mirror.invalid/debian
		Suites: bookworm bookworm-updates
		Components: main
		Signed-By: /key.gpg

		Types: deb
		URIs: http://other.invalid/tool
		Suites: nodistro
		Components: main
	END
	env PATH="$scratch/path:$PATH" NANO_BUILD="$scratch/b3" NANO_APT_ETC="$etc" NANO_OS_RELEASE="$scratch/os-release" \
		deps/apt-source.sh musl 1.2.6 >/dev/null 2>&1 || true
	works_with "a source list of one line an entry" \
		'^deb-src \[arch=amd64 signed-by=/key.gpg\] http://mirror.invalid/debian bookworm main contrib$' \
		'^deb-src \[arch=amd64 signed-by=/key.gpg\] http://mirror.invalid/debian sid main contrib$' \
		'^deb-src http://mirror.invalid/security trixie-security main$' -- cat "$lists/sources.list"
	fails_with "no foreign mirror in it" -- grep -E 'old.invalid|somewhere|sid-security' "$lists/sources.list"
	works_with "a source list of deb822" '^Types: deb-src$' '^Suites: bookworm trixie forky sid bookworm-updates trixie-updates forky-updates$' \
		'^Signed-By: /key.gpg$' -- cat "$lists/sources.list.d/debian.sources"
	fails_with "no foreign mirror in that" -- grep other.invalid "$lists/sources.list.d/debian.sources"
}

# setup_without COMMAND: setup.sh in a PATH where COMMAND is not, as somebody who is not root.
setup_without() {
	local path=$scratch/without-$1 tool
	local -a as=()
	mkdir "$path"
	for tool in bash gcc make objcopy file pkg-config perl curl xz go env id grep test apt-get; do
		[ "$tool" = "$1" ] || ln -s "$(command -v "$tool")" "$path/$tool"
	done
	[ "$(id -u)" != 0 ] || as=("$(command -v setpriv)" --reuid 65534 --regid 65534 --clear-groups)
	shift
	"${as[@]}" env HOME=/nonexistent GOCACHE=off GOFLAGS= PATH="$path" "$(command -v bash)" "$scratch/setup.sh" "$@"
}

setup() {
	works_with "nothing missing" -- deps/setup.sh musl deps
	cp deps/setup.sh "$scratch/setup.sh" # the tree may be closed to others
	fails_with "a package missing, not root" 'sudo apt-get install -y --no-install-recommends file$' -- setup_without file musl deps
	fails_with "no Go" 'Go is not installed' 'go.dev/dl' -- setup_without go musl deps
	mkdir "$scratch/old"
	printf '#!/bin/sh\necho go1.25.3\n' >"$scratch/old/go"
	chmod 755 "$scratch/old/go"
	fails_with "an old Go" 'old/go is go1.25.3; Go 1.26 or newer is needed' -- env PATH="$scratch/old:$PATH" deps/setup.sh musl deps
	fails_with "an unknown DEPS" 'DEPS=other' -- make -f Makefile.glibc DEPS=other NANO_BUILD="$scratch/b4" guard
}

compilers
libraries
finished_files
sources
setup
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
