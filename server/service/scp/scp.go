// Package scp is the remote half of the old copy protocol, that of rcp and of
// `scp -O`: `scp -t` receives files (the sink), `scp -f` sends them (the source).
// A user's shell starts it as a process of its own, so that `scp -O` works on
// hosts that have no scp program; main calls Main when it was started as scp.
//
// It runs with the rights of the user and nothing more, so the path that it is
// given may be any. What the peer sends is not trusted: every name is one
// component of a path, every record is bounded, and nothing is allocated by a
// length that a record names. It never starts a program, never expands patterns
// (the shell did), never connects anywhere and knows nothing of the client's half.
package scp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

const (
	// bufferSize is how much file data one read takes: enough that a system call
	// costs little beside the copy, little enough that many sessions may copy.
	bufferSize = 256 << 10

	// maxRecord bounds a record and a reply with their ends of line, as scp does: a
	// name has at most 255 bytes on every file system of Linux.
	maxRecord = 2048

	// permissionBits are the bits of a mode that a record can carry.
	permissionBits = 0o7777
)

// errEnd ends the process with status 1. Whoever returns it has told the peer why,
// if there is a peer left.
var errEnd = errors.New("scp: end")

// options are what the command line says.
type options struct {
	sink, source bool
	recursive    bool // -r
	preserve     bool // -p: times and modes
	directory    bool // -d: the target is a directory
	verbose      bool // -v
	paths        []string
}

// remote is one end of the protocol, the one that the client started.
type remote struct {
	options
	in     *bufio.Reader
	out    io.Writer
	stderr io.Writer
	errs   int    // what went wrong without ending the copy
	umask  uint32 // of the sink: bits that every mode loses
	buffer []byte // of the source: file data; made for the first file
}

// Main is scp as a program: args are the command line with the program's name in
// front, the result is the exit status. It talks to the client on stdin and
// stdout, relative paths start in the current directory, and it may change the
// umask of the process.
func Main(args []string) int {
	// A client that goes away and a file beyond the user's limit are errors of
	// write, not the end of the process.
	signal.Ignore(unix.SIGPIPE, unix.SIGXFSZ)
	return run(args, os.Stdin, os.Stdout, os.Stderr)
}

// run is Main on other streams.
func run(args []string, in io.Reader, out, stderr io.Writer) int {
	o, err := parseOptions(args)
	if err != nil {
		fmt.Fprintf(stderr, "scp: %v\n%s\n", err, usage)
		return 1
	}
	r := &remote{options: o, out: out, stderr: stderr}
	if o.source {
		r.in = bufio.NewReaderSize(in, maxRecord) // nothing but replies
		err = r.sendAll()
	} else {
		r.in = bufio.NewReaderSize(in, bufferSize)
		err = r.receiveAll()
	}
	if err != nil || r.errs > 0 {
		return 1
	}
	return 0
}
