// Package algo holds the names of algorithms: which exist, which are offered
// by default, how sshd_config(5) changes a list, how two peers agree on one, and
// the sizes of keys and tags.
//
// The configuration and the transport call it. It holds no algorithm's code and
// never links any: see the packages kex, cipher and sshkey.
package algo

import "slices"

// The lists follow OpenSSH 10's myproposal.h: order is preference. All... hold
// every name that this server implements, Default... what it offers unless the
// configuration says otherwise. Callers must not change them.
var (
	// DefaultKex leaves out finite-field Diffie-Hellman, as OpenSSH 10 does: a
	// peer makes the server compute at almost no cost of its own (THREATS row 11).
	DefaultKex = []string{
		"mlkem768x25519-sha256",
		"sntrup761x25519-sha512",
		"sntrup761x25519-sha512@openssh.com",
		"curve25519-sha256",
		"curve25519-sha256@libssh.org",
		"ecdh-sha2-nistp256",
		"ecdh-sha2-nistp384",
		"ecdh-sha2-nistp521",
	}
	AllKex = []string{
		"diffie-hellman-group1-sha1",
		"diffie-hellman-group14-sha1",
		"diffie-hellman-group14-sha256",
		"diffie-hellman-group16-sha512",
		"diffie-hellman-group18-sha512",
		"diffie-hellman-group-exchange-sha1",
		"diffie-hellman-group-exchange-sha256",
		"ecdh-sha2-nistp256",
		"ecdh-sha2-nistp384",
		"ecdh-sha2-nistp521",
		"curve25519-sha256",
		"curve25519-sha256@libssh.org",
		"sntrup761x25519-sha512",
		"sntrup761x25519-sha512@openssh.com",
		"mlkem768nistp256-sha256",
		"mlkem768x25519-sha256",
	}

	DefaultCiphers = []string{
		"chacha20-poly1305@openssh.com",
		"aes128-gcm@openssh.com",
		"aes256-gcm@openssh.com",
		"aes128-ctr",
		"aes192-ctr",
		"aes256-ctr",
	}
	AllCiphers = []string{
		"3des-cbc",
		"aes128-cbc",
		"aes192-cbc",
		"aes256-cbc",
		"aes128-ctr",
		"aes192-ctr",
		"aes256-ctr",
		"aes128-gcm@openssh.com",
		"aes256-gcm@openssh.com",
		"chacha20-poly1305@openssh.com",
	}

	// DefaultMACs is OpenSSH's list without the two of HMAC-SHA-1.
	DefaultMACs = []string{
		"umac-64-etm@openssh.com",
		"umac-128-etm@openssh.com",
		"hmac-sha2-256-etm@openssh.com",
		"hmac-sha2-512-etm@openssh.com",
		"umac-64@openssh.com",
		"umac-128@openssh.com",
		"hmac-sha2-256",
		"hmac-sha2-512",
	}
	AllMACs = []string{
		"hmac-sha1",
		"hmac-sha1-96",
		"hmac-sha2-256",
		"hmac-sha2-512",
		"hmac-md5",
		"hmac-md5-96",
		"umac-64@openssh.com",
		"umac-128@openssh.com",
		"hmac-sha1-etm@openssh.com",
		"hmac-sha1-96-etm@openssh.com",
		"hmac-sha2-256-etm@openssh.com",
		"hmac-sha2-512-etm@openssh.com",
		"hmac-md5-etm@openssh.com",
		"hmac-md5-96-etm@openssh.com",
		"umac-64-etm@openssh.com",
		"umac-128-etm@openssh.com",
	}

	// DefaultHostKey holds signature algorithms, not key types: one RSA key
	// serves several of them (RFC 8332). Those of certificates come first. The
	// composite of ML-DSA-44 and Ed25519 is an experiment in OpenSSH 10.5, there to
	// be named in the configuration.
	DefaultHostKey = []string{
		"ssh-ed25519-cert-v01@openssh.com",
		"ecdsa-sha2-nistp256-cert-v01@openssh.com",
		"ecdsa-sha2-nistp384-cert-v01@openssh.com",
		"ecdsa-sha2-nistp521-cert-v01@openssh.com",
		"sk-ssh-ed25519-cert-v01@openssh.com",
		"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
		"rsa-sha2-512-cert-v01@openssh.com",
		"rsa-sha2-256-cert-v01@openssh.com",
		"ssh-ed25519",
		"ecdsa-sha2-nistp256",
		"ecdsa-sha2-nistp384",
		"ecdsa-sha2-nistp521",
		"sk-ssh-ed25519@openssh.com",
		"sk-ecdsa-sha2-nistp256@openssh.com",
		"rsa-sha2-512",
		"rsa-sha2-256",
	}
	AllHostKey = []string{
		"ssh-ed25519",
		"ssh-ed25519-cert-v01@openssh.com",
		"sk-ssh-ed25519@openssh.com",
		"sk-ssh-ed25519-cert-v01@openssh.com",
		"ssh-mldsa44-ed25519@openssh.com",
		"ssh-mldsa44-ed25519-cert-v01@openssh.com",
		"ecdsa-sha2-nistp256",
		"ecdsa-sha2-nistp256-cert-v01@openssh.com",
		"ecdsa-sha2-nistp384",
		"ecdsa-sha2-nistp384-cert-v01@openssh.com",
		"ecdsa-sha2-nistp521",
		"ecdsa-sha2-nistp521-cert-v01@openssh.com",
		"sk-ecdsa-sha2-nistp256@openssh.com",
		"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
		"webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
		"ssh-dss",
		"ssh-dss-cert-v01@openssh.com",
		"ssh-rsa",
		"ssh-rsa-cert-v01@openssh.com",
		"rsa-sha2-256",
		"rsa-sha2-256-cert-v01@openssh.com",
		"rsa-sha2-512",
		"rsa-sha2-512-cert-v01@openssh.com",
	}

	// DefaultPubkey is what users' keys may sign with.
	DefaultPubkey = DefaultHostKey
	AllPubkey     = AllHostKey

	// DefaultCASignature is what a certificate may be signed with: a CA is a plain
	// key, never a certificate.
	DefaultCASignature = []string{
		"ssh-ed25519",
		"ecdsa-sha2-nistp256",
		"ecdsa-sha2-nistp384",
		"ecdsa-sha2-nistp521",
		"sk-ssh-ed25519@openssh.com",
		"sk-ecdsa-sha2-nistp256@openssh.com",
		"rsa-sha2-512",
		"rsa-sha2-256",
	}
	AllCASignature = []string{
		"ssh-ed25519",
		"sk-ssh-ed25519@openssh.com",
		"ssh-mldsa44-ed25519@openssh.com",
		"ecdsa-sha2-nistp256",
		"ecdsa-sha2-nistp384",
		"ecdsa-sha2-nistp521",
		"sk-ecdsa-sha2-nistp256@openssh.com",
		"webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
		"ssh-dss",
		"ssh-rsa",
		"rsa-sha2-256",
		"rsa-sha2-512",
	}

	// DefaultCompression: compression starts after authentication only, so the
	// plain zlib of RFC 4253 does not exist here.
	DefaultCompression = []string{"none", "zlib@openssh.com"}
	AllCompression     = []string{"none", "zlib@openssh.com"}
)

