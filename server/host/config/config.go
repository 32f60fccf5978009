// Package config reads sshd_config(5).
//
// One table (table.go) holds every keyword: its name, its kind of value, where
// it may stand, its default and how it is dumped; parser, defaults, Match and
// the dump of -T are loops over that table. Load reads a file once and reports
// every broken line in sshd's own words; the result is kept in memory, and
// Resolve applies the Match blocks for one connection. Those that look at what a
// session is for go by SessionBlocks to the process that serves it, and ForSession
// applies them there.
//
// The roles of the server read the fields of Config. The package never opens
// the files that the configuration names, never resolves host names by itself
// (Config.Listen takes a resolver) and links no cryptography.
package config

import (
	"math"
	"time"

	"nano_ssh_server/server/host/log"
)

// Config is what the keywords mean for one connection, or for the listener.
// Fields are named as their keywords. Paths are absolute except where the
// keyword takes percent tokens; "" stands for `none`.
type Config struct {
	Port          []int
	AddressFamily AddressFamily
	ListenAddress []ListenAddress // as written; Config.Listen combines it with Port

	LoginGraceTime      time.Duration // 0: no limit
	MaxAuthTries        int
	MaxSessions         int
	ClientAliveInterval time.Duration // 0: off
	ClientAliveCountMax int           // 0: never disconnect
	RequiredRSASize     int           // bits
	MaxStartups         MaxStartups
	TCPKeepAlive        KeepAlive
	UseDNS              bool
	Compression         bool
	VersionAddendum     string
	IPQoS               IPQoS

	PerSourceMaxStartups       int // NoLimit: none
	PerSourceNetBlockSize      NetBlockSize
	PerSourcePenalties         Penalties
	PerSourcePenaltyExemptList string // for MatchAddress
	RefuseConnection           bool

	PrivilegeSeparation     bool
	PrivilegeSeparationUser string // of the gate; empty: sshd, or nobody
	PreauthIsolation        Isolation
	SessionIsolation        Isolation

	HostKey         []string
	HostCertificate []string
	HostKeyAgent    string // a socket, or "SSH_AUTH_SOCK" for that variable
	ModuliFile      string
	PidFile         string

	Ciphers                     []string // this and the next six: expanded, in order of preference
	MACs                        []string
	KexAlgorithms               []string
	HostKeyAlgorithms           []string
	PubkeyAcceptedAlgorithms    []string
	HostbasedAcceptedAlgorithms []string
	CASignatureAlgorithms       []string
	WarnWeakCrypto              WeakCryptoWarnings
	RekeyBytes                  uint64        // RekeyLimit's first value; 0: as the cipher wants
	RekeyInterval               time.Duration // RekeyLimit's second value; 0: none

	PubkeyAuthentication            bool
	PubkeyAuthOptions               PubkeyAuthOptions
	PasswordAuthentication          bool
	KbdInteractiveAuthentication    bool
	HostbasedAuthentication         bool
	HostbasedUsesNameFromPacketOnly bool
	IgnoreRhosts                    IgnoreRhosts
	IgnoreUserKnownHosts            bool
	PermitEmptyPasswords            bool
	PermitRootLogin                 RootLogin
	StrictModes                     bool
	AuthenticationMethods           []string // comma lists, one of which must be completed; empty: any method
	AllowUsers, DenyUsers           []string // patterns, for host/user
	AllowGroups, DenyGroups         []string

	AuthorizedKeysFile              []string // with percent tokens; empty: none
	AuthorizedKeysCommand           string   // command line with percent tokens
	AuthorizedKeysCommandUser       string
	AuthorizedPrincipalsFile        string // with percent tokens
	AuthorizedPrincipalsCommand     string // command line with percent tokens
	AuthorizedPrincipalsCommandUser string
	TrustedUserCAKeys               string
	RevokedKeys                     string
	SecurityKeyProvider             string // "internal" or a library

	Banner                        string
	PrintMotd                     bool
	PrintLastLog                  bool
	PermitTTY                     bool
	PermitUserRC                  bool
	PermitUserEnvironment         bool
	PermitUserEnvironmentPatterns string // pattern list; "": every name
	ExposeAuthInfo                bool
	AcceptEnv                     []string // patterns
	SetEnv                        []string // NAME=VALUE
	Subsystem                     []Subsystem
	ForceCommand                  string
	ChrootDirectory               string // with percent tokens
	ChannelTimeout                []ChannelTimeout
	UnusedConnectionTimeout       time.Duration // 0: none

	DisableForwarding          bool
	AllowTCPForwarding         Forwarding
	AllowStreamLocalForwarding Forwarding
	AllowAgentForwarding       bool
	AgentSocketPath            string // "user:PATH" or "shared:PATH", with percent tokens
	GatewayPorts               GatewayPorts
	PermitOpen                 []string // HOST:PORT; empty: any; "none" alone: nothing
	PermitListen               []string // the same
	PermitTunnel               Tunnel
	StreamLocalBindMask        uint32
	StreamLocalBindUnlink      bool
	X11Forwarding              bool
	X11DisplayOffset           int
	X11UseLocalhost            bool
	XAuthLocation              string

	LogLevel        log.Level
	SyslogFacility  log.Facility
	LogVerbose      []string
	FingerprintHash string // "SHA256", "MD5", ...

	// SshdSessionPath and SshdAuthPath are accepted and kept; this server has
	// one binary and runs neither.
	SshdSessionPath string
	SshdAuthPath    string
}

