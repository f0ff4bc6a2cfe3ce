//! What the options mean.

use std::path::PathBuf;

use grpc_multiplexer_process::{
    AdminListener, DRAIN_TIMEOUT, DialTerms, DialTls, Exposure, HostPort, Reader, TUNNEL_TIMEOUT,
    UPGRADE_SOCKET, boolean, duration, server_name, tunnel_timeout, upgrade_socket,
};
use grpc_multiplexer_tunnel::{ALPN, ClientId, Label, Labels, SLOTS};
use rustls::pki_types::ServerName;

use crate::credential::{Credential, OwnKey};
use crate::token::{ENROLMENT_TOKEN_FILE, TOKEN_FILE};
use crate::{
    Backend, BackendAddress, BackendMode, BackendTls, Edge, EdgeToken, ServerTls, SshPrivateKey,
    SshPrivateKeyError, TunnelProtocol,
};

/// Revocation lists for it, and for the backend.
const SERVER_CRL: &str = "multiplexer.tls.crl";
const BACKEND_CRL: &str = "backend-crl";

/// TLS towards the server.
const SERVER: DialTerms = DialTerms {
    ca: "multiplexer.tls.ca",
    crl: Some(SERVER_CRL),
    certificate: "multiplexer.tls.certificate",
    key: "multiplexer.tls.key",
    protocol: ALPN,
    tls12: false,
};

/// The servers that are dialled.
const SERVERS: &str = "multiplexer-address";

/// Where the backend is.
const ADDRESS: &str = "grpc-server-address";

/// How bytes go to it.
const MODE: &str = "backend-mode";

/// The file of the key.
const KEY: &str = "key-file";

/// What else the edge says of itself.
const LABELS: &str = "labels";

/// TLS towards the backend.
const BACKEND: DialTerms = DialTerms {
    ca: "backend-ca",
    crl: Some(BACKEND_CRL),
    certificate: "backend-certificate",
    key: "backend-key",
    protocol: "h2",
    tls12: true,
};

/// What the options of [`crate::PROGRAM`] say.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// The edge that they ask for.
    pub edge: Edge,
    /// Where operators look.
    pub admin_listener: AdminListener,
    /// Where a new process takes over from this one, and this one from the one before.
    pub upgrade_socket: Option<PathBuf>,
}

impl EdgeConfig {
    /// Reads the options of [`crate::PROGRAM`]. Mistakes are kept by `reader`.
    #[must_use]
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let edge = Edge::read(reader);
        let admin_listener = AdminListener::read(reader);
        let upgrade_socket = reader.optional(UPGRADE_SOCKET.path, upgrade_socket);
        let mut exposure = Exposure::default();
        if let Some(edge) = edge.as_ref().filter(|edge| edge.tls.is_none()) {
            for server in &edge.servers {
                exposure.dialled(reader, SERVERS, server, reader.flag(SERVER.ca));
            }
        }
        if let Some(edge) = &edge {
            edge.backend().look(reader, &mut exposure);
        }
        if let Some(admin) = &admin_listener {
            admin.look(reader, &mut exposure);
        }
        exposure.say(reader);
        Some(Self {
            edge: edge?,
            admin_listener: admin_listener?,
            upgrade_socket,
        })
    }
}

