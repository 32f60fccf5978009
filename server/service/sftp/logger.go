package sftp

import (
	"nano_ssh_server/server/host/log"
)

// logger lets lines up to the session's own level through: -l is not LogLevel.
type logger struct {
	Logger
	level log.Level
}

func (l *logger) errorf(format string, args ...any) {
	if l.level >= log.Error {
		l.Errorf(format, args...)
	}
}

func (l *logger) infof(format string, args ...any) {
	if l.level >= log.Info {
		l.Infof(format, args...)
	}
}

func (l *logger) verbosef(format string, args ...any) {
	if l.level >= log.Verbose {
		l.Verbosef(format, args...)
	}
}

// debugf is for level debug1 to debug3.
func (l *logger) debugf(level int, format string, args ...any) {
	if l.debugs(level) {
		l.Debugf(level, format, args...)
	}
}

// debugs reports whether lines of a debug level are written, for what is called so
// often that its arguments alone would cost something.
func (l *logger) debugs(level int) bool { return l.level >= log.Debug1+log.Level(level-1) }

// printer is a Logger of host/log.
type printer struct{ *log.Logger }

func (p printer) Errorf(format string, args ...any)   { p.Error(format, args...) }
func (p printer) Infof(format string, args ...any)    { p.Info(format, args...) }
func (p printer) Verbosef(format string, args ...any) { p.Verbose(format, args...) }
func (p printer) Debugf(level int, format string, args ...any) {
	p.Log(log.Debug1+log.Level(level-1), format, args...)
}
