//! A policy as it is written, and every mistake in it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;

use grpc_multiplexer_process::{Place, Yaml, YamlKey, boolean};
use grpc_multiplexer_tunnel::ClientId;
use http::HeaderValue;

use super::known::{Calls, KnownCaller};
use super::reading::{Reading, WrongPlace};
use super::which::{Trusted, Which};
use super::{CallersPolicy, Claim, Known, TokenMetadata};
use crate::credential::Digest;
use crate::methods::Methods;

const URI: &str = "must be a URI as it is in a certificate, such as spiffe://example.org/billing; it is matched exactly";
const DNS_NAME: &str = "must be a DNS name as it is in a certificate, such as billing.example.org; it is matched exactly";
const TOKEN: &str = "must be the SHA-256 of a token, 64 hexadecimal digits; the token itself is for the caller alone";
const SUBJECT: &str = "must be a subject as it is in a JSON Web Token (sub); it is matched exactly";
const CLAIM: &str = "must be CLAIM=TEXT, such as groups=billing or /realm_access/roles=billing; the text is matched exactly";
const METHODS: &str = "must be /package.Service/Method, /package.Service/*, or '*' for all";

/// What there can be of a caller.
const FIELDS: [&str; 7] = [
    "uris",
    "dns-names",
    "tokens",
    "jwt-subjects",
    "jwt-claims",
    "calls",
    "sees",
];

impl CallersPolicy {
    /// Reads a policy: YAML with the callers by their names below `callers`. Each has what it shows, one of which will do:
    /// `uris` and `dns-names` of certificates, the SHA-256 of `tokens`, and of JSON Web Tokens `jwt-subjects` and
    /// `jwt-claims` such as `groups=billing`; and what it may: `calls` has `ids`, `labels` or both, and `methods`, and `sees`
    /// has what it may see beside them. Which labels count, and of which ids, is below `edges`, whose entries have `ids` and
    /// `labels`. With `dry-run: true` nothing is refused, and only said; with `audit: true` each decision is.
    ///
    /// # Errors
    ///
    /// Every mistake, up to a number.
    pub fn parse(text: &[u8]) -> Result<Self, Vec<WrongPlace>> {
        let mut reading = Reading::default();
        let known = reading.policy(text);
        reading.finish()?;
        Ok(Self {
            known: Arc::new(known),
            token_in: TokenMetadata::default(),
            jwts: None,
        })
    }
}

/// What a caller shows, each with its place.
#[derive(Debug, Default)]
struct Shows {
    uris: Vec<(Place, String)>,
    dns_names: Vec<(Place, String)>,
    tokens: Vec<(Place, Digest)>,
    subjects: Vec<(Place, String)>,
    claims: Vec<(Place, Claim)>,
}

impl Reading {
    fn policy(&mut self, text: &[u8]) -> Known {
        let mut known = Known::default();
        let Ok(text) = str::from_utf8(text) else {
            self.wrong("it is not UTF-8; save the file in this encoding");
            return known;
        };
        let file = match Yaml::parse(text) {
            Ok(file) => file,
            Err(error) => {
                self.wrong(error);
                return known;
            }
        };
        let mut fields = self.fields("", &file, &["dry-run", "audit", "edges", "callers"]);
        // Callers are read by what edges are trusted with, wherever that stands.
        fields.sort_by_key(|entry| entry.key == "callers");
        for entry in fields {
            match entry.key.as_str() {
                "dry-run" => known.dry_run = self.is_true("dry-run", &entry.value),
                "audit" => known.is_audited = self.is_true("audit", &entry.value),
                "edges" => known.trusted = Arc::new(self.trusted(&entry.value)),
                _ => self.callers(&mut known, &entry.value),
            }
        }
        known
    }

    fn is_true(&mut self, path: &str, value: &Yaml) -> bool {
        let wanted = "must be true or false";
        let is_true = value
            .text()
            .and_then(|text| boolean(text).map_err(|_| wanted));
        is_true.unwrap_or_else(|mistake| {
            self.mistake(value.at(), path, mistake);
            false
        })
    }

    fn callers(&mut self, known: &mut Known, value: &Yaml) {
        for caller in self.keys("callers", value) {
            self.caller(known, caller);
        }
    }

