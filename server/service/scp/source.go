package scp

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// sentBits are the bits of a mode that the source tells: scp's, without sticky.
	sentBits = 0o6777

	// namesAtOnce is how many entries of a directory are held at a time.
	namesAtOnce = 1024
)

// sendAll is scp -f: it sends files, and with -r directories. The drawing at
// receiveAll has the records; here the client is the sink.
func (r *remote) sendAll() error {
	if _, err := r.response(); err != nil {
		return err
	}
	for _, path := range r.paths {
		if err := r.sendPath(path); err != nil {
			return err
		}
	}
	return nil
}

// sendPath sends a file or a directory, whatever links lead to it.
func (r *remote) sendPath(path string) error {
	for len(path) > 1 && strings.HasSuffix(path, "/") {
		path = path[:len(path)-1]
	}
	// O_NONBLOCK, else to open a fifo could wait for ever.
	f, err := open(path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return r.warn("%s: %s", path, reason(err))
	}
	defer f.Close()
	var st unix.Stat_t
	switch err := fstat(f, &st); {
	case err != nil:
		return r.warn("%s: %s", path, reason(err))
	case isDirectory(&st) && r.recursive:
		return r.sendDirectory(f, path, &st)
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return r.warn("%s: not a regular file", path)
	case st.Size < 0:
		return r.warn("%s: Negative file size", path)
	}
	return r.sendFile(f, path, &st)
}

// sendFile sends a regular file: as many bytes as it had when it was opened.
func (r *remote) sendFile(f *os.File, path string, st *unix.Stat_t) error {
	if ok, err := r.sendHeader(kindFile, st.Size, path, st); !ok {
		return err
	}
	failure, err := r.sendData(f, st.Size)
	if err != nil {
		return err
	}
	if failure != nil {
		err = r.warn("%s: %s", path, reason(failure))
	} else {
		err = r.ack()
	}
	if err != nil {
		return err
	}
	_, err = r.response()
	return err
}

// sendDirectory sends a directory and what is in it, in the directory's order.
func (r *remote) sendDirectory(f *os.File, path string, st *unix.Stat_t) error {
	if ok, err := r.sendHeader(kindDirectory, 0, path, st); !ok {
		return err
	}
	for {
		names, err := f.Readdirnames(namesAtOnce)
		for _, name := range names {
			if err := r.sendPath(path + "/" + name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if err := r.warn("%s: %s", path, reason(err)); err != nil {
				return err
			}
			break
		}
	}
	if err := r.send([]byte{kindEnd, '\n'}); err != nil {
		return err
	}
	_, err := r.response()
	return err
}

// sendHeader sends the records that announce a file or a directory, and reports
// whether the client wants it.
func (r *remote) sendHeader(kind byte, size int64, path string, st *unix.Stat_t) (bool, error) {
	if r.preserve {
		modified, _ := st.Mtim.Unix()
		accessed, _ := st.Atim.Unix()
		// The protocol has no time before the epoch.
		if ok, err := r.propose("T%d 0 %d 0", max(modified, 0), max(accessed, 0)); !ok {
			return false, err
		}
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	if strings.Contains(name, "\n") {
		name = visible(name)
	}
	return r.propose("%c%04o %d %s", kind, st.Mode&sentBits, size, name)
}

// propose sends a record and waits for the answer.
func (r *remote) propose(format string, args ...any) (bool, error) {
	line := fmt.Sprintf(format, args...)
	r.debugf("Source: %s", line)
	if err := r.send([]byte(line + "\n")); err != nil {
		return false, err
	}
	return r.response()
}

// sendData sends size bytes of a file. The client was promised that many, so what
// cannot be read is sent as zeros, and reported afterwards.
func (r *remote) sendData(f io.Reader, size int64) (failure, err error) {
	if r.buffer == nil {
		r.buffer = make([]byte, bufferSize)
	}
	for size > 0 {
		chunk := r.buffer[:min(int64(bufferSize), size)]
		n := 0
		if failure == nil {
			n, failure = io.ReadFull(f, chunk)
		}
		clear(chunk[n:])
		if err := r.send(chunk); err != nil {
			return nil, err
		}
		size -= int64(len(chunk))
	}
	return failure, nil
}
