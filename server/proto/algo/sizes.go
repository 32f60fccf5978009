package algo

import "strings"

// CipherSizes describes a cipher; all sizes in bytes.
type CipherSizes struct {
	KeyLen, IVLen int
	BlockLen      int // packets are padded to a multiple of it, at least 8
	TagLen        int // of an AEAD's own tag, else 0
	AEAD          bool
}

// MACSizes describes a message authentication code; all sizes in bytes.
type MACSizes struct {
	KeyLen, TagLen int
	ETM            bool // computed over the encrypted packet
}

var cipherSizes = map[string]CipherSizes{
	"chacha20-poly1305@openssh.com": {KeyLen: 64, BlockLen: 8, TagLen: 16, AEAD: true},
	"aes128-gcm@openssh.com":        {KeyLen: 16, IVLen: 12, BlockLen: 16, TagLen: 16, AEAD: true},
	"aes256-gcm@openssh.com":        {KeyLen: 32, IVLen: 12, BlockLen: 16, TagLen: 16, AEAD: true},
	"aes128-ctr":                    {KeyLen: 16, IVLen: 16, BlockLen: 16},
	"aes192-ctr":                    {KeyLen: 24, IVLen: 16, BlockLen: 16},
	"aes256-ctr":                    {KeyLen: 32, IVLen: 16, BlockLen: 16},
	"aes128-cbc":                    {KeyLen: 16, IVLen: 16, BlockLen: 16},
	"aes192-cbc":                    {KeyLen: 24, IVLen: 16, BlockLen: 16},
	"aes256-cbc":                    {KeyLen: 32, IVLen: 16, BlockLen: 16},
	"3des-cbc":                      {KeyLen: 24, IVLen: 8, BlockLen: 8},
}

// Without the suffix of the encrypt-then-mac variants.
var macSizes = map[string]MACSizes{
	"hmac-sha1":     {KeyLen: 20, TagLen: 20},
	"hmac-sha1-96":  {KeyLen: 20, TagLen: 12},
	"hmac-sha2-256": {KeyLen: 32, TagLen: 32},
	"hmac-sha2-512": {KeyLen: 64, TagLen: 64},
	"hmac-md5":      {KeyLen: 16, TagLen: 16},
	"hmac-md5-96":   {KeyLen: 16, TagLen: 12},
	"umac-64":       {KeyLen: 16, TagLen: 8},
	"umac-128":      {KeyLen: 16, TagLen: 16},
}

// CipherInfo returns the sizes of a cipher, and whether it exists.
func CipherInfo(name string) (CipherSizes, bool) {
	sizes, ok := cipherSizes[name]
	return sizes, ok
}

// MACInfo returns the sizes of a MAC, and whether it exists.
func MACInfo(name string) (MACSizes, bool) {
	base, etm := strings.CutSuffix(name, "-etm@openssh.com")
	if !etm && strings.HasPrefix(name, "umac-") {
		var found bool
		if base, found = strings.CutSuffix(name, "@openssh.com"); !found {
			return MACSizes{}, false
		}
	}
	sizes, ok := macSizes[base]
	sizes.ETM = etm && ok
	return sizes, ok
}
