# The makefiles' targets by the names people know; `just` alone lists them.

default:
    @just --list

# one static file on musl
build-musl:
    make -f Makefile.musl

clean-musl:
    make -f Makefile.musl clean

# one static file on the host's glibc
build-glibc:
    make -f Makefile.glibc

# installs what is missing, builds, runs every test
test:
    make -f Makefile.musl test

# installs what is missing, builds, starts the server: just run -p 2022
run *ARGS:
    make -f Makefile.musl run ARGS='{{ARGS}}'

size-report:
    make -f Makefile.musl size-report
