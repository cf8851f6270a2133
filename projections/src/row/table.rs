//! The columns of many rows in one text and one list of cells, so that a row takes no allocations
//! of its own.

use std::borrow::Cow;

use super::Column;

/// Columns by their index.
#[derive(Debug, Default)]
pub struct ColumnTable {
    texts: String,
    cells: Vec<Cell>,
}

#[derive(Debug)]
enum Cell {
    Null,
    Integer(i64),
    /// From the first byte to before the second.
    Text(usize, usize),
    Other,
}

impl ColumnTable {
    /// An empty table with room for so many columns, and so many bytes of text.
    #[must_use]
    pub fn with_capacity(columns: usize, bytes: usize) -> Self {
        Self { texts: String::with_capacity(bytes), cells: Vec::with_capacity(columns) }
    }

    /// Adds a column after all others.
    pub fn push(&mut self, column: &Column<'_>) {
        self.cells.push(match column {
            Column::Null => Cell::Null,
            Column::Integer(number) => Cell::Integer(*number),
            Column::Text(text) => {
                let start = self.texts.len();
                self.texts.push_str(text);
                Cell::Text(start, self.texts.len())
            }
            Column::Other => Cell::Other,
        });
    }

    /// The number of columns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether there are no columns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Whether the columns from the index `first` on are these.
    #[must_use]
    pub fn has(&self, first: usize, columns: &[Column<'_>]) -> bool {
        let mut stored = self.columns(first);
        columns.iter().all(|column| stored.next().is_some_and(|stored| stored == *column))
    }

    /// The columns from the index `first` on.
    pub fn columns(&self, first: usize) -> impl Iterator<Item = Column<'_>> {
        self.cells.get(first..).unwrap_or_default().iter().map(|cell| match cell {
            Cell::Null => Column::Null,
            Cell::Integer(number) => Column::Integer(*number),
            Cell::Text(start, end) => Column::Text(Cow::Borrowed(&self.texts[*start..*end])),
            Cell::Other => Column::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn columns() -> impl Strategy<Value = Column<'static>> {
        let text = any::<String>().prop_map(|text| Column::Text(text.into()));
        let integer = any::<i64>().prop_map(Column::Integer);
        prop_oneof![Just(Column::Null), Just(Column::Other), integer, text]
    }

    proptest! {
        #[test]
        fn a_table_gives_back_its_columns(columns in prop::collection::vec(columns(), 0..20)) {
            let mut table = ColumnTable::default();
            for column in &columns {
                table.push(column);
            }
            prop_assert_eq!(table.len(), columns.len());
            for first in 0..=columns.len() {
                prop_assert_eq!(table.columns(first).collect::<Vec<_>>(), &columns[first..]);
                prop_assert!(table.has(first, &columns[first..]));
                let more = [&columns[first..], &[Column::Null]].concat();
                prop_assert!(!table.has(first, &more));
            }
        }
    }
}
