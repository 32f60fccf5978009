package forward

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"

	"nano_ssh_server/server/proto/msg"
)

// C's texts of errors that have no number of the kernel's.
const (
	textTimedOut    = "Connection timed out"
	textUnknownHost = "Name or service not known"
	textTryAgain    = "Temporary failure in name resolution"
)

// reason is C's text of an error, as sshd tells it.
func reason(err error) string {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		text := errno.Error()
		return strings.ToUpper(text[:1]) + text[1:] // C's begins with a capital letter, Go's does not
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return textTimedOut
	}
	return err.Error()
}

// unknownHost returns getaddrinfo's text if err says that a name has no address.
func unknownHost(err error) (text string, ok bool) {
	var dns *net.DNSError
	var address *net.AddrError
	switch {
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return textUnknownHost, true
		}
		return textTryAgain, true
	case errors.As(err, &address):
		return textUnknownHost, true
	}
	return "", false
}

// refusals are sshd's words for the reasons of RFC 4254 section 5.1.
var refusals = map[uint32]string{
	msg.OpenAdministrativelyProhibited: "administratively prohibited",
	msg.OpenConnectFailed:              "connect failed",
	msg.OpenUnknownChannelType:         "unknown channel type",
	msg.OpenResourceShortage:           "resource shortage",
}

func refusal(number uint32) string {
	if text := refusals[number]; text != "" {
		return text
	}
	return "unknown reason"
}
