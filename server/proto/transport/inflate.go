package transport

import "errors"

// inflater undoes the peer's compression (RFC 4253 section 6.2; RFC 1950, 1951):
// one endless zlib stream, cut into packets at flush points.
//
// The standard library's reader cannot do it: OpenSSH ends each packet with zlib's
// partial flush, after which compress/flate keeps decoded bytes to itself until
// more input comes. Here a step that lacks input is undone, its bits wait for
// the next packet, and all that was decoded is returned.
type inflater struct {
	data    []byte // input not yet used up
	pos     int    // bits of data used
	out     []byte // history followed by this packet's output
	started bool   // the zlib header was read
	final   bool   // the current block is the last one
	stored  int    // bytes left in a stored block
	inBlock bool
	literal huffman
	dist    huffman
}

const (
	inflateWindow = 32 << 10
	// maxInflated bounds what one packet may unfold to, in bytes: a packet's own
	// bound, so that compression buys a peer no larger message.
	maxInflated = maxPacket
)

var (
	errNeedInput = errors.New("inflate: more input needed")
	errInflate   = errors.New("inflate: invalid data")
	errBomb      = errors.New("inflate: packet unfolds beyond its bound")
	errEnded     = errors.New("inflate: data after the end of the stream")
)

// packet returns what the packet's bytes unfold to, valid until the next call.
func (z *inflater) packet(in []byte) ([]byte, error) {
	z.data = append(z.data, in...)
	if n := len(z.out) - inflateWindow; n > 0 {
		z.out = append(z.out[:0], z.out[n:]...)
	}
	history := len(z.out)
	for {
		before := z.pos
		err := z.step(history + maxInflated)
		if err == errNeedInput {
			z.pos = before
			break
		}
		if err != nil {
			return nil, err
		}
	}
	used := z.pos / 8
	z.data = append(z.data[:0], z.data[used:]...)
	z.pos %= 8
	return z.out[history:], nil
}

// step does one indivisible part: a header, a run of stored bytes, one symbol.
func (z *inflater) step(limit int) error {
	switch {
	case !z.started:
		return z.zlibHeader()
	case z.stored > 0:
		return z.copyStored(limit)
	case z.inBlock:
		return z.symbol(limit)
	case z.final:
		if len(z.data)*8-z.pos >= 8 {
			return errEnded
		}
		return errNeedInput
	}
	return z.blockHeader()
}

// bits takes n bits, n <= 16, least significant first.
func (z *inflater) bits(n int) (int, error) {
	if z.pos+n > len(z.data)*8 {
		return 0, errNeedInput
	}
	v := z.peek() & (1<<n - 1)
	z.pos += n
	return v, nil
}

// peek returns at least 17 of the next bits, zeros after the end.
func (z *inflater) peek() int {
	var v int
	i := z.pos / 8
	for k := 0; k < 3 && i+k < len(z.data); k++ {
		v |= int(z.data[i+k]) << (8 * k)
	}
	return v >> (z.pos % 8)
}

func (z *inflater) zlibHeader() error {
	h, err := z.bits(16)
	if err != nil {
		return err
	}
	cmf, flags := h&0xff, h>>8
	if cmf&15 != 8 || cmf>>4 > 7 || (cmf<<8|flags)%31 != 0 || flags&0x20 != 0 {
		return errInflate
	}
	z.started = true
	return nil
}

func (z *inflater) blockHeader() error {
	h, err := z.bits(3)
	if err != nil {
		return err
	}
	switch h >> 1 {
	case 0:
		z.pos = (z.pos + 7) &^ 7
		n, err := z.bits(16)
		if err != nil {
			return err
		}
		check, err := z.bits(16)
		if err != nil {
			return err
		}
		if n != check^0xffff {
			return errInflate
		}
		z.stored = n
	case 1:
		fixedCodes(&z.literal, &z.dist)
		z.inBlock = true
	case 2:
		if err := z.dynamicHeader(); err != nil {
			return err
		}
		z.inBlock = true
	default:
		return errInflate
	}
	z.final = h&1 != 0
	return nil
}

func (z *inflater) copyStored(limit int) error {
	i := z.pos / 8
	n := min(z.stored, len(z.data)-i)
	if n == 0 {
		return errNeedInput
	}
	if len(z.out)+n > limit {
		return errBomb
	}
	z.out = append(z.out, z.data[i:i+n]...)
	z.pos += 8 * n
	z.stored -= n
	return nil
}

