#!/usr/bin/env bash
# Sees that what the build needs is installed. Usage: deps/setup.sh musl|glibc deps|system|nix [test]
# As root on Debian or Ubuntu it installs what is missing; anywhere else it prints the command that would, and stops.
# Each requirement is a question that costs nothing, so with nothing missing this takes no time.

set -euo pipefail
libc=$1 kind=$2 purpose=${3:-}
missing=()

# need PACKAGE COMMAND...: PACKAGE is missing unless the command succeeds.
need() {
	local package=$1
	shift
	"$@" >/dev/null 2>&1 || missing+=("$package")
}
has() { command -v "$1"; }
# Programs that a user's PATH may not show (sshd).
has_admin() { PATH=$PATH:/usr/sbin:/sbin command -v "$1"; }
# header NAME: some folder of the host's compiler has it.
header() { echo "#include <$1>" | gcc -E -x c - ; }
archive() { local path; path=$(gcc -print-file-name="$1") && [ "$path" != "$1" ]; }

build_needs() {
	need gcc has gcc
	need libc6-dev header stdlib.h
	need make has make
	need binutils has objcopy
	need file has file
	need pkg-config has pkg-config
	[ "$libc" != musl ] || need linux-libc-dev header linux/mman.h
	[ "$kind" = system ] || library_needs
	[ "$kind" != system ] || system_needs
}

# To fetch and build the pinned libraries.
library_needs() {
	need perl perl -MIPC::Cmd -MFindBin -e 1
	need curl has curl
	need ca-certificates test -s /etc/ssl/certs/ca-certificates.crt
	need xz-utils has xz
}

system_needs() {
	need libsodium-dev archive libsodium.a
	need libssl-dev archive libcrypto.a
}

# Clients to test with, and what the other checks are made with.
test_needs() {
	system_needs
	need openssh-client has ssh
	need openssh-server has_admin sshd
	need openssh-tests test -d /usr/lib/openssh/regress
	need openssh-sftp-server test -x /usr/lib/openssh/sftp-server
	need dropbear-bin has dbclient
	need putty-tools has plink
	need iproute2 has_admin ip
	need strace has strace
	need procps has ps
	need git has git
	need rsync has rsync
	need nix-bin has nix-shell
	need shellcheck has shellcheck
	need mandoc has mandoc
	need ssh-audit has ssh-audit
	need fail2ban has fail2ban-regex
	need mosh has mosh
	need ansible-core has ansible
	need logwatch test -r /usr/share/logwatch/scripts/services/sshd
}

install_missing() {
	local command="apt-get install -y --no-install-recommends ${missing[*]}"
	if ! has apt-get >/dev/null; then
		echo "setup: missing, by Debian's names: ${missing[*]}. Install them with this system's package manager" >&2
		exit 1
	fi
	if [ "$(id -u)" != 0 ]; then
		printf 'setup: packages are missing. Run this and try again:\n    sudo %s\n' "$command" >&2
		exit 1
	fi
	echo "setup: $command" >&2
	export DEBIAN_FRONTEND=noninteractive
	apt-get -qq -o DPkg::Lock::Timeout=300 update || true
	no_services
	# shellcheck disable=SC2086
	$command -qq -o DPkg::Lock::Timeout=300 >/dev/null
}

# openssh-server is wanted for its programs. Its service shall not come up because somebody ran the tests.
no_services() {
	local policy=/usr/sbin/policy-rc.d
	[ ! -e $policy ] || return 0
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
	trap 'rm -f /usr/sbin/policy-rc.d' EXIT
}

check_go() {
	local version
	if ! has go >/dev/null; then
		echo "setup: Go is not installed (no \`go\` in PATH). Go 1.26 or newer is needed: https://go.dev/dl/" >&2
		exit 1
	fi
	version=$(go env GOVERSION)
	case $version in
	go1.[0-9] | go1.[0-9].* | go1.1[0-9]* | go1.2[0-5]*)
		echo "setup: $(command -v go) is $version; Go 1.26 or newer is needed: https://go.dev/dl/" >&2
		exit 1
		;;
	esac
}

# The nix shell brings all of it.
if [ "$kind" != nix ]; then
	build_needs
	[ "$purpose" != test ] || test_needs
	[ ${#missing[@]} -eq 0 ] || install_missing
fi
check_go
