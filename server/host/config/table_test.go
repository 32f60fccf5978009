package config

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// samples hold a value for each keyword that is not its default.
var samples = map[string]string{
	"PrivilegeSeparation": "no", "PrivilegeSeparationUser": "daemon", "PreauthIsolation": "connection", "SessionIsolation": "connection",
	"Port": "99", "AddressFamily": "inet", "ListenAddress": "192.0.2.1:7", "LoginGraceTime": "7",
	"X11DisplayOffset": "3", "MaxAuthTries": "3", "MaxSessions": "3", "ClientAliveInterval": "3",
	"ClientAliveCountMax": "2", "RequiredRSASize": "2048", "StreamLocalBindMask": "022",
	"UnusedConnectionTimeout": "1h", "PermitRootLogin": "yes", "IgnoreRhosts": "shosts-only",
	"IgnoreUserKnownHosts": "yes", "HostbasedAuthentication": "yes", "HostbasedUsesNameFromPacketOnly": "yes",
	"PubkeyAuthentication": "no", "PasswordAuthentication": "no", "KbdInteractiveAuthentication": "no",
	"PrintMotd": "no", "PrintLastLog": "no", "X11Forwarding": "yes", "X11UseLocalhost": "no", "PermitTTY": "no",
	"PermitUserRC": "no", "StrictModes": "no", "TCPKeepAlive": "all", "PermitEmptyPasswords": "yes",
	"Compression": "no", "GatewayPorts": "clientspecified", "UseDNS": "yes", "AllowTcpForwarding": "local",
	"AllowAgentForwarding": "no", "DisableForwarding": "yes", "AllowStreamLocalForwarding": "remote",
	"StreamLocalBindUnlink": "yes", "FingerprintHash": "md5", "ExposeAuthInfo": "yes", "RefuseConnection": "yes",
	"WarnWeakCrypto": "no-pq-kex", "PidFile": "none", "ModuliFile": "/m", "XAuthLocation": "/x",
	"Ciphers": "aes128-ctr", "MACs": "hmac-sha2-256", "Banner": `"/a b#c"`, "ForceCommand": `x "y  z" # w`,
	"ChrootDirectory": "/jail/%u", "TrustedUserCAKeys": "/ca", "RevokedKeys": "/r", "SecurityKeyProvider": "/lib.so",
	"AuthorizedPrincipalsFile": "/p/%u", "VersionAddendum": "FreeBSD-1", "AuthorizedKeysCommandUser": "nobody",
	"AuthorizedPrincipalsCommandUser": "nobody", "HostKeyAgent": "SSH_AUTH_SOCK",
	"KexAlgorithms": "curve25519-sha256", "CASignatureAlgorithms": "ssh-ed25519",
	"HostbasedAcceptedAlgorithms": "ssh-ed25519", "HostKeyAlgorithms": "ssh-ed25519",
	"PubkeyAcceptedAlgorithms": "ssh-ed25519", "SshdSessionPath": "/s", "SshdAuthPath": "/a",
	"PerSourcePenaltyExemptList": "192.0.2.0/24,!192.0.2.1", "LogLevel": "DEBUG2", "SyslogFacility": "LOCAL3",
	"LogVerbose": `kex.c:*:1000 "a b"`, "AuthorizedKeysFile": `/etc/keys/%u ".ssh/my keys"`, "HostKey": "/hk",
	"HostCertificate": "/hc", "AllowUsers": "a b@192.0.2.0/24", "DenyUsers": "c", "AllowGroups": `"d e"`,
	"DenyGroups": "f", "AcceptEnv": "LANG LC_*", "SetEnv": `A=b "C=d 'e\\"`, "AuthenticationMethods": "password publickey,password",
	"ChannelTimeout": "session:*=1h1s global=2", "Subsystem": `sftp /x/y -l "a b"`, "MaxStartups": "1:2:3",
	"PerSourceMaxStartups": "4", "PerSourceNetBlockSize": "24:64", "PermitTunnel": "ethernet",
	"IPQoS": "cs1 0x13", "RekeyLimit": "1G 1h", "PermitOpen": "a:1 [::1]:*", "PermitListen": "8 b:*",
	"PermitUserEnvironment": "A,B*", "AgentSocketPath": "shared:/run/agents", "PubkeyAuthOptions": "verify-required max-pk-ok:3",
	"PerSourcePenalties":    "crash:2m overflow:deny-all overflow6:permissive max-sources6:9",
	"AuthorizedKeysCommand": "/bin/x %u\nAuthorizedKeysCommandUser nobody", "AuthorizedPrincipalsCommand": "/bin/y %i\nAuthorizedPrincipalsCommandUser nobody",
}

func mustParse(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse("test", text, SshdProfile())
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return f
}

