package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
)

// helper is what this program does when a server starts it for a user, or when it
// stands in for inetd. The first argument says which.
func helper(args []string) int {
	// The client goes away when it has what it wants.
	signal.Ignore(syscall.SIGPIPE)
	switch {
	case args[0] == "feed" && len(args) == 2:
		n, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil {
			return 2
		}
		feed(os.Stdout, n)
	case args[0] == "sink" && len(args) == 1:
		drain(os.Stdin)
	case args[0] == "inetd" && len(args) > 2:
		return inetd(args[1], args[2:])
	default:
		fmt.Fprintln(os.Stderr, "nanobench: unknown arguments")
		return 2
	}
	// What this process used is not the server's: the client takes it off.
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 1
	}
	fmt.Fprintf(os.Stderr, "%d\n", used.Utime.Nano()+used.Stime.Nano())
	return 0
}

// block is what producers write at once: as much as a pipe holds.
const block = 64 << 10

// feed writes n bytes.
func feed(w io.Writer, n int64) {
	buffer := make([]byte, block)
	for n > 0 {
		m, err := w.Write(buffer[:min(n, block)])
		if err != nil {
			return
		}
		n -= int64(m)
	}
}

// drain reads to the end. It has one buffer and no way around it, so that its
// time does not depend on what kind of descriptor a server gives it.
func drain(r io.Reader) int64 {
	buffer := make([]byte, block)
	var sum int64
	for {
		n, err := r.Read(buffer)
		sum += int64(n)
		if err != nil {
			return sum
		}
	}
}

// inetd serves each connection to an address with a program of its own, for
// servers that do not listen by themselves.
func inetd(address string, command []string) int {
	l, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, "nanobench:", err)
		return 1
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return 1
		}
		file, err := c.(*net.TCPConn).File()
		_ = c.Close()
		if err != nil {
			continue
		}
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = file, file, os.Stderr
		// A blocking descriptor: the program expects one.
		_ = syscall.SetNonblock(int(file.Fd()), false)
		if err := cmd.Start(); err == nil {
			go func() { _ = cmd.Wait() }()
		}
		_ = file.Close()
	}
}
