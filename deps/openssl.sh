# shellcheck shell=bash disable=SC2034,SC2154
# OpenSSL: only libcrypto, and of it only what SSH needs: bulk ciphers, MACs, hashes, NIST curves, RSA, ML-DSA-44, DH.

dep_name=openssl
dep_version=3.5.7
dep_sha256=a8c0d28a529ca480f9f36cf5792e2cd21984552a3c8e4aa11a24aa31aeac98e8
dep_urls=(
	"https://github.com/openssl/openssl/releases/download/openssl-$dep_version/openssl-$dep_version.tar.gz"
	"https://www.openssl.org/source/openssl-$dep_version.tar.gz"
)
dep_source=openssl

# Everything SSH has no use for. The assembler code stays: AES-GCM is four times faster with it (VAES).
openssl_without=(
	shared dso module legacy engine tests apps docs afalgeng async autoload-config cmp cms comp ct ocsp ts srp psk
	http quic ssl3 tls dtls sock ui-console aria bf blake2 camellia cast cmac ec2m idea md4 mdc2 ocb rc2 rc4 rmd160
	seed siphash siv sm2 sm3 sm4 whirlpool scrypt slh-dsa rfc3779 srtp gost argon2 multiblock integrity-only-ciphers
	filenames ecx ml-kem
)

# dep_build SYSROOT: in the unpacked source, with CC set to the compiler of the C library in question.
dep_build() {
	local word options=() target
	case $(uname -m) in
	x86_64) target=linux-x86_64 ;;
	aarch64) target=linux-aarch64 ;;
	riscv64) target=linux64-riscv64 ;;
	*) target=linux-generic$(getconf LONG_BIT) ;;
	esac
	# An older release does not know some of these words and would refuse them.
	for word in "${openssl_without[@]}"; do
		if grep -qE "^ *\"$word\"|=> *\"$word\"|\[ \"$word\"" Configure; then options+=("no-$word"); fi
	done
	# The compiler's name, the flags and these folders become strings in libcrypto: the same ones everywhere.
	# (CC is found by PATH for that reason.) Nothing is ever read from /etc/ssl: no-autoload-config.
	perl -0777 -p -i "$deps/openssl-trim.pl" providers/defltprov.c crypto/provider_predefined.c
	# For size, which costs no speed where it counts: ciphers, hashes and the curve P-256 are assembler.
	dep_cflags=${dep_cflags/-O2/-Os}
	# shellcheck disable=SC2086 # several words
	./Configure "$target" --prefix=/usr --libdir=lib --openssldir=/etc/ssl "${options[@]}" $dep_cflags >configure.log
	make -s -j"$jobs" build_generated >make.log
	make -s -j"$jobs" libcrypto.a >>make.log
	mkdir -p "$1/include/openssl" "$1/lib/pkgconfig"
	cp libcrypto.a "$1/lib/"
	cp include/openssl/*.h "$1/include/openssl/"
	write_pc "$1" libcrypto "-lcrypto" "$dep_version"
}
