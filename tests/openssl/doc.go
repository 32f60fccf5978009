// Package openssl checks cgo/libcrypto against a second binding of OpenSSL,
// github.com/spacemonkeygo/openssl, which reaches the library by other calls:
// EVP digests and MACs where ours are low-level, PEM and DER where ours are
// plain numbers.
//
// It is built with the host's compiler and libssl-dev only:
//
//	CGO_CFLAGS="-include $PWD/tests/openssl/compat.h" go test -tags spacemonkey ./tests/openssl
package openssl
