package sandbox

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// work is what a gate has to be able to do. 3 is a unix socket, over which another
// descriptor comes.
func work() error {
	if err := errors.Join(workMemory(), workThreads(), workCrypto(), workTimers()); err != nil {
		return err
	}
	file := os.NewFile(3, "socket")
	link, err := net.FileConn(file)
	if err != nil {
		return fmt.Errorf("FileConn: %w", err)
	}
	file.Close()
	received, err := receive(link.(*net.UnixConn))
	if err != nil {
		return fmt.Errorf("SCM_RIGHTS: %w", err)
	}
	conn, err := net.FileConn(received)
	if err != nil {
		return fmt.Errorf("FileConn of what came: %w", err)
	}
	received.Close()
	return workConnection(conn.(*net.TCPConn))
}

func workMemory() error {
	var keep [][]byte
	for i := range 64 {
		b := make([]byte, 2<<20)
		b[len(b)-1] = byte(i)
		if keep = append(keep, b); len(keep) > 16 {
			keep = keep[8:]
		}
	}
	runtime.GC()
	if keep[len(keep)-1][2<<20-1] != 63 {
		return errors.New("memory is not what it was")
	}
	return nil
}

// workThreads has many threads start at once.
func workThreads() error {
	var all, start sync.WaitGroup
	start.Add(1)
	threads := make(chan int, 40)
	for range cap(threads) {
		all.Go(func() {
			runtime.LockOSThread()
			start.Wait()
			threads <- unix.Gettid()
		})
	}
	start.Done()
	all.Wait()
	seen := map[int]bool{}
	for range cap(threads) {
		seen[<-threads] = true
	}
	if len(seen) < 20 {
		return fmt.Errorf("only %d threads", len(seen))
	}
	return nil
}

func workCrypto() error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(public)
	if !ed25519.Verify(public, sum[:], ed25519.Sign(private, sum[:])) {
		return errors.New("a signature does not verify")
	}
	return nil
}

func workTimers() error {
	select {
	case <-time.After(time.Millisecond):
		return nil
	case <-time.After(patience):
		return errors.New("a timer did not fire")
	}
}

func receive(link *net.UnixConn) (*os.File, error) {
	rights := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := link.ReadMsgUnix(make([]byte, 1), rights)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("%d messages: %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("%d descriptors: %w", len(fds), err)
	}
	return os.NewFile(uintptr(fds[0]), "received"), nil
}

// workConnection sends back what comes, with the options that SSH sets.
func workConnection(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var quick, tos error
	err = raw.Control(func(fd uintptr) {
		quick = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
		tos = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, 0x10)
	})
	err = errors.Join(err, quick, tos, c.SetNoDelay(true), c.SetKeepAlive(true), c.SetDeadline(time.Now().Add(patience)))
	if err != nil {
		return fmt.Errorf("options: %w", err)
	}
	if c.RemoteAddr() == nil {
		return errors.New("no remote address")
	}
	b, err := io.ReadAll(c)
	if err != nil {
		return err
	}
	buffers := net.Buffers{b[:len(b)/2], b[len(b)/2:]}
	if _, err := buffers.WriteTo(c); err != nil {
		return err
	}
	return errors.Join(c.CloseWrite(), c.Close())
}

// TestGateWorks has a gate do a gate's work.
func TestGateWorks(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	near, far := os.NewFile(uintptr(pair[0]), "near"), os.NewFile(uintptr(pair[1]), "far")
	defer near.Close()
	defer far.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	file, err := server.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Sendmsg(pair[0], []byte{1}, unix.UnixRights(int(file.Fd())), nil, 0); err != nil {
		t.Fatal(err)
	}
	file.Close()
	server.Close()

	p := (&child{Name: "gate", Gate: gateConfig(), Attempt: "work"}).start(t, far)
	checkMissing(t, line(t, p.stdout), missingHere())
	message := bytes.Repeat([]byte("SSH-2.0-test\r\n"), 10000)
	_ = client.SetDeadline(time.Now().Add(patience))
	go func() {
		_, _ = client.Write(message)
		_ = client.(*net.TCPConn).CloseWrite()
	}()
	echo := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(client)
		echo <- b
	}()
	rest, status := p.end(t)
	if rest != "<nil>\n" || status.ExitStatus() != 0 {
		t.Errorf("%q, %v", rest, status)
		client.Close()
	}
	if got := <-echo; !bytes.Equal(got, message) {
		t.Errorf("%d bytes came back, of %d", len(got), len(message))
	}
}
