package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/crypto/ssh"
)

// Packet types and flags of draft-ietf-secsh-filexfer-02, as far as they are used.
const (
	fxpInit    = 1
	fxpVersion = 2
	fxpOpen    = 3
	fxpClose   = 4
	fxpRead    = 5
	fxpWrite   = 6
	fxpStatus  = 101
	fxpHandle  = 102
	fxpData    = 103

	sftpRead     = 1
	sftpWrite    = 2
	sftpCreate   = 8
	sftpTruncate = 16
)

// sftpConn is a client of the subsystem sftp. Any number of goroutines may call it.
type sftpConn struct {
	write sync.Mutex
	in    io.Writer

	wait    sync.Mutex
	next    uint32
	waiting map[uint32]chan sftpAnswer
	failed  error
}

type sftpAnswer struct {
	kind byte
	body []byte
}

func newSFTP(client *ssh.Client) (*sftpConn, error) {
	session, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	c := &sftpConn{waiting: map[uint32]chan sftpAnswer{}}
	if c.in, err = session.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := session.RequestSubsystem("sftp"); err != nil {
		return nil, skip("no subsystem sftp")
	}
	if _, err := c.in.Write([]byte{0, 0, 0, 5, fxpInit, 0, 0, 0, 3}); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(out, 256<<10)
	if p, err := readPacket(r); err != nil || p[0] != fxpVersion {
		return nil, skip(fmt.Sprintf("no sftp: %v", err))
	}
	go c.read(r)
	return c, nil
}

// maxSFTP is what any answer to our requests is shorter than.
const maxSFTP = 256 << 10

func readPacket(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 5 || n > maxSFTP {
		return nil, fmt.Errorf("an sftp packet of %d bytes", n)
	}
	p := make([]byte, n)
	_, err := io.ReadFull(r, p)
	return p, err
}

// read hands each answer to whoever waits for it.
func (c *sftpConn) read(r io.Reader) {
	for {
		p, err := readPacket(r)
		c.wait.Lock()
		if err != nil {
			c.failed = err
			for _, w := range c.waiting {
				close(w)
			}
			c.waiting = map[uint32]chan sftpAnswer{}
			c.wait.Unlock()
			return
		}
		id := binary.BigEndian.Uint32(p[1:])
		w := c.waiting[id]
		delete(c.waiting, id)
		c.wait.Unlock()
		if w != nil {
			w <- sftpAnswer{p[0], p[5:]}
		}
	}
}

// call sends a request and waits for its answer.
func (c *sftpConn) call(kind byte, body []byte) (byte, []byte, error) {
	w := make(chan sftpAnswer, 1)
	c.wait.Lock()
	if c.failed != nil {
		c.wait.Unlock()
		return 0, nil, c.failed
	}
	c.next++
	id := c.next
	c.waiting[id] = w
	c.wait.Unlock()
	p := make([]byte, 0, 9+len(body))
	p = binary.BigEndian.AppendUint32(p, uint32(5+len(body)))
	p = append(p, kind)
	p = binary.BigEndian.AppendUint32(p, id)
	p = append(p, body...)
	c.write.Lock()
	_, err := c.in.Write(p)
	c.write.Unlock()
	if err != nil {
		return 0, nil, err
	}
	a, open := <-w
	if !open {
		return 0, nil, errors.New("the sftp server has gone")
	}
	return a.kind, a.body, nil
}

// ok is a call that is answered by a status only.
func (c *sftpConn) ok(kind byte, body []byte) error {
	got, answer, err := c.call(kind, body)
	if err == nil && (got != fxpStatus || len(answer) < 4 || binary.BigEndian.Uint32(answer) != 0) {
		return fmt.Errorf("request %d is answered by %d, %.60q", kind, got, answer)
	}
	return err
}

func (c *sftpConn) open(path string, flags uint32) (string, error) {
	kind, answer, err := c.call(fxpOpen, fields(path, flags, uint32(0)))
	if err != nil {
		return "", err
	}
	if kind != fxpHandle || len(answer) < 4 {
		return "", fmt.Errorf("OPEN is answered by %d, %.60q", kind, answer)
	}
	return string(answer[4:]), nil
}

func (c *sftpConn) putSmall(path, data string) error {
	handle, err := c.open(path, sftpWrite|sftpCreate|sftpTruncate)
	if err != nil {
		return err
	}
	if err := c.ok(fxpWrite, fields(handle, uint64(0), data)); err != nil {
		return err
	}
	return c.ok(fxpClose, fields(handle))
}

func (c *sftpConn) getSmall(path string, size int) error {
	handle, err := c.open(path, sftpRead)
	if err != nil {
		return err
	}
	kind, answer, err := c.call(fxpRead, fields(handle, uint64(0), uint32(chunk)))
	if err != nil {
		return err
	}
	if kind != fxpData || len(answer) != size+4 {
		return fmt.Errorf("READ is answered by %d, %d bytes", kind, len(answer))
	}
	return c.ok(fxpClose, fields(handle))
}
