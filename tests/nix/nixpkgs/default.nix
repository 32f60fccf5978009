# A stand-in for nixpkgs with just what shell-musl.nix asks for: the musl toolchain that deps/ built, cut up into packages as
# nixpkgs has them. NANO_STANDIN is build/musl. As in nixpkgs, openssl and libsodium lose their .a files unless they are
# overridden. Anything else that the shell asks for is an error of evaluation, which is the test.
{ ... }:

let
  from = builtins.getEnv "NANO_STANDIN";
  path = builtins.getEnv "PATH";

  package = name: script: derivation {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-euc" script ];
    PATH = path;
  };

  # The host's program of that name.
  host = name: program: package name ''
    mkdir -p $out/bin
    ln -s "$(command -v ${program})" $out/bin/${program}
  '';

  # lib NAME HEADER STATIC: headers, pkg-config file and, if static, the archive of one library.
  library = pname: header: pc: archive: static: package pname ''
    mkdir -p $out/lib/pkgconfig $out/include
    cp -r ${from}/sysroot/include/${header} ${from}/sysroot/include/${header}.h $out/include/ 2>/dev/null || true
    { echo "prefix=$out"; sed 's|^Libs: |Cflags: -I''${prefix}/include\nLibs: -L''${prefix}/lib |' ${from}/sysroot/lib/pkgconfig/${pc}.pc; } \
      > $out/lib/pkgconfig/${pc}.pc
    ${if static then "cp ${from}/sysroot/lib/${archive} $out/lib/" else ""}
  '' // { inherit static; };

  openssl = static: library "openssl" "openssl" "libcrypto" "libcrypto.a" static;
  libsodium = static: library "libsodium" "sodium" "libsodium" "libsodium.a" static;

  stdenv = package "stdenv" ''
    mkdir $out
    cat > $out/setup <<'END'
    for input in $nativeBuildInputs $buildInputs; do
      PATH=$input/bin:$PATH
      PKG_CONFIG_PATH=$input/lib/pkgconfig:''${PKG_CONFIG_PATH:-}
      NIX_CFLAGS_COMPILE="''${NIX_CFLAGS_COMPILE:-} -isystem $input/include"
      NIX_LDFLAGS="''${NIX_LDFLAGS:-} -L$input/lib"
    done
    export PATH PKG_CONFIG_PATH NIX_CFLAGS_COMPILE NIX_LDFLAGS CC=gcc
    runHook() { eval "''${!1:-}"; }
    END
  '';
in
{
  pkgsMusl = {
    # As nixpkgs' wrapper does, it hands on what the shell collected of its inputs.
    gcc = package "gcc" ''
      mkdir -p $out/bin $out/toolchain/bin $out/toolchain/sysroot
      cp ${from}/bin/* $out/toolchain/bin/
      cp -r ${from}/sysroot/include ${from}/sysroot/lib $out/toolchain/sysroot/
      chmod -R u+w $out/toolchain
      # It calls the host's gcc by name, which in the shell would be itself.
      sed -i "s|^exec gcc |exec $(command -v gcc) |" $out/toolchain/bin/cc
      cd $out/toolchain/sysroot
      rm -rf include/sodium include/sodium.h include/openssl lib/libsodium.a lib/libcrypto.a lib/pkgconfig
      for name in gcc cc; do
        printf '#!/bin/sh\nexec %s/toolchain/bin/cc ''${NIX_CFLAGS_COMPILE:-} "$@" ''${NIX_LDFLAGS:-}\n' $out > $out/bin/$name
        chmod 755 $out/bin/$name
      done
    '';
    gnumake = host "gnumake" "make";
    pkg-config = host "pkg-config" "pkg-config";
    go = host "go" "go";
    perl = host "perl" "perl";
    file = host "file" "file";
    binutils = host "binutils" "nm";

    openssl = openssl false // { override = { static ? false }: openssl static; };
    libsodium = libsodium false // { overrideAttrs = f: libsodium ((f { }).dontDisableStatic or false); };

    mkShell = attributes: derivation (attributes // {
      inherit stdenv;
      system = builtins.currentSystem;
      builder = "/bin/sh";
    });
  };
}
