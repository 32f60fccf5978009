#!/usr/bin/env bash
# Called by deps/common.mk: gets compiler and libraries ready and writes down what they are. Usage: deps/toolchain.sh FILE
# with LIBC, DEPS (deps, system or nix), CC, CGO_CFLAGS set. FILE is touched only if its content changes:
#   stamp=  changes whenever the libraries do       tags=  the Go build tags that fit them

# shellcheck source=deps/lib.sh
. "$(dirname "$0")/lib.sh"

file=$1
mkdir -p "$(dirname "$file")"
case ${DEPS:?} in
deps)
	"$deps/build.sh" "$LIBC"
	made=$(cat "$build/$LIBC/stamps/"*)
	;;
system | nix)
	made="$DEPS $($CC --version 2>/dev/null | head -n 1) $(pkg-config --modversion libsodium libcrypto 2>/dev/null | tr '\n' ' ')"
	;;
*) die "DEPS=$DEPS: it is deps (the pinned libraries) or system (the distribution's)" ;;
esac

# Go's own resolver and account look-up: those of a static C library would load shared objects.
tags=netgo,osusergo
# libsodium has ML-KEM from 1.0.22 on. Without it Go's own does the work.
# shellcheck disable=SC2086,SC2046 # several words
if echo '#include <sodium.h>' | $CC ${CGO_CFLAGS:-} $(pkg-config --cflags libsodium 2>/dev/null) -E -dM -x c - 2>/dev/null |
	grep crypto_kem_mlkem768_PUBLICKEYBYTES >/dev/null; then
	tags=$tags,sodium_mlkem
fi

cat >"$file.new" <<END
stamp=$(echo "$made $DEPS" | sha256sum | cut -c 1-16)
tags=$tags
END
if cmp -s "$file.new" "$file"; then rm "$file.new"; else mv "$file.new" "$file"; fi
