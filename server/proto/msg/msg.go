// Package msg names the messages of SSH and says when each may arrive.
//
// The table below is the only place that knows in which phase a peer may send
// which message; Allowed is the only function that enforces it (THREATS rows
// 01 to 03 and 06 are what happens elsewhere).
package msg

import "strconv"

// Message numbers (RFC 4250 section 4.1, RFC 8308, OpenSSH PROTOCOL 1.9).
const (
	Disconnect              = 1
	Ignore                  = 2
	Unimplemented           = 3
	Debug                   = 4
	ServiceRequest          = 5
	ServiceAccept           = 6
	ExtInfo                 = 7
	NewCompress             = 8
	KexInit                 = 20
	NewKeys                 = 21
	KexFirst                = 30 // 30 to 49 belong to the key exchange method
	KexLast                 = 49
	UserauthRequest         = 50
	UserauthFailure         = 51
	UserauthSuccess         = 52
	UserauthBanner          = 53
	UserauthInfoRequest     = 60 // also PK_OK and PASSWD_CHANGEREQ
	UserauthPKOK            = 60
	UserauthPasswdChangereq = 60
	UserauthInfoResponse    = 61
	GlobalRequest           = 80
	RequestSuccess          = 81
	RequestFailure          = 82
	ChannelOpen             = 90
	ChannelOpenConfirmation = 91
	ChannelOpenFailure      = 92
	ChannelWindowAdjust     = 93
	ChannelData             = 94
	ChannelExtendedData     = 95
	ChannelEOF              = 96
	ChannelClose            = 97
	ChannelRequest          = 98
	ChannelSuccess          = 99
	ChannelFailure          = 100
	Ping                    = 192 // ping@openssh.com
	Pong                    = 193
)

// Disconnect reasons (RFC 4250 section 4.2.2).
const (
	ReasonHostNotAllowed     = 1
	ReasonProtocolError      = 2
	ReasonKeyExchangeFailed  = 3
	ReasonMACError           = 5
	ReasonCompressionError   = 6
	ReasonServiceUnavailable = 7
	ReasonVersionUnsupported = 8
	ReasonHostKeyUnverified  = 9
	ReasonConnectionLost     = 10
	ReasonByApplication      = 11
	ReasonTooManyConnections = 12
	ReasonCancelledByUser    = 13
	ReasonNoMoreAuthMethods  = 14
	ReasonIllegalUserName    = 15
)

// Channel open failure reasons (RFC 4250 section 4.3).
const (
	OpenAdministrativelyProhibited = 1
	OpenConnectFailed              = 2
	OpenUnknownChannelType         = 3
	OpenResourceShortage           = 4
)

// Phase is how far a connection has come.
type Phase uint8

// The phases. A key exchange goes on top of each of them; InKex replaces the
// phase between the peer's KEXINIT and its NEWKEYS.
const (
	BeforeKex      Phase = 1 << iota // no KEXINIT yet from the peer
	InFirstKexBare                   // first exchange without strict kex
	InKex                            // strict first exchange, and every later one
	Service                          // encrypted; waiting for the service request
	Userauth                         // authenticating
	Connection                       // authenticated
)

// fromClient says in which phases a client may send a message. A number that is
// missing here is answered with UNIMPLEMENTED after the first key exchange
// (RFC 4253 section 11.4) and ends the connection before it.
var fromClient = [256]Phase{
	Disconnect:     BeforeKex | InFirstKexBare | InKex | Service | Userauth | Connection,
	Ignore:         BeforeKex | InFirstKexBare | Service | Userauth | Connection,
	Unimplemented:  InFirstKexBare | Service | Userauth | Connection,
	Debug:          BeforeKex | InFirstKexBare | Service | Userauth | Connection,
	ServiceRequest: Service | Userauth,
	ExtInfo:        Service | Userauth,
	KexInit:        BeforeKex | Service | Userauth | Connection,
	NewKeys:        InFirstKexBare | InKex,

	UserauthRequest:      Userauth,
	UserauthInfoResponse: Userauth,

	GlobalRequest:           Connection,
	RequestSuccess:          Connection,
	RequestFailure:          Connection,
	ChannelOpen:             Connection,
	ChannelOpenConfirmation: Connection,
	ChannelOpenFailure:      Connection,
	ChannelWindowAdjust:     Connection,
	ChannelData:             Connection,
	ChannelExtendedData:     Connection,
	ChannelEOF:              Connection,
	ChannelClose:            Connection,
	ChannelRequest:          Connection,
	ChannelSuccess:          Connection,
	ChannelFailure:          Connection,

	Ping: Service | Userauth | Connection,
	Pong: 0,
}

// known marks numbers that this protocol gives a meaning in either direction, so
// that one of a wrong phase is told from one that is merely unknown.
var known = [256]bool{}

func init() {
	for n, phases := range fromClient {
		known[n] = phases != 0
	}
	for n := KexFirst; n <= KexLast; n++ {
		fromClient[n] = InFirstKexBare | InKex
		known[n] = true
	}
	for _, n := range []int{ServiceAccept, UserauthFailure, UserauthSuccess, UserauthBanner, UserauthInfoRequest} {
		known[n] = true // a server's message: from a client it is always an offence
	}
}

// Allowed reports whether a client may send the message now.
func Allowed(number byte, phase Phase) bool { return fromClient[number]&phase != 0 }

// Known reports whether the number has a meaning at all. An unknown number
// after the first key exchange is answered with UNIMPLEMENTED.
func Known(number byte) bool { return known[number] }

var names = map[byte]string{
	Disconnect: "DISCONNECT", Ignore: "IGNORE", Unimplemented: "UNIMPLEMENTED", Debug: "DEBUG",
	ServiceRequest: "SERVICE_REQUEST", ServiceAccept: "SERVICE_ACCEPT", ExtInfo: "EXT_INFO",
	KexInit: "KEXINIT", NewKeys: "NEWKEYS",
	UserauthRequest: "USERAUTH_REQUEST", UserauthFailure: "USERAUTH_FAILURE", UserauthSuccess: "USERAUTH_SUCCESS",
	UserauthBanner: "USERAUTH_BANNER", UserauthInfoRequest: "USERAUTH_INFO_REQUEST", UserauthInfoResponse: "USERAUTH_INFO_RESPONSE",
	GlobalRequest: "GLOBAL_REQUEST", RequestSuccess: "REQUEST_SUCCESS", RequestFailure: "REQUEST_FAILURE",
	ChannelOpen: "CHANNEL_OPEN", ChannelOpenConfirmation: "CHANNEL_OPEN_CONFIRMATION", ChannelOpenFailure: "CHANNEL_OPEN_FAILURE",
	ChannelWindowAdjust: "CHANNEL_WINDOW_ADJUST", ChannelData: "CHANNEL_DATA", ChannelExtendedData: "CHANNEL_EXTENDED_DATA",
	ChannelEOF: "CHANNEL_EOF", ChannelClose: "CHANNEL_CLOSE", ChannelRequest: "CHANNEL_REQUEST",
	ChannelSuccess: "CHANNEL_SUCCESS", ChannelFailure: "CHANNEL_FAILURE", Ping: "PING", Pong: "PONG",
}

// Name returns the RFC's name of a message without its prefix, or the number.
func Name(number byte) string {
	if s, ok := names[number]; ok {
		return s
	}
	return strconv.Itoa(int(number))
}
