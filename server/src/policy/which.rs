//! Which edges a rule is about, and which of the labels count that edges say they have.

use grpc_multiplexer_process::{Place, Yaml, YamlKey};
use grpc_multiplexer_tunnel::{ClientId, InvalidLabel, Label, Labels};

use super::reading::Reading;
use crate::credential::Grant;

const IDS: &str = "must be a client id, or what ids begin with and *, or '*' for all";
const EDGES: &str =
    "must be a client id, what ids begin with and *, '*' for all, or keys: ids, labels or both";
const ONE: &str = "a rule asks for one value; '*' is for labels below edges, which say what counts";
const NOBODYS: &str = "no entry of edges lets this label count, so no edge can have it; name below edges the ids of those \
                       that are trusted with it, as in `edges: [{ids: [red-*], labels: {team: red}}]`";

const NO_EDGE: &str = "edges trusts none of the ids that this may be about with all of these labels, so no edge can be meant";

/// Some edges.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Which {
    /// One of these, where there are any.
    ids: Vec<Grant>,
    /// And all of these.
    labels: Labels,
}

/// Which labels count. An edge can say what it wants, and so make itself another's.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Trusted(Vec<Trust>);

/// A label as it is in a file, with the place of its value, which is `None` for all.
struct ReadLabel {
    at: Place,
    key: String,
    value: Option<String>,
}

/// Some ids, and labels that they may have.
#[derive(Debug, PartialEq, Eq)]
struct Trust {
    ids: Vec<Grant>,
    /// With each key a value, or `None` for all.
    labels: Vec<(String, Option<String>)>,
}

impl Which {
    /// Whether an edge is one of them.
    pub(super) fn has(&self, id: &ClientId, labels: &Labels, trusted: &Trusted) -> bool {
        let mut wanted = self.labels.iter();
        self.has_id(id)
            && wanted.all(|(key, value)| labels.has(key, value) && trusted.are(id, key, value))
    }

    /// Whether it depends on the labels of `id`.
    pub(super) fn asks_labels(&self, id: &ClientId, trusted: &Trusted) -> bool {
        !self.labels.is_empty() && self.has(id, &self.labels, trusted)
    }

    /// Whether there can be such an edge.
    fn is_possible(&self, trusted: &Trusted) -> bool {
        let trusted_ids = trusted.0.iter().flat_map(|trust| &trust.ids);
        // Of all that grant one id, the narrowest grants no other than all of them do.
        let mut ids = self.ids.iter().chain(trusted_ids).map(Grant::example);
        self.labels.is_empty() || ids.any(|id| self.asks_labels(&id, trusted))
    }

    fn has_id(&self, id: &ClientId) -> bool {
        self.ids.is_empty() || self.ids.iter().any(|ids| ids.has(id))
    }

    pub(super) fn labels(&self) -> &Labels {
        &self.labels
    }
}

impl Trusted {
    /// Whether that label counts where `id` says it.
    pub(super) fn are(&self, id: &ClientId, key: &str, value: &str) -> bool {
        let of_id = |trust: &&Trust| trust.ids.iter().any(|ids| ids.has(id));
        self.0
            .iter()
            .filter(of_id)
            .any(|trust| trust.has(key, value))
    }

    /// Whether it counts at all.
    fn has(&self, key: &str, value: &str) -> bool {
        self.0.iter().any(|trust| trust.has(key, value))
    }
}

impl Trust {
    fn has(&self, key: &str, value: &str) -> bool {
        let mut labels = self.labels.iter();
        labels.any(|(of, wanted)| of == key && wanted.as_ref().is_none_or(|wanted| wanted == value))
    }
}

