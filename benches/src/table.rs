//! Tables, as markdown.

/// A number with as many digits as it is worth.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        whole if whole.fract() == 0.0 => 0,
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    grouped(whole) + rest
}

/// Thousands apart.
fn grouped(whole: &str) -> String {
    let mut out = String::new();
    for (n, digit) in whole.chars().enumerate() {
        let left = whole.len() - n;
        if n > 0 && left.is_multiple_of(3) && out != "-" {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The same, or a dash where nothing was measured.
pub(crate) fn maybe(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), number)
}

/// Rows below a heading. The first column is text, the others are numbers.
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let row = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let rule = heading
        .iter()
        .enumerate()
        .map(|(n, _)| if n == 0 { "---" } else { "---:" });
    let mut table = row(heading.to_vec()) + &row(rule.collect());
    for cells in rows {
        table += &row(cells.iter().map(String::as_str).collect());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.5, 1.25, 12.34, 123.4, 1234.0, 1234567.0, -1234.0].map(number);
        let wanted = [
            "0",
            "0.500",
            "1.25",
            "12.3",
            "123",
            "1,234",
            "1,234,567",
            "-1,234",
        ];
        assert_eq!(shown, wanted);
        assert_eq!(maybe(None), "-");
    }

    #[test]
    fn a_table_is_markdown() {
        let table = table(
            &["path", "rate"],
            &[vec!["direct".to_owned(), "1".to_owned()]],
        );
        assert_eq!(table, "| path | rate |\n| --- | ---: |\n| direct | 1 |\n");
    }
}
