//! The word that was probably meant.

/// Longer words are no slips of the pen, and comparing takes the product of both lengths.
const LONGEST: usize = 100;

/// `; did you mean …?` with the candidate that is nearest to `word`, as `shown`; nothing when none is near.
pub(super) fn did_you_mean<'c>(
    word: &str,
    candidates: impl Iterator<Item = &'c str>,
    shown: impl Fn(&str) -> String,
) -> String {
    if word.len() > LONGEST {
        return String::new();
    }
    // Two names that differ in a third of their letters are different names.
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed || is_tail(word, candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| format!("; did you mean {}?", shown(candidate)))
        .unwrap_or_default()
}

/// Whether `word` is what `candidate` ends with, as `ID` in `CLIENT_ID`.
fn is_tail(word: &str, candidate: &str) -> bool {
    let before = candidate.strip_suffix(word);
    !word.is_empty() && before.is_some_and(|before| before.ends_with(['-', '_', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(word: &str) -> String {
        let candidates = ["log-level", "log-format", "client-id"];
        did_you_mean(word, candidates.into_iter(), |near| format!("--{near}"))
    }

    #[test]
    fn the_nearest_word_is_suggested_if_it_is_near() {
        assert_eq!(said("loglevel"), "; did you mean --log-level?");
        assert_eq!(said("log_format"), "; did you mean --log-format?");
        assert_eq!(said("cleint-id"), "; did you mean --client-id?");
        assert_eq!(said("level"), "; did you mean --log-level?");
        assert_eq!(said("vel"), "");
        assert_eq!(said("port"), "");
        assert_eq!(said(""), "");
        assert_eq!(said(&"log-level".repeat(1000)), "");
    }
}
