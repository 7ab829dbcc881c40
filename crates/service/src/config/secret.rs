//! Secrets that stand in files of their own, so that neither the configuration nor the process list shows them.

use std::path::Path;

use secrecy::SecretString;

use super::Faults;

/// Largest secret that is read, in bytes.
const SECRET_BYTES_MAX: u64 = 65_536;

/// The secret in the file that `field` names, without the line break at its end.
///
/// A file that is missing, empty, too large or no text is noted as a fault of `field`.
pub fn read_secret(field: &str, path: &Path, faults: &mut Faults) -> Option<SecretString> {
    let text = read(field, path, faults)?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        faults.add(field, format!("{} is empty", path.display()));
        return None;
    }
    Some(SecretString::from(secret))
}

/// The PEM document in the file that `field` names; like [`read_secret`], but not trimmed.
pub fn read_pem(field: &str, path: &Path, faults: &mut Faults) -> Option<SecretString> {
    let text = read(field, path, faults)?;
    if !text.contains("-----BEGIN ") {
        faults.add(field, format!("{} is not a PEM file", path.display()));
        return None;
    }
    Some(SecretString::from(text))
}

fn read(field: &str, path: &Path, faults: &mut Faults) -> Option<String> {
    let size = std::fs::metadata(path).map(|metadata| metadata.len());
    if size.as_ref().is_ok_and(|size| *size > SECRET_BYTES_MAX) {
        faults.add(field, format!("{} is larger than {SECRET_BYTES_MAX} bytes", path.display()));
        return None;
    }
    match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) => {
            faults.add(field, format!("{} cannot be read: {error}", path.display()));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn secrets_come_from_files_or_are_faults() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let mut faults = Faults::default();
        let secret = read_secret("a", &write("good", b"s3cret \r\n"), &mut faults).unwrap();
        assert_eq!(secret.expose_secret(), "s3cret ");
        assert!(faults.is_empty());
        assert!(read_secret("b", &write("empty", b"\n"), &mut faults).is_none());
        assert!(read_secret("c", &write("binary", &[0xff, 0xfe]), &mut faults).is_none());
        assert!(read_secret("d", &write("large", &vec![b'a'; 70_000]), &mut faults).is_none());
        assert!(read_secret("e", &dir.path().join("absent"), &mut faults).is_none());
        assert!(read_pem("f", &write("text", b"no pem"), &mut faults).is_none());
        let fields: Vec<_> = faults.list().iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["b", "c", "d", "e", "f"]);
    }
}
