package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// linkVar is set in the process that measures inside a network namespace, to the
// folder of the one that started it.
const linkVar = "NANOBENCH_LINK"

// link starts this program again in a network of its own whose loopback is slow.
// The server of the caller stays unused: one inside is needed.
func (s *server) link() ([]float64, error) {
	if !s.bench.place.private {
		return nil, skip("needs root, for a network namespace")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, skip("needs ip of iproute2")
	}
	s.bench.stopAll() // everything below this process is one server's: now the other's
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("/proc/self/exe", "-nano", s.bench.nano, "-servers", s.name)
	cmd.Env = append(without(os.Environ(), namespaceVar), linkVar+"="+s.bench.place.base)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		return nil, skip(strings.TrimPrefix(lines[len(lines)-1], "nanobench: "))
	}
	var values []float64
	return values, json.Unmarshal(stdout.Bytes(), &values)
}

// insideLink is the process in the network namespace.
func (b *bench) insideLink() error {
	if out, err := shell("ip link set lo up"); err != nil {
		return fmt.Errorf("ip link: %s", out)
	}
	// delay counts in each direction; limit is the packets under way, both directions
	// at the full rate.
	_, err := shell("tc qdisc add dev lo root netem delay 50ms rate 1gbit limit 50000")
	netem := err == nil
	s, err := b.start(b.kinds[0])
	if err != nil {
		return err
	}
	defer b.stopAll()
	if !netem { // no tc, or a kernel without sch_netem
		line, err := slowLine(s.addr)
		if err != nil {
			return err
		}
		defer line.Close()
		s.addr = line.Addr().String()
	}
	c, err := s.dial(clientOptions{ciphers: ordinary})
	if err != nil {
		return err
	}
	defer c.Close()
	// x/crypto/ssh announces a window of 2 MiB, which is 20 MB/s at 100 ms whatever
	// the server does: down shows how well a server fills that, up its own window.
	// That needs some round trips to grow.
	var values []float64
	for _, down := range []bool{true, false} {
		n := int64(40 << 20)
		if !down {
			n = 256 << 20
		}
		_, wall, err := s.transfer(c, n, down)
		if err != nil {
			return err
		}
		values = append(values, gb/1e6/wall)
	}
	return json.NewEncoder(os.Stdout).Encode(values)
}

func shell(command string) (string, error) {
	f := strings.Fields(command)
	out, err := exec.Command(f[0], f[1:]...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func without(env []string, name string) []string {
	var kept []string
	for _, v := range env {
		if !strings.HasPrefix(v, name+"=") {
			kept = append(kept, v)
		}
	}
	return kept
}
