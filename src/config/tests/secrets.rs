//! Secrets come from files too, and never come out.

use secrecy::ExposeSecret as _;

use super::*;
use crate::config::StoreUrl;

/// A file with `text`; `mode` as for chmod.
fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    file
}

#[test]
fn every_secret_can_stand_in_a_file() {
    let [password, token, old, admin, own, store] =
        ["pass \n", "tok\r\n", "old", "adm\n", "own\n\n", "postgres://u:p@h/d\n"].map(|text| file(text, 0o600));
    let path = |file: &tempfile::NamedTempFile| file.path().to_str().unwrap().to_owned();
    let toml = format!(
        "[admin]\ntoken_file = '{}'\n{CHANNEL}api_token_file = '{}'\nprevious_api_token_file = '{}'\nafilnet_user = 'o'\n\
         afilnet_password_file = '{}'",
        path(&admin),
        path(&token),
        path(&old),
        path(&own)
    );
    let (password, store) = (path(&password), path(&store));
    let pairs = [
        ("BRIDGE__AFILNET__PASSWORD_FILE", password.as_str()),
        ("BRIDGE__AFILNET__USER", "u"),
        ("BRIDGE__STORE__URL_FILE", store.as_str()),
        REST[2],
    ];
    let config = load(&toml, &pairs).unwrap();
    let channel = &config.channels[&"support".parse().unwrap()];
    assert_eq!(channel.api_token.expose_secret(), "tok");
    assert_eq!(channel.previous_api_token.as_ref().unwrap().expose_secret(), "old");
    assert_eq!(channel.afilnet.password.expose_secret(), "own\n"); // one newline, not all
    assert_eq!(config.admin.token.as_ref().unwrap().expose_secret(), "adm");
    assert!(matches!(&config.store.url, StoreUrl::Postgres(url) if url.expose_secret() == "postgres://u:p@h/d"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let inherited =
        load(&toml.replace("afilnet_user = 'o'\n", "").replace("afilnet_password_file", "#"), &pairs).unwrap();
    assert_eq!(inherited.channels[&"support".parse().unwrap()].afilnet.password.expose_secret(), "pass ");
}

#[test]
fn both_forms_at_once_are_refused() {
    let secret = file("canary-in-file", 0o600);
    let path = secret.path().to_str().unwrap();
    for (twin, key) in [
        ("BRIDGE__AFILNET__PASSWORD_FILE", "afilnet.password_file"),
        ("BRIDGE__CHANNELS__SUPPORT__API_TOKEN_FILE", "channels.support.api_token_file"),
    ] {
        let problems = load_over("", &[(twin, path)]).unwrap_err();
        assert!(problems.to_string().contains(key), "{problems}");
        assert_eq!(problems.iter().count(), 1, "{problems}");
        assert!(!problems.to_string().contains("canary"), "{problems}");
    }
    // An empty text is not set, in either form.
    assert!(load_over("", &[("BRIDGE__AFILNET__PASSWORD_FILE", "")]).is_ok());
    let cleared = [("BRIDGE__AFILNET__PASSWORD", ""), ("BRIDGE__AFILNET__PASSWORD_FILE", path)];
    assert!(load_over("[afilnet]\npassword = \"x\"", &cleared).is_ok());
}

#[test]
fn a_file_that_gives_no_secret_is_named_with_its_key() {
    let (empty, newline, large) = (file("", 0o600), file("\n", 0o600), file(&"x".repeat(70_000), 0o600));
    let path = |file: &tempfile::NamedTempFile| file.path().to_str().unwrap().to_owned();
    let spaced = file("canary token\n", 0o600);
    for (path, words) in [
        ("/nowhere/secret".to_owned(), "does not exist"),
        ("/".to_owned(), "cannot be read"),
        (path(&empty), "is empty"),
        (path(&newline), "is empty"),
        (path(&large), "is larger than"),
        (path(&spaced), "white space"),
    ] {
        let pairs = [REST[0], REST[1], REST[2], ("BRIDGE__CHANNELS__SUPPORT__API_TOKEN_FILE", path.as_str())];
        let problems = load(CHANNEL, &pairs).unwrap_err();
        let found: Vec<_> = problems.iter().collect();
        assert_eq!(found.len(), 1, "{problems}");
        assert_eq!(found[0].key, "channels.support.api_token_file");
        assert!(found[0].what.contains(words), "{problems}");
        assert!(words == "white space" || found[0].what.contains(&path), "{problems}");
        assert!(!problems.to_string().contains("canary"), "{problems}");
    }
}

#[cfg(unix)]
#[test]
fn what_everybody_may_read_is_warned_about() {
    let open = file("canary-in-file", 0o644);
    let path = open.path().to_str().unwrap();
    let pairs = [REST[0], REST[2], REST[3], ("BRIDGE__AFILNET__PASSWORD_FILE", path)];
    let config = load(CHANNEL, &pairs).unwrap();
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].contains(path) && config.warnings[0].contains("afilnet.password_file"));

    let with_secret = file(&format!("{CHANNEL}api_token = \"canary\""), 0o644);
    let config = Config::load(Some(with_secret.path()), env(&REST[..3])).unwrap();
    assert!(config.warnings[0].contains("holds a secret"), "{:?}", config.warnings);
    let without = file(CHANNEL, 0o644);
    assert!(Config::load(Some(without.path()), env(&REST)).unwrap().warnings.is_empty());
}

