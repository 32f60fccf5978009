package config

import (
	"strings"
	"time"

	"nano_ssh_server/server/proto/algo"
)

// table holds every keyword in the order of sshd -T: OpenSSH 9.2's order, with
// what came later where OpenSSH 10 has it. "globalOnly", "inMatch" and
// "inSession" say where a keyword may stand; the value after them is the default.
var table = append([]keyword{
	portKeyword(),
	named("AddressFamily", globalOnly, FamilyAny, []choice[AddressFamily]{
		{"inet", FamilyIPv4}, {"inet6", FamilyIPv6}, {"any", FamilyAny},
	}, func(c *Config) *AddressFamily { return &c.AddressFamily }),
	listenKeyword(),
	duration("LoginGraceTime", globalOnly, 120*time.Second, false, func(c *Config) *time.Duration { return &c.LoginGraceTime }),
	number("X11DisplayOffset", inMatch, 10, func(c *Config) *int { return &c.X11DisplayOffset }),
	number("MaxAuthTries", inMatch, 6, func(c *Config) *int { return &c.MaxAuthTries }),
	number("MaxSessions", inMatch, 10, func(c *Config) *int { return &c.MaxSessions }),
	duration("ClientAliveInterval", inMatch, 0, false, func(c *Config) *time.Duration { return &c.ClientAliveInterval }),
	number("ClientAliveCountMax", inMatch, 3, func(c *Config) *int { return &c.ClientAliveCountMax }),
	number("RequiredRSASize", inMatch, 1024, func(c *Config) *int { return &c.RequiredRSASize }),
	maskKeyword(),
	duration("UnusedConnectionTimeout", inMatch, 0, true, func(c *Config) *time.Duration { return &c.UnusedConnectionTimeout }),
	named("PermitRootLogin", inMatch, RootProhibitPassword, []choice[RootLogin]{
		{"prohibit-password", RootProhibitPassword}, {"without-password", RootProhibitPassword},
		{"forced-commands-only", RootForcedCommandsOnly}, {"yes", RootYes}, {"no", RootNo},
	}, func(c *Config) *RootLogin { return &c.PermitRootLogin }),
	named("IgnoreRhosts", inMatch, IgnoreRhostsYes, []choice[IgnoreRhosts]{
		{"yes", IgnoreRhostsYes}, {"no", IgnoreRhostsNo}, {"shosts-only", IgnoreRhostsShostsOnly},
	}, func(c *Config) *IgnoreRhosts { return &c.IgnoreRhosts }),
	onOff("IgnoreUserKnownHosts", globalOnly, false, func(c *Config) *bool { return &c.IgnoreUserKnownHosts }),
	onOff("HostbasedAuthentication", inMatch, false, func(c *Config) *bool { return &c.HostbasedAuthentication }),
	onOff("HostbasedUsesNameFromPacketOnly", inMatch, false, func(c *Config) *bool { return &c.HostbasedUsesNameFromPacketOnly }),
	onOff("PubkeyAuthentication", inMatch, true, func(c *Config) *bool { return &c.PubkeyAuthentication }),
	onOff("PasswordAuthentication", inMatch, true, func(c *Config) *bool { return &c.PasswordAuthentication }),
	onOff("KbdInteractiveAuthentication", inMatch, true, func(c *Config) *bool { return &c.KbdInteractiveAuthentication }),
	onOff("PrintMotd", globalOnly, true, func(c *Config) *bool { return &c.PrintMotd }),
	onOff("PrintLastLog", globalOnly, true, func(c *Config) *bool { return &c.PrintLastLog }),
	onOff("X11Forwarding", inMatch, false, func(c *Config) *bool { return &c.X11Forwarding }),
	onOff("X11UseLocalhost", inMatch, true, func(c *Config) *bool { return &c.X11UseLocalhost }),
	onOff("PermitTTY", inSession, true, func(c *Config) *bool { return &c.PermitTTY }),
	onOff("PermitUserRC", inSession, true, func(c *Config) *bool { return &c.PermitUserRC }),
	onOff("StrictModes", globalOnly, true, func(c *Config) *bool { return &c.StrictModes }),
	named("TCPKeepAlive", globalOnly, KeepAliveTransport, []choice[KeepAlive]{
		{"yes", KeepAliveTransport}, {"transport", KeepAliveTransport}, {"all", KeepAliveAll}, {"no", KeepAliveNo},
	}, func(c *Config) *KeepAlive { return &c.TCPKeepAlive }),
	onOff("PermitEmptyPasswords", inMatch, false, func(c *Config) *bool { return &c.PermitEmptyPasswords }),
	named("Compression", globalOnly, true, []choice[bool]{
		{"yes", true}, {"delayed", true}, {"no", false},
	}, func(c *Config) *bool { return &c.Compression }),
	named("GatewayPorts", inMatch, GatewayNo, []choice[GatewayPorts]{
		{"clientspecified", GatewayClientSpecified}, {"yes", GatewayYes}, {"no", GatewayNo},
	}, func(c *Config) *GatewayPorts { return &c.GatewayPorts }),
	onOff("UseDNS", globalOnly, false, func(c *Config) *bool { return &c.UseDNS }),
	named("AllowTcpForwarding", inMatch, ForwardAll, forwardNames, func(c *Config) *Forwarding { return &c.AllowTCPForwarding }),
	onOff("AllowAgentForwarding", inMatch, true, func(c *Config) *bool { return &c.AllowAgentForwarding }),
	onOff("DisableForwarding", inMatch, false, func(c *Config) *bool { return &c.DisableForwarding }),
	named("AllowStreamLocalForwarding", inMatch, ForwardAll, forwardNames, func(c *Config) *Forwarding { return &c.AllowStreamLocalForwarding }),
	onOff("StreamLocalBindUnlink", inMatch, false, func(c *Config) *bool { return &c.StreamLocalBindUnlink }),
	fingerprintKeyword(),
	onOff("ExposeAuthInfo", inMatch, false, func(c *Config) *bool { return &c.ExposeAuthInfo }),
	onOff("RefuseConnection", inMatch, false, func(c *Config) *bool { return &c.RefuseConnection }),
	named("WarnWeakCrypto", globalOnly, WarnAll, []choice[WeakCryptoWarnings]{
		{"yes", WarnAll}, {"no", WarnNone}, {"no-pq-kex", WarnAllButKex},
	}, func(c *Config) *WeakCryptoWarnings { return &c.WarnWeakCrypto }),
	file("PidFile", globalOnly, func(p *Profile) string { return p.PidFile }, func(c *Config) *string { return &c.PidFile }),
	file("ModuliFile", globalOnly, func(p *Profile) string { return p.ModuliFile }, func(c *Config) *string { return &c.ModuliFile }),
	file("XAuthLocation", globalOnly, func(p *Profile) string { return p.XAuth }, func(c *Config) *string { return &c.XAuthLocation }),
	algorithms("Ciphers", globalOnly, algo.Cipher, func(c *Config) *[]string { return &c.Ciphers }),
	algorithms("MACs", globalOnly, algo.MAC, func(c *Config) *[]string { return &c.MACs }),
	file("Banner", inMatch, nil, func(c *Config) *string { return &c.Banner }),
	commandLine("ForceCommand", inSession, false, func(c *Config) *string { return &c.ForceCommand }),
	word("ChrootDirectory", inMatch, "%s missing argument.", func(c *Config) *string { return &c.ChrootDirectory }),
	file("TrustedUserCAKeys", inMatch, nil, func(c *Config) *string { return &c.TrustedUserCAKeys }),
	file("RevokedKeys", inMatch, nil, func(c *Config) *string { return &c.RevokedKeys }),
	securityKeyKeyword(),
	word("AuthorizedPrincipalsFile", inMatch, "%s missing argument.", func(c *Config) *string { return &c.AuthorizedPrincipalsFile }),
	commandLine("VersionAddendum", globalOnly, false, func(c *Config) *string { return &c.VersionAddendum }),
	commandLine("AuthorizedKeysCommand", inMatch, true, func(c *Config) *string { return &c.AuthorizedKeysCommand }),
	word("AuthorizedKeysCommandUser", inMatch, "missing %s argument.", func(c *Config) *string { return &c.AuthorizedKeysCommandUser }),
	commandLine("AuthorizedPrincipalsCommand", inMatch, true, func(c *Config) *string { return &c.AuthorizedPrincipalsCommand }),
	word("AuthorizedPrincipalsCommandUser", inMatch, "missing %s argument.", func(c *Config) *string { return &c.AuthorizedPrincipalsCommandUser }),
	agentKeyword(),
	algorithms("KexAlgorithms", globalOnly, algo.Kex, func(c *Config) *[]string { return &c.KexAlgorithms }),
	algorithms("CASignatureAlgorithms", inMatch, algo.CASignature, func(c *Config) *[]string { return &c.CASignatureAlgorithms }),
	algorithms("HostbasedAcceptedAlgorithms", inMatch, algo.Pubkey, func(c *Config) *[]string { return &c.HostbasedAcceptedAlgorithms }),
	algorithms("HostKeyAlgorithms", globalOnly, algo.HostKey, func(c *Config) *[]string { return &c.HostKeyAlgorithms }),
	algorithms("PubkeyAcceptedAlgorithms", inMatch, algo.Pubkey, func(c *Config) *[]string { return &c.PubkeyAcceptedAlgorithms }),
	optionalFile("SshdSessionPath", func(c *Config) *string { return &c.SshdSessionPath }),
	optionalFile("SshdAuthPath", func(c *Config) *string { return &c.SshdAuthPath }),
	exemptKeyword(),
	levelKeyword(),
	facilityKeyword(),
	logVerboseKeyword(),
	authorizedKeysKeyword(),
	files("HostKey", func(p *Profile) []string { return p.HostKey }, func(c *Config) *[]string { return &c.HostKey }),
	files("HostCertificate", func(*Profile) []string { return nil }, func(c *Config) *[]string { return &c.HostCertificate }),
	words("AllowUsers", inMatch, checkUserPattern, func(c *Config) *[]string { return &c.AllowUsers }),
	words("DenyUsers", inMatch, checkUserPattern, func(c *Config) *[]string { return &c.DenyUsers }),
	words("AllowGroups", inMatch, checkGroupPattern, func(c *Config) *[]string { return &c.AllowGroups }),
	words("DenyGroups", inMatch, checkGroupPattern, func(c *Config) *[]string { return &c.DenyGroups }),
	words("AcceptEnv", inSession, checkEnvName, func(c *Config) *[]string { return &c.AcceptEnv }),
	setEnvKeyword(),
	methodsKeyword(),
	channelTimeoutKeyword(),
	subsystemKeyword(),
	startupsKeyword(),
	perSourceKeyword(),
	netBlockKeyword(),
	tunnelKeyword(),
	qosKeyword(),
	rekeyKeyword(),
	permitKeyword("PermitOpen", false, func(c *Config) *[]string { return &c.PermitOpen }),
	permitKeyword("PermitListen", true, func(c *Config) *[]string { return &c.PermitListen }),
	userEnvironmentKeyword(),
	agentSocketKeyword(),
	pubkeyOptionsKeyword(),
	penaltiesKeyword(),

	// Nothing to dump: RDomain needs OpenBSD, the others are gone or need
	// libraries that a static binary has no use for.
	rdomainKeyword(),
	oldKeyword("", "Protocol", globalOnly),
	oldKeyword("", "DebianBanner", globalOnly),
	oldKeyword("Unsupported", "UsePAM", globalOnly),
	oldKeyword("Unsupported", "PAMServiceName", inMatch),
	oldKeyword("Unsupported", "KerberosAuthentication", inMatch),
	oldKeyword("Unsupported", "KerberosOrLocalPasswd", globalOnly),
	oldKeyword("Unsupported", "KerberosTicketCleanup", globalOnly),
	oldKeyword("Unsupported", "KerberosGetAFSToken", globalOnly),
	oldKeyword("Unsupported", "KerberosTgtPassing", globalOnly),
	oldKeyword("Unsupported", "AFSTokenPassing", globalOnly),
	oldKeyword("Unsupported", "GSSAPIAuthentication", inMatch),
	oldKeyword("Unsupported", "GSSAPICleanupCredentials", globalOnly),
	oldKeyword("Unsupported", "GSSAPICleanupCreds", globalOnly),
	oldKeyword("Unsupported", "GSSAPIDelegateCredentials", globalOnly),
	oldKeyword("Unsupported", "GSSAPIStrictAcceptorCheck", globalOnly),
	oldKeyword("Unsupported", "GSSAPIKeyExchange", globalOnly),
	oldKeyword("Unsupported", "GSSAPIStoreCredentialsOnRekey", globalOnly),
	oldKeyword("Unsupported", "GSSAPIKexAlgorithms", globalOnly),
	oldKeyword("Unsupported", "GSSAPIIndicators", inMatch),
	oldKeyword("Unsupported", "GSSUseSessionCCache", globalOnly),
	oldKeyword("Unsupported", "GSSAPIUseSessionCredCache", globalOnly),
	oldKeyword("Deprecated", "AuthorizedKeysFile2", inMatch),
	oldKeyword("Deprecated", "CheckMail", globalOnly),
	oldKeyword("Deprecated", "KeyRegenerationInterval", globalOnly),
	oldKeyword("Deprecated", "PAMAuthenticationViaKbdInt", globalOnly),
	oldKeyword("Deprecated", "PermitBlacklistedKeys", globalOnly),
	oldKeyword("Deprecated", "ReverseMappingCheck", globalOnly),
	oldKeyword("Deprecated", "RhostsAuthentication", globalOnly),
	oldKeyword("Deprecated", "RhostsRSAAuthentication", inMatch),
	oldKeyword("Deprecated", "RSAAuthentication", inMatch),
	oldKeyword("Deprecated", "ServerKeyBits", globalOnly),
	oldKeyword("Deprecated", "UseLogin", globalOnly),
	oldKeyword("Deprecated", "UsePrivilegeSeparation", globalOnly),
	oldKeyword("Deprecated", "VerifyReverseMapping", globalOnly),
}, privsepKeywords()...)

