//! The page at `/live`: served whole, from what is configured.

use crate::process::{Place, get, text};

#[tokio::test]
async fn the_page_and_all_that_it_names_are_served() {
    let place = Place::new();
    let sdk = place.path("sdk");
    std::fs::create_dir(&sdk).unwrap();
    for build in ["centrifuge.js", "centrifuge.protobuf.js"] {
        std::fs::write(sdk.join(build), format!("/* {build} */")).unwrap();
    }
    let place = place.with("LIVE__SDK_DIR", &format!("'{}'", sdk.display()));
    let serving = place.serve(&[]).await;
    let base = format!("http://{}", serving.public);
    let (status, page) = get(&format!("{base}/live")).await;
    assert_eq!(status, 200);
    let mut waiting: Vec<String> = names(&page);
    assert!(waiting.len() >= 2, "{page}");
    let mut seen = Vec::new();
    while let Some(path) = waiting.pop() {
        if seen.contains(&path) {
            continue;
        }
        let (status, body) = get(&format!("{base}{path}")).await;
        assert_eq!(status, 200, "{path}");
        waiting.extend(names(&body));
        seen.push(path);
    }
    for part in ["/live/live.css", "/live/live.js", "/live/topics.js", "/live/settings.json"] {
        assert!(seen.iter().any(|path| path == part), "nothing names {part}: {seen:?}");
    }
    let protobuf = get(&format!("{base}/live/sdk/centrifuge.protobuf.js")).await;
    assert_eq!(protobuf, (200, "/* centrifuge.protobuf.js */".to_owned()));
    assert!(serving.told.contains("/live"), "{}", serving.told);
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let serving = Place::new().with("LIVE__ENABLED", "false").serve(&[]).await;
    assert_eq!(get(&format!("http://{}/live", serving.public)).await.0, 404);
    assert!(!serving.told.contains("/live"), "{}", serving.told);
}

#[tokio::test]
async fn a_directory_without_the_sdk_is_a_fault() {
    let place = Place::new().with("LIVE__SDK_DIR", "'/nowhere'");
    let refused = place.run(&["config", "check"]).await;
    assert_eq!(refused.status.code(), Some(64));
    assert!(text(&refused.stderr).contains("/nowhere/centrifuge.js cannot be read"));
}

/// Every path of the page's own in `text`, in quotes.
fn names(text: &str) -> Vec<String> {
    let quoted = text.split('"').filter(|part| part.starts_with("/live/") && part.contains('.'));
    quoted.map(str::to_owned).collect()
}
