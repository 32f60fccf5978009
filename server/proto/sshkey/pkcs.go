package sshkey

import "bytes"

// DER of the object identifiers that PKCS#8 and SEC1 name, without tag and length.
var (
	oidRSA     = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01} // rsaEncryption
	oidEC      = []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01}             // id-ecPublicKey
	oidEd25519 = []byte{0x2b, 0x65, 0x70}                                     // RFC 8410

	curveOIDs = map[string]string{
		"\x2a\x86\x48\xce\x3d\x03\x01\x07": "nistp256",
		"\x2b\x81\x04\x00\x22":             "nistp384",
		"\x2b\x81\x04\x00\x23":             "nistp521",
	}
)

// parsePKCS1 reads an RSAPrivateKey (RFC 8017 appendix A.1.2).
func parsePKCS1(data []byte) (PrivateKey, error) {
	outer := derReader{rest: data}
	r := outer.sequence()
	version := r.integer()
	m := &rsaNumbers{n: r.integer(), e: r.integer(), d: r.integer(), p: r.integer(), q: r.integer()}
	r.integer() // d mod p-1 and d mod q-1 follow from the others
	r.integer()
	m.iqmp = r.integer()
	if !outer.end() || !r.end() || len(version) != 0 {
		return nil, badFormat("PKCS#1")
	}
	return privateOrNil(newRSAPrivate(m))
}

// parseSEC1 reads an ECPrivateKey (RFC 5915) that names its curve.
func parseSEC1(data []byte) (PrivateKey, error) { return parseEC(data, "") }

// parseEC reads an ECPrivateKey; curve is known from elsewhere or empty.
func parseEC(data []byte, curve string) (PrivateKey, error) {
	outer := derReader{rest: data}
	r := outer.sequence()
	version, scalar := r.integer(), r.take(derOctetString)
	if parameters, ok := r.optional(derField0); ok {
		inner := derReader{rest: parameters}
		named := curveOIDs[string(inner.take(derOID))]
		if !inner.end() || named == "" || curve != "" && named != curve {
			return nil, ErrUnknownType
		}
		curve = named
	}
	var point []byte
	if public, ok := r.optional(derField1); ok {
		inner := derReader{rest: public}
		point = inner.bitString()
		if !inner.end() {
			return nil, badFormat("public key in an EC key")
		}
	}
	if !outer.end() || !r.end() || !bytes.Equal(version, []byte{1}) {
		return nil, badFormat("EC key")
	}
	if curve == "" {
		return nil, ErrUnknownType
	}
	return privateOrNil(newECDSAPrivate(curve, point, scalar))
}

// parsePKCS8 reads a PrivateKeyInfo (RFC 5208, RFC 5958).
func parsePKCS8(data []byte) (PrivateKey, error) {
	outer := derReader{rest: data}
	r := outer.sequence()
	version := r.integer()
	algorithm := r.sequence()
	oid := algorithm.take(derOID)
	key := r.take(derOctetString)
	r.optional(derField0)          // attributes
	r.optional(derField1Primitive) // public key
	if !outer.end() || !r.end() || len(version) > 1 || len(version) == 1 && version[0] != 1 {
		return nil, badFormat("PKCS#8")
	}
	switch {
	case bytes.Equal(oid, oidRSA):
		return parsePKCS1(key)
	case bytes.Equal(oid, oidEC):
		curve := curveOIDs[string(algorithm.take(derOID))]
		if curve == "" || !algorithm.end() {
			return nil, ErrUnknownType
		}
		return parseEC(key, curve)
	case bytes.Equal(oid, oidEd25519):
		inner := derReader{rest: key}
		seed := inner.take(derOctetString)
		if !inner.end() || !algorithm.end() || len(seed) != 32 {
			return nil, badFormat("Ed25519 key")
		}
		return newEd25519Private((*[32]byte)(seed)), nil
	}
	return nil, ErrUnknownType
}