// NoLimit is PerSourceMaxStartups' `none`.
const NoLimit = math.MaxInt32

// AddressFamily says which addresses the listener takes.
type AddressFamily int

// The values of AddressFamily.
const (
	FamilyAny AddressFamily = iota
	FamilyIPv4
	FamilyIPv6
)

// ListenAddress is one ListenAddress line.
type ListenAddress struct {
	Host    string // name or address, without brackets
	Port    int    // 0: every Port
	RDomain string // network device to bind to; "": none
}

// RootLogin is PermitRootLogin.
type RootLogin int

// The values of PermitRootLogin.
const (
	RootNo RootLogin = iota
	RootForcedCommandsOnly
	RootProhibitPassword
	RootYes
)

// IgnoreRhosts says which of a user's .rhosts and .shosts are ignored.
type IgnoreRhosts int

// The values of IgnoreRhosts.
const (
	IgnoreRhostsNo IgnoreRhosts = iota
	IgnoreRhostsYes
	IgnoreRhostsShostsOnly // .shosts is read, .rhosts is not
)

// Forwarding says which directions of a forwarding are allowed, as bits. Local
// means what ssh(1) calls local: the server opens the connection.
type Forwarding int

// The bits of Forwarding.
const (
	ForwardNone   Forwarding = 0
	ForwardLocal  Forwarding = 1
	ForwardRemote Forwarding = 2
	ForwardAll               = ForwardLocal | ForwardRemote
)

// GatewayPorts says who may connect to remote forwardings.
type GatewayPorts int

// The values of GatewayPorts.
const (
	GatewayNo GatewayPorts = iota
	GatewayYes
	GatewayClientSpecified
)

// Tunnel says which tun(4) layers are allowed, as bits.
type Tunnel int

// The bits of Tunnel.
const (
	TunnelNo           Tunnel = 0
	TunnelPointToPoint Tunnel = 1
	TunnelEthernet     Tunnel = 2
	TunnelYes                 = TunnelPointToPoint | TunnelEthernet
)

// KeepAlive says on which sockets TCP keepalive is switched on.
type KeepAlive int

// The values of TCPKeepAlive; `yes` means `transport`.
const (
	KeepAliveNo KeepAlive = iota
	KeepAliveTransport
	KeepAliveAll
)

// WeakCryptoWarnings says which weak algorithms are worth a log line.
type WeakCryptoWarnings int

// The values of WarnWeakCrypto.
const (
	WarnNone WeakCryptoWarnings = iota
	WarnAll
	WarnAllButKex // no-pq-kex: silent about key exchanges that are not post-quantum
)

// MaxStartups is MaxStartups' start:rate:full: from Begin unauthenticated
// connections on Rate percent are dropped, rising to all at Full.
type MaxStartups struct{ Begin, Rate, Full int }

// NetBlockSize is PerSourceNetBlockSize: bits of an address that count as one source.
type NetBlockSize struct{ IPv4, IPv6 int }

// ServiceClassNone leaves the system's traffic class alone.
const ServiceClassNone = -1

// IPQoS holds values of the IP header's traffic class byte, or ServiceClassNone.
type IPQoS struct{ Interactive, Bulk int }

// PubkeyAuthOptions are the options of that name.
type PubkeyAuthOptions struct {
	TouchRequired  bool
	VerifyRequired bool
	MaxPKOK        int // key queries that cost no try of MaxAuthTries
}

// Subsystem is one Subsystem line. Command is a shell command line or
// "internal-sftp" with arguments.
type Subsystem struct{ Name, Command string }

// ChannelTimeout closes idle channels whose type matches.
type ChannelTimeout struct {
	Type    string // pattern of a channel type, or "global"
	Timeout time.Duration
	text    string // the time as written, for the dump
}

// Penalties are PerSourcePenalties: for how long a source is refused after
// what, within bounds.
type Penalties struct {
	Enabled                                                   bool
	Crash, AuthFail, InvalidUser, NoAuth                      time.Duration
	GraceExceeded, RefuseConnection                           time.Duration
	Max, Min                                                  time.Duration
	MaxSources4, MaxSources6                                  int
	OverflowPermissive, Overflow6Permissive, overflow6Written bool
}
