package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// bench is one run of this program.
type bench struct {
	*options
	place   *place
	kinds   []*kind
	ctx     context.Context
	running *server
	grouped bool // processor time comes from control groups
}

// metric is a figure of a row.
type metric struct {
	what, unit string
	higher     bool // more is better
}

// row is something to measure. measure returns a value for each metric; NaN where
// there is none.
type row struct {
	name, about string
	times       int // how often at most, 0: as often as asked for; for what varies little
	metrics     []metric
	measure     func(s *server) ([]float64, error)
}

// skip is the reason why something is not measured.
type skip string

func (s skip) Error() string { return string(s) }

// line is a line of the table.
type line struct {
	Row     string               `json:"row"`
	What    string               `json:"what"`
	Unit    string               `json:"unit"`
	Higher  bool                 `json:"higher_is_better"`
	Samples map[string][]float64 `json:"samples"`
}

type table struct {
	kinds []*kind
	lines []*line
	notes []*note
	begin time.Time
}

func newTable(kinds []*kind) *table { return &table{kinds: kinds, begin: time.Now()} }

// measure takes all samples of a row. The servers take turns, each time from
// another one on.
func (b *bench) measure(r row, t *table) error {
	lines := make([]*line, len(r.metrics))
	for i, m := range r.metrics {
		lines[i] = &line{r.name, m.what, m.unit, m.higher, map[string][]float64{}}
	}
	gone := map[string]bool{}
	repeat := b.repeat
	if r.times > 0 {
		repeat = min(repeat, r.times)
	}
	for i := range repeat {
		for j := range b.kinds {
			k := b.kinds[(i+j)%len(b.kinds)]
			if b.ctx.Err() != nil {
				return errors.New("interrupted")
			}
			if gone[k.name] {
				continue
			}
			values, err := b.sample(r, k)
			if err != nil {
				gone[k.name] = true
				t.note(r.name, k.name, err)
				continue
			}
			for m, v := range values {
				if !math.IsNaN(v) {
					lines[m].Samples[k.name] = append(lines[m].Samples[k.name], v)
				}
			}
		}
	}
	for _, l := range lines {
		if len(l.Samples) > 0 {
			t.lines = append(t.lines, l)
		}
	}
	fmt.Fprintf(os.Stderr, "%6.1f s  %s\n", time.Since(t.begin).Seconds(), r.name)
	return nil
}

// sample starts a server for one measurement.
func (b *bench) sample(r row, k *kind) ([]float64, error) {
	const limit = 2 * time.Minute // nothing here takes half of it on a slow machine
	s, err := b.start(k)
	if err != nil {
		return nil, err
	}
	defer b.stopAll()
	type result struct {
		values []float64
		err    error
	}
	done := make(chan result, 1)
	go func() {
		values, err := r.measure(s)
		done <- result{values, err}
	}()
	select {
	case got := <-done:
		return got.values, got.err
	case <-time.After(limit):
		return nil, fmt.Errorf("not done after %v", limit)
	case <-b.ctx.Done():
		return nil, errors.New("interrupted")
	}
}

// note is why something is not in the table.
type note struct {
	Row     string   `json:"row"`
	Reason  string   `json:"reason"`
	Servers []string `json:"servers"`
}

func (n *note) String() string {
	return fmt.Sprintf("%s (%s): %s", n.Row, strings.Join(n.Servers, ", "), n.Reason)
}

// note keeps a reason for below the table, once for all servers that share it.
func (t *table) note(row, server string, err error) {
	text := strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", " ")
	for _, n := range t.notes {
		if n.Row == row && n.Reason == text {
			n.Servers = append(n.Servers, server)
			return
		}
	}
	t.notes = append(t.notes, &note{row, text, []string{server}})
}

// best is the figure that disturbance has made worse the least, and spread the
// distance of the worst from it as a part of it.
func (l *line) best(name string) (best, spread float64, ok bool) {
	v := l.Samples[name]
	if len(v) == 0 {
		return 0, 0, false
	}
	best, worst := slices.Min(v), slices.Max(v)
	if l.Higher {
		best, worst = worst, best
	}
	if best != 0 {
		spread = math.Abs(worst-best) / math.Abs(best)
	}
	return best, spread, true
}

// markdown is the table. The first server is the reference of the ratios if it is
// sshd.
func (t *table) markdown(b *bench) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s. Best of %d (±: distance of the worst); in brackets the ratio to sshd.\n", machine(), b.repeat)
	source := "processes' clocks, ended children to 10 ms"
	if b.grouped {
		source = "a control group"
	}
	fmt.Fprintf(&s, "CPU is the server's alone, of all its processes (from %s); wall contains the client, which shares the processors.\n\n", source)
	if b.place != nil && !b.place.private {
		s.WriteString("Logins start the user's own shell, whose start-up files count as the server's.\n\n")
	}
	s.WriteString("| row | figure | unit |")
	rule := "|---|---|---|"
	for _, k := range t.kinds {
		s.WriteString(" " + k.name + " |")
		rule += "---|"
	}
	s.WriteString("\n" + rule + "\n")
	for _, l := range t.lines {
		arrow := "↓"
		if l.Higher {
			arrow = "↑"
		}
		fmt.Fprintf(&s, "| %s | %s | %s %s |", l.Row, l.What, l.Unit, arrow)
		reference, _, known := l.best("sshd")
		for _, k := range t.kinds {
			best, spread, ok := l.best(k.name)
			switch {
			case !ok:
				s.WriteString(" - |")
				continue
			case known && reference != 0:
				fmt.Fprintf(&s, " %s (%.2f)", number(best), best/reference)
			default:
				s.WriteString(" " + number(best))
			}
			if len(l.Samples[k.name]) > 1 {
				fmt.Fprintf(&s, " ±%.0f%%", 100*spread)
			}
			s.WriteString(" |")
		}
		s.WriteString("\n")
	}
	for _, n := range t.notes {
		s.WriteString("\n - " + n.String())
	}
	fmt.Fprintf(&s, "\n\nMeasured in %.0f s.\n", time.Since(t.begin).Seconds())
	return s.String()
}

// number prints three digits that count.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100 || a == 0:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// machine says what the figures belong to.
func machine() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	model := runtime.GOARCH
	for l := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	who := "as root"
	if os.Geteuid() != 0 {
		who = "as an ordinary user"
	}
	return fmt.Sprintf("%d x %s, Linux %s, %s", runtime.NumCPU(), model, strings.TrimSpace(string(release)), who)
}

func (t *table) writeJSON(file string, b *bench) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(struct {
		Machine string  `json:"machine"`
		Repeat  int     `json:"repeat"`
		BulkMiB int64   `json:"bulk_mib"`
		Lines   []*line `json:"lines"`
		Notes   []*note `json:"notes"`
	}{machine(), b.repeat, b.bulk, t.lines, t.notes}, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
