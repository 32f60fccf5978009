package session

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// helperEnv makes this test binary the program of a session: one that loses no
// signal, as shells do that get one between two of their steps.
const helperEnv = "SESSION_TEST_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		helper()
	}
	os.Exit(m.Run())
}

// helper notes the signals that it gets, in the file "marks" and on its output,
// and ends by SIGHUP (status 2) or SIGTERM (3). A word in helperEnv changes it:
// "quiet" closes its output, "stop" stops itself.
func helper() {
	mode := os.Getenv(helperEnv)
	marks, err := os.OpenFile("marks", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	c := make(chan os.Signal, 100)
	signal.Notify(c, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGWINCH)
	fmt.Println("ready", os.Getpid())
	if mode == "quiet" {
		os.Stdout.Close()
		os.Stderr.Close()
	}
	if mode == "stop" {
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
	for s := range c {
		name := strings.ReplaceAll(s.String(), " ", "-")
		fmt.Fprintln(marks, name)
		if mode != "quiet" {
			fmt.Println("got", name)
		}
		switch s {
		case syscall.SIGHUP:
			os.Exit(2)
		case syscall.SIGTERM:
			os.Exit(3)
		}
	}
}

// helperPolicy is a policy whose programs find the helper as $HELPER.
func helperPolicy(t *testing.T, mode string) *Policy {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := testPolicy(t)
	p.SetEnv = []string{helperEnv + "=" + mode, "HELPER=" + exe}
	return p
}
