package tun

import (
	"encoding/binary"
	"errors"

	"nano_ssh_server/server/proto/wire"
)

// Modes of a tunnel (OpenSSH PROTOCOL section 2.3).
const (
	modePointToPoint = 1 // IP packets
	modeEthernet     = 2 // Ethernet frames
)

const (
	// anyUnit lets the server choose the number of the interface.
	anyUnit = 1<<31 - 1
	// maxUnit is the largest number: sshd keeps the one above for an error.
	maxUnit = anyUnit - 2
)

// Address families of the protocol: OpenBSD's numbers, whatever the machine's own are.
const (
	familyIPv4 = 2
	familyIPv6 = 24
)

const (
	// familySize is the length of the address family before an IP packet, in bytes.
	familySize = 4
	// maxFrame is the longest packet of an interface, in bytes: the largest that IP and
	// an interface's MTU know, with the Ethernet header and its VLAN tag.
	maxFrame = 1<<16 - 1 + 18
	// ethernetHeader is the least that an Ethernet frame has: two addresses and a type.
	ethernetHeader = 14
)

// request is the type specific data of a tun@openssh.com channel.
type request struct {
	mode uint32
	unit uint32 // anyUnit or a number
}

var (
	errMode   = errors.New("tun: unsupported tunnel device mode")
	errUnit   = errors.New("tun: invalid tun")
	errFrame  = errors.New("tun: frame too short or too long")
	errFamily = errors.New("tun: address family that the packet is not of")
)

func parseRequest(extra []byte) (q request, err error) {
	r := wire.NewReader(extra)
	q.mode, q.unit = r.Uint32(), r.Uint32()
	if q.mode != modePointToPoint && q.mode != modeEthernet {
		r.Fail(errMode)
	}
	if q.unit != anyUnit && q.unit > maxUnit {
		r.Fail(errUnit)
	}
	if err := r.End(); err != nil {
		return request{}, err
	}
	return q, nil
}

// unpack returns what of a message's data is for the interface. The string of
// CHANNEL_DATA is the packet itself: the "packet length" of the PROTOCOL file is that
// string's own. It aliases the data.
func unpack(mode uint32, data []byte) ([]byte, error) {
	if mode == modeEthernet {
		if len(data) < ethernetHeader || len(data) > maxFrame {
			return nil, errFrame
		}
		return data, nil
	}
	if len(data) <= familySize || len(data) > familySize+maxFrame {
		return nil, errFrame
	}
	packet := data[familySize:]
	if f := family(packet); f == 0 || f != binary.BigEndian.Uint32(data) {
		return nil, errFamily
	}
	return packet, nil
}

// pack makes a message's data of a packet that stands in frame behind familySize
// bytes of room. It aliases frame.
func pack(mode uint32, frame []byte) ([]byte, error) {
	packet := frame[familySize:]
	if mode == modeEthernet {
		if len(packet) < ethernetHeader {
			return nil, errFrame
		}
		return packet, nil
	}
	f := family(packet)
	if f == 0 {
		return nil, errFamily
	}
	binary.BigEndian.PutUint32(frame, f)
	return frame, nil
}

// family is the address family of an IP packet, 0 if it is none.
func family(packet []byte) uint32 {
	if len(packet) == 0 {
		return 0
	}
	switch packet[0] >> 4 {
	case 4:
		return familyIPv4
	case 6:
		return familyIPv6
	}
	return 0
}
