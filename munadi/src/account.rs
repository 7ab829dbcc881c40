//! Making an account from the command line: how the first admin comes to be.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use api::NewAccount;
use rand::Rng as _;
use rand::distr::Alphanumeric;
use service::SystemClock;

use crate::cli::NewUser;
use crate::config::Config;
use crate::wiring;

/// Characters of a password that is made up: 119 bits of letters and digits.
const PASSWORD_CHARS: usize = 20;
/// Characters of the shortest password, as the API has it.
const PASSWORD_CHARS_MIN: usize = 10;
/// Bytes of the longest, as the API has it.
const PASSWORD_BYTES_MAX: usize = 1_024;

/// Makes the account, and says how to sign in.
///
/// # Errors
/// When the address or the password cannot be used, or an account with that address exists. Nothing was made then.
pub(crate) async fn create(config: &Config, user: NewUser) -> anyhow::Result<String> {
    let (local, domain) = user.email.split_once('@').unwrap_or_default();
    let is_address = !local.is_empty() && !domain.is_empty() && !user.email.contains(char::is_whitespace);
    ensure!(is_address, "\"{}\" is not a mail address", user.email);
    let given = user.password_file.as_deref().map(read_password).transpose()?;
    let made_up = given.is_none();
    let password = given.unwrap_or_else(make_password);
    let account = NewAccount {
        name: user.name.unwrap_or_else(|| local.to_owned()),
        email: user.email.clone(),
        password: Some(password.clone()),
        roles: user.roles,
        language: domain::Language::default(),
    };
    let store = wiring::open_store(config).await?;
    let ids = api::create_users(&store, &SystemClock, &config.api.passwords, vec![account])
        .await
        .with_context(|| format!("{} was not made", user.email))?;
    let number = ids.first().context("the database gave no id")?;
    let told = if made_up { format!("Password, shown this once: {password}\n") } else { String::new() };
    Ok(format!("Made user {number}: {}\n{told}", user.email))
}

/// The password in the file, or on standard input for `-`, without the line break at its end.
fn read_password(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("cannot read the password from standard input")?;
    } else {
        text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let password = text.trim_end_matches(['\r', '\n']);
    ensure!(
        password.chars().count() >= PASSWORD_CHARS_MIN && password.len() <= PASSWORD_BYTES_MAX,
        "a password has {PASSWORD_CHARS_MIN} characters to {PASSWORD_BYTES_MAX} bytes"
    );
    Ok(password.to_owned())
}

fn make_password() -> String {
    rand::rng().sample_iter(Alphanumeric).take(PASSWORD_CHARS).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_read_without_their_line_break_and_have_a_length() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "seven purple camels\n").unwrap();
        assert_eq!(read_password(&file).unwrap(), "seven purple camels");
        std::fs::write(&file, "short\n").unwrap();
        assert!(read_password(&file).unwrap_err().to_string().contains("10 characters"));
        assert!(read_password(&dir.path().join("missing")).is_err());
    }

    #[test]
    fn made_up_passwords_differ() {
        let (one, other) = (make_password(), make_password());
        assert!(one != other && one.len() == PASSWORD_CHARS);
    }
}
