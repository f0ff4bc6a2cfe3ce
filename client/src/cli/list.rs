//! `list`: the edges that callers can reach now.

use std::sync::Arc;
use std::time::SystemTime;

use super::channel::reach;
use super::output::{End, Output, aside, columns};
use super::place::Place;
use super::{discovery, listed};

/// Prints a table, or one object per edge.
pub(super) async fn list(proxy: &Arc<Place>, output: &Output) -> Result<(), End> {
    reach(proxy).await?;
    let edges = discovery::list(proxy).await?;
    if edges.is_empty() {
        aside(listed::nothing(proxy));
        return Ok(());
    }
    let now = SystemTime::now();
    let rows = edges.iter().map(|edge| listed::row(edge, now));
    let rows: Vec<_> = std::iter::once(listed::HEADS.map(str::to_owned))
        .chain(rows)
        .collect();
    for line in columns(&rows) {
        output.tell(&line)?;
    }
    for edge in &edges {
        output.object(|| listed::object(edge))?;
    }
    Ok(())
}
