# shellcheck shell=bash disable=SC2034,SC2154
# OpenSSL: only libcrypto, and of it only what SSH needs: bulk ciphers, MACs, hashes, NIST curves, RSA, DH.

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
	filenames ecx ml-kem ml-dsa
)

# drop_aes192_vaes: a third of the VAES code of AES-GCM, 0.2 MB, is for keys of 192 bits, which SSH does not have with GCM.
# Such keys go the way of machines without VAES. Left alone where the source does not look as expected.
drop_aes192_vaes() {
	local code=crypto/modes/asm/aes-gcm-avx512.pl choice=providers/implementations/ciphers/cipher_aes_gcm_hw_aesni.inc
	if grep -q '^  192 => 11,$' "$code" && grep -q '^    if (ossl_vaes_vpclmulqdq_capable())$' "$choice"; then
		sed -i 's/^    if (ossl_vaes_vpclmulqdq_capable())$/    if (keybits != 192 \&\& ossl_vaes_vpclmulqdq_capable())/' "$choice"
		# shellcheck disable=SC2016 # the patterns' own dollars
		sed -i -e '/^  192 => 11,$/d' -e '/^ *cmp  *\\$11,\(%eax\|@{\[DWORD\)/d' -e '/^ *je  *\.Laes_.*192_/d' "$code"
	fi
}

# dep_build SYSROOT: in the unpacked source, with CC set to the compiler of the C library in question.
dep_build() {
	local word options=() target
	case $(uname -m) in
	x86_64) target=linux-x86_64 ;;
	aarch64) target=linux-aarch64 ;;
	riscv64) target=linux64-riscv64 ;;
	*) target=linux-generic$(getconf LONG_BIT) ;;
	esac
	drop_aes192_vaes
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
