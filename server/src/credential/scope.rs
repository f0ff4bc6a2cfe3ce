//! What a credential grants an edge: client ids, and the methods that it may serve as those.

use std::fmt;
use std::sync::Arc;

use grpc_multiplexer_tunnel::ClientId;

use super::{Grant, list};
use crate::methods::Methods;

/// What the words of a line grant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    ids: Vec<Grant>,
    serves: Serves,
}

/// The methods that calls to an edge may have; unless some are named, all. Clones share them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Serves(Option<Arc<[Methods]>>);

/// A word that grants nothing, and its place.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadWord {
    #[error("the word number {0} is no client id, and not the beginning of one with * behind it")]
    Id(usize),
    #[error("the word number {0} is neither /package.Service/Method nor /package.Service/*")]
    Methods(usize),
}

/// Why a credential does not give an edge what it wants.
pub(super) enum Lacking {
    Unknown,
    /// What it grants instead.
    OtherId(String),
}

impl Scope {
    /// Reads words, of which the first has that number: client ids, or their beginnings with `*` behind them, and methods.
    pub(super) fn read(words: &[&str], first: usize) -> Result<Self, BadWord> {
        let (mut ids, mut methods) = (Vec::new(), Vec::new());
        for (word, place) in words.iter().zip(first..) {
            if word.starts_with('/') {
                methods.push(Methods::read(word).ok_or(BadWord::Methods(place))?);
            } else {
                ids.push(Grant::parse(word).map_err(|_| BadWord::Id(place))?);
            }
        }
        let serves = Serves((!methods.is_empty()).then(|| methods.into()));
        Ok(Self { ids, serves })
    }

    /// That of who serves so much as `id`.
    pub(super) fn of(id: ClientId, serves: Serves) -> Self {
        let ids = vec![Grant::Exactly(id)];
        Self { ids, serves }
    }

    /// Whether it grants no client id, and so nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// What an edge may serve as `id`, by all that its credential grants.
pub(super) fn among<'a>(
    scopes: impl IntoIterator<Item = &'a Scope>,
    id: &ClientId,
) -> Result<Serves, Lacking> {
    let (mut granted, mut others) = (None::<Serves>, Vec::new());
    for scope in scopes {
        if scope.ids.iter().any(|grant| grant.has(id)) {
            granted = Some(match granted {
                Some(serves) => serves.and(&scope.serves),
                None => scope.serves.clone(),
            });
        }
        others.extend(&scope.ids);
    }
    match granted {
        Some(serves) => Ok(serves),
        None if others.is_empty() => Err(Lacking::Unknown),
        None => Err(Lacking::OtherId(list(&others))),
    }
}

impl Serves {
    /// Whether calls may have that method.
    pub(crate) fn has(&self, method: &str) -> bool {
        let Self(Some(methods)) = self else {
            return true;
        };
        methods.iter().any(|methods| methods.have(method))
    }

    /// Those that are named, for the log.
    pub(crate) fn named(&self) -> Option<String> {
        let named = self.0.as_ref()?.iter();
        Some(named.map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    /// Whether all methods of `others` are among these.
    pub(crate) fn cover(&self, others: &Self) -> bool {
        match (&self.0, &others.0) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(these), Some(others)) => {
                let mut others = others.iter();
                others.all(|others| these.iter().any(|methods| methods.cover(others)))
            }
        }
    }

    /// These and `others`.
    fn and(&self, others: &Self) -> Self {
        let both = self.0.iter().zip(&others.0).next();
        Self(both.map(|(these, others)| these.iter().chain(&**others).cloned().collect()))
    }
}

/// As it is read.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.ids.iter().map(ToString::to_string).collect();
        f.write_str(&ids.join(" "))?;
        let mut methods = self.serves.0.iter().flat_map(|methods| methods.iter());
        methods.try_for_each(|methods| write!(f, " {methods}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(line: &str) -> Scope {
        Scope::read(&line.split(' ').collect::<Vec<_>>(), 1).unwrap()
    }

    fn serves(lines: &[&str], id: &str) -> Serves {
        let scopes: Vec<_> = lines.iter().map(|line| scope(line)).collect();
        let Ok(serves) = among(&scopes, &id.parse().unwrap()) else {
            panic!("{lines:?} do not grant {id}");
        };
        serves
    }

    #[test]
    fn an_edge_may_serve_what_is_named_and_all_where_nothing_is() {
        let bound = ["rainbow /a.B/* /c.D/E"];
        for (lines, method, has) in [
            (&["rainbow"][..], "/x.Y/Z", true),
            (&bound, "/a.B/Z", true),
            (&bound, "/c.D/E", true),
            (&bound, "/c.D/F", false),
            (&bound, "/a.Bc/Z", false),
            // By any line that has the id, and by no other.
            (&["rainbow /a.B/*", "r* /c.D/E"], "/c.D/E", true),
            (&["rainbow /a.B/*", "r* /c.D/E"], "/c.D/F", false),
            (&["rainbow /a.B/*", "rainbow"], "/x.Y/Z", true),
            (&["rainbow /a.B/*", "kitchen"], "/x.Y/Z", false),
        ] {
            let serves = serves(lines, "rainbow");
            assert_eq!(serves.has(method), has, "{lines:?} {method}");
        }
    }

    #[test]
    fn less_is_told_from_more() {
        for (before, now, is_less) in [
            ("rainbow", "rainbow", false),
            ("rainbow /a.B/*", "rainbow", false),
            ("rainbow /a.B/C", "rainbow /d.E/* /a.B/*", false),
            ("rainbow /a.B/* /d.E/*", "rainbow /d.E/* /a.B/*", false),
            ("rainbow", "rainbow /a.B/*", true),
            ("rainbow /a.B/*", "rainbow /a.B/C", true),
            ("rainbow /a.B/* /d.E/*", "rainbow /d.E/*", true),
        ] {
            let (before, now) = (serves(&[before], "rainbow"), serves(&[now], "rainbow"));
            assert_eq!(!now.cover(&before), is_less, "{before:?} {now:?}");
        }
    }

    #[test]
    fn a_scope_is_shown_as_it_is_read() {
        for line in ["rainbow", "rainbow kitchen-* /a.B/* /c.D/E"] {
            assert_eq!(scope(line).to_string(), line);
        }
    }
}
