//! Reads YAML place by place, and keeps every mistake.

use std::collections::HashSet;
use std::fmt::Display;

use grpc_multiplexer_process::{Place, Yaml, YamlKey};

/// Mistakes that are told at once. Who names another file has thousands.
const TOLD: usize = 20;

/// A mistake in a policy, with its place. Its text shows no value: one may be a token where it should not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WrongPlace(String);

/// What is wrong so far.
#[derive(Debug, Default)]
pub(super) struct Reading {
    wrong: Vec<WrongPlace>,
}

impl Reading {
    /// The keys of a place, each once.
    pub(super) fn keys<'y>(&mut self, path: &str, of: &'y Yaml) -> Vec<&'y YamlKey> {
        let keys = of.keys().unwrap_or_else(|mistake| {
            self.mistake(of.at(), path, mistake);
            &[]
        });
        let mut names = HashSet::new();
        let mut once = Vec::new();
        for entry in keys {
            if names.insert(&entry.key) {
                once.push(entry);
            } else {
                self.mistake(entry.at, path, "the key is given twice");
            }
        }
        once
    }

    /// The same where only some may be.
    pub(super) fn fields<'y>(
        &mut self,
        path: &str,
        of: &'y Yaml,
        known: &[&str],
    ) -> Vec<&'y YamlKey> {
        let mut fields = self.keys(path, of);
        fields.retain(|field| {
            let is_known = known.contains(&field.key.as_str());
            if !is_known {
                let mistake = format!("unknown key; there can be {}", known.join(", "));
                self.mistake(field.at, path, mistake);
            }
            is_known
        });
        fields
    }

    /// The entries of a list, which says something.
    pub(super) fn entries<'y>(&mut self, path: &str, of: &'y Yaml) -> &'y [Yaml] {
        match of.list() {
            Ok([]) => self.mistake(of.at(), path, "expected at least one value in the list"),
            Ok(entries) => return entries,
            Err(mistake) => self.mistake(of.at(), path, mistake),
        }
        &[]
    }

    /// A list of single values, each as `parse` reads it; `wanted` is what it should be.
    pub(super) fn values<T>(
        &mut self,
        path: &str,
        of: &Yaml,
        parse: impl Fn(&str) -> Option<T>,
        wanted: &'static str,
    ) -> Vec<(Place, T)> {
        let mut values = Vec::new();
        for entry in self.entries(path, of) {
            match entry.text().and_then(|text| parse(text).ok_or(wanted)) {
                Ok(value) => values.push((entry.at(), value)),
                Err(mistake) => self.mistake(entry.at(), path, mistake),
            }
        }
        values
    }

    /// The same without their places.
    pub(super) fn list<T>(
        &mut self,
        path: &str,
        of: &Yaml,
        parse: impl Fn(&str) -> Option<T>,
        wanted: &'static str,
    ) -> Vec<T> {
        let values = self.values(path, of, parse, wanted);
        values.into_iter().map(|(_, value)| value).collect()
    }

    pub(super) fn mistake(&mut self, at: Place, path: &str, mistake: impl Display) {
        let separator = if path.is_empty() { "" } else { ": " };
        self.wrong(format_args!("{at}: {path}{separator}{mistake}"));
    }

    /// Keeps a mistake that has its place already, or none.
    pub(super) fn wrong(&mut self, mistake: impl Display) {
        self.wrong.push(WrongPlace(mistake.to_string()));
    }

    /// Every mistake, up to a number.
    pub(super) fn finish(mut self) -> Result<(), Vec<WrongPlace>> {
        if self.wrong.len() > TOLD {
            self.wrong.truncate(TOLD);
            self.wrong("there are more mistakes behind these");
        }
        if self.wrong.is_empty() {
            Ok(())
        } else {
            Err(self.wrong)
        }
    }
}
