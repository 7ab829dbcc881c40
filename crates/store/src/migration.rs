//! The schema, as steps that only ever add: expand first, contract in a later version.

mod m0001_initial;
mod m0002_blocked_users;
mod m0003_recipients;
mod m0004_alerts;
mod m0005_mail_addresses;
mod m0006_calendars;
mod m0007_wishes;
mod table;

use sea_orm_migration::{MigrationTrait, MigratorTrait};

/// Every migration, oldest first.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_initial::Migration),
            Box::new(m0002_blocked_users::Migration),
            Box::new(m0003_recipients::Migration),
            Box::new(m0004_alerts::Migration),
            Box::new(m0005_mail_addresses::Migration),
            Box::new(m0006_calendars::Migration),
            Box::new(m0007_wishes::Migration),
        ]
    }
}
