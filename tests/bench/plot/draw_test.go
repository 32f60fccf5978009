package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var example = &chart{Name: "x", Title: "a < b", X: "clients", Y: "per second", Series: []series{
	{"one", [][2]float64{{1, 10}, {4, 35}, {64, 47}}}, {"two", [][2]float64{{1, 1}}}, {"none", nil},
}}

// TestDraw: a picture is XML, and its points are inside of it where they belong.
func TestDraw(t *testing.T) {
	svg, err := draw(example, "a & b")
	if err != nil {
		t.Fatal(err)
	}
	circles := 0
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "circle" {
			circles++
		}
	}
	if circles != 4 { // three points and the legend
		t.Errorf("%d circles", circles)
	}
	// (1, 10) is at the left edge; the y axis goes from 0 to 50.
	x, y, err := axes(example)
	if err != nil || y.to != 50 || pixelX(x, 1) != left || pixelX(x, 64) != left+plotWidth ||
		pixelX(x, 8) != left+plotWidth/2 || pixelY(y, 50) != top || pixelY(y, 0) != top+plotHeight {
		t.Error(x, y, err)
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		a    axis
		want []float64
	}{
		{axis{1, 64, true}, []float64{1, 2, 4, 8, 16, 32, 64}},
		{axis{1, 10000, true}, []float64{1, 10, 100, 1000, 10000}},
		{axis{0, 50, false}, []float64{0, 10, 20, 30, 40, 50}},
		{axis{0, 3, false}, []float64{0, 1, 2, 3}},
	} {
		got := ticks(c.a)
		if !slices.EqualFunc(got, c.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9*(1+b) }) {
			t.Errorf("%v: %v", c.a, got)
		}
	}
}

func TestRefuse(t *testing.T) {
	for name, points := range map[string][][2]float64{
		"nothing": nil, "zero": {{0, 1}}, "negative": {{1, -1}}, "no number": {{1, math.NaN()}}, "infinite": {{1, math.Inf(1)}},
	} {
		if _, err := draw(&chart{Name: "x", Series: []series{{"one", points}}}, ""); err == nil {
			t.Errorf("%s: drawn", name)
		}
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	text, err := json.Marshal(file{Charts: []*chart{example}})
	if err != nil {
		t.Fatal(err)
	}
	from := filepath.Join(dir, "in.json")
	if err := os.WriteFile(from, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(from, dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "scale-x.svg")); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(from, []byte(strings.Replace(string(text), `"x"`, `"../x"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(from, dir); err == nil {
		t.Error("a chart that would be written elsewhere")
	}
}
