//! Short forms for the columns and indexes of a migration.

use sea_orm_migration::prelude::*;

/// A table under construction.
pub(super) fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(name).take()
}

/// An integer key that the database gives.
pub(super) fn id() -> ColumnDef {
    ColumnDef::new("id").big_integer().not_null().auto_increment().primary_key().take()
}

/// A 64-bit integer: ids, counts, and times in microseconds since 1970.
pub(super) fn int(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().take()
}

/// [`int`], or nothing.
pub(super) fn int_null(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().null().take()
}

/// A text.
pub(super) fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().not_null().take()
}

/// [`text`], or nothing.
pub(super) fn text_null(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().null().take()
}

/// A UUID.
pub(super) fn uuid(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).uuid().not_null().take()
}

/// A number with fraction, or nothing.
pub(super) fn double_null(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).double().null().take()
}

/// Bytes.
pub(super) fn bytes(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).blob().not_null().take()
}

/// [`bytes`], or nothing.
pub(super) fn bytes_null(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).blob().null().take()
}

/// A primary key over several columns.
pub(super) fn key(columns: &[&'static str]) -> IndexCreateStatement {
    let mut key = Index::create();
    for column in columns {
        key.col(*column);
    }
    key.primary().take()
}

/// A reference of `table.column` to the id of `parent`; the row goes when the parent goes.
pub(super) fn owned_by(
    table: &'static str,
    column: &'static str,
    parent: &'static str,
) -> ForeignKeyCreateStatement {
    ForeignKey::create().from(table, column).to(parent, "id").on_delete(ForeignKeyAction::Cascade).take()
}

/// A reference of `table.column` to the id of `parent`, which cannot go while the row is there.
pub(super) fn refers_to(
    table: &'static str,
    column: &'static str,
    parent: &'static str,
) -> ForeignKeyCreateStatement {
    ForeignKey::create().from(table, column).to(parent, "id").on_delete(ForeignKeyAction::Restrict).take()
}

/// An index over `columns`, named after them.
pub(super) fn index(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(format!("{table}_{}", columns.join("_"))).table(table);
    for column in columns {
        index.col(*column);
    }
    index.take()
}

/// An index that admits each combination once.
pub(super) fn unique(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    index(table, columns).unique().take()
}
