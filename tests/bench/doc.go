// Package bench holds the project's benchmarks: of its parts, in memory, as
// ordinary Go benchmarks (go test -bench . ./tests/bench), and of whole servers side
// by side in the program nanobench below it. Packages have more of their own.
//
// There is nothing else in it, and nothing imports it. Its tests reach into the
// server's packages, unlike those of the other folders here, since it is their
// parts that are measured.
package bench
