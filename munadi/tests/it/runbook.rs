//! The runbook of the delivery: every command in it runs as it stands.

use crate::process::{Place, text};

const RUNBOOK: &str = include_str!("../../../docs/operations/delivery.md");

/// The words of a command line; a text in quotes is one.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[tokio::test]
async fn every_command_of_the_runbook_runs() {
    let place = Place::new();
    let blocks = RUNBOOK.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let lines: Vec<&str> = blocks.flat_map(str::lines).collect();
    let expected = [
        "There are no dead letters.",
        "There are no dead letters.",
        "0 of 0 dead letters would be redriven.",
        "0 of 0 dead letters are redriven.",
        "No lane is paused.",
        "email.promotional stands still until it is resumed.",
        "email.promotional goes on.",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for (line, expected) in lines.into_iter().zip(expected) {
        let words = words(line.strip_prefix("munadi ").expect("a command of munadi"));
        let output = place.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        assert!(text(&output.stdout).starts_with(expected), "{line}: {}", text(&output.stdout));
    }
    let again = place.run(&["deliveries", "resume", "email", "promotional", "--reason", "again"]).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("email.promotional is not paused"), "{}", text(&again.stderr));
    let wrong = place.run(&["deliveries", "pause", "pigeon", "promotional", "--reason", "x"]).await;
    assert!(text(&wrong.stderr).contains("is not a channel"), "{}", text(&wrong.stderr));
}
