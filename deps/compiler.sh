# shellcheck shell=bash disable=SC2154
# Makes build/<libc>/bin/cc: the compiler that everything is built with, the libraries and the product.
# Sourced by build.sh, which sets libc and out.

# put FILE: standard input into FILE, only if that changes it.
put() {
	cat >"$1.new"
	if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv "$1.new" "$1"; fi
}

# make_compiler: build/<libc>/bin/cc, the host's gcc with its paths turned to the sysroot. The folders are found
# from the script's own place, so that the tree can be moved and no absolute path is ever an argument.
make_compiler() {
	mkdir -p "$out/bin"
	if [ "$libc" = musl ]; then musl_compiler; else glibc_compiler; fi
	chmod 755 "$out/bin/cc"
}

glibc_compiler() {
	put "$out/bin/cc" <<-END
		#!/bin/sh
		# Made by deps/build.sh: the host's gcc and glibc, with the libraries of the sysroot first.
		sysroot=\$(cd "\$(dirname "\$0")/../sysroot" && pwd) || exit 1
		exec $host_cc -isystem "\$sysroot/include" "\$@" -L"\$sysroot/lib"
	END
}

# gcc's specs say what it passes to compiler and linker. These take glibc's headers, start files and libraries
# out and put musl's in. Always a static program: with -static-pie one that loads anywhere.
# libgcc_eh.a stays out on purpose: it was compiled against glibc, and C code needs no unwinder.
musl_compiler() {
	put "$out/bin/cc" <<-END
		#!/bin/sh
		# Made by deps/build.sh: the host's gcc with musl's headers, start files and libraries.
		NANO_SYSROOT=\$(cd "\$(dirname "\$0")/../sysroot" && pwd) || exit 1
		export NANO_SYSROOT
		[ "\$*" != -dumpmachine ] || { echo $(uname -m)-linux-musl; exit 0; }
		# Static always; the host's gcc may make position independent programs unless told.
		mode=-static
		for argument; do
			case \$argument in
			-r | -shared) mode= ;;
			-pie | -static-pie) mode=-static-pie ;;
			esac
		done
		exec $host_cc -specs "\${NANO_SYSROOT%/sysroot}/bin/musl.specs" "\$@" \$mode
	END
	put "$out/bin/musl.specs" <<-'END'
		%rename cpp_options host_cpp_options

		*cpp_options:
		-nostdinc -isystem %:getenv(NANO_SYSROOT /include) -isystem include%s %(host_cpp_options)

		*cc1:
		%(cc1_cpu) -nostdinc -isystem %:getenv(NANO_SYSROOT /include) -isystem include%s

		*link_libgcc:
		-L%:getenv(NANO_SYSROOT /lib) -L .%s

		*libgcc:
		libgcc.a%s

		*startfile:
		%{!shared:%{static-pie:%:getenv(NANO_SYSROOT /lib/rcrt1.o);:%:getenv(NANO_SYSROOT /lib/crt1.o)}} %:getenv(NANO_SYSROOT /lib/crti.o) %{static-pie|shared:crtbeginS.o%s;:crtbeginT.o%s}

		*endfile:
		%{static-pie|shared:crtendS.o%s;:crtend.o%s} %:getenv(NANO_SYSROOT /lib/crtn.o)

		*link:
		-nostdlib %{shared:-shared} %{static-pie:-static -pie --no-dynamic-linker -z text;static:-static} %{rdynamic:-export-dynamic}

		*esp_link:


		*esp_options:


		*esp_cpp_options:


	END
}

