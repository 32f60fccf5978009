package scp

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	ownerWrite = 0o200 // needed while a file is written, whatever mode it gets
	ownerAll   = 0o700 // needed while a directory is filled

	// specialBits are set-user-id, set-group-id and sticky. A copy without -p is an
	// ordinary new file: it has none of them, as with scp since OpenSSH 10.3.
	specialBits = 0o7000
)

// receiveAll is scp -t: it receives files and directories into, or as, one target.
//
//	client                      sink
//	                            \0
//	T1183828267 0 1183828267 0  \0             with -p, before each C and D
//	C0644 12 name               \0
//	12 bytes, \0                \0, or \1 text  the client's \0: its file was whole
//	D0755 0 name                \0             then the directory's content
//	E                           \0
func (r *remote) receiveAll() error {
	if len(r.paths) != 1 {
		return r.end("ambiguous target")
	}
	umask := unix.Umask(0) // nothing but this call tells it
	defer unix.Umask(umask)
	if !r.preserve {
		unix.Umask(umask)
		r.umask = uint32(umask) | specialBits
	}
	target := r.paths[0]
	if r.directory {
		st, err := stat(target)
		if err == nil && !isDirectory(st) {
			err = unix.ENOTDIR
		}
		if err != nil {
			return r.end("%s: %s", target, reason(err))
		}
	}
	return r.receive(target)
}

// receive receives into or as target, up to the record that ends a directory or
// the end of all.
func (r *remote) receive(target string) error {
	if err := r.ack(); err != nil {
		return err
	}
	st, err := stat(target)
	into := err == nil && isDirectory(st)
	var times *record // of what comes next
	for first := true; ; first = false {
		rec, err := r.next(first)
		if err != nil || rec.kind == 0 {
			return err
		}
		switch rec.kind {
		case kindWarning:
			r.errs++
			continue
		case kindEnd:
			return r.ack()
		case kindTimes:
			times = &rec
			if err := r.ack(); err != nil {
				return err
			}
			continue
		}
		path := target
		if into {
			path = join(target, rec.name)
		}
		if rec.kind == kindDirectory {
			err = r.receiveDirectory(path, &rec, times)
		} else {
			err = r.receiveFile(path, &rec, times)
		}
		if err != nil {
			return err
		}
		times = nil
	}
}

// next returns the next record; kind 0 is the end of all. What is no record ends
// the copy.
func (r *remote) next(first bool) (record, error) {
	line, err := r.readLine()
	switch {
	case errors.Is(err, errTooLong) && (line[0] == kindWarning || line[0] == kindFatal):
		// Just a text.
	case errors.Is(err, errTooLong):
		return record{}, r.broken(err)
	case err != nil && len(line) == 0:
		return record{}, nil
	case err != nil:
		return record{}, r.broken(errors.New("lost connection"))
	}
	r.debugf("Sink: %s", line)
	rec, err := parseRecord(line)
	switch {
	case first && errors.Is(err, errKind):
		// Something else than scp is talking, perhaps a shell's start file at the
		// other end: what it says is the best explanation there is.
		return rec, r.end("%s", line)
	case errors.As(err, new(nameError)):
		return rec, r.end("error: %v", err)
	case err != nil:
		return rec, r.broken(err)
	case rec.kind == kindFatal:
		return rec, errEnd
	case rec.kind == kindDirectory && !r.recursive:
		return rec, r.broken(errors.New("received directory without -r"))
	}
	return rec, nil
}

// receiveDirectory makes a directory, or takes one that is there, and fills it.
func (r *remote) receiveDirectory(path string, rec, times *record) error {
	mode := rec.mode &^ r.umask
	final := r.preserve // the mode has to be set in the end
	st, err := stat(path)
	switch {
	case err == nil && !isDirectory(st):
		return r.warn("%s: %s", path, reason(unix.ENOTDIR))
	case err == nil && r.preserve:
		_ = unix.Chmod(path, mode|ownerAll) // as at the end: it may be another's
	case err != nil:
		if err := unix.Mkdir(path, mode|ownerAll); err != nil {
			return r.warn("%s: %s", path, reason(err))
		}
		final = final || mode&ownerAll != ownerAll
	}
	if err := r.receive(path); err != nil {
		return err
	}
	// The client waits for no answer here, so an error cannot be told: scp's does not
	// either, and a directory of somebody else's may well refuse both.
	if times != nil && !times.ignored {
		_ = setTimes(path, times)
	}
	if final {
		_ = unix.Chmod(path, mode)
	}
	return nil
}

// receiveFile receives a file. What goes wrong after the client was told to send
// is told after all data has come.
func (r *remote) receiveFile(path string, rec, times *record) error {
	mode := rec.mode &^ r.umask
	_, err := stat(path)
	exists := err == nil
	f, err := create(path, mode|ownerWrite)
	if err != nil {
		return r.warn("%s: %s", path, reason(err))
	}
	defer f.Close() // harmless after finish
	if err := r.ack(); err != nil {
		return err
	}
	failure, err := r.receiveData(f, rec.size)
	if err != nil {
		return err
	}
	note := func(what string, err error) {
		if err != nil && failure == "" {
			failure = what + reason(err)
		}
	}
	wrong := failure != ""
	if !wrong && isRegular(f) {
		note("truncate: ", f.Truncate(rec.size))
	}
	switch {
	// Writing may have taken set-user-id and set-group-id away.
	case r.preserve && (exists || mode&ownerWrite == 0 || mode&specialBits != 0),
		!r.preserve && !exists && mode&ownerWrite == 0:
		note("set mode: ", unix.Fchmod(int(f.Fd()), mode))
	}
	note("close: ", f.Close())
	if _, err := r.response(); err != nil {
		return err
	}
	if times != nil && !times.ignored && !wrong {
		note("set times: ", setTimes(path, times))
	}
	if failure != "" {
		return r.warn("%s: %s", path, failure)
	}
	return r.ack()
}

// receiveData takes size bytes off the stream and writes them, straight from the
// stream's buffer. A failed write is reported, and the rest is read all the same:
// the client cannot be stopped.
func (r *remote) receiveData(f io.Writer, size int64) (failure string, err error) {
	for size > 0 {
		if _, err := r.in.Peek(1); err != nil { // one read, of as much as there is
			return "", r.end("%s", reason(err))
		}
		chunk, _ := r.in.Peek(int(min(int64(r.in.Buffered()), size)))
		if failure == "" {
			if _, err := f.Write(chunk); err != nil {
				failure = reason(err)
			}
		}
		size -= int64(len(chunk))
		_, _ = r.in.Discard(len(chunk)) // it is all in the buffer
	}
	return failure, nil
}

// join is the path of an entry of a directory.
func join(directory, name string) string {
	if directory == "/" {
		return "/" + name
	}
	return directory + "/" + name
}

// setTimes sets the times of a file.
func setTimes(path string, times *record) error {
	var ts [2]unix.Timespec
	for i, t := range []fileTime{times.accessed, times.modified} {
		var err error
		if ts[i], err = unix.TimeToTimespec(time.Unix(t.sec, t.usec*1000)); err != nil {
			return err
		}
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, ts[:], 0)
}

// create opens a file for writing and makes it if it is not there. Unlike
// os.OpenFile it takes the mode as it is.
func create(path string, mode uint32) (*os.File, error) {
	return open(path, unix.O_WRONLY|unix.O_CREAT, mode)
}