impl Edge {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let client_id = reader.optional("client-id", str::parse::<ClientId>);
        let labels = read_labels(reader);
        let servers = reader.many(SERVERS, str::parse::<HostPort>);
        let tls = read_server_tls(reader, &servers);
        let credential = read_credential(reader, &servers);
        let mut servers = servers.into_iter();
        let tunnels = reader.one("tunnels", read_tunnels);
        let exit_on_superseded = reader.one("exit-on-superseded", boolean);
        let backend = read_backend(reader);
        let tunnel_protocol = reader.one("tunnel-protocol", str::parse::<TunnelProtocol>);
        let tunnel_timeout = reader.one(TUNNEL_TIMEOUT.path, tunnel_timeout);
        let drain_timeout = reader.one(DRAIN_TIMEOUT.path, duration);
        if tunnels > Some(1) && tunnel_protocol == Some(TunnelProtocol::Legacy) {
            let reason = "a server of the original's takes one tunnel of an edge; write 1";
            reader.mistake("tunnels", reason);
        }
        for (path, what) in [
            (TOKEN_FILE, "token"),
            (KEY, "key"),
            (ENROLMENT_TOKEN_FILE, "token"),
            (LABELS, "labels"),
        ] {
            if reader.is_set(path) && tunnel_protocol == Some(TunnelProtocol::Legacy) {
                let reason = format!(
                    "the original's wire carries no {what}; leave out --tunnel-protocol legacy"
                );
                reader.mistake(path, reason);
            }
        }
        let is_named = client_id.is_some();
        let client_id = client_id.unwrap_or_else(pet_name);
        let mut edge = Self::new(client_id, backend?, servers.next()?)
            .with_further_servers(servers)
            .with_tunnels(tunnels?)
            .with_labels(labels)
            .with_exit_on_superseded(exit_on_superseded?)
            .with_tunnel_protocol(tunnel_protocol?)
            .with_tunnel_timeout(tunnel_timeout?)
            .with_drain_timeout(drain_timeout?);
        edge.is_named = is_named;
        edge.tls = tls;
        edge.credential = credential;
        Some(edge)
    }
}

fn read_tunnels(text: &str) -> Result<u32, String> {
    let number = text.parse().ok();
    number
        .filter(|number| (1..=SLOTS).contains(number))
        .ok_or_else(|| format!("must be a number from 1 to {SLOTS}"))
}

fn read_labels(reader: &mut Reader<'_>) -> Labels {
    let labels = reader.many(LABELS, str::parse::<Label>);
    Labels::new(labels).unwrap_or_else(|mistake| {
        reader.mistake(LABELS, mistake);
        Labels::default()
    })
}

impl Backend {
    /// Looks at whether others can read what is said to it, or answer in its name. The system may know who signed its
    /// certificate.
    fn look(&self, reader: &Reader<'_>, exposure: &mut Exposure) {
        if let Some(address) = self.in_plain_text() {
            let (flag, ca) = (reader.flag(ADDRESS), reader.flag(BACKEND.ca));
            let mended = format!("{flag} https://{address} and {ca}");
            exposure.dialled(reader, ADDRESS, address, mended);
        }
    }
}

fn read_backend(reader: &mut Reader<'_>) -> Option<Backend> {
    let address = reader.one(ADDRESS, str::parse::<BackendAddress>);
    let name = reader.optional("backend-server-name", name);
    let authority = reader.optional("backend-authority", |authority| {
        if !authority.is_empty() && authority.bytes().all(|b| b.is_ascii_graphic() && b != b'@') {
            Ok(authority.to_owned())
        } else {
            Err("must be a host name, with or without a port")
        }
    });
    let mode = reader.one(MODE, str::parse::<BackendMode>);
    let address = address?;
    let tls = match &address {
        BackendAddress::Tls(target) => {
            let config = BACKEND.read(reader);
            let Some(server_name) = name.or_else(|| server_name(target.host())) else {
                reader.mistake(
                    ADDRESS,
                    "the host is no DNS name or IP address that a certificate can be for; give --backend-server-name",
                );
                return None;
            };
            Some(BackendTls {
                config: config?.config,
                server_name,
            })
        }
        BackendAddress::Tcp(_) | BackendAddress::Unix(_) => {
            let reason = "has no effect without TLS; write --grpc-server-address https://HOST:PORT";
            have_no_effect(
                reader,
                [
                    BACKEND.ca,
                    BACKEND_CRL,
                    BACKEND.certificate,
                    BACKEND.key,
                    "backend-server-name",
                ],
                reason,
            );
            None
        }
    };
    let mut backend = Backend::new(address).with_mode(mode?);
    if let Some(tls) = tls {
        backend = backend.with_tls(tls);
    }
    if let Some(authority) = authority {
        backend = backend.with_authority(authority);
    }
    Some(backend)
}

