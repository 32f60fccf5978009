package auth

import (
	"strings"
	"testing"

	"nano_ssh_server/server/host/user"
)

// TestThreat34Identity: a panic in what runs on a thread of its own comes back to
// the caller, which can recover it; on that thread it would end the process.
func TestThreat34Identity(t *testing.T) {
	for _, a := range []*user.Account{{Name: "root"}, {Name: "other", UID: 20333, GID: 20333}} {
		func() {
			defer func() {
				v := recover()
				if fault, ok := v.(error); ok {
					if v = fault.Error(); !strings.Contains(v.(string), "identity_test.go:") {
						t.Errorf("no stack in %q", v)
					}
				}
				if text, _ := v.(string); !strings.HasPrefix(text, "a bug") {
					t.Errorf("%s: recovered %v", a.Name, v)
				}
			}()
			_ = asAccount(a, func() error { panic("a bug") })
		}()
	}
}
