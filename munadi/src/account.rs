//! Looking after accounts from the command line, also while a server runs: it finds what follows in the outbox.

use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use anyhow::{Context as _, ensure};
use api::{AccountChange, NewAccount};
use rand::Rng as _;
use rand::distr::Alphanumeric;
use service::SystemClock;

use crate::cli::{NewUser, UserCommand};
use crate::config::Config;
use crate::wiring;

/// Characters of a password that is made up: 119 bits of letters and digits.
const PASSWORD_CHARS: usize = 20;
/// Characters of the shortest password, as the API has it.
const PASSWORD_CHARS_MIN: usize = 10;
/// Bytes of the longest, as the API has it.
const PASSWORD_BYTES_MAX: usize = 1_024;

/// A password, and whether somebody has to be told what it is.
struct Password {
    text: String,
    made_up: bool,
}

/// Does what was asked, and says what was done.
///
/// # Errors
/// When what was given cannot be used, or there is no such account. Nothing was changed then.
pub(crate) async fn run(config: &Config, command: UserCommand) -> anyhow::Result<String> {
    let unchanged = AccountChange::default();
    match command {
        UserCommand::Create(user) => create(config, user).await,
        UserCommand::SetPassword { email, password_file } => {
            let password = password(password_file.as_deref())?;
            let change = AccountChange { password: Some(password.text.clone()), ..unchanged };
            let done = change_account(config, &email, change).await?;
            Ok(format!("{done} Every session is ended.\n{}", password.told()))
        }
        UserCommand::Block { email } => {
            let change = AccountChange { blocked: Some(true), ..unchanged };
            let done = change_account(config, &email, change).await?;
            Ok(format!("{done} They are blocked; every session is ended.\n"))
        }
        UserCommand::Unblock { email } => {
            let change = AccountChange { blocked: Some(false), ..unchanged };
            Ok(format!("{} They may sign in.\n", change_account(config, &email, change).await?))
        }
        UserCommand::Roles { email, roles } => {
            let change = AccountChange { roles: Some(roles), ..unchanged };
            Ok(format!("{}\n", change_account(config, &email, change).await?))
        }
    }
}

async fn create(config: &Config, user: NewUser) -> anyhow::Result<String> {
    let (local, domain) = user.email.split_once('@').unwrap_or_default();
    let is_address = !local.is_empty() && !domain.is_empty() && !user.email.contains(char::is_whitespace);
    ensure!(is_address, "\"{}\" is not a mail address", user.email);
    let password = password(user.password_file.as_deref())?;
    let account = NewAccount {
        name: user.name.unwrap_or_else(|| local.to_owned()),
        email: user.email.clone(),
        password: Some(password.text.clone()),
        roles: user.roles,
        language: domain::Language::default(),
    };
    let store = wiring::open_store(config).await?;
    let ids = api::create_users(&store, &SystemClock, &config.api.passwords, vec![account])
        .await
        .with_context(|| format!("{} was not made", user.email))?;
    let number = ids.first().context("the database gave no id")?;
    Ok(format!("Made user {number}: {}\n{}", user.email, password.told()))
}

/// Changes the account of `email`; gives a sentence about how it is then.
async fn change_account(config: &Config, email: &str, change: AccountChange) -> anyhow::Result<String> {
    let store = wiring::open_store(config).await?;
    let user = api::change_account(&store, &SystemClock, &config.api.passwords, email, change)
        .await
        .with_context(|| format!("{email} was not changed"))?;
    let roles: Vec<&str> = user.roles.iter().map(|role| role.as_str()).collect();
    Ok(format!("User {}: {} ({}).", user.id, user.email, roles.join(", ")))
}

impl Password {
    /// A line that shows it, when nobody knows it yet.
    fn told(&self) -> String {
        if self.made_up { format!("Password, shown this once: {}\n", self.text) } else { String::new() }
    }
}

/// The password in the file; without a file the one that somebody at a terminal types, or one that is made up.
fn password(file: Option<&Path>) -> anyhow::Result<Password> {
    if let Some(file) = file {
        return Ok(Password { text: read_password(file)?, made_up: false });
    }
    if std::io::stdin().is_terminal()
        && let Some(text) = ask_password()?
    {
        return Ok(Password { text, made_up: false });
    }
    Ok(Password { text: make_password(), made_up: true })
}

/// Asks at the terminal, twice and unseen; `None` when nothing is typed.
fn ask_password() -> anyhow::Result<Option<String>> {
    let ask = |prompt: &str| rpassword::prompt_password(prompt).context("cannot read a password");
    let text = ask("Password (Enter: one is made up): ")?;
    if text.is_empty() {
        return Ok(None);
    }
    check_password(&text)?;
    ensure!(ask("The same again: ")? == text, "the two passwords are not the same");
    Ok(Some(text))
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
    check_password(password)?;
    Ok(password.to_owned())
}

fn check_password(password: &str) -> anyhow::Result<()> {
    ensure!(
        password.chars().count() >= PASSWORD_CHARS_MIN && password.len() <= PASSWORD_BYTES_MAX,
        "a password has {PASSWORD_CHARS_MIN} characters to {PASSWORD_BYTES_MAX} bytes"
    );
    Ok(())
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
