//! What channels inherit, and what two of them cannot share.

use std::fmt::Write as _;

use super::*;
use crate::config::Channel;

fn named<'a>(config: &'a Config, name: &str) -> &'a Channel {
    &config.channels[&name.parse().unwrap()]
}

/// A second channel, `[channels.sales]`, with `extra` lines in its table.
fn with_sales(extra: &str) -> Result<Config, Problems> {
    let sales = "[channels.sales]\nchannel_id = \"second\"\nid_type = \"custom\"\nplatform = \"webchat\"\n";
    load_over(&format!("{sales}{extra}"), &[])
}

#[test]
fn a_channel_inherits_and_overrides() {
    let config = with_sales(
        "platform_id = \"1\"\napi_token = \"t2\"\nwebhook_url = \"https://other.example/custom/webhook/\"\n\
         afilnet_user = \"other\"\nafilnet_password = \"p2\"\npoll_active = \"1s\"\npoll_idle = \"9s\"\ntext_limit = 50",
    )
    .unwrap();
    let (support, sales) = (named(&config, "support"), named(&config, "sales"));
    assert_eq!(sales.bonychat.webhook_url, "https://other.example/custom/webhook/");
    assert_eq!((sales.afilnet.user.as_str(), sales.text_limit), ("other", 50));
    assert_eq!((sales.poll_active.as_secs(), sales.poll_idle.as_secs()), (1, 9));
    assert_eq!((support.afilnet.user.as_str(), support.text_limit), ("someone@example.com", 4096));
    assert_eq!(support.bonychat.webhook_url, "https://hooks.example.com/custom/webhook");
    let plain = with_sales("platform_id = \"1\"\napi_token = \"t2\"").unwrap();
    assert_eq!((named(&plain, "sales").text_limit, named(&plain, "sales").poll_idle.as_secs()), (7000, 15));
}

#[test]
fn channels_that_bring_everything_need_no_shared_account() {
    let toml = format!(
        "{CHANNEL}api_token = \"t\"\nafilnet_user = \"u\"\nafilnet_password = \"p\"\nwebhook_url = \"https://e.com/\""
    );
    assert!(load(&toml, &[]).is_ok(), "{:?}", wrong(load(&toml, &[])));
}

#[test]
fn two_channels_share_neither_token_nor_place() {
    for (extra, key, other) in [
        (
            "platform_id = \"1\"\napi_token = \"canary-token-of-support\"",
            "channels.support.api_token",
            "channels.sales.api_token",
        ),
        (
            "platform_id = \"1\"\napi_token = \"t2\"\nprevious_api_token = \"canary-token-of-support\"",
            "channels.support.api_token",
            "channels.sales.previous_api_token",
        ),
        ("platform_id = \"100\"\nplatform = \"whatsapp\"\napi_token = \"t2\"", "channels.support.platform_id", "sales"),
    ] {
        let sales = format!("[channels.sales]\nchannel_id = \"second\"\nid_type = \"custom\"\n{extra}");
        let sales = if extra.contains("platform =") { sales } else { format!("{sales}\nplatform = \"webchat\"") };
        let problems = wrong(load_over(&sales, &[]));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(&format!("{key}: ")) && problems[0].contains(other), "{problems:?}");
        assert!(!problems[0].contains("canary"), "{problems:?}");
    }
    // The same id on another platform, or for another account, is another channel.
    assert!(with_sales("platform_id = \"100\"\napi_token = \"t2\"").is_ok());
    let elsewhere = "platform_id = \"100\"\napi_token = \"t2\"\nafilnet_user = \"o\"\nafilnet_password = \"p\"";
    assert!(with_sales(elsewhere).is_ok());
    let admin = load_over("", &[("BRIDGE__ADMIN__TOKEN", "canary-token-of-support")]);
    assert_eq!(wrong_keys(admin), ["channels.support.api_token"]);
}

#[test]
fn one_account_has_one_password() {
    let sales = "platform_id = \"1\"\napi_token = \"t2\"\n";
    let other = format!("{sales}afilnet_password = \"canary-other\"");
    let problems = wrong(with_sales(&other));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("channels.sales.afilnet_password: differs from afilnet.password"), "{problems:?}");
    assert!(with_sales(&format!("{sales}afilnet_password = \"canary-password\"")).is_ok());
    let strange = wrong_keys(with_sales(&format!("{sales}afilnet_user = \"o\"")));
    assert_eq!(strange, ["channels.sales.afilnet_password"]);
    assert!(with_sales(&format!("{sales}afilnet_user = \"someone@example.com\"")).is_ok());
}

#[test]
fn bonychats_limit_binds_outside_this_machine() {
    let fast = ("BRIDGE__BONYCHAT__REQUESTS_PER_SECOND", "5000");
    let local = ("BRIDGE__BONYCHAT__WEBHOOK_URL", "http://127.0.0.1:3000/");
    assert_eq!(wrong_keys(load_over("", &[fast])), ["bonychat.requests_per_second"]);
    assert_eq!(named(&load_over("", &[fast, local]).unwrap(), "support").bonychat.requests_per_second, 5000);
}

#[test]
fn a_bad_override_is_not_taken_for_a_missing_default() {
    let pairs: Vec<_> = REST.into_iter().filter(|(name, _)| !name.contains("WEBHOOK")).collect();
    let toml = format!("{CHANNEL}webhook_url = \"http://example.com/\"");
    assert_eq!(wrong_keys(load(&toml, &pairs)), ["channels.support.webhook_url"]);
}

#[test]
fn channels_whose_polls_leave_no_call_for_messages_are_warned_about() {
    let channels = |count: usize| {
        let mut toml = String::new();
        for n in 1..count {
            let _ = write!(
                toml,
                "[channels.c{n}]\nchannel_id = \"gfd8g7fd89dg{n:02}\"\napi_token = \"canary-token-of-{n:04}\"\nid_type = \"phone\"\n\
                 platform = \"whatsapp\"\nplatform_id = \"7{n}\"\n"
            );
        }
        load_over(&toml, &[("BRIDGE__INBOUND__POLL_ACTIVE", "5s"), ("BRIDGE__AFILNET__REQUESTS_PER_SECOND", "10")])
            .unwrap()
    };
    assert!(channels(49).warnings.is_empty());
    let warnings = channels(50).warnings;
    assert!(
        warnings.len() == 1 && warnings[0].contains("50 channel(s)") && warnings[0].contains("10 times"),
        "{warnings:?}"
    );
}
