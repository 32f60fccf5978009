# shellcheck shell=bash disable=SC2034
# What the scripts of deps/ share: paths, messages, the list of libraries and the compiler flags they are built with.
# Sourced, never run.

set -euo pipefail
umask 022
export LC_ALL=C TZ=UTC

deps=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$deps")
build=${NANO_BUILD:-$top/build}
cache=$build/cache

# Nothing that is built may depend on the day it was built. (1 January 2026.)
export SOURCE_DATE_EPOCH=1767225600

# A section for each function and datum, so that the last link keeps only what is used.
# No -g: debug information would name the build folder, and the product is stripped anyway.
# No unwind tables: nothing unwinds through C here, and they are 0.25 MB of the binary.
dep_cflags="-O2 -fstack-protector-strong -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -fno-unwind-tables"
jobs=$(nproc 2>/dev/null || echo 2)
host_cc=${NANO_HOST_CC:-gcc}

note() { printf '%s\n' "deps: $*" >&2; }
die() { printf '%s\n' "deps: $*" >&2; exit 1; }

# file_sha256 FILE: its SHA-256 in hexadecimal.
file_sha256() { sha256sum "$1" | cut -d' ' -f1; }

# What a recipe says of itself; dep_source is the name of the distribution's source package.
dep_name='' dep_version='' dep_sha256='' dep_source='' dep_urls=()

# load_recipe NAME: sets dep_name, dep_version, dep_sha256, dep_urls, dep_source and defines dep_build.
load_recipe() {
	[ -f "$deps/$1.sh" ] || die "no recipe deps/$1.sh"
	# shellcheck source=/dev/null
	. "$deps/$1.sh"
}
