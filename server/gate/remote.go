package gate

import (
	"strings"
	"time"

	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/ipc"
)

// remote is the Monitor of one connection, in another process.
type remote struct {
	*ipc.Conversation
	settings *ipc.GateSettings
	log      *log.Logger
	peer     log.Peer
	started  ipc.Started
}

func newRemote(link *ipc.Link, id uint32, settings *ipc.GateSettings, place *ipc.Place) *remote {
	r := &remote{Conversation: ipc.NewConversation(link, id), settings: settings}
	r.log = log.New(relay{r.Conversation}, log.Level(settings.LogLevel))
	r.peer = log.Peer{Addr: place.RemoteHost, Port: int(place.RemotePort)}
	r.started.MaxAuthTries = settings.DefaultMaxAuthTries
	return r
}

// relay is a log's Sink in the listener's process, which says what is preauth.
type relay struct{ *ipc.Conversation }

func (s relay) Write(level log.Level, _ int, text string) {
	text = strings.TrimSuffix(text, " [preauth]")
	_ = s.Note(ipc.Log, ipc.Marshal(&ipc.LogLine{Level: int32(level), Text: text}))
}

// ask calls the monitor for an answer that cannot be an error. Without one the
// connection cannot go on: either the monitor is gone, and this process with it, or
// one of both has a bug.
func (r *remote) ask(m ipc.Method, payload []byte, answer ipc.Message) {
	f, err := r.Call(m, payload)
	if err == nil {
		err = ipc.Unmarshal(f.Payload, answer)
	}
	if err != nil {
		panic(err)
	}
}

// PublicKey implements transport.Signer.
func (r *remote) PublicKey(algorithm string) []byte {
	for _, k := range r.settings.HostKeys {
		if k.Algorithm == algorithm {
			return k.Blob
		}
	}
	return nil
}

// Sign implements transport.Signer.
func (r *remote) Sign(sessionID, hash []byte, algorithm string) ([]byte, error) {
	f, err := r.Call(ipc.Sign, ipc.Marshal(&ipc.SignRequest{SessionID: sessionID, Hash: hash, Algorithm: algorithm}))
	if err != nil {
		return nil, err
	}
	return f.Payload, nil
}

func (r *remote) Moduli(least, wanted, most uint32) (p, g []byte, err error) {
	f, err := r.Call(ipc.Moduli, ipc.Marshal(&ipc.GroupRequest{Least: least, Wanted: wanted, Most: most}))
	if err != nil {
		return nil, nil, err
	}
	var group ipc.Group
	err = ipc.Unmarshal(f.Payload, &group)
	return group.P, group.G, err
}

func (r *remote) Start(name, style, service string) (banner string) {
	r.ask(ipc.Start, ipc.Marshal(&ipc.StartRequest{Name: name, Style: style, Service: service}), &r.started)
	r.peer.User, r.peer.Started, r.peer.Invalid = name, true, r.started.Invalid
	if level := log.Level(r.started.LogLevel); level != r.log.Level() {
		r.log = r.log.WithLevel(level)
	}
	return r.started.Banner
}

func (r *remote) Methods() []string {
	var names ipc.Names
	r.ask(ipc.Methods, nil, &names)
	return names.Names
}

func (r *remote) try(m ipc.Method, payload []byte) (ok, partial bool) {
	var v ipc.Verdict
	r.ask(m, payload, &v)
	r.peer.Authenticated = v.OK
	return v.OK, v.Partial
}

func (r *remote) None() (ok, partial bool) { return r.try(ipc.None, nil) }

func (r *remote) Password(password []byte) (ok, partial bool) { return r.try(ipc.Password, password) }

func (r *remote) Interactive(response []byte) (ok, partial bool) {
	return r.try(ipc.Interactive, response)
}

func (r *remote) KeyAcceptable(algorithm string, blob []byte) bool {
	var v ipc.Verdict
	r.ask(ipc.KeyAcceptable, ipc.Marshal(&ipc.KeyRequest{Algorithm: algorithm, Blob: blob}), &v)
	return v.OK
}

func (r *remote) KeySigned(algorithm string, blob, data, signature []byte) (ok, partial bool) {
	return r.try(ipc.KeySigned, ipc.Marshal(&ipc.SignedRequest{Algorithm: algorithm, Blob: blob, Data: data, Signature: signature}))
}

func (r *remote) Hostbased(algorithm string, blob []byte, host, user string, signature []byte) (ok, partial bool) {
	return r.try(ipc.Hostbased, ipc.Marshal(&ipc.HostbasedRequest{
		Algorithm: algorithm, Blob: blob, Host: host, User: user, Signature: signature,
	}))
}

func (r *remote) Failed(method string) { _ = r.Note(ipc.Failed, []byte(method)) }

func (r *remote) MinimumTime(string) time.Duration { return r.started.MinimumTime }

func (r *remote) MaxAuthTries() int { return int(r.started.MaxAuthTries) }

func (r *remote) Log() *log.Logger { return r.log }

func (r *remote) LogPeer() log.Peer { return r.peer }
