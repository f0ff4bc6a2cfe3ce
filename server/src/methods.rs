//! Some methods of gRPC services, as options name them.

use std::fmt;

/// One method, all of a service, or all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Methods {
    All,
    /// `/package.Service/`.
    Of(String),
    /// `/package.Service/Method`.
    One(String),
}

impl Methods {
    /// Reads `/package.Service/Method`, `/package.Service/*` or `*`.
    pub(crate) fn read(text: &str) -> Option<Self> {
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

    /// Whether that method is one of them.
    pub(crate) fn have(&self, method: &str) -> bool {
        match self {
            Self::All => true,
            Self::Of(service) => method.starts_with(service),
            Self::One(one) => method == one,
        }
    }

    /// Whether all of `others` are among them.
    pub(crate) fn cover(&self, others: &Self) -> bool {
        match others {
            Self::One(method) => self.have(method),
            _ => *self == Self::All || self == others,
        }
    }
}

/// As it is read.
impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Of(service) => write!(f, "{service}*"),
            Self::One(method) => f.write_str(method),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_covers_others_has_all_of_them() {
        let read = |text| Methods::read(text).unwrap();
        let all = ["/a.B/C", "/a.B/D", "/a.B/*", "/a.Bc/C", "/a.Bc/*", "*"];
        for (wider, covered) in [
            ("/a.B/C", &["/a.B/C"][..]),
            ("/a.B/*", &["/a.B/C", "/a.B/D", "/a.B/*"]),
            ("*", &all),
        ] {
            for other in all {
                let covers = read(wider).cover(&read(other));
                assert_eq!(covers, covered.contains(&other), "{wider} {other}");
            }
        }
    }
}
