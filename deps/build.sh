#!/usr/bin/env bash
# Builds the pinned C libraries for one C library into build/<libc>/sysroot, and a compiler that uses it into
# build/<libc>/bin/cc. Usage: deps/build.sh musl|glibc. What is there already and was made by the same recipe is left alone.
# NANO_DEPS_CACHE: a folder to look for tarballs in. NANO_HOST_CC: the compiler to build with (gcc).

# shellcheck source=deps/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=deps/compiler.sh
. "$deps/compiler.sh"

libc=${1:-}
case $libc in
musl) parts=(musl libsodium openssl) ;;
glibc) parts=(libsodium openssl) ;;
*) die "usage: deps/build.sh musl|glibc" ;;
esac
out=$build/$libc
sysroot=$out/sysroot
stamps=$out/stamps

main() {
	command -v "$host_cc" >/dev/null || die "there is no $host_cc. Fix: make -f Makefile.$libc setup"
	mkdir -p "$out" "$cache"
	exec 9>"$out/lock"
	flock 9 # two builds at once would unpack over each other
	local part stamp
	for part in "${parts[@]}"; do
		stamp=$(recipe_hash "$part")
		if [ "$(cat "$stamps/$part" 2>/dev/null)" != "$stamp" ]; then
			# All else is built against musl: with a new one nothing old may stay.
			if [ "$part" = "${parts[0]}" ] && [ "$libc" = musl ]; then rm -rf "$sysroot" "$stamps" "${out:?}/bin"; fi
			make_compiler
			build_part "$part"
			mkdir -p "$stamps"
			echo "$stamp" >"$stamps/$part"
		fi
	done
	make_compiler
}

# recipe_hash PART: changes with all that has a say in what PART becomes.
recipe_hash() {
	{
		echo "$libc $("$host_cc" -dumpfullversion -dumpversion) $("$host_cc" -dumpmachine) $dep_cflags $SOURCE_DATE_EPOCH"
		cat "$deps/compiler.sh" "$deps/$1"*
		[ "$libc" != musl ] || cat "$deps/musl.sh"
	} | sha256sum | cut -d' ' -f1
}

# build_part PART: fetches, unpacks, builds, installs into the sysroot. The log stays in build/<libc>/PART.log.
build_part() {
	local tarball dir=$out/src/$1 log=$out/$1.log started=$SECONDS
	load_recipe "$1"
	tarball=$("$deps/fetch.sh" "$1")
	# Without the pinned tarball it is the distribution's version: its number is in the file's name.
	case $tarball in *-dist-*) dep_version=${tarball##*-dist-} dep_version=${dep_version%.tar.*} ;; esac
	note "building $dep_name $dep_version for $libc (log: ${log#"$top"/})"
	rm -rf "$dir"
	mkdir -p "$dir" "$sysroot/include" "$sysroot/lib/pkgconfig"
	tar -xf "$tarball" -C "$dir" --strip-components=1 --no-same-owner
	# Not inside a condition: bash forgets "set -e" in all that a condition runs.
	set +e
	(set -e; cd "$dir"; export PATH="$out/bin:$PATH" CC=cc; dep_build "$sysroot") >"$log" 2>&1
	local status=$?
	set -e
	if [ $status -ne 0 ]; then
		tail -n 25 "$log" >&2
		die "$dep_name $dep_version did not build for $libc; the whole log is $log"
	fi
	# No times, owners or modes in the archives, whatever the host's ar does by default.
	local archive
	for archive in "$sysroot"/lib/*.a; do objcopy --enable-deterministic-archives "$archive"; done
	rm -rf "$dir"
	note "$dep_name $dep_version done in $((SECONDS - started)) s"
}

# write_pc SYSROOT NAME LIBS VERSION: no folders in it: build/<libc>/bin/cc knows where the sysroot is.
write_pc() {
	printf 'Name: %s\nDescription: %s, static, built by deps/\nVersion: %s\nLibs: %s\n' "$2" "$2" "$4" "$3" >"$1/lib/pkgconfig/$2.pc"
}

main