// A Family is one kind of algorithm as a keyword of sshd_config(5) lists it.
type Family struct {
	// Complaint is sshd's wording for a list with an unknown name, up to the
	// quoted list.
	Complaint string
	// Wildcards says that names in a list may hold "*" and "?". In sshd only
	// the lists of signature algorithms may, apart from those that begin with "-".
	Wildcards    bool
	Default, All []string
}

// The families, each for the keywords beside it.
var (
	Kex         = &Family{"Bad SSH2 KexAlgorithms", false, DefaultKex, AllKex}                  // KexAlgorithms
	Cipher      = &Family{"Bad SSH2 cipher spec", false, DefaultCiphers, AllCiphers}            // Ciphers
	MAC         = &Family{"Bad SSH2 mac spec", false, DefaultMACs, AllMACs}                     // MACs
	HostKey     = &Family{"Bad key types", true, DefaultHostKey, AllHostKey}                    // HostKeyAlgorithms
	Pubkey      = &Family{"Bad key types", true, DefaultPubkey, AllPubkey}                      // PubkeyAcceptedAlgorithms, HostbasedAcceptedAlgorithms
	CASignature = &Family{"Bad key types", true, DefaultCASignature, AllCASignature}            // CASignatureAlgorithms
	Compression = &Family{"Bad compression methods", false, DefaultCompression, AllCompression} // no keyword takes such a list
)

// Negotiate returns the first of the client's names that the server has too
// (RFC 4253 section 7.1), and whether there is one.
func Negotiate(client, server []string) (string, bool) {
	for _, name := range client {
		if slices.Contains(server, name) {
			return name, true
		}
	}
	return "", false
}
