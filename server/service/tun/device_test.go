package tun

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// inNetwork runs a test in a network of its own, where interfaces harm nobody.
func inNetwork(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make a network namespace")
	}
	done := make(chan string)
	go func() { // FailNow would end this goroutine: results go by way of t alone
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- "no network namespace: " + err.Error()
			return
		}
		fd, err := unix.Open(controlFile, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			done <- "no " + controlFile + ": " + err.Error()
			return
		}
		unix.Close(fd)
		f(t)
	}()
	if reason, ok := <-done; ok {
		t.Skip(reason)
	}
}

func ip(t *testing.T, args ...string) bool {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		t.Errorf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return err == nil
}

// echoRequest is an ICMP echo request (RFC 792) in an IPv4 packet.
func echoRequest(from, to net.IP, data []byte) []byte {
	icmp := append([]byte{8, 0, 0, 0, 0, 1, 0, 1}, data...)
	binary.BigEndian.PutUint16(icmp[2:], checksum(icmp))
	b := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, unix.IPPROTO_ICMP, 0, 0}
	b = append(append(b, from.To4()...), to.To4()...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(icmp)))
	binary.BigEndian.PutUint16(b[10:], checksum(b))
	return append(b, icmp...)
}

func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// TestKernel lets this machine's kernel answer a ping through a real interface.
func TestKernel(t *testing.T) {
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("no ip(8)")
	}
	inNetwork(t, func(t *testing.T) {
		s := New(testPolicy(), func() { t.Error("a panic") })
		l, _ := s.connect(requestBytes(modePointToPoint, 5))
		if l == nil {
			t.Errorf("refused: %s", s.policy.logged().text())
			return
		}
		ch := &fakeChannel{}
		if s.Interfaces() != "tun5" {
			t.Errorf("SSH_TUNNEL would be %q", s.Interfaces())
		}
		if !ip(t, "address", "add", "192.0.2.1/24", "dev", "tun5") || !ip(t, "link", "set", "tun5", "up") {
			return
		}
		l.start(ch)
		ping := echoRequest(net.IPv4(192, 0, 2, 2), net.IPv4(192, 0, 2, 1), []byte("is anybody there?"))
		l.Datagram(append([]byte{0, 0, 0, familyIPv4}, ping...))
		var pong []byte
		eventually(t, "an answer", func() bool {
			ch.mu.Lock()
			defer ch.mu.Unlock()
			for _, m := range ch.sent { // the kernel has other things to say, too
				if binary.BigEndian.Uint32(m) == familyIPv4 && len(m) == 4+len(ping) && m[4+20] == 0 {
					pong = m[4:]
				}
			}
			return pong != nil
		})
		if !bytes.Equal(pong[12:16], ping[16:20]) || !bytes.HasSuffix(pong, []byte("is anybody there?")) {
			t.Errorf("answer %x to %x", pong, ping)
		}
		s.Close()
		eventually(t, "the interface to go", func() bool { return exec.Command("ip", "link", "show", "tun5").Run() != nil })
	})
}

// TestKernelEthernet makes an interface of a number that the kernel chooses.
func TestKernelEthernet(t *testing.T) {
	inNetwork(t, func(t *testing.T) {
		device, name, err := openDevice(request{modeEthernet, anyUnit})
		if err != nil {
			t.Error(err)
			return
		}
		defer device.Close()
		if !strings.HasPrefix(name, "tap") {
			t.Errorf("named %q", name)
		}
		largest, _, err := openDevice(request{modePointToPoint, maxUnit})
		if err != nil {
			t.Errorf("the largest number: %v", err)
			return
		}
		largest.Close()
		again, _, err := openDevice(request{modeEthernet, 0})
		if !errors.Is(err, unix.EBUSY) {
			t.Errorf("an interface that is taken: %v, %v", again, err)
		}
	})
}

// TestThreat18Unprivileged: the kernel gives an ordinary user no interface, and what
// that user is told is that it failed.
func TestThreat18Unprivileged(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may make interfaces")
	}
	s := New(testPolicy(), func() { t.Error("a panic") })
	if l, reason := s.connect(requestBytes(modePointToPoint, 4321)); l != nil || reason == 0 {
		t.Errorf("%v, %d", l, reason)
	}
	if text := s.policy.Log.(*logged).text(); !strings.Contains(text, "debug: failed to ") || !strings.Contains(text, textFailed) {
		t.Errorf("log %q", text)
	}
}
