package sshkey

// Tags of DER (X.690 section 8.1.2).
const (
	derInteger     = 0x02
	derBitString   = 0x03
	derOctetString = 0x04
	derOID         = 0x06
	derSequence    = 0x30

	// Context-specific tags of optional elements.
	derField0          = 0xa0 // [0], constructed
	derField1          = 0xa1 // [1], constructed
	derField1Primitive = 0x81
)

// derReader reads the little DER that private keys are made of: tags of one
// byte, definite lengths in their shortest form. After the first error every
// method returns nothing and end is false.
type derReader struct {
	rest   []byte
	failed bool
}

// end tells whether all was read without an error.
func (r *derReader) end() bool { return !r.failed && len(r.rest) == 0 }

func (r *derReader) fail() []byte {
	r.failed, r.rest = true, nil
	return nil
}

// take reads one element of the given tag and returns its content.
func (r *derReader) take(tag byte) []byte {
	b := r.rest
	if r.failed || len(b) < 2 || b[0] != tag {
		return r.fail()
	}
	length, b := int(b[1]), b[2:]
	if length >= 0x80 {
		n := length - 0x80
		// Three bytes hold more than any key has.
		if n < 1 || n > 3 || len(b) < n || b[0] == 0 {
			return r.fail()
		}
		length = 0
		for _, c := range b[:n] {
			length = length<<8 | int(c)
		}
		if length < 0x80 {
			return r.fail()
		}
		b = b[n:]
	}
	if length > len(b) {
		return r.fail()
	}
	r.rest = b[length:]
	return b[:length:length]
}

// optional reads an element if the next one has the given tag.
func (r *derReader) optional(tag byte) ([]byte, bool) {
	if r.failed || len(r.rest) == 0 || r.rest[0] != tag {
		return nil, false
	}
	content := r.take(tag)
	return content, !r.failed
}

func (r *derReader) sequence() *derReader {
	content := r.take(derSequence)
	return &derReader{rest: content, failed: r.failed}
}

// integer reads a number that is not negative; big-endian without leading zeros.
func (r *derReader) integer() []byte {
	b := r.take(derInteger)
	switch {
	case len(b) == 0 || b[0]&0x80 != 0:
		return r.fail()
	case b[0] != 0:
		return b
	case len(b) > 1 && b[1]&0x80 == 0:
		return r.fail()
	}
	return b[1:]
}

// bitString reads a bit string of whole bytes.
func (r *derReader) bitString() []byte {
	b := r.take(derBitString)
	if len(b) == 0 || b[0] != 0 {
		return r.fail()
	}
	return b[1:]
}
