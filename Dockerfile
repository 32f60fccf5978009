# The one file and nothing else. Build it first: make -f Makefile.musl && docker build -t nano_ssh_server .
# A login needs an account with a shell that exists: as in sshd, a user without one is refused. Copy the file into an image that
# has them, or mount a shell:
#     docker run --rm -p 2222:2222 nano_ssh_server
FROM scratch
COPY nano_ssh_server.musl /nano_ssh_server
EXPOSE 2222
ENTRYPOINT ["/nano_ssh_server"]
