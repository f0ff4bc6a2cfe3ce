//! What a caller that the policy names may.

use std::sync::Arc;

use grpc_multiplexer_tunnel::{ClientId, Labels};
use http::HeaderValue;

use super::which::{Trusted, Which};
use crate::methods::Methods;

/// A caller that the policy names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KnownCaller {
    pub(super) name: HeaderValue,
    calls: Vec<Calls>,
    /// What it may see beside what it may call.
    sees: Vec<Which>,
    /// Which labels count; none where it has no rule that asks for any.
    trusted: Arc<Trusted>,
}

/// Some edges, and the methods that may be called there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Calls {
    pub(super) which: Which,
    pub(super) methods: Vec<Methods>,
}

impl KnownCaller {
    pub(super) fn new(
        name: HeaderValue,
        calls: Vec<Calls>,
        sees: Vec<Which>,
        trusted: &Arc<Trusted>,
    ) -> Self {
        let mut caller = Self {
            name,
            calls,
            sees,
            trusted: Arc::default(),
        };
        // Whom it does not matter to is the same caller whatever labels count.
        if caller.label_keys().next().is_some() {
            caller.trusted = Arc::clone(trusted);
        }
        caller
    }

    /// The keys of labels that its rules ask for.
    pub(super) fn label_keys(&self) -> impl Iterator<Item = String> {
        let labels = self.which().flat_map(|which| which.labels().iter());
        labels.map(|(key, _)| key.to_owned())
    }

    /// All that its rules are about.
    fn which(&self) -> impl Iterator<Item = &Which> {
        let called = self.calls.iter().map(|calls| &calls.which);
        called.chain(&self.sees)
    }

    /// Whether some rule depends on the labels of `id`.
    pub(super) fn asks_labels(&self, id: &ClientId) -> bool {
        self.which()
            .any(|which| which.asks_labels(id, &self.trusted))
    }

    pub(super) fn sees(&self, id: &ClientId, labels: &Labels) -> bool {
        self.which()
            .any(|which| which.has(id, labels, &self.trusted))
    }

    pub(super) fn may_call(&self, id: &ClientId, labels: &Labels, method: &str) -> bool {
        self.calls.iter().any(|calls| {
            let mut methods = calls.methods.iter();
            calls.which.has(id, labels, &self.trusted)
                && methods.any(|methods| methods.have(method))
        })
    }
}
