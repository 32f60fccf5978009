package transport

import (
	"bytes"
	"errors"
	"io"

	"nano_ssh_server/server/proto/cipher"
	"nano_ssh_server/server/proto/msg"
)

const (
	// maxPacket bounds a packet's length field, in bytes; OpenSSH's bound too.
	maxPacket = 256 << 10
	// smallRead is the receive buffer of a quiet connection: larger than any
	// KEXINIT, so that a login needs no second buffer.
	smallRead = 4 << 10
	// largeRead is what the buffer grows to under load: one read(2) then
	// carries up to eight full packets.
	largeRead = 256<<10 + 4<<10
	// quietReads is after how many small reads in a row a large buffer is
	// given back.
	quietReads = 64
)

var errLineTooLong = errors.New("line too long")

// inbound is the receiving half. Only the goroutine of Receive uses it.
type inbound struct {
	stream  io.Reader
	reclaim func() // of OnReclaim
	buf     []byte // buf[r:w] is unread
	r, w    int
	small   int // reads in a row that a small buffer would have served
	cipher  cipher.Cipher
	seq     uint32 // of the next packet
	packets uint64 // since the last NEWKEYS
	bytes   uint64 // since the last NEWKEYS
	inflate *inflater
}

func (in *inbound) init(stream io.Reader) {
	in.stream = stream
	in.reclaim = func() {}
	in.cipher = cipher.Plain()
}

// fill makes at least n bytes available at buf[r:]. The stream's end inside a
// packet is io.ErrUnexpectedEOF.
func (in *inbound) fill(n int) error {
	if in.w-in.r >= n {
		return nil
	}
	in.reclaim()
	in.makeRoom(n)
	for in.w-in.r < n {
		k, err := in.stream.Read(in.buf[in.w:])
		in.w += k
		if k == len(in.buf)-(in.w-k) && len(in.buf) < largeRead {
			in.small = -1 // it filled the buffer: the next makeRoom enlarges it
		} else if in.w-in.r < smallRead && in.small >= 0 {
			in.small++
		} else if in.small > 0 {
			in.small = 0
		}
		if err != nil && in.w-in.r < n {
			if err == io.EOF && in.w != in.r {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// makeRoom moves the unread bytes to the front of a buffer that fits n bytes:
// a larger one after a read that filled the last, a small one in quiet times.
func (in *inbound) makeRoom(n int) {
	size := len(in.buf)
	switch {
	case in.small < 0:
		size, in.small = min(4*size, largeRead), 0
	case in.small > quietReads && size > smallRead:
		size, in.small = smallRead, 0
	}
	size = max(size, smallRead, n)
	if size != len(in.buf) && size >= in.w-in.r {
		old := in.buf
		in.buf = make([]byte, size)
		in.w = copy(in.buf, old[in.r:in.w])
		in.r = 0
		clear(old)
		return
	}
	if in.r > 0 {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
}

// readLine takes bytes up to a line feed, which it drops.
func (in *inbound) readLine(limit int) ([]byte, error) {
	for n := 1; ; n++ {
		if err := in.fill(n); err != nil {
			return in.buf[in.r:in.w], err
		}
		have := in.buf[in.r:min(in.w, in.r+limit)]
		if i := bytes.IndexByte(have, '\n'); i >= 0 {
			in.r += i + 1
			return have[:i], nil
		}
		if len(have) == limit {
			return have, errLineTooLong
		}
		n = len(have)
	}
}

// readPacket returns the payload of the next packet, decrypted in place: it is
// valid until reclaim is called (RFC 4253 section 6).
func (in *inbound) readPacket() ([]byte, error) {
	first := in.cipher.FirstBytes()
	if err := in.fill(first); err != nil {
		return nil, err
	}
	length, err := in.cipher.Length(in.seq, in.buf[in.r:in.r+first])
	if err != nil {
		return nil, macError(err)
	}
	aligned := length
	if !in.cipher.LengthClear() {
		aligned += 4
	}
	if length < 5 || length > maxPacket || aligned%uint32(in.cipher.BlockSize()) != 0 {
		return nil, peerError(msg.ReasonProtocolError, "Bad packet length %d.", length)
	}
	total := 4 + int(length) + in.cipher.TagSize()
	if err := in.fill(total); err != nil {
		return nil, err
	}
	packet := in.buf[in.r : in.r+total]
	if err := in.cipher.Open(in.seq, packet); err != nil {
		in.discard(err)
		return nil, macError(err)
	}
	in.r += total
	in.seq++
	in.packets++
	in.bytes += uint64(total)
	padding := uint32(packet[4])
	if padding < 4 || padding+1 >= length {
		return nil, peerError(msg.ReasonProtocolError, "Corrupted padlen %d on input.", padding)
	}
	payload := packet[5 : 4+length-padding]
	if in.inflate != nil {
		in.reclaim()
		if payload, err = in.inflate.packet(payload); err != nil {
			return nil, &PeerError{Reason: msg.ReasonCompressionError, Text: "bad compressed data", Err: err}
		}
		if len(payload) == 0 {
			return nil, peerError(msg.ReasonProtocolError, "empty packet")
		}
	}
	return payload, nil
}

// discard reads on as far as a cipher asks for after a wrong tag: with CBC, when
// the connection ends must not tell how long the packet pretended to be.
func (in *inbound) discard(err error) {
	var d *cipher.DiscardError
	if !errors.As(err, &d) {
		return
	}
	in.reclaim()
	left := d.N - (in.w - in.r)
	for left > 0 {
		n, err := in.stream.Read(in.buf[:min(left, len(in.buf))])
		if err != nil {
			return
		}
		left -= n
	}
}

func macError(err error) error {
	return &PeerError{Reason: msg.ReasonMACError, Text: "Corrupted MAC on input.", Err: err}
}

// newKeys installs the keys of a finished key exchange.
func (in *inbound) newKeys(c cipher.Cipher, resetSeq bool) {
	in.cipher.Free()
	in.cipher = c
	in.packets, in.bytes = 0, 0
	if resetSeq {
		in.seq = 0
	}
}
