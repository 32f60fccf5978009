#!/usr/bin/env bash
# All tests of the toolchain: its complaints, the nix shell, reproducible bytes. Called by `make toolchain`.
# The musl libraries are built by then.

set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
status=0
for script in tests/toolchain/guards.sh tests/nix/run.sh tests/toolchain/reproducible.sh; do
	echo "$script"
	"$script" || status=1
done
exit $status
