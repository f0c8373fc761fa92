//! Edits of Jupyter notebooks (nbformat 4).

use serde_json::{Value, json};

/// What is done to a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellEdit {
    /// Its source is replaced.
    Replace,
    /// Another cell is put behind it.
    Insert,
    /// It is removed.
    Delete,
}

impl CellEdit {
    /// The edit that a word means; a replacement without one.
    pub fn of(word: Option<&str>) -> Self {
        match word {
            Some("insert") => Self::Insert,
            Some("delete") => Self::Delete,
            _ => Self::Replace,
        }
    }
}

/// A notebook after an edit; `None` where it is no notebook or has no such cell. Tools may lay the same JSON out otherwise.
pub fn edited(before: &str, cell: Option<&str>, source: &str, kind: &str, edit: CellEdit) -> Option<String> {
    let mut notebook: Value = serde_json::from_str(before).ok()?;
    let cells = notebook.get_mut("cells")?.as_array_mut()?;
    let place = match cell {
        Some(id) => cells.iter().position(|cell| cell.get("id").and_then(Value::as_str) == Some(id))?,
        None => 0,
    };
    match edit {
        CellEdit::Delete => {
            if place >= cells.len() {
                return None;
            }
            cells.remove(place);
        }
        CellEdit::Insert => {
            let at = if cell.is_some() { place + 1 } else { 0 };
            cells.insert(at, json!({ "cell_type": kind, "metadata": {}, "source": source }));
        }
        CellEdit::Replace => {
            let cell = cells.get_mut(place)?.as_object_mut()?;
            cell.insert("source".to_owned(), source.into());
        }
    }
    serde_json::to_string_pretty(&notebook).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_replaced_inserted_and_removed() {
        let before = r#"{"cells":[{"id":"a","source":"1"},{"id":"b","source":"2"}],"nbformat":4}"#;
        let after = |cell, edit| edited(before, cell, "new", "code", edit).map(|text| text.replace([' ', '\n'], ""));
        assert!(after(Some("b"), CellEdit::Replace).unwrap().contains(r#"{"id":"b","source":"new"}"#));
        assert!(after(Some("a"), CellEdit::Insert).unwrap().contains(r#""source":"1"},{"cell_type":"code""#));
        assert!(!after(Some("a"), CellEdit::Delete).unwrap().contains(r#""id":"a""#));
        assert_eq!(after(Some("x"), CellEdit::Replace), None);
        assert_eq!(edited("no json", None, "", "code", CellEdit::Replace), None);
        assert_eq!(edited(r#"{"cells":[]}"#, None, "", "code", CellEdit::Delete), None);
    }
}
