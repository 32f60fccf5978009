package ipc

import (
	"fmt"
	"math"
	"time"

	"nano_ssh_server/server/proto/wire"
)

// codec appends fields to b, or reads them if r is set: so that a format is
// written down once. A reading codec keeps the first error in r.
type codec struct {
	r *wire.Reader
	b []byte
}

func (c *codec) text(fields ...*string) {
	for _, v := range fields {
		if c.r == nil {
			c.b = wire.AppendText(c.b, *v)
			continue
		}
		*v = c.r.Text()
	}
}

// bytes shares the memory of what it reads.
func (c *codec) bytes(fields ...*[]byte) {
	for _, v := range fields {
		if c.r == nil {
			c.b = wire.AppendString(c.b, *v)
			continue
		}
		*v = c.r.String()
	}
}

// bool takes 0 and 1 only: any value has one form.
func (c *codec) bool(fields ...*bool) {
	for _, v := range fields {
		if c.r == nil {
			c.b = wire.AppendBool(c.b, *v)
			continue
		}
		n := c.r.Byte()
		if n > 1 {
			c.r.Fail(fmt.Errorf("boolean %d", n))
		}
		*v = n == 1
	}
}

func (c *codec) uint32(fields ...*uint32) {
	for _, v := range fields {
		if c.r == nil {
			c.b = wire.AppendUint32(c.b, *v)
			continue
		}
		*v = c.r.Uint32()
	}
}

// int32 carries a negative number as its two's complement.
func (c *codec) int32(fields ...*int32) {
	for _, v := range fields {
		n := uint32(*v)
		c.uint32(&n)
		*v = int32(n)
	}
}

func (c *codec) uint64(v *uint64) {
	if c.r == nil {
		c.b = wire.AppendUint64(c.b, *v)
		return
	}
	*v = c.r.Uint64()
}

// duration carries nanoseconds, which are not negative.
func (c *codec) duration(v *time.Duration) {
	n := uint64(max(*v, 0))
	c.uint64(&n)
	if n > math.MaxInt64 {
		c.r.Fail(fmt.Errorf("duration of %d ns", n))
		n = 0
	}
	*v = time.Duration(n)
}

func (c *codec) texts(fields ...*[]string) {
	for _, v := range fields {
		list(c, v, func(s *string) { c.text(s) })
	}
}

// list carries a count and that many elements. Nothing is allocated by the count:
// every element has at least four bytes, which must be there.
func list[T any](c *codec, v *[]T, element func(*T)) {
	n := uint32(len(*v))
	c.uint32(&n)
	if c.r == nil {
		for i := range *v {
			element(&(*v)[i])
		}
		return
	}
	*v = nil
	for range n {
		var e T
		element(&e)
		if c.r.Err() != nil {
			return
		}
		*v = append(*v, e)
	}
}
