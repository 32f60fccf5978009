#!/usr/bin/env bash
# Gets the source of one library and prints the path of its tarball. Usage: deps/fetch.sh NAME
# In this order: build/cache (what an earlier run got), the folder NANO_DEPS_CACHE, the upstream address, the
# distribution's source package of the same version, the distribution's own current version.
# Whatever is named for the pinned version has the pinned SHA-256 or is an error, before anything is unpacked.

# shellcheck source=deps/lib.sh
. "$(dirname "$0")/lib.sh"

name=${1:-}
[ -n "$name" ] || die "usage: deps/fetch.sh NAME"
load_recipe "$name"
tarball=$cache/$dep_name-$dep_version.tar.gz

main() {
	mkdir -p "$cache"
	if [ -f "$tarball" ]; then
		check "$tarball"
	elif from_folder || from_upstream || from_distribution; then
		:
	elif from_distribution_current; then
		return # said, and printed, there
	else
		die "$dep_name $dep_version is not to be had: not in NANO_DEPS_CACHE (${NANO_DEPS_CACHE:-not set}), ${dep_urls[*]} or" \
			"the distribution's sources. Fix: put $(basename "$tarball") into a folder and set NANO_DEPS_CACHE to it"
	fi
	echo "$tarball"
}

# check FILE: stops unless FILE is the pinned tarball.
check() {
	local found
	found=$(file_sha256 "$1")
	[ "$found" = "$dep_sha256" ] ||
		die "$1 is not $dep_name $dep_version: expected SHA-256 $dep_sha256, found $found. Fix: remove the file and get it anew"
}

# keep FILE: FILE was checked; it becomes the tarball in the cache, whole or not at all.
keep() {
	cp "$1" "$tarball.part"
	mv "$tarball.part" "$tarball"
}

from_folder() {
	local file
	[ -n "${NANO_DEPS_CACHE:-}" ] || return 1
	# The second is what Debian calls the same file.
	for file in "$NANO_DEPS_CACHE/$dep_name-$dep_version.tar.gz" "$NANO_DEPS_CACHE/${dep_name}_$dep_version.orig.tar.gz"; do
		if [ -f "$file" ]; then
			check "$file"
			keep "$file"
			return
		fi
	done
	return 1
}

from_upstream() {
	local url file
	file=$(mktemp "$cache/download.XXXXXX")
	for url in "${dep_urls[@]}"; do
		if download "$url" "$file"; then
			note "$dep_name $dep_version: $url"
			found=$(file_sha256 "$file")
			if [ "$found" != "$dep_sha256" ]; then
				rm -f "$file"
				die "$url is not $dep_name $dep_version: expected SHA-256 $dep_sha256, found $found"
			fi
			keep "$file"
			rm -f "$file"
			return
		fi
	done
	rm -f "$file"
	return 1
}

# download URL FILE: with whichever client there is. No more than 5 s for the connection to come about.
download() {
	if command -v curl >/dev/null; then
		curl --silent --fail --location --connect-timeout 5 --speed-limit 1000 --speed-time 30 --output "$2" "$1"
	elif command -v wget >/dev/null; then
		wget --quiet --tries=1 --dns-timeout=5 --connect-timeout=5 --read-timeout=30 --output-document="$2" "$1"
	else
		return 1
	fi
}

# from_distribution: the pinned version out of the sources of this release of the distribution or a newer one.
from_distribution() {
	local got
	got=$("$deps/apt-source.sh" "$dep_source" "$dep_version") || return 1
	check "$got"
	keep "$got"
	rm -rf "$(dirname "$got")"
	note "$dep_name $dep_version: from the distribution's source package"
}

# from_distribution_current: the way out. Nothing is pinned then but by the distribution's signature.
from_distribution_current() {
	local got version kept
	for kept in "$cache/$dep_name"-dist-*.tar.*; do
		if [ -f "$kept" ]; then
			echo "$kept"
			return
		fi
	done
	got=$("$deps/apt-source.sh" "$dep_source") || return 1
	version=${got##*/"${dep_source}"_}
	kept=$cache/$dep_name-dist-${version/.orig/}
	note "$dep_name $dep_version is not to be had: using the distribution's own $dep_name ${version%.orig.*} instead"
	cp "$got" "$kept.part"
	mv "$kept.part" "$kept"
	rm -rf "$(dirname "$got")"
	echo "$kept"
}

main
