//! What a caller that the policy names may.

use grpc_multiplexer_tunnel::ClientId;
use http::HeaderValue;

use crate::credential::Grant;

/// A caller that the policy names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KnownCaller {
    pub(super) name: HeaderValue,
    pub(super) calls: Vec<Calls>,
    /// Ids that it may see beside those that it may call.
    pub(super) sees: Vec<Grant>,
}

/// Some ids, and the methods that may be called there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Calls {
    pub(super) ids: Vec<Grant>,
    pub(super) methods: Vec<Methods>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Methods {
    All,
    /// `/package.Service/`.
    Of(String),
    /// `/package.Service/Method`.
    One(String),
}

impl KnownCaller {
    pub(super) fn sees(&self, id: &ClientId) -> bool {
        let called = self.calls.iter().flat_map(|calls| &calls.ids);
        called.chain(&self.sees).any(|ids| ids.has(id))
    }

    pub(super) fn may_call(&self, id: &ClientId, method: &str) -> bool {
        self.calls.iter().any(|calls| {
            let mut methods = calls.methods.iter();
            calls.ids.iter().any(|ids| ids.has(id)) && methods.any(|methods| methods.have(method))
        })
    }
}

impl Methods {
    /// Reads `/package.Service/Method`, `/package.Service/*` or `*`.
    pub(super) fn read(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        let (service, method) = text.strip_prefix('/')?.split_once('/')?;
        let is_name = |name: &str| {
            let is_of_name = |byte: u8| byte.is_ascii_graphic() && !b"*/?#".contains(&byte);
            !name.is_empty() && name.bytes().all(is_of_name)
        };
        match method {
            _ if !is_name(service) => None,
            "*" => Some(Self::Of(format!("/{service}/"))),
            _ => is_name(method).then(|| Self::One(text.to_owned())),
        }
    }

    fn have(&self, method: &str) -> bool {
        match self {
            Self::All => true,
            Self::Of(service) => method.starts_with(service),
            Self::One(one) => method == one,
        }
    }
}
