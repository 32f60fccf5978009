package connection

import "sync"

// chunkSize is the unit in which received data waits: most of a full packet.
const chunkSize = 32 << 10

// smallChunk is the unit of quiet channels, where a keystroke should not pin 32 KiB.
const smallChunk = 1 << 10

var (
	chunkPool = sync.Pool{New: func() any { b := make([]byte, 0, chunkSize); return &b }}
	smallPool = sync.Pool{New: func() any { b := make([]byte, 0, smallChunk); return &b }}
)

// chunks is a queue of received bytes. Its memory is bounded by the window:
// small pieces are put together, so that a peer's one-byte packets cannot pin
// more than the bytes they carry and one chunk.
type chunks struct {
	list [][]byte
	head int // bytes of list[0] already read
	size int
}

func (q *chunks) push(data []byte) {
	q.size += len(data)
	for len(data) > 0 {
		if last := len(q.list) - 1; last >= 0 {
			if room := cap(q.list[last]) - len(q.list[last]); room > 0 {
				n := min(room, len(data))
				q.list[last] = append(q.list[last], data[:n]...)
				data = data[n:]
				continue
			}
		}
		if len(data) <= smallChunk && len(q.list) == 0 {
			q.list = append(q.list, (*smallPool.Get().(*[]byte))[:0])
		} else {
			q.list = append(q.list, (*chunkPool.Get().(*[]byte))[:0])
		}
	}
}

// read copies out what fits into p.
func (q *chunks) read(p []byte) int {
	total := 0
	for len(q.list) > 0 && total < len(p) {
		n := copy(p[total:], q.list[0][q.head:])
		total += n
		q.head += n
		if q.head == len(q.list[0]) {
			putChunk(q.list[0])
			q.advance()
		}
	}
	q.size -= total
	return total
}

// pop takes the first chunk, nil if there is none. The caller gives it back by putChunk.
func (q *chunks) pop() []byte {
	if len(q.list) == 0 {
		return nil
	}
	b := q.list[0][q.head:]
	q.size -= len(b)
	q.advance()
	return b
}

func (q *chunks) advance() {
	q.list[0] = nil
	q.list = q.list[1:]
	q.head = 0
	if len(q.list) == 0 {
		q.list = nil
	}
}

func (q *chunks) drop() {
	for _, b := range q.list {
		putChunk(b)
	}
	*q = chunks{}
}

// putChunk gives a chunk back. One whose front was read is left to the collector.
func putChunk(b []byte) {
	b = b[:0]
	switch cap(b) {
	case chunkSize:
		chunkPool.Put(&b)
	case smallChunk:
		smallPool.Put(&b)
	}
}
