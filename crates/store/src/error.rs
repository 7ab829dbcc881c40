//! What can go wrong between the operations and the database.

/// A failed database operation.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or did not answer.
    #[error("the database failed")]
    Database(#[from] sea_orm::DbErr),
    /// A stored value does not mean anything to this version.
    #[error("column {column} holds {value:?}, which this version does not understand")]
    Corrupt {
        /// Table and column.
        column: &'static str,
        /// What was found, shortened.
        value: String,
    },
    /// The configured URL names no engine that Munadi speaks.
    #[error("database URL: {0}")]
    Url(String),
}

impl StoreError {
    /// Whether a unique constraint refused the row.
    pub fn is_unique_violation(&self) -> bool {
        match self {
            Self::Database(cause) => {
                matches!(cause.sql_err(), Some(sea_orm::SqlErr::UniqueConstraintViolation(_)))
            }
            Self::Corrupt { .. } | Self::Url(_) => false,
        }
    }

    /// Whether a row was refused because it refers to one that does not exist, or another one still refers to it.
    pub fn is_foreign_key_violation(&self) -> bool {
        match self {
            // SQLite reports a restricted delete with the code of a trigger, but in these words
            Self::Database(cause) => {
                matches!(cause.sql_err(), Some(sea_orm::SqlErr::ForeignKeyConstraintViolation(_)))
                    || cause.to_string().contains("FOREIGN KEY constraint failed")
            }
            Self::Corrupt { .. } | Self::Url(_) => false,
        }
    }
}
