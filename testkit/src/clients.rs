//! HTTP clients, and free ports to listen on.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use reqwest::{Client, ClientBuilder};

/// Installs the process's TLS provider, which something else may have done before.
pub fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// For a client of servers on this machine.
pub fn client_builder() -> ClientBuilder {
    install_tls();
    Client::builder().no_proxy()
}

/// A client of servers on this machine.
pub fn client() -> Client {
    client_builder().build().unwrap()
}

/// Addresses on which nobody listens (a race: they may be taken before they are bound).
pub fn free_addresses<const COUNT: usize>() -> [SocketAddr; COUNT] {
    // All stay bound until all are chosen, so that they differ.
    let listeners = [(); COUNT].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}
