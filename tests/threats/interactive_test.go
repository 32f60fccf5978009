package threats

import (
	"strings"
	"testing"

	"nano_ssh_server/tests/harness"
	"nano_ssh_server/tests/raw"
)

const (
	infoRequest  = 60
	infoResponse = 61
)

// TestThreat10 names devices of keyboard-interactive thousands of times, and leaves
// prompts without an answer: MaxAuthTries counts each.
func TestThreat10(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t)
	s := harness.Start(t, harness.Options{Mode: harness.AsRoot, Config: "KbdInteractiveAuthentication yes\nMaxAuthTries 4"})
	request := raw.Msg(raw.UserauthRequest, s.Account.Name, "ssh-connection", "keyboard-interactive", "",
		strings.Repeat("password,", 5000)+"password")
	answer := raw.Msg(infoResponse, uint32(1), "wrong")
	for name, packets := range map[string][][]byte{"answered": {request, answer}, "not answered": {request}} {
		c := authenticating(t, s)
		prompts := 0
		for ; prompts < 50; prompts++ {
			if send(c, packets[0]); !mustSay(t, c, infoRequest) {
				break
			}
			if len(packets) == 2 {
				if send(c, packets[1]); !mustSay(t, c, raw.UserauthFailure) {
					prompts++
					break
				}
			}
		}
		if prompts != 4 {
			t.Errorf("%s: %d prompts with MaxAuthTries 4", name, prompts)
		}
		_ = c.Close()
	}
	// An answer that nobody asked for, and a wrong number of answers.
	for name, packets := range map[string][][]byte{
		"no question": {answer}, "two answers": {request, raw.Msg(infoResponse, uint32(2), "a", "b")},
		"four billion": {request, raw.Msg(infoResponse, uint32(0xffffffff))},
	} {
		c := authenticating(t, s)
		send(c, packets...)
		mustEnd(t, c, name)
	}
	mustBeWell(t, s)
}

// mustSay reports whether a message comes, or else the connection ends.
func mustSay(t *testing.T, c *raw.Conn, number byte) bool {
	t.Helper()
	_, err := c.Expect(number)
	if err != nil && !ended(err) {
		t.Error(err)
	}
	return err == nil
}
