package libcrypto

/*
#include <stdlib.h>
#include "nano.h"

#cgo noescape nano_ctr_new
#cgo nocallback nano_ctr_new
#cgo noescape nano_cbc_new
#cgo nocallback nano_cbc_new
#cgo noescape nano_block_crypt
#cgo nocallback nano_block_crypt
#cgo noescape nano_block_state
#cgo nocallback nano_block_state
#cgo noescape nano_block_free
#cgo nocallback nano_block_free
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// block is a block cipher in a mode that chains, for one direction.
type block struct {
	ctx     *C.struct_nano_block
	cleanup runtime.Cleanup
	fail    failure
	size    int
}

// own takes the context that C made.
func (c *block) own(ctx *C.struct_nano_block, size int) error {
	if ctx == nil {
		return c.fail.err()
	}
	c.ctx, c.size = ctx, size
	c.cleanup = runtime.AddCleanup(c, func(ctx *C.struct_nano_block) { C.nano_block_free(ctx) }, ctx)
	return nil
}

func (c *block) crypt(data []byte) error {
	if c.ctx == nil {
		return errFreed
	}
	code := C.nano_block_crypt(c.ctx, pointer(data), C.size_t(len(data)), c.fail.c())
	runtime.KeepAlive(c)
	return c.fail.result(code, ErrAuth)
}

func (c *block) state() (iv [16]byte) {
	if c.ctx != nil {
		C.nano_block_state(c.ctx, (*C.uint8_t)(unsafe.Pointer(&iv)))
		runtime.KeepAlive(c)
	}
	return iv
}

func (c *block) free() {
	if c.ctx != nil {
		c.cleanup.Stop()
		C.nano_block_free(c.ctx)
		c.ctx = nil
	}
}

// CTR is AES in counter mode (RFC 4344 section 4). Encryption and decryption
// are the same.
type CTR struct {
	block block
}

// NewCTR takes a key of 16, 24 or 32 bytes and the 16 byte first counter.
func NewCTR(key, iv []byte) (*CTR, error) {
	if len(key) != 16 && len(key) != 24 && len(key) != 32 {
		return nil, &Error{"aes-ctr: key length"}
	}
	if len(iv) != 16 {
		return nil, &Error{"aes-ctr: IV length"}
	}
	c := new(CTR)
	ctx := C.nano_ctr_new(pointer(key), C.size_t(len(key)), pointer(iv), c.block.fail.c())
	if err := c.block.own(ctx, 16); err != nil {
		return nil, err
	}
	return c, nil
}

// XOR encrypts or decrypts data in place. Its length is a multiple of 16.
func (c *CTR) XOR(data []byte) error { return c.block.crypt(data) }

// State returns the counter of the next block, to go on elsewhere with NewCTR.
func (c *CTR) State() [16]byte { return c.block.state() }

// Free wipes the key. It may be called twice.
func (c *CTR) Free() { c.block.free() }

// cbcCiphers gives the key and block sizes in bytes, and OpenSSL's names.
var cbcCiphers = map[string]struct {
	key, block int
	name       string
}{
	"aes128-cbc": {16, 16, "AES-128-CBC"},
	"aes192-cbc": {24, 16, "AES-192-CBC"},
	"aes256-cbc": {32, 16, "AES-256-CBC"},
	"3des-cbc":   {24, 8, "DES-EDE3-CBC"},
}

// CBC is a cipher in CBC mode (RFC 4253 section 6.3), for one direction.
type CBC struct {
	block block
}

// NewCBC knows "aes128-cbc", "aes192-cbc", "aes256-cbc" and "3des-cbc"; the IV
// is one block. A libcrypto that was built without 3DES gives an error.
func NewCBC(name string, key, iv []byte, encrypt bool) (*CBC, error) {
	info, ok := cbcCiphers[name]
	if !ok {
		return nil, &Error{"unknown cipher"}
	}
	if len(key) != info.key || len(iv) != info.block {
		return nil, &Error{name + ": key or IV length"}
	}
	var direction C.int
	if encrypt {
		direction = 1
	}
	text := C.CString(info.name)
	defer C.free(unsafe.Pointer(text))
	c := new(CBC)
	ctx := C.nano_cbc_new(text, pointer(key), pointer(iv), direction, c.block.fail.c())
	if err := c.block.own(ctx, info.block); err != nil {
		return nil, err
	}
	return c, nil
}

// BlockSize returns the block size in bytes: 16, or 8 for 3DES.
func (c *CBC) BlockSize() int { return c.block.size }

// Crypt encrypts or decrypts whole blocks in place.
func (c *CBC) Crypt(data []byte) error { return c.block.crypt(data) }

// State returns the IV of the next block, to go on elsewhere with NewCBC.
func (c *CBC) State() []byte {
	iv := c.block.state()
	return iv[:c.block.size]
}

// Free wipes the key. It may be called twice.
func (c *CBC) Free() { c.block.free() }
