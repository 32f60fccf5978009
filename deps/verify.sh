#!/usr/bin/env bash
# Proves that a built file is one static, stripped file that needs nothing else. Usage: deps/verify.sh FILE
# deps/verify.sh --starts FILE proves only the last of it, for a packed file.

set -euo pipefail
export LC_ALL=C
only_starts=
if [ "$1" = --starts ]; then only_starts=yes && shift; fi
file=$1

fail() {
	printf 'verify: %s: %s\n     fix: %s\n' "$file" "$1" "$2" >&2
	exit 1
}

static_and_stripped() {
	local kind
	kind=$(file -b "$file")
	case $kind in
	*"statically linked"* | *"static-pie linked"*) ;;
	*) fail "still dynamic: file says: $kind" "the link went without -static: leave LDFLAGS and EXTLDFLAGS as deps/common.mk has them" ;;
	esac
	case $kind in
	*", stripped"*) ;;
	*) fail "not stripped: file says: $kind" "the link went without -s -w: leave LDFLAGS as deps/common.mk has it" ;;
	esac
	# Both wordings of ldd; it returns 1 for a static file.
	kind=$(ldd "$file" 2>&1) || true
	case $kind in
	*"not a dynamic executable"* | *"statically linked"*) ;;
	*) fail "ldd finds shared objects:"$'\n'"$kind" "the link went without -static, or a package was built with another CC" ;;
	esac
}

# In an empty root folder there is no loader, no library, no /etc, no /proc.
starts_alone() {
	local root run
	root=$(mktemp -d)
	# shellcheck disable=SC2064 # the folder's name is meant as it is now
	trap "rm -rf '$root'" EXIT
	cp "$file" "$root/it"
	if [ "$(id -u)" = 0 ]; then
		run=(chroot)
	elif unshare -r true 2>/dev/null; then
		run=(unshare -r chroot)
	else
		echo "verify: $file: not started in an empty root folder: that takes root or user namespaces, and here is neither" >&2
		return
	fi
	"${run[@]}" "$root" /it -V >"$root/out" 2>&1 ||
		fail "does not start in an empty root folder: $(head -n 3 "$root/out")" "run \`$file -V\` to see whether it starts at all"
}

if [ -n "$only_starts" ]; then
	starts_alone
	echo "verify: $file: starts alone, $(stat -c %s "$file") bytes"
else
	static_and_stripped
	starts_alone
	echo "verify: $file: static, stripped, starts alone, $(stat -c %s "$file") bytes"
fi
