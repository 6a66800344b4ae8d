//! Secrets can come from files, and are never printed.

use std::os::unix::fs::PermissionsExt as _;

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
    assert!(!config.warnings.iter().any(|said| said.contains("may read")), "{:?}", config.warnings);
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

    let with_secret = file(&format!("{CHANNEL}api_token = \"canary-in-a-file\""), 0o644);
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

#[test]
fn a_token_that_can_be_guessed_is_warned_about() {
    let short = [("BRIDGE__ADMIN__TOKEN", "x"), ("BRIDGE__CHANNELS__SUPPORT__API_TOKEN", "fifteen-letters")];
    let warnings = load_over("", &short).unwrap().warnings;
    let keys: Vec<&str> = warnings.iter().filter_map(|warning| warning.split(':').next()).collect();
    assert_eq!(keys, ["admin.token", "channels.support.api_token"], "{warnings:?}");
    let long = [("BRIDGE__ADMIN__TOKEN", "sixteen--letters")];
    assert!(load_over("", &long).unwrap().warnings.is_empty());
}

#[test]
fn what_does_not_belong_to_a_value_is_named() {
    for (value, named) in [
        ("\"canary-of-sixteen\"", "quotes"),
        ("'canary-of-sixteen'", "quotes"),
        ("\u{201c}canary-of-sixteen\u{201d}", "quotes"),
        ("\u{feff}canary-of-sixteen", "byte order mark"),
        ("canary-of-sixteen\r", "CR LF"),
        ("canary-of-sixteen\r\n", "CR LF"),
        ("canary-of-sixteen\n", "CR LF"),
        (" canary-of-sixteen", "blanks"),
        ("canary-of-sixteen\u{a0}", "blanks"),
    ] {
        for key in ["AFILNET__PASSWORD", "CHANNELS__SUPPORT__AFILNET_USER", "CHANNELS__SUPPORT__API_TOKEN"] {
            let name = format!("BRIDGE__{key}");
            // The other account needs its own password.
            let own = ("BRIDGE__CHANNELS__SUPPORT__AFILNET_PASSWORD", "canary-password");
            let said = match load_over("", &[own, (&name, value)]) {
                Ok(config) => config.warnings.join("\n"),
                Err(problems) => problems.to_string(),
            };
            assert!(said.contains(named) && said.contains(&name), "{key}={value:?}: {said}");
            assert!(!said.contains("canary"), "{said}");
        }
        let in_file = file(&format!("{value}\n"), 0o600);
        let name = "BRIDGE__AFILNET__PASSWORD_FILE";
        let pairs = [REST[0], REST[2], REST[3], (name, in_file.path().to_str().unwrap())];
        if !value.ends_with(['\r', '\n']) {
            let warnings = load(CHANNEL, &pairs).unwrap().warnings;
            assert!(warnings.len() == 1 && warnings[0].contains(named), "{value:?}: {warnings:?}");
        }
    }
    let said = load_over("", &[("BRIDGE__SERVER__LISTEN", "\"0.0.0.0:8080\"")]).unwrap_err().to_string();
    assert!(said.contains("server.listen") && said.contains("stands in quotes"), "{said}");
    let said = load_over("[server]\npath_prefix = \" /bony\"\n", &[]).unwrap().warnings.join("\n");
    assert!(said.contains("server.path_prefix") && said.contains("line 2") && said.contains("blanks"), "{said}");
    assert!(load_over("[outbound]\nlocation_text = \" {address}\\n\"\n", &[]).unwrap().warnings.is_empty());
}

#[test]
fn a_store_that_others_may_read_or_write_is_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("bridge.db");
    let url = format!("sqlite:{}", store.display());
    let warnings = || load_over("", &[("BRIDGE__STORE__URL", &url)]).unwrap().warnings;
    assert!(warnings().is_empty(), "there is none yet");
    for name in ["bridge.db", "bridge.db-wal"] {
        let file = folder.path().join(name);
        std::fs::write(&file, "").unwrap();
        for (mode, loose) in [(0o600, false), (0o640, false), (0o604, true), (0o666, true), (0o660, true)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let warnings = warnings();
            assert_eq!(warnings.len(), usize::from(loose), "{name} {mode:o}: {warnings:?}");
            assert!(warnings.iter().all(|said| said.contains(name) && said.contains(&format!("{mode:03o}"))));
        }
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}
