package sshkey

import (
	"bytes"
	"encoding/base64"
	"errors"

	"nano_ssh_server/cgo/sodium"
	"nano_ssh_server/server/proto/wire"
)

var (
	errWiped   = errors.New("sshkey: private key was wiped")
	errForeign = errors.New("sshkey: private key of another package")
)

// ParsePrivate reads the first private key of a file: OpenSSH's own format, or
// PEM with PKCS#1 (RSA), SEC1 (ECDSA) or PKCS#8. comment is empty where the format
// has none. A key that needs a passphrase is ErrEncrypted; other errors wrap
// ErrMalformed, ErrUnknownType or ErrKeyLength. Copies that it makes are wiped;
// the text is the caller's to wipe.
func ParsePrivate(text []byte) (key PrivateKey, comment string, err error) {
	for {
		block, rest, ok := nextPEM(text)
		if !ok {
			return nil, "", badFormat("no private key")
		}
		text = rest
		parse, ok := pemFormats[block.label]
		if !ok {
			continue // such as EC PARAMETERS before the key
		}
		if block.encrypted() {
			return nil, "", ErrEncrypted
		}
		data, err := block.decode()
		if err == nil {
			key, comment, err = parse(data)
		}
		sodium.Memzero(data)
		if err != nil {
			return nil, "", err
		}
		return key, comment, nil
	}
}

var pemFormats = map[string]func(data []byte) (PrivateKey, string, error){
	"OPENSSH PRIVATE KEY":   parseOpenSSH,
	"RSA PRIVATE KEY":       uncommented(parsePKCS1),
	"EC PRIVATE KEY":        uncommented(parseSEC1),
	"PRIVATE KEY":           uncommented(parsePKCS8),
	"ENCRYPTED PRIVATE KEY": nil, // never called: encrypted
	"DSA PRIVATE KEY":       uncommented(parseDSAPEM),
}

func uncommented(parse func(data []byte) (PrivateKey, error)) func(data []byte) (PrivateKey, string, error) {
	return func(data []byte) (PrivateKey, string, error) {
		key, err := parse(data)
		return key, "", err
	}
}

// pemBlock is one block of a PEM file (RFC 7468, with the headers of RFC 1421).
type pemBlock struct {
	label         string
	headers, body []byte
}

// nextPEM finds the next block. It exists because encoding/pem leaves copies of
// the key behind.
func nextPEM(text []byte) (block pemBlock, rest []byte, ok bool) {
	const begin, end, dashes = "-----BEGIN ", "-----END ", "-----"
	start := 0
	if !bytes.HasPrefix(text, []byte(begin)) {
		i := bytes.Index(text, []byte("\n"+begin))
		if i < 0 {
			return block, nil, false
		}
		start = i + 1
	}
	text = text[start+len(begin):]
	line, after, ok := bytes.Cut(text, []byte("\n"))
	label, tail, dashed := bytes.Cut(line, []byte(dashes))
	if !ok || !dashed || len(bytes.TrimSpace(tail)) != 0 {
		return pemBlock{}, text, true // not a block; its label matches none
	}
	block.label = string(label)
	body, rest, ok := bytes.Cut(after, []byte(end+block.label+dashes))
	if !ok {
		return block, nil, false
	}
	if first, _, _ := bytes.Cut(body, []byte("\n")); bytes.IndexByte(first, ':') >= 0 {
		for _, empty := range []string{"\n\n", "\r\n\r\n"} {
			if headers, data, ok := bytes.Cut(body, []byte(empty)); ok {
				block.headers, body = headers, data
				break
			}
		}
	}
	block.body = body
	return block, rest, true
}

func (b *pemBlock) encrypted() bool {
	return b.label == "ENCRYPTED PRIVATE KEY" || bytes.Contains(b.headers, []byte("ENCRYPTED"))
}

// decode returns the content, which the caller wipes whatever the error.
func (b *pemBlock) decode() ([]byte, error) {
	data := make([]byte, base64.StdEncoding.DecodedLen(len(b.body)))
	n, err := base64.StdEncoding.Decode(data, b.body) // it skips line ends
	if err != nil {
		return data, badFormat("base64")
	}
	return data[:n], nil
}

// opensshMagic begins OpenSSH's own format (PROTOCOL.key):
//
//	magic, string cipher, string kdf, string kdf options, uint32 keys,
//	string public key, string private section
//
// The private section is two equal random numbers, type, numbers, comment, and
// padding of 1, 2, 3... up to a block.
const (
	opensshMagic = "openssh-key-v1\x00"
	opensshBlock = 8 // of the cipher "none"
)

func parseOpenSSH(data []byte) (PrivateKey, string, error) {
	data, ok := bytes.CutPrefix(data, []byte(opensshMagic))
	if !ok {
		return nil, "", badFormat("not OpenSSH's format")
	}
	r := wire.NewReader(data)
	cipherName, kdf := r.Text(), r.Text()
	r.String()
	if r.Err() == nil && (cipherName != "none" || kdf != "none") {
		return nil, "", ErrEncrypted
	}
	if n := r.Uint32(); r.Err() == nil && n != 1 {
		return nil, "", badFormat("%d keys in a file", n)
	}
	public, section := r.String(), r.String()
	if err := r.End(); err != nil {
		return nil, "", malformed(err)
	}
	return parseSection(public, section)
}

