"""TLS contexts of a server and of a client that trusts it, from an authority made for the test."""

import ssl

import trustme


def tls_for(*names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of a server with these names, and of its client."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client