/// How the edge speaks TLS to the server, if it is to.
fn read_server_tls(reader: &mut Reader<'_>, servers: &[HostPort]) -> Option<ServerTls> {
    const NAME: &str = "multiplexer.tls.server-name";
    let name = reader.optional(NAME, name);
    if !reader.is_set(SERVER.ca) {
        let reason =
            "has no effect without TLS; give --multiplexer-tls-ca with a file, or with `system`";
        let options = [SERVER_CRL, SERVER.certificate, SERVER.key, NAME];
        have_no_effect(reader, options, reason);
        return None;
    }
    if !reader.is_set(NAME)
        && servers
            .iter()
            .any(|server| server_name(server.host()).is_none())
    {
        let reason = "a host is no DNS name or IP address that a certificate can be for; give \
                      --multiplexer-tls-server-name";
        reader.mistake(SERVERS, reason);
    }
    let DialTls { config, verifier } = SERVER.read(reader)?;
    Some(ServerTls {
        config,
        name,
        verifier: Some(verifier),
    })
}

fn read_credential(reader: &mut Reader<'_>, servers: &[HostPort]) -> Option<Credential> {
    let far = servers.iter().find(|server| !server.is_of_this_machine());
    let far = far.filter(|_| !reader.is_set(SERVER.ca));
    let token = EdgeToken::read(reader, TOKEN_FILE, SERVER.ca, far);
    let key = read_key(reader);
    let enrolment = read_enrolment(reader, key.as_ref(), far);
    if reader.is_set(TOKEN_FILE) && reader.is_set(KEY) {
        let [token, key] = [TOKEN_FILE, KEY].map(|path| reader.flag(path));
        let reason =
            format!("an edge shows a key or a token, not both; leave out {key} or {token}");
        reader.mistake(KEY, reason);
    }
    if reader.is_set(ENROLMENT_TOKEN_FILE) && !reader.is_set(KEY) {
        let flag = reader.flag(KEY);
        let reason = format!(
            "the token is exchanged for a key; give {flag} with the file where the edge's key is, or where it is to be made"
        );
        reader.mistake(ENROLMENT_TOKEN_FILE, reason);
    }
    let token = token.map(Credential::Token);
    token.or(key.map(|key| Credential::Key { key, enrolment }))
}

/// The token that the key is exchanged for. Who enrolled needs it no more, and may have deleted it.
fn read_enrolment(
    reader: &mut Reader<'_>,
    key: Option<&OwnKey>,
    far: Option<&HostPort>,
) -> Option<EdgeToken> {
    const PATH: &str = ENROLMENT_TOKEN_FILE;
    if !key.is_some_and(OwnKey::is_known) {
        return EdgeToken::read(reader, PATH, SERVER.ca, far);
    }
    match reader.secret_file_to_be(PATH)? {
        Ok(file) => EdgeToken::of(&file, reader, PATH, SERVER.ca, far),
        Err(place) => {
            let (flag, place) = (reader.flag(PATH), place.display());
            reader.warn(format!(
                "{flag}: there is no {place}, so the edge shows its key alone, which is enough once it enrolled; leave {flag} out \
                 then"
            ));
            None
        }
    }
}

/// The key of the edge. One that is to enrol may have none yet.
fn read_key(reader: &mut Reader<'_>) -> Option<OwnKey> {
    let file = if reader.is_set(ENROLMENT_TOKEN_FILE) {
        match reader.secret_file_to_be(KEY)? {
            Ok(file) => file,
            Err(place) => return Some(OwnKey::to_be_made(place)),
        }
    } else {
        reader.secret_file(KEY)?
    };
    // What is no text is no key.
    let key = String::from_utf8_lossy(&file.contents).parse::<SshPrivateKey>();
    let key = key.map_err(|error: SshPrivateKeyError| reader.mistake(KEY, error));
    key.ok().map(|key| OwnKey::of(key, file.path))
}

