package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// curves is what -scale writes and tests/bench/plot draws.
type curves struct {
	Machine string   `json:"machine"`
	Command string   `json:"command"`
	Charts  []*chart `json:"charts"`
}

// chart is a picture: docs/scale-NAME.svg.
type chart struct {
	Name   string   `json:"name"`
	Title  string   `json:"title"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	LogY   bool     `json:"log_y"`
	Notes  []string `json:"notes,omitempty"`
	Series []series `json:"series"`
}

type series struct {
	Name   string       `json:"name"`
	Points [][2]float64 `json:"points"`
}

// scaleAll measures against numbers of clients and sessions.
func (b *bench) scaleAll() error {
	all := &curves{Machine: machine(), Command: "go run ./tests/bench/nanobench " + strings.Join(os.Args[1:], " ")}
	clients := []int{1, 2, 4, 8, 16, 32, 64}
	logins := &chart{Name: "logins", Title: "Logins by parallel clients", X: "clients", Y: "logins/s"}
	down := &chart{Name: "throughput", Title: "Downloads by parallel clients, aes128-gcm", X: "clients", Y: "MB/s, all together"}
	memory := &chart{Name: "memory", Title: "Memory of connections that are logged in and idle", X: "connections", Y: "MiB PSS", LogY: true}
	for _, c := range []struct {
		*chart
		measure func(*server, int) (float64, error)
	}{{logins, (*server).loginRate}, {down, (*server).downRate}} {
		if err := b.curve(c.chart, clients, c.measure); err != nil {
			return err
		}
		all.Charts = append(all.Charts, c.chart)
	}
	if err := b.memoryCurve(memory); err != nil {
		return err
	}
	all.Charts = append(all.Charts, memory)
	fmt.Print(all.markdown())
	if b.json == "" {
		return nil
	}
	text, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(b.json, append(text, '\n'), 0o644)
}

// curve measures every server at every number, in turns; the best of the
// repetitions counts.
func (b *bench) curve(c *chart, numbers []int, measure func(*server, int) (float64, error)) error {
	c.Series = make([]series, len(b.kinds))
	for _, n := range numbers {
		best := make([]float64, len(b.kinds))
		for range min(2, b.repeat) {
			for i, k := range b.kinds {
				if b.ctx.Err() != nil {
					return b.ctx.Err()
				}
				c.Series[i].Name = k.name
				v, err := b.sample(row{measure: func(s *server) ([]float64, error) {
					v, err := measure(s, n)
					return []float64{v}, err
				}}, k)
				if err != nil {
					c.Notes = append(c.Notes, fmt.Sprintf("%s, %d: %v", k.name, n, err))
					continue
				}
				best[i] = max(best[i], v[0])
			}
		}
		for i, v := range best {
			if v > 0 {
				c.Series[i].Points = append(c.Series[i].Points, [2]float64{float64(n), v})
			}
		}
		fmt.Fprintf(os.Stderr, "%s at %d: %.0f\n", c.Name, n, best)
	}
	return nil
}

// rateTime is how long a rate is measured.
const rateTime = 1200 * time.Millisecond

// loginRate has n clients log in again and again.
func (s *server) loginRate(n int) (float64, error) {
	c, err := s.dial(clientOptions{})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var count atomic.Int64
	var wait sync.WaitGroup
	failed := make(chan error, n)
	begin := time.Now()
	for range n {
		wait.Go(func() {
			for time.Since(begin) < rateTime {
				if err := s.login(""); err != nil {
					failed <- err
					return
				}
				count.Add(1)
			}
		})
	}
	wait.Wait() // with logins that take longer than the time
	took := time.Since(begin)
	select {
	case err := <-failed:
		return 0, err
	default:
		return float64(count.Load()) / took.Seconds(), nil
	}
}

// downRate has n clients download at the same time. All log in before the first
// one begins: logins beside so much data would take long.
func (s *server) downRate(n int) (float64, error) {
	var sum atomic.Int64
	clients := make([]*ssh.Client, n)
	for i := range clients {
		c, err := s.dial(clientOptions{ciphers: ordinary})
		if err != nil {
			return 0, err
		}
		defer c.Close()
		clients[i] = c
	}
	err := each(n, func(i int) error {
		r, err := s.remote(clients[i], "feed "+number64(1<<50))
		if err != nil {
			return err
		}
		go func() {
			buffer := make([]byte, block)
			for {
				m, err := r.out.Read(buffer)
				sum.Add(int64(m))
				if err != nil {
					return
				}
			}
		}()
		return nil
	})
	if err != nil {
		return 0, err
	}
	before, begin := sum.Load(), time.Now()
	time.Sleep(rateTime)
	return float64(sum.Load()-before) / 1e6 / time.Since(begin).Seconds(), nil
}

// memoryCurve fills each server with connections until there are enough, the
// machine is full, or it has taken too long.
func (b *bench) memoryCurve(c *chart) error {
	for _, k := range b.kinds {
		s, err := b.start(k)
		if err != nil {
			return err
		}
		points, why := s.fill(b.most)
		b.stopAll()
		c.Series = append(c.Series, series{k.name, points})
		if why != nil {
			c.Notes = append(c.Notes, fmt.Sprintf("%s: %v", k.name, why))
		}
		fmt.Fprintf(os.Stderr, "memory, %s: %.1f %v\n", k.name, points, why)
		if b.ctx.Err() != nil {
			return b.ctx.Err()
		}
	}
	return nil
}

func (s *server) fill(most int) (points [][2]float64, why error) {
	const (
		limit    = 150 * time.Second // for one server
		together = 16                // logins at a time
		reserve  = 3 << 20           // KiB of the machine that stay free
	)
	var held []*ssh.Client
	defer func() {
		for _, c := range held {
			_ = c.Close()
		}
	}()
	begin := time.Now()
	for _, n := range []int{1, 10, 30, 100, 300, 1000, 3000, 10000} {
		if n > most {
			break
		}
		for len(held) < n {
			if time.Since(begin) > limit {
				return points, fmt.Errorf("stopped at %d connections after %v", len(held), limit)
			}
			if free := available(); free < reserve {
				return points, fmt.Errorf("stopped at %d connections: %d MiB of memory are left", len(held), free>>10)
			}
			if s.bench.ctx.Err() != nil {
				return points, s.bench.ctx.Err()
			}
			more := make([]*ssh.Client, min(together, n-len(held)))
			err := each(len(more), func(i int) (err error) {
				more[i], err = s.dial(clientOptions{ciphers: ordinary})
				return err
			})
			for _, c := range more {
				if c != nil {
					held = append(held, c)
				}
			}
			if err != nil {
				return points, fmt.Errorf("at %d connections: %w", len(held), err)
			}
		}
		s.settled()
		kib, _, err := s.memory()
		if err != nil {
			return points, err
		}
		points = append(points, [2]float64{float64(n), kib / 1024})
	}
	return points, nil
}

// each does n things at once.
func each(n int, do func(int) error) error {
	var wait sync.WaitGroup
	errs := make(chan error, n)
	for i := range n {
		wait.Go(func() { errs <- do(i) })
	}
	wait.Wait()
	for range n {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

// available is the machine's free memory in KiB.
func available() int64 {
	text, _ := os.ReadFile("/proc/meminfo")
	for l := range strings.Lines(string(text)) {
		if f := strings.Fields(l); len(f) == 3 && f[0] == "MemAvailable:" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n
		}
	}
	return 1 << 40 // unknown: no limit
}

func (c *curves) markdown() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s\n`%s`\n", c.Machine, c.Command)
	for _, chart := range c.Charts {
		fmt.Fprintf(&s, "\n%s (%s)\n\n", chart.Title, chart.Y)
		for _, series := range chart.Series {
			fmt.Fprintf(&s, " - %s:", series.Name)
			for _, p := range series.Points {
				fmt.Fprintf(&s, " %.0f: %s,", p[0], number(p[1]))
			}
			s.WriteString("\n")
		}
		for _, n := range chart.Notes {
			fmt.Fprintf(&s, " - %s\n", n)
		}
	}
	return s.String()
}
