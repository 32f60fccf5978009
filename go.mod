module nano_ssh_server

go 1.26.0

require (
	github.com/creack/pty v1.1.24
	github.com/go-crypt/x v0.4.17
	github.com/jamesruan/sodium v1.0.14
	github.com/pkg/sftp v1.13.12
	github.com/spacemonkeygo/openssl v0.0.0-20181017203307-c2dcc5cca94a
	golang.org/x/crypto v0.58.0
	golang.org/x/sys v0.49.0
)

require (
	github.com/kr/fs v0.1.0 // indirect
	github.com/spacemonkeygo/spacelog v0.0.0-20180420211403-2296661a0572 // indirect
)
