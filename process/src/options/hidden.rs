//! What people may see of values: no secret, and nothing that may be one.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;

use super::OptionSpec;

/// Stands for what nobody is shown.
const HIDDEN: &str = "(hidden)";
/// Stands for a value that names no file, though it should.
const CONTENTS: &str =
    "(hidden, as it looks like what belongs in the file, and not like the name of one)";
/// The least that a token has of characters. What is shorter is shown: it may well be a name with a mistake in it.
const SHORTEST_TOKEN: usize = 32;

/// What may be seen of `value`, or what stands for it where that is nothing.
///
/// Files hold what is secret, so that the options hold nothing of the kind. But somebody may give a token or a key itself
/// where its file is to be named, and whoever reads the log must not find it there. Of a URL, nobody is shown a password or
/// a query.
pub(super) fn visible<'v>(
    option: &OptionSpec,
    value: &'v str,
) -> Result<Cow<'v, str>, &'static str> {
    if option.secret {
        return Err(HIDDEN);
    }
    if option.value_name.starts_with("FILE") && looks_like_contents(value) {
        return Err(CONTENTS);
    }
    Ok(of_url(value))
}

/// The same of a value that is no text.
pub(super) fn visible_bytes(option: &OptionSpec, value: &OsStr) -> String {
    if option.secret {
        HIDDEN.to_owned()
    } else {
        format!("{value:?}")
    }
}

/// Several lines, or one that is as long as a token and leads nowhere. Where it begins as paths do, it is one.
pub(super) fn looks_like_contents(value: &str) -> bool {
    let path = Path::new(value);
    let is_path = path.is_absolute() || value.starts_with(['.', '~']) || value.contains("://");
    let is_word = value.len() >= SHORTEST_TOKEN && !is_path && !path.exists();
    is_word || value.trim_end().contains('\n')
}

fn of_url(value: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = value.split_once("://") else {
        return Cow::Borrowed(value);
    };
    let (place, query) = match rest.split_once('?') {
        Some((place, _)) => (place, format!("?{HIDDEN}")),
        None => (rest, String::new()),
    };
    let (user, place) = match place.rsplit_once('@') {
        Some((_, place)) => (format!("{HIDDEN}@"), place),
        None => (String::new(), place),
    };
    Cow::Owned(format!("{scheme}://{user}{place}{query}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::PROGRAM;
    use super::*;

    fn seen(value_name: &'static str, value: &str) -> String {
        let option = OptionSpec {
            value_name,
            ..PROGRAM.options[0]
        };
        visible(&option, value).map_or_else(str::to_owned, Cow::into_owned)
    }

    #[test]
    fn what_looks_like_a_secret_in_the_place_of_its_file_is_hidden() {
        let token = "0123456789abcdef".repeat(2);
        let base64 = format!("a/b+{token}==");
        let jwt = format!("eyJ0.{token}.{token}");
        let key = "-----BEGIN PRIVATE KEY-----\nMIGH\n";
        for contents in [&*token, &base64, &jwt, key] {
            for name in ["FILE", "FILE|URL"] {
                assert_eq!(seen(name, contents), CONTENTS, "{contents}");
            }
            assert_eq!(seen("ID", contents), contents);
        }
        let here = env!("CARGO_MANIFEST_DIR");
        let long = format!("{here}/no-such-file-{token}");
        for path in [
            "",
            "tokn",
            "certificates/rainbow.pem",
            &token[..31],
            &long,
            &format!("./{token}"),
            // Whatever is there is a name.
            "../process/../process/../process/Cargo.toml",
        ] {
            assert_eq!(seen("FILE", path), path);
        }
        let found = "src/../src/../src/../src/options.rs";
        assert!(found.len() > SHORTEST_TOKEN);
        assert_eq!(seen("FILE", found), found);
    }

    #[test]
    fn of_a_url_nobody_sees_who_asks_and_for_what_exactly() {
        for (url, wanted) in [
            ("https://id.test/jwks.json", "https://id.test/jwks.json"),
            ("https://id.test/a?key=b?c@d", "https://id.test/a?(hidden)"),
            ("https://me:a/b@id.test/c", "https://(hidden)@id.test/c"),
            ("ftp://me@id.test?a", "ftp://(hidden)@id.test?(hidden)"),
            ("me:word@id.test", "me:word@id.test"),
        ] {
            assert_eq!(seen("FILE|URL", url), wanted);
        }
    }
}
