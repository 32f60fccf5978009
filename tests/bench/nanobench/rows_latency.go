package main

import (
	"fmt"
	"io"
	"time"
)

func latencyRows() []row {
	m := []metric{{"p50", "µs", false}, {"p99", "µs", false}, {"CPU", "µs each", false}}
	return []row{
		{name: "echo", about: "a keystroke and its echo by the terminal", metrics: m,
			measure: func(s *server) ([]float64, error) { return s.echo(false) }},
		{name: "echo-bulk", about: "the same beside a download on the same connection", metrics: m[:2],
			measure: func(s *server) ([]float64, error) { return s.echo(true) }},
	}
}

// echo types at a terminal and waits for each letter.
func (s *server) echo(beside bool) ([]float64, error) {
	count := 2000
	if s.bench.quick {
		count = 400
	}
	c, err := s.dial(clientOptions{ciphers: ordinary})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	// Nothing reads: the echo is the terminal's own, and the line is never complete.
	in, out, err := onTerminal(c, "exec sleep 100")
	if err != nil {
		return nil, err
	}
	if beside {
		r, err := s.remote(c, "feed "+number64(1<<50))
		if err != nil {
			return nil, err
		}
		if _, err := readFull(r.out, make([]byte, block)); err != nil {
			return nil, err
		}
		go drain(r.out)
	}
	if _, err := keystroke(in, out); err != nil {
		return nil, err
	}
	before := s.cpu()
	times := make([]time.Duration, count)
	for i := range times {
		if times[i], err = keystroke(in, out); err != nil {
			return nil, err
		}
	}
	values := []float64{quantile(times, 0.5).Seconds() * 1e6, quantile(times, 0.99).Seconds() * 1e6}
	if beside {
		return values, nil
	}
	const keys = 2 // keystroke types two
	return append(values, (s.settled()-before).Seconds()*1e6/float64(keys*count)), nil
}

// keystroke writes a letter and, behind it, the key that takes it away again, since
// a line has room for some 4,000 letters only.
func keystroke(in io.Writer, out io.Reader) (time.Duration, error) {
	const rubout = "\x7f"
	begin := time.Now()
	if _, err := in.Write([]byte("x")); err != nil {
		return 0, err
	}
	got := make([]byte, 1)
	if _, err := readFull(out, got); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	if got[0] != 'x' {
		return 0, fmt.Errorf("%q came back", got)
	}
	if _, err := in.Write([]byte(rubout)); err != nil {
		return 0, err
	}
	_, err := readFull(out, make([]byte, len("\b \b")))
	return took, err
}
