//! The same without a multiplexer: callers dial backends themselves.

use std::sync::OnceLock;

use crate::cases::{Case, How};

/// Whether there is nothing between callers and backends.
pub(crate) static DIRECT: OnceLock<()> = OnceLock::new();

pub(crate) fn is_direct() -> bool {
    DIRECT.get().is_some()
}

/// Why a case means nothing there.
pub(crate) fn means_nothing(case: &Case) -> Option<&'static str> {
    match (case.how, case.id) {
        (How::Test(..) | How::Command(_), _) => Some("it is about the multiplexer's own ends"),
        (_, "F1" | "F2" | "F6" | "F7" | "F10" | "F38" | "F43" | "F44") => {
            Some("there is no server")
        }
        (_, "F3" | "F5" | "F8" | "F20" | "F39") => Some("there is no edge"),
        (_, "F9") => Some("there is neither server nor edge"),
        (_, "F42") => Some("there is no limit of an edge"),
        (_, "F14") => Some("its calls have no end where no tunnel is lost"),
        (_, "F31") => Some("there is no tunnel"),
        _ => None,
    }
}