impl Reading {
    /// What `edges` says: which labels count.
    pub(super) fn trusted(&mut self, value: &Yaml) -> Trusted {
        let path = "edges";
        let mut all = Vec::new();
        for entry in self.entries(path, value) {
            let (mut ids, mut labels) = (Vec::new(), Vec::new());
            let fields = self.fields(path, entry, &["ids", "labels"]);
            if fields.len() < 2 {
                self.mistake(entry.at(), path, "each entry needs ids and labels");
            }
            for field in fields {
                let path = format!("{path}: {}", field.key);
                match field.key.as_str() {
                    "ids" => ids = self.list(&path, &field.value, some_ids, IDS),
                    _ => labels = self.labels(&path, &field.value),
                }
            }
            let labels = labels.into_iter().map(|label| (label.key, label.value));
            all.push(Trust {
                ids,
                labels: labels.collect(),
            });
        }
        Trusted(all)
    }

    /// The edges of a list, of which each entry is ids, or has keys.
    pub(super) fn edges(&mut self, path: &str, value: &Yaml, trusted: &Trusted) -> Vec<Which> {
        let mut all = Vec::new();
        for entry in self.entries(path, value) {
            let mut which = Which::default();
            if entry.keys().is_ok() {
                let fields = self.fields(path, entry, &["ids", "labels"]);
                if fields.is_empty() {
                    self.mistake(entry.at(), path, EDGES);
                }
                for field in fields {
                    self.which(&mut which, path, field, trusted);
                }
            } else {
                match entry.text().ok().and_then(some_ids) {
                    Some(ids) => which.ids.push(ids),
                    None => self.mistake(entry.at(), path, EDGES),
                }
            }
            self.possible(&which, entry.at(), path, trusted);
            all.push(which);
        }
        all
    }

    /// What `ids` or `labels` of a rule says.
    pub(super) fn which(
        &mut self,
        which: &mut Which,
        path: &str,
        field: &YamlKey,
        trusted: &Trusted,
    ) {
        let path = format!("{path}: {}", field.key);
        if field.key == "ids" {
            which.ids = self.list(&path, &field.value, some_ids, IDS);
            return;
        }
        let mut labels = Vec::new();
        for ReadLabel { at, key, value } in self.labels(&path, &field.value) {
            match value.map(|value| Label::new(key, value)) {
                None => self.mistake(at, &path, ONE),
                Some(Ok(label)) if !trusted.has(label.key(), label.value()) => {
                    self.mistake(at, &path, NOBODYS);
                }
                Some(label) => labels.extend(label),
            }
        }
        match Labels::new(labels) {
            Ok(labels) => which.labels = labels,
            Err(mistake) => self.mistake(field.value.at(), &path, mistake),
        }
    }

    /// Sees that a rule is about edges that there can be.
    pub(super) fn possible(&mut self, which: &Which, at: Place, path: &str, trusted: &Trusted) {
        if !which.is_possible(trusted) {
            self.mistake(at, path, NO_EDGE);
        }
    }

    /// Keys with values, which are those of labels.
    fn labels(&mut self, path: &str, of: &Yaml) -> Vec<ReadLabel> {
        let mut labels = Vec::new();
        if of.keys().is_ok_and(<[_]>::is_empty) {
            self.mistake(
                of.at(),
                path,
                "expected at least one label, as in `team: red`",
            );
        }
        for YamlKey { at, key, value } in self.keys(path, of) {
            let text = match value.text() {
                Ok("*") => None,
                Ok(text) => Some(text),
                Err(mistake) => {
                    self.mistake(value.at(), path, mistake);
                    continue;
                }
            };
            match Label::new(key, text.unwrap_or_default()) {
                Ok(_) => labels.push(ReadLabel {
                    at: value.at(),
                    key: key.clone(),
                    value: text.map(str::to_owned),
                }),
                Err(mistake @ InvalidLabel::Value) => self.mistake(value.at(), path, mistake),
                Err(mistake) => self.mistake(*at, path, mistake),
            }
        }
        labels
    }
}

fn some_ids(text: &str) -> Option<Grant> {
    Grant::parse(text).ok()
}
