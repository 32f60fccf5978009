// Command nanobench measures SSH servers side by side on loopback and prints a
// markdown table. From the module's folder:
//
//	go run ./tests/bench/nanobench [-quick] [-rows regexp] [-servers nano,sshd] [-json FILE]
//	go run ./tests/bench/nanobench -scale [-json docs/scale.json]
//
// Servers are this project's binary, and sshd, dropbear and tinysshd where they
// are installed. Each measurement has a freshly started server with keys, a
// configuration and a port of its own; servers take turns, so that what else the
// machine does meets all of them; the best of the repetitions counts, and the spread
// stands beside it. Ratios are to the sshd of the machine.
//
// As root it works in a private mount namespace with accounts of its own. As
// an ordinary user it leaves out what needs root, and says so. It never talks to a
// server that it has not started, and leaves nothing behind.
//
// The client is x/crypto/ssh in this process, and OpenSSH's ssh where a real client
// is the point. Client and server share the machine's processors: CPU figures are
// the server's alone, wall figures contain the client.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// options are the command line.
type options struct {
	nano    string
	servers string
	rows    string
	json    string
	quick   bool
	scale   bool
	list    bool
	repeat  int
	bulk    int64 // MiB a transfer
	most    int   // sessions in -scale
}

func parseOptions() *options {
	o := new(options)
	flag.StringVar(&o.nano, "nano", "./nano_ssh_server.musl", "this project's `binary`")
	flag.StringVar(&o.servers, "servers", "", "comma separated; default: all that are installed")
	flag.StringVar(&o.rows, "rows", "", "`regexp` of the rows to measure")
	flag.StringVar(&o.json, "json", "", "write all samples to a `file`")
	flag.BoolVar(&o.quick, "quick", false, "fewer and smaller measurements; nano and sshd only")
	flag.BoolVar(&o.scale, "scale", false, "measure against the number of clients and sessions")
	flag.BoolVar(&o.list, "list", false, "print the rows' names")
	flag.IntVar(&o.repeat, "repeat", 0, "measurements of each figure (default 5, quick 3)")
	flag.Int64Var(&o.bulk, "bulk", 0, "`MiB` of a bulk transfer (default 512, quick 64)")
	flag.IntVar(&o.most, "sessions", 10000, "most sessions in -scale")
	flag.Parse()
	choose := func(quick, full int64) int64 {
		if o.quick {
			return quick
		}
		return full
	}
	if o.repeat <= 0 {
		o.repeat = int(choose(3, 5))
	}
	if o.bulk <= 0 {
		o.bulk = choose(64, 512)
	}
	if o.quick && o.servers == "" {
		o.servers = "sshd,nano"
	}
	return o
}

func main() {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		os.Exit(helper(os.Args[1:]))
	}
	if err := run(parseOptions()); err != nil {
		fmt.Fprintln(os.Stderr, "nanobench:", err)
		os.Exit(1)
	}
}

func run(o *options) error {
	if o.list {
		for _, r := range allRows() {
			fmt.Printf("%-16s %s\n", r.name, r.about)
		}
		return nil
	}
	pattern, err := regexp.Compile(o.rows)
	if err != nil {
		return err
	}
	p, err := newPlace()
	if err != nil {
		return err
	}
	defer p.remove()
	// A process that loses its parent becomes a child of this one, so that nothing
	// that a server starts escapes the account or the end.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{options: o, place: p, ctx: ctx}
	if b.kinds, err = findKinds(o, p); err != nil {
		return err
	}
	defer b.stopAll()
	raiseLimit()
	switch {
	case o.scale:
		return b.scaleAll()
	case os.Getenv(linkVar) != "":
		return b.insideLink()
	}
	t := newTable(b.kinds)
	for _, r := range allRows() {
		if !pattern.MatchString(r.name) {
			continue
		}
		if err := b.measure(r, t); err != nil {
			return err
		}
	}
	if len(t.lines) == 0 && len(t.notes) == 0 {
		return errors.New("no such row: see -list")
	}
	fmt.Print(t.markdown(b))
	return t.writeJSON(o.json, b)
}

// raiseLimit lets this process and the servers have as many descriptors as allowed.
func raiseLimit() uint64 {
	const want = 200_000 // 10,000 sessions: some descriptors each in client, listener and account
	limit := unix.Rlimit{Cur: want, Max: want}
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
			limit.Cur = limit.Max
			_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
		}
	}
	return limit.Cur
}
