// Command plot draws the charts that nanobench -scale has written, one
// scale-NAME.svg each, with nothing but the standard library:
//
//	go run ./tests/bench/plot docs/scale.json docs
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

type file struct {
	Machine string   `json:"machine"`
	Command string   `json:"command"`
	Charts  []*chart `json:"charts"`
}

// chart has a logarithmic x axis; y is logarithmic or starts at 0.
type chart struct {
	Name   string   `json:"name"`
	Title  string   `json:"title"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	LogY   bool     `json:"log_y"`
	Series []series `json:"series"`
}

type series struct {
	Name   string       `json:"name"`
	Points [][2]float64 `json:"points"`
}

func main() {
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: plot scale.json folder")
	}
	flag.Parse()
	if flag.NArg() != 2 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Arg(0), flag.Arg(1)); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

func run(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var f file
	if err := json.Unmarshal(text, &f); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	for _, c := range f.Charts {
		if c.Name == "" || strings.ContainsAny(c.Name, "/.") {
			return fmt.Errorf("%s: a chart named %q", from, c.Name)
		}
		svg, err := draw(c, f.Machine)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, "scale-"+c.Name+".svg"), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	return nil
}