    fn caller(&mut self, known: &mut Known, entry: &YamlKey) {
        let path = format!("callers: {}", entry.key.escape_debug());
        if entry.key.parse::<ClientId>().is_err() {
            let mistake = "a caller's name must be [A-Za-z0-9][A-Za-z0-9._-]{0,127}";
            return self.mistake(entry.at, "callers", mistake);
        }
        let name = HeaderValue::from_str(&entry.key).expect("such names are header values");
        let (mut calls, mut sees, mut shows) = (Vec::new(), Vec::new(), Shows::default());
        let trusted = Arc::clone(&known.trusted);
        for field in self.fields(&path, &entry.value, &FIELDS) {
            let (path, value) = (format!("{path}: {}", field.key), &field.value);
            match field.key.as_str() {
                "uris" => shows.uris = self.values(&path, value, uri, URI),
                "dns-names" => shows.dns_names = self.values(&path, value, dns_name, DNS_NAME),
                "tokens" => shows.tokens = self.values(&path, value, Digest::read, TOKEN),
                "jwt-subjects" => shows.subjects = self.values(&path, value, subject, SUBJECT),
                "jwt-claims" => shows.claims = self.values(&path, value, claim, CLAIM),
                "calls" => calls = self.calls(&path, value, &trusted),
                _ => sees = self.edges(&path, value, &trusted),
            }
        }
        let caller = Arc::new(KnownCaller::new(name, calls, sees, &trusted));
        known.label_keys.extend(caller.label_keys());
        self.known(known, &path, entry.at, shows, &caller);
    }

    fn calls(&mut self, path: &str, value: &Yaml, trusted: &Trusted) -> Vec<Calls> {
        let mut all = Vec::new();
        for entry in self.entries(path, value) {
            let (mut which, mut methods) = (Which::default(), Vec::new());
            let fields = self.fields(path, entry, &["methods", "ids", "labels"]);
            let has_methods = fields.iter().any(|field| field.key == "methods");
            if !has_methods || fields.len() < 2 {
                let mistake = "each entry needs methods, and ids, labels or both";
                self.mistake(entry.at(), path, mistake);
            }
            for field in fields {
                if field.key == "methods" {
                    let path = format!("{path}: methods");
                    methods = self.list(&path, &field.value, Methods::read, METHODS);
                } else {
                    self.which(&mut which, path, field, trusted);
                }
            }
            self.possible(&which, entry.at(), path, trusted);
            all.push(Calls { which, methods });
        }
        all
    }

    /// Makes `caller` known by what it shows, which nobody else may show.
    fn known(
        &mut self,
        known: &mut Known,
        path: &str,
        at: Place,
        shows: Shows,
        caller: &Arc<KnownCaller>,
    ) {
        let Shows {
            uris,
            dns_names,
            tokens,
            subjects,
            claims,
        } = shows;
        let of_jwts = subjects.len() + claims.len();
        if uris.len() + dns_names.len() + tokens.len() + of_jwts == 0 {
            let mistake = "nobody can show to be this caller; give it uris, dns-names, tokens, jwt-subjects or jwt-claims";
            self.mistake(at, path, mistake);
        }
        for (_, claim) in &claims {
            if !known.claim_names.contains(&claim.name) {
                known.claim_names.push(claim.name.clone());
            }
        }
        self.one_of_each(&mut known.uris, path, uris, caller);
        self.one_of_each(&mut known.dns_names, path, dns_names, caller);
        self.one_of_each(&mut known.tokens, path, tokens, caller);
        self.one_of_each(&mut known.subjects, path, subjects, caller);
        self.one_of_each(&mut known.claims, path, claims, caller);
    }

    fn one_of_each<S: Eq + Hash>(
        &mut self,
        known: &mut HashMap<S, Arc<KnownCaller>>,
        path: &str,
        shown: Vec<(Place, S)>,
        caller: &Arc<KnownCaller>,
    ) {
        for (at, shown) in shown {
            match known.entry(shown) {
                Entry::Occupied(other) => {
                    let other = other.get().name.to_str().unwrap_or_default();
                    let mistake = format!("the caller {other} has it already; one shows who it is");
                    self.mistake(at, path, mistake);
                }
                Entry::Vacant(place) => {
                    place.insert(Arc::clone(caller));
                }
            }
        }
    }
}

fn subject(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn claim(text: &str) -> Option<Claim> {
    let (name, text) = text.split_once('=')?;
    Some(Claim {
        name: name.parse().ok()?,
        text: subject(text)?,
    })
}

fn uri(text: &str) -> Option<String> {
    let has_scheme = text.find(':').is_some_and(|length| length > 0);
    let is_of_uri = |byte: u8| byte.is_ascii_graphic() && byte != b'*';
    (has_scheme && text.bytes().all(is_of_uri)).then(|| text.to_owned())
}

/// In lower case.
fn dns_name(text: &str) -> Option<String> {
    let is_label = |label: &str| {
        let is_of_label = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        !label.is_empty() && label.bytes().all(is_of_label)
    };
    text.split('.')
        .all(is_label)
        .then(|| text.to_ascii_lowercase())
}
