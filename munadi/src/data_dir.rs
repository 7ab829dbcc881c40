//! The directory of one process: made for its user alone, locked while it runs.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A data directory that this process may use.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
}

/// As long as it lives, no other process serves from the same directory.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl DataDir {
    /// Makes the directory when it is missing.
    ///
    /// # Errors
    /// When it cannot be made, or is something else.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot make the data directory {}", path.display()))?;
        Ok(Self { path: path.to_owned() })
    }

    /// Keeps other processes out until the lock is dropped or this process ends, however it ends.
    ///
    /// # Errors
    /// When another process has it.
    pub(crate) fn lock(&self) -> anyhow::Result<Lock> {
        let path = self.path.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot write to {}", self.path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => bail!(
                "the data directory {} is in use by another munadi process; stop it, or set data_dir to another one",
                self.path.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }

    /// The file `name` with a secret; made with `make` when missing, readable by this user alone, whole or not at
    /// all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn secret(&self, name: &str, make: impl FnOnce() -> String) -> anyhow::Result<PathBuf> {
        let path = self.path.join(name);
        if path.exists() {
            return Ok(path);
        }
        let draft = self.path.join(format!("{name}.new"));
        match std::fs::remove_file(&draft) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&draft)
            .with_context(|| format!("cannot write {}", draft.display()))?;
        file.write_all(make().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, &path)?;
        Ok(path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn it_is_for_one_user_and_its_secrets_are_made_once() {
        let parent = tempfile::tempdir().unwrap();
        let dir = DataDir::open(&parent.path().join("a/b")).unwrap();
        let secret = dir.secret("key", || "first".to_owned()).unwrap();
        assert_eq!((mode(dir.path()), mode(&secret)), (0o700, 0o600));
        std::fs::write(dir.path().join("key.new"), "half").unwrap();
        dir.secret("key", || "second".to_owned()).unwrap();
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "first");
    }

    #[test]
    fn one_process_has_it_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let dir = DataDir::open(parent.path()).unwrap();
        let lock = dir.lock().unwrap();
        assert!(dir.lock().unwrap_err().to_string().contains("in use by another munadi process"));
        drop(lock);
        dir.lock().unwrap();
    }
}
