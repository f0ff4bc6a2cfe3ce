//! The options of hooks.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_process::{DialTerms, Exposure, OptionSpec, Reader, boolean, duration};

use super::link::Link;
use super::place::Place;
use crate::http1;
use crate::url::{NoUrl, Url};

/// Longest and shortest time for an answer. An edge waits 10 s for its own.
pub(super) const LONGEST: Duration = Duration::from_secs(8);
const SHORTEST: Duration = Duration::from_millis(10);
/// As the table has it.
const USUAL: Duration = Duration::from_secs(2);

/// Which hook a server has, and for what.
#[derive(Debug, Clone)]
pub struct HookSettings {
    pub(super) place: Arc<Place>,
    /// How long it may take.
    pub(super) timeout: Duration,
    pub(super) on_failure: OnFailure,
    pub(super) send_tokens: bool,
    /// Whether it says which edges may come.
    pub(crate) edges: bool,
    /// The same of callers.
    pub(super) callers: bool,
    /// Whether it is told of edges.
    pub(super) events: bool,
}

/// What to do with somebody of whom a hook says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnFailure {
    Deny,
    Allow,
}

/// What a hook is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    Edges,
    Callers,
    Events,
}

const fn row(
    path: &'static str,
    value_name: &'static str,
    default: Option<&'static str>,
    help: &'static str,
) -> OptionSpec {
    OptionSpec {
        path,
        value_name,
        default,
        many: false,
        secret: false,
        reload: true,
        help,
    }
}

/// The rows of the option table.
impl HookSettings {
    pub(crate) const ADDRESS: OptionSpec = OptionSpec {
        reload: false,
        ..row(
            "hooks-address",
            "URL",
            None,
            "Your service that says which edges and callers may come, and is told of edges, over gRPC (grpc.multiplexer.hooks.v1): \
             http://HOST:PORT or https://HOST:PORT",
        )
    };
    pub(crate) const URL: OptionSpec = OptionSpec {
        reload: false,
        ..row(
            "hooks-url",
            "URL",
            None,
            "The same over HTTP/1 with JSON: what /authorize, /connected and /disconnected are below",
        )
    };
    pub(crate) const CA: OptionSpec = DialTerms::ca(
        "hooks-ca",
        "PEM file of the authorities that sign certificates of the hook's server; without it those that the system trusts",
    );
    pub(crate) const CRL: OptionSpec = DialTerms::crl("hooks-crl");
    pub(crate) const CERTIFICATE: OptionSpec = DialTerms::certificate(
        "hooks-certificate",
        "PEM file of the certificate that is shown to a hook's server that asks for one",
    );
    pub(crate) const KEY: OptionSpec = DialTerms::key("hooks-key");
    pub(crate) const FOR: OptionSpec = OptionSpec {
        many: true,
        reload: false,
        ..row(
            "hooks-for",
            "WHAT",
            Some("edges,events"),
            "What the hook is for: edges and callers have it say which may come, events tells it which edges came and left",
        )
    };
    pub(crate) const TIMEOUT: OptionSpec = row(
        "hooks-timeout",
        "DURATION",
        Some("2s"),
        "How long the hook may take for one answer, 10ms to 8s",
    );
    pub(crate) const ON_FAILURE: OptionSpec = row(
        "hooks-on-failure",
        "WHAT",
        Some("deny"),
        "What becomes of whoever the hook should decide on when it is away or gives no answer in time: deny or allow",
    );
    pub(crate) const SEND_TOKENS: OptionSpec = row(
        "hooks-send-tokens",
        "BOOLEAN",
        Some("false"),
        "Whether the hook is sent the very tokens that are shown, and not only their SHA-256, and credentials in the metadata \
         of callers, also those for backends; over https:// or on this machine only: true or false",
    );
}

const TLS: [&str; 4] = ["hooks-ca", "hooks-crl", "hooks-certificate", "hooks-key"];