func dumpText(t *testing.T, c *Config) string {
	t.Helper()
	var b bytes.Buffer
	if err := Dump(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// changedFields names the fields in which two configurations differ.
func changedFields(a, b *Config) []string {
	var names []string
	va, vb := reflect.ValueOf(*a), reflect.ValueOf(*b)
	for i := range va.NumField() {
		if !reflect.DeepEqual(va.Field(i).Interface(), vb.Field(i).Interface()) {
			names = append(names, va.Type().Field(i).Name)
		}
	}
	return names
}

// TestTable checks that table, struct and dump agree: every keyword changes a
// field and its own dump lines, every field has a keyword, and the dump read
// again gives the same configuration.
func TestTable(t *testing.T) {
	standard := mustParse(t, "").Base()
	standardLines := strings.Split(dumpText(t, standard), "\n")
	covered := map[string]bool{}
	for i := range table {
		k := &table[i]
		if k.dump == nil {
			continue
		}
		sample, ok := samples[k.name]
		if !ok {
			t.Errorf("%s: no sample", k.name)
			continue
		}
		c := mustParse(t, k.name+" "+sample).Base()
		fields := changedFields(standard, c)
		if len(fields) == 0 {
			t.Errorf("%s changes no field", k.name)
		}
		for _, f := range fields {
			covered[f] = true
		}
		text := dumpText(t, c)
		diff := diffLines(standardLines, strings.Split(text, "\n"))
		if len(diff) == 0 {
			t.Errorf("%s: not in the dump", k.name)
		}
		for _, l := range diff {
			name, _, _ := strings.Cut(l[2:], " ")
			related := strings.Contains(sample, "\n") || k.name == "Port" || k.name == "AddressFamily"
			if name != strings.ToLower(k.name) && !related {
				t.Errorf("%s changes the line %q", k.name, l)
			}
		}
		again := mustParse(t, text).Base()
		// The dump names the addresses that no ListenAddress means.
		if k.name != "ListenAddress" {
			c.ListenAddress, again.ListenAddress = nil, nil
		}
		if f := changedFields(c, again); len(f) > 0 {
			t.Errorf("%s: the dump read again differs in %v:\n%s", k.name, f, text)
		}
		if dumpText(t, mustParse(t, text).Base()) != text {
			t.Errorf("%s: the dump of the dump differs", k.name)
		}
	}
	ct := reflect.TypeFor[Config]()
	for i := range ct.NumField() {
		if name := ct.Field(i).Name; !covered[name] {
			t.Errorf("field %s has no keyword", name)
		}
	}
}

// TestMatchFlag checks for every keyword that a Match block takes it or not as
// the table says, and that it then changes the same fields.
func TestMatchFlag(t *testing.T) {
	standard := mustParse(t, "").Base()
	info, err := ParseConnectionSpec("user=x")
	if err != nil {
		t.Fatal(err)
	}
	for i := range table {
		k := &table[i]
		sample, ok := samples[k.name]
		if !ok || strings.Contains(sample, "\n") {
			sample = "/yes"
		}
		f, err := Parse("test", "Match user x\n"+k.name+" "+sample, SshdProfile())
		switch {
		case k.name == "RDomain":
		case k.where == globalOnly:
			want := "test line 2: Directive '" + k.name + "' is not allowed within a Match block"
			if err == nil || err.Error() != want {
				t.Errorf("%s: %v", k.name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", k.name, err)
		case k.dump != nil:
			c, err := f.Resolve(info)
			if err != nil || len(changedFields(standard, c)) == 0 {
				t.Errorf("%s in Match changes nothing (%v)", k.name, err)
			}
			if len(changedFields(standard, f.Base())) != 0 {
				t.Errorf("%s in Match changes the base", k.name)
			}
		}
	}
}

func TestNamesUnique(t *testing.T) {
	seen := map[string]bool{"include": true, "match": true}
	names := []string{}
	for i := range table {
		names = append(names, table[i].name)
	}
	for _, a := range aliases {
		names = append(names, a.name)
		if lookup(strings.ToLower(a.of)) == nil {
			t.Errorf("alias %s of nothing", a.name)
		}
	}
	for _, name := range names {
		lower := strings.ToLower(name)
		if seen[lower] {
			t.Errorf("%s twice", name)
		}
		seen[lower] = true
	}
}

// TestDebianDefault holds the list of lines by which -T differs from OpenSSH
// 9.2's for Debian's default file: what is newer, what a static binary lacks,
// and the lists of algorithms.
func TestDebianDefault(t *testing.T) {
	const file = "Include /etc/ssh/sshd_config.d/no-such-*.conf\nKbdInteractiveAuthentication no\nUsePAM yes\nX11Forwarding yes\n" +
		"PrintMotd no\nAcceptEnv LANG LC_*\nSubsystem\tsftp\t/usr/lib/openssh/sftp-server\n"
	f := mustParse(t, file)
	got := strings.Split(dumpText(t, f.Base()), "\n")
	for _, want := range []string{
		"port 22", "listenaddress [::]:22", "listenaddress 0.0.0.0:22", "kbdinteractiveauthentication no", "x11forwarding yes",
		"printmotd no", "acceptenv LANG", "acceptenv LC_*", "subsystem sftp /usr/lib/openssh/sftp-server",
		"hostkey /etc/ssh/ssh_host_rsa_key", "maxstartups 3000:30:6000", "persourcenetblocksize 32:128", "permitopen any",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no line %q", want)
		}
	}
	if n := f.Notices(); len(n) != 1 || n[0].Debug || n[0].Text != "test line 3: Unsupported option UsePAM" {
		t.Errorf("notices %v", n)
	}
}
