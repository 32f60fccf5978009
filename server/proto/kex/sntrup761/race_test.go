//go:build race

package sntrup761

// raceDetector makes the arithmetic thirty times slower.
const raceDetector = true
