package tun

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/proto/connection"
)

// channel is what a tunnel needs of *connection.Channel. A tunnel's packets are the
// messages' own data, so it needs a channel that keeps their bounds.
type channel interface {
	// WriteDatagram sends p as the data of one message, once the client's window has
	// room for all of it. What is longer than the client's packets is not sent at all.
	WriteDatagram(p []byte) (sent bool, err error)
	Close() error
}

// boundaries says that package connection keeps the bounds of messages: Channel has
// WriteDatagram, and handlers with a method Datagram get the data of each message.
var _, boundaries = any((*connection.Channel)(nil)).(channel)

// link is one interface and its channel.
type link struct {
	server *Server
	mode   uint32
	device *os.File
	raw    syscall.RawConn
	once   sync.Once

	mu sync.Mutex
	ch channel
}

func newLink(s *Server, mode uint32, device *os.File) (*link, error) {
	raw, err := device.SyscallConn()
	if err != nil {
		device.Close()
		return nil, err
	}
	return &link{server: s, mode: mode, device: device, raw: raw}, nil
}

// start moves packets from the interface to the client. The other direction needs no
// goroutine: see Datagram.
func (l *link) start(ch channel) {
	l.mu.Lock()
	l.ch = ch
	l.mu.Unlock()
	go l.server.guard(func() {
		defer l.end()
		defer func() { _ = ch.Close() }()
		l.send(ch)
	})
}

// send ends when the interface is gone or closed, or when the channel is. A packet
// that is no packet or does not fit a message is lost.
func (l *link) send(ch channel) {
	buf := make([]byte, familySize+maxFrame)
	for {
		n, err := l.device.Read(buf[familySize:])
		if err != nil || n == 0 {
			return
		}
		data, err := pack(l.mode, buf[:familySize+n])
		if err != nil {
			continue
		}
		if _, err := ch.WriteDatagram(data); err != nil {
			return
		}
	}
}

// Datagram takes the data of one message (connection.DatagramHandler). It gives the
// packet to the interface at once and never waits: what the interface does not take
// now is lost.
func (l *link) Datagram(data []byte) {
	packet, err := unpack(l.mode, data)
	if err != nil {
		l.server.policy.Log.Debugf(2, "%v", err)
		return
	}
	_ = l.raw.Write(func(fd uintptr) bool {
		_, _ = unix.Write(int(fd), packet)
		return true
	})
}

// Request refuses everything: these channels know no requests
// (connection.ChannelHandler).
func (l *link) Request(*connection.Request) {}

// Closed is called when the channel is closed on both sides or the connection is gone
// (connection.ChannelHandler).
func (l *link) Closed() { l.end() }

func (l *link) end() {
	l.once.Do(func() {
		l.device.Close()
		l.server.forget(l)
	})
}

// abort closes both ends.
func (l *link) abort() {
	l.mu.Lock()
	ch := l.ch
	l.mu.Unlock()
	l.end()
	if ch != nil {
		_ = ch.Close()
	}
}
