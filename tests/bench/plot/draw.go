package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// The picture in pixels, and the plot inside it.
const (
	width, height            = 640, 400
	left, right, top, bottom = 70, 20, 50, 70
	plotWidth                = width - left - right
	plotHeight               = height - top - bottom
)

// colours differ in lightness as well, for those who cannot tell them apart and for
// print; the marks differ too.
var colours = []string{"#777777", "#0b6bcb", "#d9822b", "#2b8a3e"}

// axis maps values to pixels.
type axis struct {
	from, to float64
	log      bool
}

func (a axis) part(v float64) float64 {
	if a.log {
		return (math.Log(v) - math.Log(a.from)) / (math.Log(a.to) - math.Log(a.from))
	}
	return (v - a.from) / (a.to - a.from)
}

// draw returns a chart as an SVG file.
func draw(c *chart, machine string) (string, error) {
	x, y, err := axes(c)
	if err != nil {
		return "", err
	}
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&s, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	fmt.Fprintf(&s, `<text x="%d" y="24" font-size="15" font-weight="bold">%s</text>`+"\n", left, escape(c.Title))
	fmt.Fprintf(&s, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", left+plotWidth/2, height-34, escape(c.X))
	fmt.Fprintf(&s, `<text x="16" y="%d" text-anchor="middle" transform="rotate(-90 16 %d)">%s</text>`+"\n",
		top+plotHeight/2, top+plotHeight/2, escape(c.Y))
	fmt.Fprintf(&s, `<text x="%d" y="%d" font-size="10" fill="#666666">%s</text>`+"\n", left, height-10, escape(machine))
	for _, v := range ticks(x) {
		px := pixelX(x, v)
		fmt.Fprintf(&s, `<path d="M%.1f %dV%d" stroke="#eeeeee"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			px, top, top+plotHeight, px, top+plotHeight+18, label(v))
	}
	for _, v := range ticks(y) {
		py := pixelY(y, v)
		fmt.Fprintf(&s, `<path d="M%d %.1fH%d" stroke="#dddddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, py, left+plotWidth, left-6, py+4, label(v))
	}
	for i, line := range c.Series {
		s.WriteString(curve(x, y, i, line))
	}
	s.WriteString("</svg>\n")
	return s.String(), nil
}

// axes choose the ranges.
func axes(c *chart) (x, y axis, err error) {
	x, y = axis{math.Inf(1), 0, true}, axis{math.Inf(1), 0, c.LogY}
	for _, line := range c.Series {
		for _, p := range line.Points {
			if !(p[0] > 0 && p[1] > 0) || math.IsInf(p[0]+p[1], 0) {
				return x, y, fmt.Errorf("%s: a point at %v", c.Name, p)
			}
			x.from, x.to = min(x.from, p[0]), max(x.to, p[0])
			y.from, y.to = min(y.from, p[1]), max(y.to, p[1])
		}
	}
	if x.to == 0 {
		return x, y, fmt.Errorf("%s: no points", c.Name)
	}
	if x.from == x.to {
		x.to *= 2
	}
	if c.LogY {
		y.from = math.Pow(10, math.Floor(math.Log10(y.from)))
		y.to = math.Pow(10, math.Ceil(math.Log10(y.to)))
		if y.from == y.to {
			y.to *= 10
		}
		return x, y, nil
	}
	y.from = 0
	step := niceStep(y.to)
	y.to = step * math.Ceil(y.to/step)
	return x, y, nil
}

// niceStep divides a range into about five steps of 1, 2 or 5 times a power of ten.
func niceStep(most float64) float64 {
	rough := most / 5
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, m := range []float64{1, 2, 5} {
		if rough <= m*power {
			return m * power
		}
	}
	return 10 * power
}

func ticks(a axis) []float64 {
	var list []float64
	if !a.log {
		step := niceStep(a.to)
		for i := 0; float64(i)*step <= a.to*1.0001; i++ {
			list = append(list, float64(i)*step)
		}
		return list
	}
	base := 10.0
	if a.to/a.from < 100 {
		base = 2
	}
	first := math.Ceil(math.Log(a.from)/math.Log(base) - 1e-9)
	for i := first; math.Pow(base, i) <= a.to*1.0001; i++ {
		list = append(list, math.Pow(base, i))
	}
	return list
}

func pixelX(a axis, v float64) float64 { return left + plotWidth*a.part(v) }
func pixelY(a axis, v float64) float64 { return top + plotHeight*(1-a.part(v)) }

// curve draws a line with a mark at each point, and its entry of the legend.
func curve(x, y axis, i int, line series) string {
	var s, path strings.Builder
	colour := colours[i%len(colours)]
	for n, p := range line.Points {
		command := "L"
		if n == 0 {
			command = "M"
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", command, pixelX(x, p[0]), pixelY(y, p[1]))
	}
	fmt.Fprintf(&s, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", path.String(), colour)
	for _, p := range line.Points {
		s.WriteString(mark(i, pixelX(x, p[0]), pixelY(y, p[1]), colour))
	}
	at := float64(left + 130*i)
	s.WriteString(mark(i, at+6, top-12, colour))
	fmt.Fprintf(&s, `<text x="%.0f" y="%d">%s</text>`+"\n", at+16, top-8, escape(line.Name))
	return s.String()
}

// mark is a circle, a square or a triangle.
func mark(i int, x, y float64, colour string) string {
	switch i % 3 {
	case 0:
		return fmt.Sprintf(`<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`+"\n", x, y, colour)
	case 1:
		return fmt.Sprintf(`<rect x="%.1f" y="%.1f" width="8" height="8" fill="%s"/>`+"\n", x-4, y-4, colour)
	}
	return fmt.Sprintf(`<path d="M%.1f %.1fl5 9h-10z" fill="%s"/>`+"\n", x, y-5, colour)
}

// label prints a tick without noise.
func label(v float64) string {
	if v >= 1 || v == 0 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%g", v)
}

func escape(text string) string {
	var s strings.Builder
	if err := xml.EscapeText(&s, []byte(text)); err != nil {
		return ""
	}
	return s.String()
}
