package main

import "nano_ssh_server/server/host/log"

// sessionLog gives host/log the shape that service/session declares.
type sessionLog struct{ l *log.Logger }

func (s sessionLog) Errorf(format string, args ...any)   { s.l.Error(format, args...) }
func (s sessionLog) Infof(format string, args ...any)    { s.l.Info(format, args...) }
func (s sessionLog) Verbosef(format string, args ...any) { s.l.Verbose(format, args...) }
func (s sessionLog) Debugf(level int, format string, args ...any) {
	s.l.Log(log.Debug1+log.Level(max(level, 1)-1), format, args...)
}
