//! `[anna]`: off, on, and half filled in.

use secrecy::ExposeSecret as _;

use super::*;
use crate::config::{UserIdRule, UserIdSource};

const ANNA: [(&str, &str); 5] = [
    ("BRIDGE__ANNA__BASE_URL", "https://anna.example.com/w5"),
    ("BRIDGE__ANNA__COMPANY_HASH", "canary-hash"),
    ("BRIDGE__ANNA__USER", "login"),
    ("BRIDGE__ANNA__PASSWORD", "canary-password"),
    ("BRIDGE__ANNA__FALLBACK_URL", "https://help.example.com/?a=1&b=2"),
];

fn with(pairs: &[(&str, &str)]) -> Result<Config, Problems> {
    let all: Vec<_> = ANNA.into_iter().filter(|(name, _)| !pairs.iter().any(|(other, _)| other == name)).collect();
    load_over("", &[&all, pairs].concat())
}

#[test]
fn it_is_off_unless_it_is_configured_and_a_channel_opts_in() {
    let config = load_over("", &[]).unwrap();
    assert!(config.anna.is_none() && config.channels.values().all(|channel| !channel.anna));
    assert!(!config.summary().iter().any(|line| line.contains("anna")));
    let config = with(&[]).unwrap();
    assert!(config.anna.is_some() && config.channels.values().all(|channel| !channel.anna));
    let config = with(&[("BRIDGE__CHANNELS__SUPPORT__ANNA", "true")]).unwrap();
    assert!(config.channels.values().all(|channel| channel.anna));
    let anna = config.anna.as_ref().unwrap();
    assert_eq!(anna.base_url.as_str(), "https://anna.example.com/w5/");
    assert_eq!(anna.fallback_url, "https://help.example.com/?a=1&b=2");
    assert_eq!(anna.company_hash.expose_secret(), "canary-hash");
    assert_eq!(anna.user_id, UserIdRule { prefix: String::new(), source: UserIdSource::Digits });
    let said = config.summary().join("\n");
    assert!(said.contains("anna: anna.example.com") && said.contains("1 channel(s)"), "{said}");
    assert!(!said.contains("canary") && !format!("{config:?}").contains("canary"), "{said}");
}

#[test]
fn what_is_missing_or_does_not_fit_is_named() {
    for name in ["COMPANY_HASH", "USER", "PASSWORD", "FALLBACK_URL"] {
        let keys = wrong_keys(with(&[(&format!("BRIDGE__ANNA__{name}"), "")]));
        assert_eq!(keys, [format!("anna.{}", name.to_lowercase())]);
    }
    assert_eq!(wrong_keys(with(&[("BRIDGE__ANNA__BASE_URL", "")])), ["anna.base_url"]);
    let alone = load_over("", &[("BRIDGE__CHANNELS__SUPPORT__ANNA", "true")]);
    assert_eq!(wrong_keys(alone), ["channels.support.anna"]);
    for (name, bad) in [
        ("BASE_URL", "http://anna.example.com/"),
        ("BASE_URL", "https://anna.example.com/?a=1"),
        ("FALLBACK_URL", "http://help.example.com/"),
        ("FALLBACK_URL", "help"),
        ("FALLBACK_PENDING", "0"),
        ("FALLBACK_PENDING", "a{b"),
        ("USER_ID", "digits"),
        ("USER_ID", "a@{digits}"),
        ("USER_ID", "{digits}x"),
        ("LINK_HOSTS", "https://chat.example.com"),
        ("BUDGET", "50ms"),
        ("BUDGET", "11s"),
        ("MAX_PARALLEL", "0"),
        ("MAX_PARALLEL", "65"),
        ("CREATE_USERS", "perhaps"),
    ] {
        let keys = wrong_keys(with(&[(&format!("BRIDGE__ANNA__{name}"), bad)]));
        assert_eq!(keys, [format!("anna.{}", name.to_lowercase())], "{bad}");
    }
    let short = [("BRIDGE__CHANNELS__SUPPORT__ANNA", "true"), ("BRIDGE__CHANNELS__SUPPORT__TEXT_LIMIT", "999")];
    assert_eq!(wrong_keys(with(&short)), ["channels.support.text_limit"]);
    let config = with(&[
        ("BRIDGE__ANNA__USER_ID", "wa-{contact}"),
        ("BRIDGE__ANNA__LINK_HOSTS", "Chat.example.com, other.example.com"),
        ("BRIDGE__ANNA__BASE_URL", "http://127.0.0.1:7003"),
    ]);
    let anna = config.unwrap().anna.unwrap();
    assert_eq!(anna.user_id, UserIdRule { prefix: "wa-".into(), source: UserIdSource::Contact });
    assert_eq!(anna.link_hosts, ["chat.example.com", "other.example.com"]);
    assert_eq!(anna.base_url.as_str(), "http://127.0.0.1:7003/");
}

#[test]
fn a_channel_whose_contacts_have_no_number_is_warned_about_where_a_number_names_them() {
    let warnings = |platform: &str, user_id: &str, anna: &str| {
        let pairs = [
            ("BRIDGE__CHANNELS__SUPPORT__PLATFORM", platform),
            ("BRIDGE__CHANNELS__SUPPORT__ANNA", anna),
            ("BRIDGE__ANNA__USER_ID", user_id),
        ];
        with(&pairs).unwrap().warnings
    };
    for platform in ["telegram", "webchat", "operator"] {
        let said = warnings(platform, "wa-{digits}", "true");
        assert_eq!(said.len(), 1, "{said:?}");
        for part in [
            "channels.support.anna",
            platform,
            "\"wa-{digits}\"",
            "fallback",
            "\"wa-{contact}\"",
            "take anna = true out",
        ] {
            assert!(said[0].contains(part) && !said[0].contains('\n'), "{part}: {said:?}");
        }
    }
    for (platform, user_id, anna) in
        [("whatsapp", "{digits}", "true"), ("telegram", "{contact}", "true"), ("telegram", "{digits}", "false")]
    {
        assert_eq!(warnings(platform, user_id, anna), [""; 0], "{platform} {user_id}");
    }
}
