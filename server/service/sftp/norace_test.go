//go:build !race

package sftp

const raceDetector = false
