//! Rows that are not read yet: for a reader that knows what most of them should be.

use std::sync::Arc;

use ledger::StoreError;
use ledger::asset::Asset;
use ledger::id::Tenant;

use super::StoredRow;
use crate::row::{ColumnTable, Row};

/// A row as stored, whose asset is not read yet.
#[derive(Debug)]
pub struct UnreadRow {
    /// Its key within the tenant: see [`StoredRow::id`].
    pub id: String,
    content: UnreadContent,
}

#[derive(Debug)]
enum UnreadContent {
    Read(Box<Result<Asset, StoreError>>),
    /// Its attributes are the columns from this index on.
    Columns(Arc<ColumnTable>, usize),
}

/// Some rows of one part, and the position of the next ones: see [`RowPage`](super::RowPage).
#[derive(Debug, Default)]
pub struct UnreadPage {
    /// The rows, by increasing key.
    pub rows: Vec<UnreadRow>,
    /// The key after which the next page starts; `None` on the part's last.
    pub next: Option<String>,
}

impl From<StoredRow> for UnreadRow {
    fn from(StoredRow { id, asset }: StoredRow) -> Self {
        Self { id, content: UnreadContent::Read(Box::new(asset)) }
    }
}

impl UnreadRow {
    /// A row whose attributes are the columns of `table` from the index `first` on.
    #[must_use]
    pub fn of_columns(id: String, table: Arc<ColumnTable>, first: usize) -> Self {
        Self { id, content: UnreadContent::Columns(table, first) }
    }

    /// Whether the row is stored as that of this asset would be. If not, it may still be read as
    /// that asset: tags have more than one spelling.
    #[must_use]
    pub fn is_written_as(&self, asset: &Asset) -> bool {
        match &self.content {
            UnreadContent::Read(row) => row.as_ref().as_ref().is_ok_and(|row| row == asset),
            UnreadContent::Columns(table, first) => {
                self.id == asset.key.asset.to_string()
                    && Row::from(asset).columns().is_ok_and(|row| table.has(*first, &row))
            }
        }
    }

    /// Reads the row, which is one of this tenant.
    #[must_use]
    pub fn read(self, tenant: &Tenant) -> StoredRow {
        match self.content {
            UnreadContent::Read(asset) => StoredRow { id: self.id, asset: *asset },
            UnreadContent::Columns(table, first) => {
                let columns = table.columns(first).take(Row::ATTRIBUTES.len());
                StoredRow::of_columns(tenant, self.id, columns)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ledger::error::StoreErrorKind;

    use super::*;
    use crate::row::Column;
    use crate::testing::Story;

    /// An asset with every attribute that one can have at once.
    fn asset() -> Asset {
        let mut asset = Story::begin("main", 1).received().deleted().asset();
        asset.declared.filename = Some("a.pdf".into());
        asset.declared.content_type = Some("application/pdf".into());
        asset.declared.size = Some(1);
        asset.declared.sha256 = Some("00".repeat(32));
        asset.declared.tags = [("a".to_owned(), "b".to_owned())].into();
        asset
    }

    /// The row, with one column changed, behind a column of another row.
    fn row(asset: &Asset, changed: Option<(usize, Column<'_>)>) -> UnreadRow {
        let (row, mut table) = (Row::from(asset), ColumnTable::default());
        let mut columns = row.columns().unwrap();
        if let Some((at, column)) = changed {
            columns[at] = column;
        }
        table.push(&Column::Text("before".into()));
        for column in &columns {
            table.push(column);
        }
        table.push(&Column::Text("after".into()));
        UnreadRow::of_columns(asset.key.asset.to_string(), Arc::new(table), 1)
    }

    #[test]
    fn a_row_is_written_as_its_asset_and_no_other() {
        let asset = asset();
        assert!(row(&asset, None).is_written_as(&asset));
        assert_eq!(row(&asset, None).read(&asset.key.tenant).asset.unwrap(), asset);
        let written = Row::from(&asset);
        for (at, column) in written.columns().unwrap().iter().enumerate() {
            let others = [
                Column::Null,
                Column::Other,
                Column::Integer(7),
                Column::Text("7".into()),
                Column::Text("".into()),
            ];
            for other in others.into_iter().filter(|other| other != column) {
                let altered = row(&asset, Some((at, other.clone())));
                assert!(!altered.is_written_as(&asset), "{}: {other:?}", Row::ATTRIBUTES[at]);
            }
        }
        let other = Story::begin("main", 2).asset();
        let id = UnreadRow { id: other.key.asset.to_string(), ..row(&asset, None) };
        assert!(!id.is_written_as(&asset), "it has another id");
    }

    #[test]
    fn another_spelling_of_tags_is_read_as_the_same_asset() {
        let asset = asset();
        let tags = Row::ATTRIBUTES.iter().position(|name| *name == "tags").unwrap();
        let spaced = row(&asset, Some((tags, Column::Text("{ \"a\": \"b\" }".into()))));
        assert!(!spaced.is_written_as(&asset));
        assert_eq!(spaced.read(&asset.key.tenant).asset.unwrap(), asset);
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_attribute() {
        let asset = asset();
        for (at, name) in Row::ATTRIBUTES.iter().enumerate() {
            let altered = row(&asset, Some((at, Column::Other)));
            let error = altered.read(&asset.key.tenant).asset.unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Corrupt);
            assert!(ledger::error::chain(&error).contains(name), "{error}");
        }
        let misplaced = UnreadRow { id: "x".to_owned(), ..row(&asset, None) };
        assert!(misplaced.read(&asset.key.tenant).asset.is_err());
    }
}
