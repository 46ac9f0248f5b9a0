//! The tables as a page of the manual.

use std::fmt::Write as _;

use super::table::{Column, tables};

/// Every table with its columns, as Markdown.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Tables\n\nGenerated from `proto/`: what `peer-observer archive export` makes of each kind of event. How they are laid out, and what \
         the types are, is in [export.md](export.md). A list is written `items[]`, the columns of the structs in it `items[].hash`; `null` \
         stands where a value may be missing.\n\n## In every table\n\n",
    );
    let Some(any) = tables().first() else { return out };
    let (envelope, _) = any.columns.split_at(any.envelope.len());
    out.push_str("| column | type | meaning |\n|---|---|---|\n");
    out.push_str("| `node` | text | The operator's name for the node; in the path, not in the files. |\n");
    out.push_str("| `day` | date | Of `time`, in UTC; in the path, not in the files. |\n");
    rows(&mut out, envelope);
    for table in tables() {
        let _ = write!(out, "\n## {}\n\n{}\n", table.name, table.doc);
        let own = &table.columns[table.envelope.len()..];
        if !own.is_empty() {
            out.push_str("\n| column | type | meaning |\n|---|---|---|\n");
            rows(&mut out, own);
        }
    }
    out
}

fn rows(out: &mut String, columns: &[Column]) {
    for column in columns {
        let null = if column.nullable { ", null" } else { "" };
        let _ = writeln!(out, "| `{}` | {}{null} | {} |", column.path(), column.form.word(), column.doc.replace('|', "\\|"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect_file;

    #[test]
    fn the_page_is_up_to_date() {
        expect_file!["../../../../docs/tables.md"].assert_eq(&markdown());
    }
}
