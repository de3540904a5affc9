#!/usr/bin/env python3
"""Ends TLS (OpenSSL's) in front of a plain server, for one connection after the other.

    tls-proxy.py CERT KEY PORT TARGET-PORT

CERT and KEY are PEM files; both ports are on the loopback address. Ends when the connection that reached the target has ended.
"""

import socket
import ssl
import sys
import threading


def copy(source, target):
    """Copies to the end, and passes that on."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def main():
    cert, key, port, target = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    listener = socket.create_server(("127.0.0.1", int(port)))
    while True:
        plain, _ = listener.accept()
        try:
            client = context.wrap_socket(plain, server_side=True)
            server = socket.create_connection(("127.0.0.1", int(target)))
        except OSError:
            # Who only looks whether somebody listens, or comes before the target does.
            plain.close()
            continue
        back = threading.Thread(target=copy, args=(server, client))
        back.start()
        copy(client, server)
        back.join()
        return


main()