fn name(text: &str) -> Result<ServerName<'static>, &'static str> {
    server_name(text).ok_or("must be a DNS name or an IP address")
}

fn have_no_effect<const N: usize>(reader: &mut Reader<'_>, options: [&str; N], reason: &str) {
    for option in options {
        if reader.is_set(option) {
            reader.mistake(option, reason);
        }
    }
}

/// Two words joined by `-`.
fn pet_name() -> ClientId {
    petname::petname(2, "-")
        .and_then(|name| name.parse().ok())
        .expect("petname's words are lower-case letters")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn read(args: &[&str]) -> Result<Edge, String> {
        let args = std::iter::once("program").chain(args.iter().copied());
        let leaves = crate::PROGRAM.leaves(args.map(OsString::from)).unwrap();
        let mut reader = Reader::new(&leaves);
        let edge = Edge::read(&mut reader);
        reader
            .finish(|| edge)
            .map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let said = read(&[
            "--client-id",
            "a b",
            "--multiplexer-address",
            "nowhere",
            "--grpc-server-address",
            "unix:x",
        ])
        .unwrap_err();
        for part in [
            "--client-id",
            "--multiplexer-address",
            "--grpc-server-address",
        ] {
            assert!(said.contains(part), "{part} is missing in:\n{said}");
        }
    }

    #[test]
    fn tls_options_without_tls_are_refused() {
        let said = read(&["--backend-server-name", "example.com"]).unwrap_err();
        assert!(said.contains("https://HOST:PORT"), "{said}");
    }

    #[test]
    fn tunnels_are_one_to_eight_and_one_for_the_originals() {
        for wrong in ["0", "9", "-1", "many", ""] {
            let said = read(&["--tunnels", wrong]).unwrap_err();
            assert!(said.contains("a number from 1 to 8"), "{said}");
        }
        for right in [1, 8] {
            let edge = read(&["--tunnels", &right.to_string()]).unwrap();
            assert_eq!(edge.tunnels, right);
        }
        let legacy = ["--tunnel-protocol", "legacy", "--tunnels", "2"];
        let said = read(&legacy).unwrap_err();
        assert!(said.contains("one tunnel of an edge"), "{said}");
    }

    #[test]
    fn labels_are_those_of_kubernetes_each_once_and_none_for_the_originals() {
        let edge = read(&["--label", "team=red", "--label=example.org/zone="]).unwrap();
        assert_eq!(edge.labels.to_string(), "example.org/zone=,team=red");
        let legacy = &["--label", "a=b", "--tunnel-protocol", "legacy"];
        for (wrong, why) in [
            (&["--label", "team"][..], "must be KEY=VALUE"),
            (&["--label", "te am=red"], "a label's key must be"),
            (&["--label", "team=r d"], "a label's value must be"),
            (
                &["--label", "a=b", "--label", "a=c"],
                "the label a is given twice",
            ),
            (legacy, "the original's wire carries no labels"),
        ] {
            let said = read(wrong).unwrap_err();
            assert!(said.starts_with("flag --label: "), "{said}");
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_missing_authority_file_is_named() {
        let said = read(&[
            "--grpc-server-address",
            "https://localhost:1",
            "--backend-ca",
            "/nonexistent/ca.pem",
        ])
        .unwrap_err();
        assert!(
            said.contains("\"/nonexistent/ca.pem\": the file cannot be read"),
            "{said}"
        );
    }

    #[test]
    fn the_defaults_are_the_originals() {
        let edge = read(&[]).unwrap();
        assert_eq!(edge.servers()[0].to_string(), "localhost:7602");
        assert_eq!(edge.backend().to_string(), "localhost:50051");
        assert!(edge.client_id().as_str().contains('-'));
    }
}