func parseSection(public, section []byte) (PrivateKey, string, error) {
	r := wire.NewReader(section)
	first, second, name := r.Uint32(), r.Uint32(), r.Text()
	if r.Err() == nil && first != second {
		return nil, "", badFormat("check numbers differ")
	}
	parse, ok := sectionTypes[name]
	if err := r.Err(); err != nil {
		return nil, "", malformed(err)
	}
	if !ok {
		return nil, "", ErrUnknownType
	}
	key, err := parse(r)
	comment := r.Text()
	padding := r.Rest()
	if rerr := r.Err(); rerr != nil {
		err = malformed(rerr)
	}
	for i, b := range padding {
		if int(b) != i+1 || len(padding) >= opensshBlock {
			err = badFormat("padding")
			break
		}
	}
	if err == nil && (len(section)%opensshBlock != 0 || !bytes.Equal(key.Public().Blob(), public) || key.Public().Type() != name) {
		err = badFormat("the halves of the key do not belong together")
	}
	if err != nil {
		if key != nil {
			key.Wipe()
		}
		return nil, "", err
	}
	return key, comment, nil
}

// sectionTypes reads the numbers of a private section. A key comes back only
// without an error.
var sectionTypes = map[string]func(r *wire.Reader) (PrivateKey, error){
	TypeEd25519:  sectionEd25519,
	TypeECDSA256: sectionECDSA,
	TypeECDSA384: sectionECDSA,
	TypeECDSA521: sectionECDSA,
	TypeRSA:      sectionRSA,
	TypeDSA:      sectionDSA,

	TypeSKEd25519: sectionSecurityKey(TypeSKEd25519),
	TypeSKECDSA:   sectionSecurityKey(TypeSKECDSA),

	TypeMLDSA44Ed25519: sectionComposite,
}

func sectionEd25519(r *wire.Reader) (PrivateKey, error) {
	point, private := r.String(), r.String()
	if len(point) != 32 || len(private) != 64 {
		return nil, badFormat("Ed25519 key of %d and %d bytes", len(point), len(private))
	}
	// Made anew from the seed: halves of two keys would give the seed away.
	k := newEd25519Private((*[32]byte)(private[:32]))
	if !bytes.Equal(k.public.point[:], point) || !bytes.Equal(private[32:], point) {
		k.Wipe()
		return nil, badFormat("the halves of the key do not belong together")
	}
	return k, nil
}

func sectionECDSA(r *wire.Reader) (PrivateKey, error) {
	curve, point, scalar := r.Text(), r.String(), r.Mpint()
	if err := r.Err(); err != nil {
		return nil, malformed(err)
	}
	return privateOrNil(newECDSAPrivate(curve, point, scalar))
}

func sectionRSA(r *wire.Reader) (PrivateKey, error) {
	m := &rsaNumbers{}
	for _, number := range []*[]byte{&m.n, &m.e, &m.d, &m.iqmp, &m.p, &m.q} {
		*number = r.Mpint()
	}
	if err := r.Err(); err != nil {
		return nil, malformed(err)
	}
	return privateOrNil(newRSAPrivate(m))
}

// privateOrNil makes a nil interface of a nil pointer.
func privateOrNil[K interface {
	comparable
	PrivateKey
}](key K, err error) (PrivateKey, error) {
	if err != nil {
		return nil, err
	}
	return key, nil
}

// MarshalPrivate writes a key in OpenSSH's own format, not encrypted. The caller
// wipes the text.
func MarshalPrivate(key PrivateKey, comment string) ([]byte, error) {
	k, ok := key.(interface {
		appendFields(b []byte) ([]byte, error)
	})
	if !ok {
		return nil, errForeign
	}
	public := key.Public()
	// Room for the largest RSA key, so that nothing is copied and left behind.
	section := make([]byte, 8, 4*rsaMaxBits/8+1024+len(comment))
	defer func() { sodium.Memzero(section[:cap(section)]) }()
	sodium.Random(section[:4])
	copy(section[4:8], section[:4])
	section, err := k.appendFields(wire.AppendText(section, public.Type()))
	if err != nil {
		return nil, err
	}
	section = wire.AppendText(section, comment)
	for i := byte(1); len(section)%opensshBlock != 0; i++ {
		section = append(section, i)
	}
	data := make([]byte, 0, len(section)+len(public.Blob())+64)
	data = append(data, opensshMagic...)
	data = wire.AppendText(wire.AppendText(wire.AppendText(data, "none"), "none"), "")
	data = wire.AppendString(wire.AppendUint32(data, 1), public.Blob())
	data = wire.AppendString(data, section)
	defer sodium.Memzero(data)
	return encodePEM("OPENSSH PRIVATE KEY", data), nil
}

// encodePEM writes lines of 70 characters, as ssh-keygen does.
func encodePEM(label string, data []byte) []byte {
	const width = 70
	body := make([]byte, base64.StdEncoding.EncodedLen(len(data)))
	defer sodium.Memzero(body)
	base64.StdEncoding.Encode(body, data)
	text := make([]byte, 0, len(body)+len(body)/width+2*len(label)+40)
	text = append(append(append(text, "-----BEGIN "...), label...), "-----\n"...)
	for line := body; len(line) > 0; {
		n := min(width, len(line))
		text = append(append(text, line[:n]...), '\n')
		line = line[n:]
	}
	return append(append(append(text, "-----END "...), label...), "-----\n"...)
}