#[test]
fn no_secret_comes_out() {
    let secrets = [
        ("BRIDGE__AFILNET__PASSWORD", "canary-1"),
        ("BRIDGE__ADMIN__TOKEN", "canary-2"),
        ("BRIDGE__STORE__URL", "postgres://u:canary-3@h/d"),
        ("BRIDGE__CHANNELS__SUPPORT__API_TOKEN", "canary-4"),
        ("BRIDGE__CHANNELS__SUPPORT__PREVIOUS_API_TOKEN", "canary-5"),
        ("BRIDGE__CHANNELS__SUPPORT__AFILNET_USER", "canary@example.com"),
        ("BRIDGE__CHANNELS__SUPPORT__AFILNET_PASSWORD", "canary-6"),
    ];
    let config = load_over("", &secrets).unwrap();
    let debug = format!("{config:?}").replace("canary@example.com", "");
    assert!(!debug.contains("canary"), "{debug}");
    let summary = config.summary().join("\n");
    assert!(!summary.contains("canary") && !summary.contains("example.com/"), "{summary}");
    assert_eq!(summary.lines().count(), 9, "{summary}");
    assert!(summary.contains("channels: 1: support (whatsapp)"), "{summary}");

    // Wrong in every way at once, in either layer.
    let broken = [
        ("BRIDGE__AFILNET__PASSWORD__X", "canary"),
        ("BRIDGE__ADMIN__TOKEN", "canary with space"),
        ("BRIDGE__STORE__URL", "canary://u:canary@h"),
        ("BRIDGE__CHANNELS__SUPPORT__API_TOKEN", "canary\u{1b}[0m"),
        ("BRIDGE__AFILNET__URL", "https://u:canary@h/"),
        ("BRIDGE__BONYCHAT__WEBHOOK_URL", "http://canary"),
        ("BRIDGE__SERVER__LISTEN", "canary"),
        ("BRIDGE__LOG__LEVEL", "canary"),
        ("BRIDGE__RETRY__MAX", "canary"),
        ("BRIDGE__INBOUND__FIRST_RUN", "canary"),
        ("BRIDGE__SECRET", "canary"),
    ];
    let toml = "[afilnet]\npassword = [\"canary\"]\ntime_zone = \"canary\"\nmax_in_flight = \"canary\"";
    let mut pairs = REST.to_vec();
    pairs.retain(|(name, _)| !name.ends_with("PASSWORD"));
    pairs.extend(broken);
    let problems = load(&format!("{toml}\n{CHANNEL}"), &pairs).unwrap_err();
    assert!(problems.iter().count() >= broken.len() + 3, "{problems}");
    assert!(!format!("{problems}{problems:?}").contains("canary"), "{problems}");
}
