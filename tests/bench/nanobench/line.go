package main

import (
	"net"
	"sync"
	"time"
)

// What a line is in both directions, where the kernel cannot make a slow one.
const (
	lineDelay = 50 * time.Millisecond
	lineRate  = 1e9 / 8 // bytes a second
	linePiece = 64 << 10
)

// slowLine relays connections to addr, each direction with lineDelay and lineRate. Unlike
// netem it ends TCP: what the windows of SSH do shows, what those of TCP do does not.
func slowLine(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go relaySlowly(near, addr)
		}
	}()
	return l, nil
}

func relaySlowly(near net.Conn, addr string) {
	defer near.Close()
	far, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer far.Close()
	var both sync.WaitGroup
	both.Go(func() { carry(far, near) })
	both.Go(func() { carry(near, far) })
	both.Wait()
}

// carry moves what comes from src to dst, each piece at its time.
func carry(dst, src net.Conn) {
	type piece struct {
		due  time.Time
		data []byte
	}
	// Twice what is under way at the full rate.
	under := int(2 * lineRate * lineDelay.Seconds() / linePiece)
	pieces := make(chan piece, under)
	go func() {
		defer close(pieces)
		free := time.Now()
		for {
			b := make([]byte, linePiece)
			n, err := src.Read(b)
			if n > 0 {
				if now := time.Now(); free.Before(now) {
					free = now
				}
				free = free.Add(time.Duration(float64(n) / lineRate * float64(time.Second)))
				pieces <- piece{free.Add(lineDelay), b[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		time.Sleep(time.Until(p.due))
		if _, err := dst.Write(p.data); err != nil {
			break
		}
	}
	if c, ok := dst.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	for range pieces { // whoever reads may wait for room
	}
}
