# shellcheck shell=bash disable=SC2034,SC2154
# musl: the C library of nano_ssh_server.musl. Built static only: no program here ever loads a shared object.

dep_name=musl
dep_version=1.2.6
dep_sha256=d585fd3b613c66151fc3249e8ed44f77020cb5e6c1e635a616d3f9f82460512a
dep_urls=("https://musl.libc.org/releases/musl-$dep_version.tar.gz")
dep_source=musl

# dep_build SYSROOT: in the unpacked source; the host's gcc builds it, since musl brings its own headers.
dep_build() {
	CC=$host_cc CFLAGS="$dep_cflags" ./configure --prefix=/ --disable-shared --disable-wrapper >configure.log
	make -s -j"$jobs"
	make -s DESTDIR="$1" install-libs install-headers
	copy_kernel_headers "$1"
}

# copy_kernel_headers SYSROOT: musl has none (linux/, asm/, asm-generic/ and their kin) and needs the kernel's.
# They belong to no C library, so the host's are as good as any.
copy_kernel_headers() {
	local from=${NANO_KERNEL_HEADERS:-/usr/include} asm dir
	[ -f "$from/linux/mman.h" ] ||
		die "linux/mman.h: no such file in $from: the kernel's headers are missing. Fix: apt-get install linux-libc-dev"
	for dir in linux asm-generic mtd; do
		[ ! -d "$from/$dir" ] || cp -RLp "$from/$dir" "$1/include/"
	done
	# Debian keeps asm/ in the folder of the machine's triplet, other distributions beside linux/.
	asm=$from/asm
	[ -d "$asm" ] || asm=$from/$("$host_cc" -dumpmachine)/asm
	[ -d "$asm" ] || die "asm/: no such folder in $from: the kernel's headers are incomplete. Fix: apt-get install linux-libc-dev"
	cp -RLp "$asm" "$1/include/"
}
