# The one file and nothing else. Build it first: make -f Makefile.musl && docker build -t nano_ssh_server .
# With no /etc/passwd in the image there is one account, `user`; its one-time password is on the first lines of the log:
#     docker run --rm -p 2222:2222 nano_ssh_server
FROM scratch
COPY nano_ssh_server.musl /nano_ssh_server
EXPOSE 2222
ENTRYPOINT ["/nano_ssh_server"]
