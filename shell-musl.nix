# A shell with everything Makefile.musl needs, all of it built for musl:
#     nix-shell shell-musl.nix --run 'make -f Makefile.musl'
# NANO_NIX_MUSL tells the makefile to take this shell's compiler and libraries and to build none of its own.
{ pkgs ? import <nixpkgs> { } }:

let
  musl = pkgs.pkgsMusl;
  # nixpkgs throws the static archives of these two away unless asked.
  libsodium = musl.libsodium.overrideAttrs (_: { dontDisableStatic = true; });
  openssl = musl.openssl.override { static = true; };
in
musl.mkShell {
  name = "nano-ssh-server-musl";

  nativeBuildInputs = [
    musl.gcc
    musl.gnumake
    musl.pkg-config
    (musl.go_1_26 or musl.go)
    musl.perl
    musl.file
    musl.binutils
  ];
  buildInputs = [ libsodium openssl ];

  NANO_NIX_MUSL = "1";
  CGO_ENABLED = "1";

  shellHook = ''
    echo "Nano SSH Server - MUSL Build Environment"
    echo "This shell uses musl libc instead of glibc"
    echo "Build with: make -f Makefile.musl"
  '';
}
