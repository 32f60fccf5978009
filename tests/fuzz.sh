#!/usr/bin/env bash
# Runs every fuzz target of the tree for FUZZTIME (20s). Usage: tests/fuzz.sh [flags of `go test`, such as -tags and -ldflags]
# FUZZ: a pattern that a target's name must match. It finds the targets by itself: each `func Fuzz...` of a test file.
# A package is compiled once, and as many targets run at a time as there are processors, with one worker each. An input that
# makes a target fail is left in the package's testdata/fuzz, where plain `go test` runs it from then on.

set -euo pipefail
fuzztime=${FUZZTIME:-20s}
jobs=$(nproc 2>/dev/null || echo 2)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# run_target BINARY PACKAGE NAME: prints the fuzzer's last line, or all of it when an input failed.
run_target() {
	local log=$scratch/$3.log
	local status=0
	(cd "$2" && "$1" -test.run='^$' -test.fuzz="^$3\$" -test.fuzztime="$fuzztime" -test.parallel=1 \
		-test.fuzzcachedir="$scratch/cache/$2") >"$log" 2>&1 || status=$?
	# Go's fuzzer sometimes calls its own time running out a failure (go.dev/issue/75804). A failing input is another thing:
	# it is written down, and said.
	if [ $status -ne 0 ] && grep -q '^ *context deadline exceeded$' "$log" && ! grep -qE 'Failing input|panic:' "$log"; then status=0; fi
	if [ $status -eq 0 ]; then
		echo "ok   $2 $3: $(grep '^fuzz: elapsed' "$log" | tail -n 1 | sed 's/^fuzz: //')"
	else
		echo "FAIL $2 $3"
		cat "$log"
		touch "$scratch/failed"
	fi
}

count=0
mapfile -t packages < <(grep -rlE '^func Fuzz[A-Z_0-9]' --include='*_test.go' cgo server tests 2>/dev/null | xargs -r dirname | sort -u)
for package in "${packages[@]}"; do
	mapfile -t names < <(cat "$package"/*_test.go | sed -nE 's/^func (Fuzz[A-Za-z_0-9]+)\(.*/\1/p' | grep -E "${FUZZ:-.}" | sort)
	[ ${#names[@]} -gt 0 ] || continue
	binary=$scratch/$(echo "$package" | tr / _).test
	go test -c -fuzz=. "$@" -o "$binary" "./$package"
	for name in "${names[@]}"; do
		while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || true; done
		run_target "$binary" "$package" "$name" &
		count=$((count + 1))
	done
done
wait
if [ -e "$scratch/failed" ]; then
	echo "fuzz: a target failed" >&2
	exit 1
fi
echo "fuzz: $count targets, $fuzztime each, none failed"
