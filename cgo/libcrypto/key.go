package libcrypto

/*
#include <stdlib.h>
#include "nano.h"

#cgo noescape nano_key_number
#cgo nocallback nano_key_number
#cgo nocallback EVP_PKEY_free
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// key is a public or private key in libcrypto's memory.
type key struct {
	ptr     *C.EVP_PKEY
	cleanup runtime.Cleanup
	private bool
}

// own takes the key that C made, or the reason why it made none.
func (k *key) own(ptr *C.EVP_PKEY, fail *failure, private bool) error {
	if ptr == nil {
		return fail.err()
	}
	k.ptr, k.private = ptr, private
	k.cleanup = runtime.AddCleanup(k, func(ptr *C.EVP_PKEY) { C.EVP_PKEY_free(ptr) }, ptr)
	return nil
}

// Free wipes the key. It may be called twice.
func (k *key) Free() {
	if k.ptr != nil {
		k.cleanup.Stop()
		C.EVP_PKEY_free(k.ptr)
		k.ptr = nil
	}
}

// Private tells whether the key can sign.
func (k *key) Private() bool { return k.private }

// number returns one number of the key, big-endian without leading zeros.
func (k *key) number(name string) ([]byte, error) {
	if k.ptr == nil {
		return nil, errFreed
	}
	var fail failure
	var out [C.NANO_RSA_BYTES_MAX]byte
	length := C.size_t(len(out))
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	code := C.nano_key_number(k.ptr, text, (*C.uint8_t)(unsafe.Pointer(&out)), &length, fail.c())
	runtime.KeepAlive(k)
	if code != C.NANO_OK {
		return nil, fail.err()
	}
	number := append([]byte(nil), out[:length]...)
	wipe(out[:])
	return number, nil
}

// digestText returns OpenSSL's name of a digest as a C string, or nil.
func digestText(name string) (*C.char, error) {
	info, ok := digests[name]
	if !ok {
		return nil, &Error{"unknown digest"}
	}
	return C.CString(info.name), nil
}