var (
	lengthBase  = [29]int{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthExtra = [29]int{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase    = [30]int{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distExtra   = [30]int{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
	codeOrder   = [19]int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
)

// symbol decodes one literal, one copy, or the end of the block (RFC 1951
// section 3.2.5).
func (z *inflater) symbol(limit int) error {
	s, err := z.decode(&z.literal)
	if err != nil {
		return err
	}
	switch {
	case s < 256:
		if len(z.out) >= limit {
			return errBomb
		}
		z.out = append(z.out, byte(s))
		return nil
	case s == 256:
		z.inBlock = false
		return nil
	case s-257 >= len(lengthBase):
		return errInflate
	}
	extra, err := z.bits(lengthExtra[s-257])
	if err != nil {
		return err
	}
	length := lengthBase[s-257] + extra
	if s, err = z.decode(&z.dist); err != nil {
		return err
	}
	if s >= len(distBase) {
		return errInflate
	}
	if extra, err = z.bits(distExtra[s]); err != nil {
		return err
	}
	from := len(z.out) - distBase[s] - extra
	if from < 0 {
		return errInflate
	}
	if len(z.out)+length > limit {
		return errBomb
	}
	for ; length > 0; length-- { // byte by byte: source and copy may overlap
		z.out = append(z.out, z.out[from])
		from++
	}
	return nil
}

// dynamicHeader reads the code lengths of a block (RFC 1951 section 3.2.7).
func (z *inflater) dynamicHeader() error {
	var counts [3]int
	for i, n := range [3]int{5, 5, 4} {
		v, err := z.bits(n)
		if err != nil {
			return err
		}
		counts[i] = v
	}
	literals, dists, codes := counts[0]+257, counts[1]+1, counts[2]+4
	if literals > 286 || dists > 30 {
		return errInflate
	}
	var lengths [286 + 30]byte
	for i := range codes {
		v, err := z.bits(3)
		if err != nil {
			return err
		}
		lengths[codeOrder[i]] = byte(v)
	}
	var code huffman
	if !code.build(lengths[:19]) {
		return errInflate
	}
	clear(lengths[:19])
	for i := 0; i < literals+dists; {
		s, err := z.decode(&code)
		if err != nil {
			return err
		}
		if s < 16 {
			lengths[i] = byte(s)
			i++
			continue
		}
		width, base, value := 2, 3, byte(0)
		switch s {
		case 16:
			if i == 0 {
				return errInflate
			}
			value = lengths[i-1]
		case 17:
			width = 3
		case 18:
			width, base = 7, 11
		}
		n, err := z.bits(width)
		if err != nil {
			return err
		}
		if n += base; i+n > literals+dists {
			return errInflate
		}
		for ; n > 0; n-- {
			lengths[i] = value
			i++
		}
	}
	if lengths[256] == 0 || !z.literal.build(lengths[:literals]) || !z.dist.build(lengths[literals:literals+dists]) {
		return errInflate
	}
	return nil
}

const fastBits = 10

// huffman is a canonical code: a table for codes of up to fastBits bits, and
// counts with sorted symbols for longer ones.
type huffman struct {
	fast   [1 << fastBits]uint16 // symbol<<4 | length; 0: longer or no code
	count  [16]int
	symbol [288]uint16
}

// build makes the code of the given lengths and reports whether it is one:
// not over-subscribed, and incomplete only with at most one symbol.
func (h *huffman) build(lengths []byte) bool {
	*h = huffman{}
	for _, n := range lengths {
		h.count[n]++
	}
	h.count[0] = 0
	left, symbols := 1, 0
	var offset, code [17]int
	for n := 1; n <= 15; n++ {
		left = left<<1 - h.count[n]
		if left < 0 {
			return false
		}
		symbols += h.count[n]
		offset[n+1] = offset[n] + h.count[n]
		code[n+1] = (code[n] + h.count[n]) << 1
	}
	if left > 0 && symbols > 1 {
		return false
	}
	for s, n := range lengths {
		if n == 0 {
			continue
		}
		h.symbol[offset[n]] = uint16(s)
		offset[n]++
		reversed := 0
		for i, c := 0, code[n]; i < int(n); i, c = i+1, c>>1 {
			reversed = reversed<<1 | c&1
		}
		code[n]++
		for ; n <= fastBits && reversed < 1<<fastBits; reversed += 1 << n {
			h.fast[reversed] = uint16(s)<<4 | uint16(n)
		}
	}
	return true
}

func (z *inflater) decode(h *huffman) (int, error) {
	left := len(z.data)*8 - z.pos
	v := z.peek()
	if e := h.fast[v&(1<<fastBits-1)]; e != 0 {
		n := int(e & 15)
		if n > left {
			return 0, errNeedInput
		}
		z.pos += n
		return int(e >> 4), nil
	}
	code, first, index := 0, 0, 0
	for n := 1; n <= 15; n++ {
		if n > left {
			return 0, errNeedInput
		}
		code |= v & 1
		v >>= 1
		if code-h.count[n] < first {
			z.pos += n
			return int(h.symbol[index+code-first]), nil
		}
		index += h.count[n]
		first = (first + h.count[n]) << 1
		code <<= 1
	}
	return 0, errInflate
}

// fixedCodes builds the codes of RFC 1951 section 3.2.6. They are built for each
// block that uses them: few do, and a table kept for all would cost every start.
func fixedCodes(literal, dist *huffman) {
	var lengths [288]byte
	for i := range lengths {
		switch {
		case i < 144:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		default:
			lengths[i] = 8
		}
	}
	literal.build(lengths[:])
	for i := range 32 {
		lengths[i] = 5
	}
	dist.build(lengths[:32])
}
