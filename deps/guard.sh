#!/usr/bin/env bash
# Stops a build that would mix two C libraries, before its link, and says who is to blame and what helps. Called by
# deps/common.mk with LIBC, DEPS, CC, CGO_CFLAGS and CGO_LDFLAGS set. It tries the compiler on one-line programs; it
# prints nothing when all is well.

# shellcheck source=deps/lib.sh
. "$(dirname "$0")/lib.sh"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
read -ra cc <<<"$CC"
read -ra cflags <<<"${CGO_CFLAGS:-} $(pkg-config --cflags libsodium libcrypto 2>/dev/null || true)"
read -ra ldflags <<<"${CGO_LDFLAGS:-} $(pkg-config --libs-only-L libsodium libcrypto 2>/dev/null || true)"

main() {
	compiler_runs
	headers_are "$LIBC"
	links_static
	library_is "$LIBC"
	if [ "$LIBC" = musl ]; then kernel_headers; fi
	local name archive
	for name in sodium crypto; do
		archive=$(find_archive "$name")
		if [ "$LIBC" = musl ]; then not_of_glibc "$archive"; fi
	done
	library_headers
}

# stop CULPRIT FIX
stop() {
	printf 'toolchain: %s\n     fix: %s\n' "$1" "$2" >&2
	exit 1
}

# The fix that is right for whoever chose the compiler.
compiler_fix() {
	case ${DEPS:?} in
	nix) echo "leave the shell and enter it anew: nix-shell shell-musl.nix" ;;
	*) echo "leave CC unset (unset CC): Makefile.$LIBC then uses the compiler that it makes itself" ;;
	esac
}

libraries_fix() {
	case ${DEPS:?} in
	system) echo "apt-get install libsodium-dev libssl-dev, or leave DEPS=system out to use the pinned libraries" ;;
	nix) echo "enter the shell anew (nix-shell shell-musl.nix); outside of it the makefile builds its own libraries" ;;
	*) echo "rm -rf $build/$LIBC && make -f Makefile.$LIBC" ;;
	esac
}

compiler_runs() {
	echo 'int main(void) { return 0; }' >"$scratch/empty.c"
	if ! "${cc[@]}" -c -o "$scratch/empty.o" "$scratch/empty.c" 2>"$scratch/errors"; then
		cat "$scratch/errors" >&2
		stop "CC=$CC does not compile an empty program" "$(compiler_fix)"
	fi
}

# headers_are LIBC: glibc says who it is in features.h, musl on purpose does not.
headers_are() {
	local found=musl
	echo '#include <features.h>' >"$scratch/features.c"
	if ! "${cc[@]}" "${cflags[@]}" -E -dM "$scratch/features.c" >"$scratch/macros" 2>"$scratch/errors"; then
		cat "$scratch/errors" >&2
		stop "CC=$CC has no C library's headers" "$(if [ "$LIBC" = glibc ]; then echo "apt-get install libc6-dev"; else compiler_fix; fi)"
	fi
	if grep -q '__GLIBC__' "$scratch/macros"; then found=glibc; fi
	[ "$found" = "$1" ] ||
		stop "CC=$CC compiles for $("${cc[@]}" -dumpmachine) with $found's headers, but nano_ssh_server.$LIBC is built for $1" "$(compiler_fix)"
}

links_static() {
	if ! "${cc[@]}" -static -o "$scratch/empty" "$scratch/empty.c" "${ldflags[@]}" 2>"$scratch/errors"; then
		cat "$scratch/errors" >&2
		case $(cat "$scratch/errors") in
		*__libc_start_main*)
			stop "CC=$CC links one C library's start files (crt1.o) with another's libc.a, which has no such __libc_start_main" "$(compiler_fix)"
			;;
		*"cannot find -lc"*)
			stop "CC=$CC finds no static C library (libc.a)" "$(if [ "$LIBC" = glibc ]; then echo "apt-get install libc6-dev"; else compiler_fix; fi)"
			;;
		*) stop "CC=$CC links no static program" "$(compiler_fix)" ;;
		esac
	fi
}

# library_is LIBC: headers of the one and libc.a of the other is the worst mixture, because it links.
library_is() {
	local found=musl
	nm "$scratch/empty" >"$scratch/names"
	if grep -qE ' (gnu_get_libc_version|__libc_setup_tls|_nl_C_locobj)$' "$scratch/names"; then found=glibc; fi
	[ "$found" = "$1" ] || stop "CC=$CC compiles with $1's headers but links $found's libc.a" "$(compiler_fix)"
}

kernel_headers() {
	echo '#include <linux/mman.h>' >"$scratch/kernel.c"
	"${cc[@]}" "${cflags[@]}" -fsyntax-only "$scratch/kernel.c" 2>/dev/null ||
		stop "linux/mman.h: no such file: the kernel's headers are missing from what CC=$CC sees; musl brings none" \
			"apt-get install linux-libc-dev, then rm -rf $build/musl/sysroot $build/musl/stamps, and make again"
}

# find_archive NAME: prints the lib<NAME>.a that the link will take, wherever the compiler looks.
find_archive() {
	local archive
	"${cc[@]}" -static -Wl,--verbose -o "$scratch/empty" "$scratch/empty.o" "${ldflags[@]}" "-l$1" >"$scratch/trace" 2>&1 || true
	archive=$(sed -nE "s/^attempt to open (.*lib$1\.a) succeeded.*/\1/p" "$scratch/trace" | head -n 1)
	[ -n "$archive" ] || stop "cannot find -l$1: there is no static lib$1.a where CC=$CC looks" "$(libraries_fix)"
	echo "$archive"
}

# not_of_glibc ARCHIVE: glibc's headers turn calls into names that only glibc has: fortified functions (__memcpy_chk), scanf and
# strtol of a C standard (__isoc23_strtol), character tables, versioned symbols. musl's headers never do.
# (__stack_chk_fail is in both, and does not end in _chk.)
not_of_glibc() {
	local names
	names=$(nm --undefined-only "$1" 2>/dev/null | awk '
		$NF ~ /^__[a-z0-9_]+_chk$/ || $NF ~ /^__isoc(99|23)_/ || $NF ~ /^__ctype_(b|tolower|toupper)_loc$/ ||
		$NF ~ /^__(libc_single_threaded|register_atfork|rawmemchr|strdup|sysv_signal|xpg_basename|[lf]?xstat(64)?)$/ ||
		$NF ~ /@.*GLIBC/ || $NF ~ /^(gnu_get_libc_version|_dl_find_object)$/ { print $NF }' | sort -u | head -n 4 | paste -sd' ')
	[ -z "$names" ] ||
		stop "$1 was compiled against glibc's headers (it wants $names), and cannot be linked with musl" "$(libraries_fix)"
}

library_headers() {
	printf '#include <sodium.h>\n#include <openssl/evp.h>\n' >"$scratch/headers.c"
	if ! "${cc[@]}" "${cflags[@]}" -fsyntax-only "$scratch/headers.c" 2>"$scratch/errors"; then
		cat "$scratch/errors" >&2
		stop "CC=$CC does not find the headers of libsodium and OpenSSL" "$(libraries_fix)"
	fi
}

main