impl HookSettings {
    /// Reads the options; `None` where there is no hook, and with a mistake, which `reader` keeps.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let timeout = reader.one(Self::TIMEOUT.path, time);
        let on_failure = reader.one(Self::ON_FAILURE.path, str::parse::<OnFailure>);
        let send_tokens = reader.one(Self::SEND_TOKENS.path, boolean);
        let what = reader.many(Self::FOR.path, str::parse::<For>);
        let is_for = |one| what.contains(&one);
        let place = read_place(reader);
        if !reader.is_set(Self::ADDRESS.path) && !reader.is_set(Self::URL.path) {
            // A file may well have every key with its default.
            for (path, is_other) in [
                (
                    Self::FOR.path,
                    !what.is_empty() && what != [For::Edges, For::Events],
                ),
                (
                    Self::TIMEOUT.path,
                    timeout.is_some_and(|time| time != USUAL),
                ),
                (Self::ON_FAILURE.path, on_failure == Some(OnFailure::Allow)),
                (Self::SEND_TOKENS.path, send_tokens == Some(true)),
            ] {
                if is_other {
                    reader.mistake(path, "has no effect without --hooks-address or --hooks-url");
                }
            }
        }
        let place = place?;
        let send_tokens = send_tokens?;
        if send_tokens && !place.url().is_secure() && !place.url().host().is_of_this_machine() {
            let text = "would send tokens to another machine for all to read on the way; give an https:// URL";
            reader.mistake(Self::SEND_TOKENS.path, text);
        }
        Some(Self {
            place: Arc::new(place),
            timeout: timeout?,
            on_failure: on_failure?,
            send_tokens,
            edges: is_for(For::Edges),
            callers: is_for(For::Callers),
            events: is_for(For::Events),
        })
    }

    /// Looks at whether others can read what is said, or answer in the hook's name.
    pub(crate) fn look(&self, reader: &Reader<'_>, exposure: &mut Exposure) {
        let option = match *self.place {
            Place::Grpc(_) => Self::ADDRESS.path,
            Place::Json(_) => Self::URL.path,
        };
        let url = self.place.url();
        if !url.is_secure() {
            exposure.fetched(reader, option, url.host());
        }
    }
}

fn read_place(reader: &mut Reader<'_>) -> Option<Place> {
    let grpc = reader.optional(HookSettings::ADDRESS.path, origin);
    let json = reader.optional(HookSettings::URL.path, below);
    if reader.is_set(HookSettings::ADDRESS.path) && reader.is_set(HookSettings::URL.path) {
        let text = "is for a hook that speaks JSON, and --hooks-address for one that speaks gRPC; give one of them";
        reader.mistake(HookSettings::URL.path, text);
        return None;
    }
    let is_grpc = grpc.is_some();
    let url = grpc.or(json);
    if url.is_none()
        && (reader.is_set(HookSettings::ADDRESS.path) || reader.is_set(HookSettings::URL.path))
    {
        // What is wrong with it was said.
        return None;
    }
    if !url.as_ref().is_some_and(Url::is_secure) {
        for path in TLS {
            if reader.is_set(path) {
                let text =
                    "has no effect without an https:// URL as --hooks-address or --hooks-url";
                reader.mistake(path, text);
            }
        }
        return Some(of(is_grpc, url?));
    }
    let [ca, crl, certificate, key] = TLS;
    let terms = DialTerms {
        ca,
        crl: Some(crl),
        certificate,
        key,
        protocol: if is_grpc { "h2" } else { http1::ALPN },
        tls12: true,
    };
    let tls = terms.read(reader)?;
    Some(of(is_grpc, url?.with_tls(tls.config)))
}

fn of(is_grpc: bool, url: Url) -> Place {
    if is_grpc {
        Place::Grpc(Link::to(url))
    } else {
        Place::Json(url)
    }
}

fn origin(text: &str) -> Result<Url, &'static str> {
    let url = text.parse().ok();
    url.filter(|url: &Url| url.path().as_str() == "/")
        .ok_or("must be http://HOST:PORT or https://HOST:PORT, without a path")
}

fn below(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error: NoUrl| error.to_string())?;
    if url.path().query().is_some() {
        return Err("must have no query: paths are put behind it".to_owned());
    }
    Ok(url)
}

fn time(text: &str) -> Result<Duration, String> {
    let time = duration(text).map_err(|error| error.to_string())?;
    if !(SHORTEST..=LONGEST).contains(&time) {
        return Err("must be 10ms to 8s".to_owned());
    }
    Ok(time)
}

impl FromStr for OnFailure {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "deny" => Ok(Self::Deny),
            "allow" => Ok(Self::Allow),
            _ => Err("must be deny or allow"),
        }
    }
}

impl FromStr for For {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "edges" => Ok(Self::Edges),
            "callers" => Ok(Self::Callers),
            "events" => Ok(Self::Events),
            _ => Err("must be edges, callers or events"),
        }
    }
}

#[cfg(test)]
impl HookSettings {
    /// A hook that is told of edges, as JSON.
    pub(super) fn telling(url: Url) -> Self {
        Self {
            place: Arc::new(Place::Json(url)),
            timeout: USUAL,
            on_failure: OnFailure::Deny,
            send_tokens: false,
            edges: false,
            callers: false,
            events: true,
        }
    }
}
