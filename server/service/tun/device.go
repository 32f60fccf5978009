package tun

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// controlFile is the device that makes interfaces. It is there for everybody who may
// open it; what may be made with it the kernel decides: CAP_NET_ADMIN makes new
// interfaces, others attach to one that an administrator has made for them
// ("ip tuntap add dev tun0 mode tun user NAME").
const controlFile = "/dev/net/tun"

// openDevice attaches to an interface, or makes one that lasts as long as it is open.
// As with sshd it is up to others to give it addresses and to set it up.
func openDevice(q request) (device *os.File, name string, err error) {
	flags, format := uint16(unix.IFF_TUN|unix.IFF_NO_PI), "tun%d"
	if q.mode == modeEthernet {
		flags, format = unix.IFF_TAP|unix.IFF_NO_PI, "tap%d"
	}
	if q.unit != anyUnit {
		name = fmt.Sprintf(format, q.unit)
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return nil, "", err
	}
	ifr.SetUint16(flags)
	fd, err := unix.Open(controlFile, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, "", fmt.Errorf("failed to open tunnel control device %q: %w", controlFile, err)
	}
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		unix.Close(fd)
		return nil, "", fmt.Errorf("failed to configure tunnel (mode %d): %w", q.mode, err)
	}
	// Only now: the poller takes a descriptor without an interface for a broken one.
	return os.NewFile(uintptr(fd), controlFile), ifr.Name(), nil
}
