# shellcheck shell=bash disable=SC2034,SC2154
# libsodium: X25519, Ed25519, ML-KEM-768 (from 1.0.22 on), argon2id, random.

dep_name=libsodium
dep_version=1.0.22
dep_sha256=5838bb0c3da6148c24ebe531d1ed1297de9a87aea77d426bcd99f289e681631c
dep_urls=("https://download.libsodium.org/libsodium/releases/libsodium-$dep_version.tar.gz")
dep_source=libsodium

# dep_build SYSROOT: in the unpacked source, with CC set to the compiler of the C library in question.
dep_build() {
	# Its own checks of the compiler add -D_FORTIFY_SOURCE, PIE and stack protector flags; ours are enough.
	CFLAGS="$dep_cflags" ./configure --prefix=/usr --libdir=/usr/lib --enable-static --disable-shared \
		--disable-pie --disable-ssp --disable-dependency-tracking >configure.log
	make -s -j"$jobs" -C src/libsodium libsodium.la >make.log
	mkdir -p "$1/include/sodium" "$1/lib/pkgconfig"
	cp src/libsodium/.libs/libsodium.a "$1/lib/"
	cp src/libsodium/include/sodium.h "$1/include/"
	cp src/libsodium/include/sodium/*.h "$1/include/sodium/"
	write_pc "$1" libsodium "-lsodium" "$dep_version"
}
