package textlines

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// all is what Each says of a text, too long lines as "...".
func all(t *testing.T, r io.Reader, first, most int) []string {
	t.Helper()
	var got []string
	err := Each(r, first, most, func(line []byte, tooLong bool) bool {
		if tooLong {
			line = []byte("...")
		}
		got = append(got, string(line))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestEach(t *testing.T) {
	long := strings.Repeat("x", 9)
	for text, want := range map[string][]string{
		"":                               nil,
		"\n":                             {""},
		"a":                              {"a"},
		"a\n\nb":                         {"a", "", "b"},
		"a\r\n\x00\xff\n":                {"a\r", "\x00\xff"},
		"1234567\n12345678\n":            {"1234567", "..."},
		long + "\nb":                     {"...", "b"},
		long:                             {"..."},
		long + long + long + "\n" + long: {"...", "..."},
		"1\n" + long + "\n2\n3":          {"1", "...", "2", "3"},
	} {
		for _, first := range []int{1, 2, 3, 8} {
			for name, r := range map[string]io.Reader{
				"whole": strings.NewReader(text), "bytes": iotest.OneByteReader(strings.NewReader(text)),
				"data with EOF": iotest.DataErrReader(strings.NewReader(text)),
			} {
				if got := all(t, r, first, 8); !slices.Equal(got, want) {
					t.Errorf("%q, %s, %d: %q, expected %q", text, name, first, got, want)
				}
			}
		}
	}
}

func TestEachEnds(t *testing.T) {
	calls := 0
	stop := func([]byte, bool) bool { calls++; return false }
	if err := Each(strings.NewReader("a\nb\n"), 4, 8, stop); err != nil || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
	calls = 0
	if err := Each(strings.NewReader(strings.Repeat("x", 20)), 4, 8, stop); err != nil || calls != 1 {
		t.Errorf("a long line: %d calls, %v", calls, err)
	}
	broken := errors.New("broken")
	if err := Each(iotest.ErrReader(broken), 4, 8, stop); err != broken {
		t.Error(err)
	}
}

// FuzzEach compares with strings.Split.
func FuzzEach(f *testing.F) {
	f.Add("a\nbb\n\nccc", byte(1), byte(4))
	f.Add(strings.Repeat("x", 40)+"\ny", byte(3), byte(16))
	f.Fuzz(func(t *testing.T, text string, first, most byte) {
		small, large := 1+int(first), 1+int(first)+int(most)
		var want []string
		for i, line := range strings.SplitAfter(text, "\n") {
			whole := strings.TrimSuffix(line, "\n")
			switch {
			case len(line) == 0 && i > 0, len(text) == 0:
				continue
			case len(whole) >= large:
				whole = "..."
			}
			want = append(want, whole)
		}
		if got := all(t, strings.NewReader(text), small, large); !slices.Equal(got, want) {
			t.Errorf("%q, expected %q", got, want)
		}
	})
}
