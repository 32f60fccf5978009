package main

import (
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// allRows are the lines of the table in their order.
func allRows() []row {
	var rows []row
	perGB := []metric{{"CPU", "s/GB", false}, {"wall", "s/GB", false}}
	for _, c := range []struct {
		name string
		o    clientOptions
	}{
		{"chacha20", clientOptions{ciphers: []string{"chacha20-poly1305@openssh.com"}}},
		{"aes128-gcm", clientOptions{ciphers: []string{"aes128-gcm@openssh.com"}}},
		{"aes128-ctr", clientOptions{ciphers: []string{"aes128-ctr"}, mac: "hmac-sha2-256-etm@openssh.com"}},
	} {
		rows = append(rows,
			row{name: "down-" + c.name, about: "a session's output", metrics: perGB,
				measure: func(s *server) ([]float64, error) { return s.bulk(c.o, true) }},
			row{name: "up-" + c.name, about: "a session's input", metrics: perGB,
				measure: func(s *server) ([]float64, error) { return s.bulk(c.o, false) }})
	}
	rows = append(rows, loginRows()...)
	rows = append(rows, memoryRows()...)
	rows = append(rows, sftpRows()...)
	rows = append(rows,
		row{name: "forward-down", about: "ssh -L, from the target", metrics: perGB,
			measure: func(s *server) ([]float64, error) { return s.forward(true) }},
		row{name: "forward-up", about: "ssh -L, to the target", metrics: perGB,
			measure: func(s *server) ([]float64, error) { return s.forward(false) }},
		row{name: "requests", about: "50 at once, 1 KiB there and back, each through a forwarded connection",
			metrics: []metric{{"CPU", "µs each", false}, {"wall", "µs each", false}, {"p99", "ms", false}},
			measure: (*server).requests})
	rows = append(rows, latencyRows()...)
	return append(rows,
		row{name: "rekey", times: 2, about: "a download with new keys each 64 MiB, against one without",
			metrics: []metric{{"wall", "ratio", false}, {"CPU", "ratio", false}}, measure: (*server).rekeying},
		row{name: "link", about: "a session's output and input over 100 ms, 1 Gbit/s (netem, or a relay that delays)", times: 2,
			metrics: []metric{{"down", "MB/s", true}, {"up", "MB/s", true}}, measure: (*server).link},
		row{name: "size", about: "program files, with sftp-server", times: 1,
			metrics: []metric{{"files", "KiB", false}}, measure: (*server).size})
}

const gb = 1e9

// ordinary is a cipher that all but old servers have and that costs a client little.
var ordinary = []string{"aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"}

// bulk moves data between a client and a program of the session.
func (s *server) bulk(o clientOptions, down bool) ([]float64, error) {
	c, err := s.dial(o)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	cpu, wall, err := s.transfer(c, s.bench.bulk<<20, down)
	return []float64{cpu, wall}, err
}

// transfer returns seconds for a GB.
func (s *server) transfer(c *ssh.Client, n int64, down bool) (cpu, wall float64, err error) {
	before, begin := s.settled(), time.Now()
	command := "sink"
	if down {
		command = "feed " + number64(n)
	}
	r, err := s.remote(c, command)
	if err != nil {
		return 0, 0, err
	}
	if down {
		if err := atLeast(drain(r.out), n); err != nil {
			return 0, 0, err
		}
	} else {
		feed(r.in, n)
		_ = r.in.Close()
	}
	own, err := r.wait()
	if err != nil {
		return 0, 0, err
	}
	took := time.Since(begin)
	used := s.settled() - before - own
	return used.Seconds() * gb / float64(n), took.Seconds() * gb / float64(n), nil
}

// forward moves data through a direct-tcpip channel; the target is in this process.
func (s *server) forward(down bool) ([]float64, error) {
	n := s.bench.bulk << 20
	got := make(chan int64, 1)
	t, err := newTarget(func(c net.Conn) {
		if down {
			feed(c, n)
		} else {
			got <- drain(c)
		}
	})
	if err != nil {
		return nil, err
	}
	defer t.Close()
	c, err := s.dial(clientOptions{ciphers: ordinary})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	before, begin := s.settled(), time.Now()
	channel, err := c.Dial("tcp", t.Addr().String())
	if err != nil {
		return nil, err
	}
	var moved int64
	if down {
		moved = drain(channel)
	} else {
		feed(channel, n)
		if err := channel.Close(); err != nil {
			return nil, err
		}
		moved = <-got
	}
	took := time.Since(begin)
	used := s.settled() - before
	return []float64{used.Seconds() * gb / float64(n), took.Seconds() * gb / float64(n)}, atLeast(moved, n)
}

// requests opens many short connections through one client.
func (s *server) requests() ([]float64, error) {
	const parallel, size = 50, 1 << 10
	rounds := 40
	if s.bench.quick {
		rounds = 12
	}
	t, err := newTarget(func(c net.Conn) {
		buffer := make([]byte, size)
		if n, err := readFull(c, buffer); err == nil {
			_, _ = c.Write(buffer[:n])
		}
	})
	if err != nil {
		return nil, err
	}
	defer t.Close()
	c, err := s.dial(clientOptions{ciphers: ordinary})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var mutex sync.Mutex
	var times []time.Duration
	var failed error
	before, begin := s.settled(), time.Now()
	for range rounds {
		var wait sync.WaitGroup
		for range parallel {
			wait.Go(func() {
				took, err := request(c, t.Addr().String(), size)
				mutex.Lock()
				defer mutex.Unlock()
				times = append(times, took)
				if err != nil {
					failed = err
				}
			})
		}
		wait.Wait()
		if failed != nil {
			return nil, failed
		}
	}
	took := time.Since(begin)
	used := s.settled() - before
	n := float64(len(times))
	return []float64{used.Seconds() * 1e6 / n, took.Seconds() * 1e6 / n, quantile(times, 0.99).Seconds() * 1e3}, nil
}

func request(c *ssh.Client, address string, size int) (time.Duration, error) {
	begin := time.Now()
	channel, err := c.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer channel.Close()
	buffer := make([]byte, size)
	if _, err := channel.Write(buffer); err != nil {
		return 0, err
	}
	_, err = readFull(channel, buffer)
	return time.Since(begin), err
}

// rekeying compares two downloads of one server: how often keys are new is the
// client's choice.
func (s *server) rekeying() ([]float64, error) {
	n := max(s.bench.bulk<<20, 192<<20) // some exchanges at least
	var cpu, wall [2]float64
	for i, each := range []uint64{0, 64 << 20} {
		c, err := s.dial(clientOptions{ciphers: ordinary, rekey: each})
		if err != nil {
			return nil, err
		}
		cpu[i], wall[i], err = s.transfer(c, n, true)
		_ = c.Close()
		if err != nil {
			return nil, err
		}
	}
	return []float64{wall[1] / wall[0], cpu[1] / cpu[0]}, nil
}

// size counts the files that a server with sftp needs, without libraries.
func (s *server) size() ([]float64, error) {
	var sum int64
	for _, file := range append([]string{s.program}, s.files...) {
		if info, err := os.Stat(file); err == nil {
			sum += info.Size()
		}
	}
	return []float64{float64(sum) / 1024}, nil
}

// quantile returns the time that a part of all does not exceed.
func quantile(times []time.Duration, part float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(part*float64(len(sorted))))]
}