// aliases are older names of keywords, and where they may stand.
var aliases = []struct {
	name, of string
	where    scope
}{
	{"ChallengeResponseAuthentication", "KbdInteractiveAuthentication", inMatch},
	{"SkeyAuthentication", "KbdInteractiveAuthentication", inMatch},
	{"DSAAuthentication", "PubkeyAuthentication", globalOnly},
	{"HostbasedAcceptedKeyTypes", "HostbasedAcceptedAlgorithms", inMatch},
	{"PubkeyAcceptedKeyTypes", "PubkeyAcceptedAlgorithms", inMatch},
	{"HostDSAKey", "HostKey", globalOnly},
	{"KeepAlive", "TCPKeepAlive", globalOnly},
}

// includeKeyword and matchKeyword are handled by the loader.
var (
	includeKeyword = &keyword{name: "Include"}
	matchKeyword   = &keyword{name: "Match"}
)

// row is what a name in the file stands for.
type row struct {
	key   *keyword
	where scope
}

// rows maps names in lower case.
var rows = makeRows()

func makeRows() map[string]*row {
	m := map[string]*row{
		"include": {includeKeyword, inSession},
		"match":   {matchKeyword, inSession},
	}
	for i := range table {
		m[strings.ToLower(table[i].name)] = &row{&table[i], table[i].where}
	}
	for _, a := range aliases {
		m[strings.ToLower(a.name)] = &row{m[strings.ToLower(a.of)].key, a.where}
	}
	return m
}

// lookup finds a keyword by its name in lower case; nil: there is none.
func lookup(name string) *row { return rows[name] }
