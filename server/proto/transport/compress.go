package transport

import (
	"bytes"
	"compress/zlib"
	"fmt"
)

// Compression names (RFC 4253 section 6.2; zlib@openssh.com starts after
// authentication, so that a peer who is not known yet cannot reach the inflater).
const (
	compressionNone    = "none"
	compressionDelayed = "zlib@openssh.com"
)

// deflateLevel is OpenSSH's too: zlib's default.
const deflateLevel = 6

// deflater compresses our packets. Its writer holds about 0.8 MiB, which only
// connections that asked for compression pay.
type deflater struct {
	buf bytes.Buffer
	w   *zlib.Writer
}

func newDeflater() (*deflater, error) {
	d := &deflater{}
	var err error
	d.w, err = zlib.NewWriterLevel(&d.buf, deflateLevel)
	return d, err
}

// packet replaces the payload by its compressed form, ended by a sync flush.
func (d *deflater) packet(p *Packet) error {
	d.buf.Reset()
	if _, err := d.w.Write(p.Payload()); err != nil {
		return err
	}
	if err := d.w.Flush(); err != nil {
		return err
	}
	if room := len(p.buf) - headRoom - tailRoom; d.buf.Len() > room {
		p.buf = make([]byte, headRoom+d.buf.Len()+tailRoom)
	}
	p.n = d.buf.Len()
	copy(p.Payload(), d.buf.Bytes())
	return nil
}

// compressOut and compressIn start a direction afresh: after authentication and
// after each later key exchange (RFC 4253 section 6.2).
func (c *Conn) compressOut(name string) (err error) {
	c.out.deflate = nil
	switch name {
	case compressionNone:
	case compressionDelayed:
		c.out.deflate, err = newDeflater()
	default:
		err = fmt.Errorf("transport: unknown compression %q", name)
	}
	return err
}

func (c *Conn) compressIn(name string) {
	c.in.inflate = nil
	if name == compressionDelayed {
		c.in.inflate = &inflater{}
	}
}
