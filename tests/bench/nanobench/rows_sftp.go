package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// underWay is how many requests a client keeps in flight, as OpenSSH's sftp does.
const underWay = 64

// chunk is the size of a READ or WRITE, as OpenSSH's sftp has it.
const chunk = 32 << 10

func sftpRows() []row {
	perGB := []metric{{"CPU", "s/GB", false}, {"wall", "s/GB", false}}
	files := []metric{{"CPU", "µs a file", false}, {"wall", "files/s", true}}
	return []row{
		{name: "sftp-get", about: "one file, 64 reads of 32 KiB in flight", metrics: perGB, measure: (*server).sftpGet},
		{name: "sftp-put", about: "one file, 64 writes of 32 KiB in flight", metrics: perGB, measure: (*server).sftpPut},
		{name: "sftp-put-small", about: "2,000 files of 1 KiB, 64 in flight", metrics: files,
			measure: func(s *server) ([]float64, error) { return s.small(true) }},
		{name: "sftp-get-small", about: "2,000 files of 1 KiB, 64 in flight", metrics: files,
			measure: func(s *server) ([]float64, error) { return s.small(false) }},
	}
}

// folder makes a folder for files that the servers' first user may write to.
func (s *server) folder() (string, error) {
	dir, err := os.MkdirTemp(s.bench.place.home, "files-")
	if err != nil {
		return "", err
	}
	return dir, os.Chown(dir, s.bench.place.uid, -1)
}

func (s *server) sftpGet() ([]float64, error) {
	return s.withSFTP(func(c *sftpConn, dir string) ([]float64, error) {
		n := s.bench.bulk << 20
		path := filepath.Join(dir, "file")
		file, err := os.Create(path)
		if err != nil {
			return nil, err
		}
		feed(file, n)
		if err := errors.Join(file.Chmod(0o644), file.Close()); err != nil {
			return nil, err
		}
		var sum atomic.Int64
		return s.oneFile(c, n, path, sftpRead, func(handle string, at int64) error {
			want := min(chunk, n-at)
			kind, answer, err := c.call(fxpRead, fields(handle, uint64(at), uint32(want)))
			if err == nil && (kind != fxpData || len(answer) != int(want)+4) {
				err = fmt.Errorf("READ is answered by %d, %d bytes", kind, len(answer))
			}
			sum.Add(int64(len(answer)) - 4)
			return err
		}, func() error { return atLeast(sum.Load(), n) })
	})
}

func (s *server) sftpPut() ([]float64, error) {
	return s.withSFTP(func(c *sftpConn, dir string) ([]float64, error) {
		n := s.bench.bulk << 20
		path := filepath.Join(dir, "file")
		data := string(make([]byte, chunk))
		return s.oneFile(c, n, path, sftpWrite|sftpCreate|sftpTruncate, func(handle string, at int64) error {
			return c.ok(fxpWrite, fields(handle, uint64(at), data[:min(chunk, n-at)]))
		}, func() error {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			return atLeast(info.Size(), n)
		})
	})
}

// oneFile moves the pieces of a file, many at once.
func (s *server) oneFile(c *sftpConn, n int64, path string, flags uint32,
	piece func(string, int64) error, check func() error) ([]float64, error) {
	before, begin := s.settled(), time.Now()
	handle, err := c.open(path, flags)
	if err != nil {
		return nil, err
	}
	err = parallel(int((n+chunk-1)/chunk), func(i int) error { return piece(handle, int64(i)*chunk) })
	if err == nil {
		err = c.ok(fxpClose, fields(handle))
	}
	if err == nil {
		err = check()
	}
	took := time.Since(begin)
	used := s.settled() - before
	return []float64{used.Seconds() * gb / float64(n), took.Seconds() * gb / float64(n)}, err
}

// small writes or reads many small files.
func (s *server) small(put bool) ([]float64, error) {
	const count, size = 2000, 1 << 10
	return s.withSFTP(func(c *sftpConn, dir string) ([]float64, error) {
		name := func(i int) string { return filepath.Join(dir, fmt.Sprintf("file%04d", i)) }
		data := string(make([]byte, size))
		each := func(i int) error { return c.putSmall(name(i), data) }
		if !put {
			each = func(i int) error { return c.getSmall(name(i), size) }
			for i := range count {
				if err := os.WriteFile(name(i), []byte(data), 0o644); err != nil {
					return nil, err
				}
			}
		}
		before, begin := s.settled(), time.Now()
		if err := parallel(count, each); err != nil {
			return nil, err
		}
		took := time.Since(begin)
		used := s.settled() - before
		return []float64{used.Seconds() * 1e6 / count, count / took.Seconds()}, nil
	})
}

// parallel does a number of things, underWay at once.
func parallel(count int, do func(int) error) error {
	var next atomic.Int64
	var wait sync.WaitGroup
	failed := make(chan error, underWay)
	for range underWay {
		wait.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= count {
					return
				}
				if err := do(i); err != nil {
					next.Store(int64(count)) // the others end, too
					failed <- err
					return
				}
			}
		})
	}
	wait.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func (s *server) withSFTP(do func(*sftpConn, string) ([]float64, error)) ([]float64, error) {
	client, err := s.dial(clientOptions{ciphers: ordinary})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	c, err := newSFTP(client)
	if err != nil {
		return nil, err
	}
	dir, err := s.folder()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	return do(c, dir)
}

// fields encodes strings and numbers as SFTP has them.
func fields(values ...any) []byte {
	var b []byte
	for _, v := range values {
		switch v := v.(type) {
		case uint32:
			b = binary.BigEndian.AppendUint32(b, v)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, v)
		case string:
			b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
			b = append(b, v...)
		}
	}
	return b
}
