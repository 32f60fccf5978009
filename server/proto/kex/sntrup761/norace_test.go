//go:build !race

package sntrup761

const raceDetector = false
