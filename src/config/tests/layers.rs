//! Defaults, file, environment: what wins, what is not a key, and where a mistake was made.

use secrecy::ExposeSecret as _;

use super::*;
use crate::config::{FirstRun, LogFormat, OnUnconfirmed, Source, StoreUrl, Transport};
use crate::domain::{IdType, Language, Platform, StatusValue};

#[test]
fn the_defaults_alone_lack_a_channel_and_nothing_else() {
    let problems = wrong(Config::load(None, HashMap::new()));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("channels: no channel is configured"), "{problems:?}");
    assert!(problems[0].contains("[channels.NAME]"), "{problems:?}");
}

#[test]
fn a_channel_without_secrets_lacks_exactly_them() {
    let problems = load(CHANNEL, &[]).unwrap_err();
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["afilnet.password", "afilnet.user", "bonychat.webhook_url", "channels.support.api_token"]);
    let text = problems.to_string();
    assert!(text.contains("BRIDGE__CHANNELS__SUPPORT__API_TOKEN"), "{text}");
    assert!(text.contains("channels.support.api_token_file"), "{text}");
    assert!(problems.iter().all(|problem| problem.source == Source::Default));
}

#[test]
fn an_empty_channel_lacks_everything_that_it_cannot_inherit() {
    let keys = wrong_keys(load("[channels.a]", &REST[..3]));
    let missing = ["api_token", "channel_id", "id_type", "platform", "platform_id"];
    assert_eq!(keys, missing.map(|key| format!("channels.a.{key}")));
}

#[test]
fn the_defaults_are_those_of_the_design() {
    let config = load_over("", &[]).unwrap();
    let seconds = |duration: std::time::Duration| duration.as_secs();
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:8080");
    assert_eq!((config.server.path_prefix.as_str(), config.server.body_limit_bytes), ("", 256 * 1024));
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:9090");
    assert!(config.admin.token.is_none());
    assert!(matches!(&config.store.url, StoreUrl::Sqlite(path) if path == std::path::Path::new("data/bridge.db")));
    assert_eq!((seconds(config.store.keep_text), seconds(config.store.keep_rows)), (7 * 86_400, 30 * 86_400));
    assert_eq!(config.language, Language::En);
    let outbound = &config.outbound;
    assert_eq!((seconds(outbound.answer_within), seconds(outbound.live_for)), (5, 900));
    assert_eq!(outbound.on_unconfirmed, OnUnconfirmed::Fail);
    assert_eq!(outbound.look_after.iter().copied().map(seconds).collect::<Vec<_>>(), [5, 15, 45]);
    assert!(outbound.number_quick_replies && outbound.location_text.starts_with("{address}\n{latitude},"));
    let inbound = &config.inbound;
    assert_eq!((seconds(inbound.sweep_every), inbound.first_run), (600, FirstRun::Unread));
    assert!(inbound.echoes && inbound.statuses && inbound.attachments && inbound.status_map.is_empty());
    let retry = config.retry;
    assert_eq!((seconds(retry.initial), seconds(retry.max), seconds(retry.give_up_after)), (1, 300, 86_400));
    assert_eq!((config.log.format, config.log.format_is_default), (LogFormat::Json, true));
    assert_eq!(config.log.level, "info");
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);

    let channel = &config.channels[&"support".parse().unwrap()];
    assert_eq!((channel.id_type, channel.platform), (IdType::Phone, Platform::Whatsapp));
    assert_eq!((channel.channel_id.as_str(), channel.platform_id.as_str()), ("gfd8g7fd89dgfd", "100"));
    assert_eq!((channel.text_limit, seconds(channel.poll_active), seconds(channel.poll_idle)), (4096, 2, 15));
    let afilnet = &channel.afilnet;
    assert_eq!(afilnet.url.as_str(), "https://www.afilnet.com/api/http/");
    assert!(matches!(afilnet.transport, Transport::Post));
    assert_eq!(seconds(afilnet.timeout), 10);
    assert_eq!((afilnet.requests_per_second, afilnet.max_in_flight), (10, 4));
    assert_eq!(afilnet.time_zone.iana_name(), Some("Europe/Madrid"));
    assert_eq!((channel.bonychat.requests_per_second, seconds(channel.bonychat.timeout)), (15, 10));
}

#[test]
fn the_environment_alone_makes_a_channel() {
    let config = Config::load(
        None,
        env(&[
            ("BRIDGE_CONFIG", "/nowhere"),
            ("BRIDGE__CHANNELS__SHOP__CHANNEL_ID", "123456"),
            ("BRIDGE__CHANNELS__SHOP__API_TOKEN", "0012"),
            ("BRIDGE__CHANNELS__SHOP__ID_TYPE", "custom"),
            ("BRIDGE__CHANNELS__SHOP__PLATFORM", "Webchat"),
            ("BRIDGE__CHANNELS__SHOP__PLATFORM_ID", "7"),
            ("BRIDGE__CHANNELS__SHOP__TEXT_LIMIT", "100"),
            ("BRIDGE__AFILNET__USER", "0034"),
            ("BRIDGE__AFILNET__PASSWORD", "1e5"),
            ("BRIDGE__AFILNET__MAX_IN_FLIGHT", "9"),
            ("BRIDGE__BONYCHAT__WEBHOOK_URL", "https://hooks.example.com/"),
            ("BRIDGE__BONYCHAT__REQUESTS_PER_SECOND", " 20 "),
            ("BRIDGE__SERVER__BODY_LIMIT", "1 MiB"),
            ("BRIDGE__INBOUND__ECHOES", "false"),
            ("BRIDGE__INBOUND__STATUS_MAP__2", "delivered"),
            ("BRIDGE__OUTBOUND__LOOK_AFTER", "1s, 2s"),
            ("BRIDGE__OUTBOUND__NUMBER_QUICK_REPLIES", "no"),
            ("BRIDGE__LOG__FORMAT", "json"),
            ("PATH", "/bin"),
        ]),
    )
    .unwrap();
    let channel = &config.channels[&"shop".parse().unwrap()];
    assert_eq!((channel.channel_id.as_str(), channel.text_limit), ("123456", 100));
    assert_eq!((channel.api_token.expose_secret(), channel.afilnet.password.expose_secret()), ("0012", "1e5"));
    assert_eq!((channel.afilnet.user.as_str(), channel.afilnet.max_in_flight), ("0034", 9));
    assert_eq!((channel.bonychat.requests_per_second, config.server.body_limit_bytes), (20, 1024 * 1024));
    assert!(!config.inbound.echoes && !config.outbound.number_quick_replies && !config.log.format_is_default);
    assert_eq!(config.inbound.status_map["2"], StatusValue::Delivered);
    assert_eq!(config.outbound.look_after.len(), 2);
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let file = "[retry]\ninitial = \"2s\"\nmax = \"10m\"\n[channels.support]\npoll_idle = \"30s\"";
    let file = format!("{file}\n{}", CHANNEL.replace("[channels.support]", ""));
    let mut pairs = REST.to_vec();
    pairs.extend([("BRIDGE__RETRY__MAX", "20m"), ("bridge__channels__support__poll_idle", "40s")]);
    let config = load(&file, &pairs).unwrap();
    let retry = config.retry;
    assert_eq!((retry.initial.as_secs(), retry.max.as_secs(), retry.give_up_after.as_secs()), (2, 1200, 86_400));
    assert_eq!(config.channels[&"support".parse().unwrap()].poll_idle.as_secs(), 40);
}

#[test]
fn what_is_no_key_is_refused_with_the_nearest_that_is() {
    for (toml, pair, key, words) in [
        ("[afilnet]\npasword = \"x\"", None, "afilnet.pasword", "`afilnet.password`"),
        ("[afilnett]\nuser = \"x\"", None, "afilnett", "`afilnet`"),
        ("[server]\nmaxBody = 1", None, "server.maxBody", "bridge config"),
        ("[server]\ntimeout = \"1s\"", None, "server.timeout", "`afilnet.timeout`"),
        ("[server]\nBody_Limit = 1", None, "server.Body_Limit", "`server.body_limit`"),
        ("answer_within = \"1s\"", None, "answer_within", "`outbound.answer_within`"),
        ("[channels.a]\napi_tokn = \"x\"", None, "channels.a.api_tokn", "`channels.a.api_token`"),
        ("", Some("BRIDGE__AFILNET__PASSWRD"), "afilnet.passwrd", "BRIDGE__AFILNET__PASSWORD?"),
        ("", Some("BRIDGE__AFILNET__PASSWORD_FIL"), "afilnet.password_fil", "BRIDGE__AFILNET__PASSWORD_FILE?"),
        ("", Some("BRIDGE__CHANNELS__SUPPORT__WEBHOOKURL"), "channels.support.webhookurl", "SUPPORT__WEBHOOK_URL"),
        ("", Some("BRIDGE__ZZZZZZZZZZ__QQQQQQQQQQ"), "zzzzzzzzzz.qqqqqqqqqq", "bridge config"),
        ("", Some("BRIDGE__SERVER"), "server", "BRIDGE__SERVER__LISTEN"),
        ("", Some("BRIDGE__AFILNET__USER__NAME"), "afilnet.user.name", "BRIDGE__AFILNET__USER"),
        ("", Some("BRIDGE__CHANNELS__A-B__API_TOKEN"), "channels.a-b.api_token", "a-z, 0-9 and _"),
        ("server = 1", None, "server", "is a table"),
        ("[server.listen]\na = 1", None, "server.listen", "single value"),
        ("[channels.Main]\nplatform_id = \"1\"", None, "channels.Main", "a-z, 0-9 and _"),
        ("[[channels]]\nplatform_id = \"1\"", None, "channels", "is a table"),
    ] {
        let mut pairs = REST.to_vec();
        pairs.extend(pair.map(|name| (name, "canary")));
        let channel = if toml.contains("[channels") { "" } else { CHANNEL };
        let problems = load(&format!("{toml}\n{channel}"), &pairs).unwrap_err();
        let found = problems.iter().find(|problem| problem.key == key);
        let found = found.unwrap_or_else(|| panic!("no problem with {key}: {problems}"));
        assert!(found.what.contains(words), "{found}");
        assert!(!problems.to_string().contains("canary"), "{problems}");
    }
}

#[test]
fn every_problem_comes_at_once_with_its_source() {
    let file =
        "[server]\nlisten = \"here\"\nbody_limit = 5\n\n[retry]\nmax = 7\n[outbound]\nanswer_within = \"2m\"\nhm = 1";
    let mut pairs = REST.to_vec();
    pairs.extend([("BRIDGE__AFILNET__TIMEOUT", "soon"), ("BRIDGE__LOG__LEVEL", "infoo"), ("BRIDGE__NOTHING", "1")]);
    let problems = load(&format!("{file}\n{CHANNEL}"), &pairs).unwrap_err();
    let found: Vec<_> = problems
        .iter()
        .map(|problem| match &problem.source {
            Source::Default => format!("{} default", problem.key),
            Source::File { line, .. } => format!("{} line {}", problem.key, line.unwrap()),
            Source::Environment(name) => format!("{} {name}", problem.key),
        })
        .collect();
    let all = [
        "afilnet.timeout BRIDGE__AFILNET__TIMEOUT",
        "log.level BRIDGE__LOG__LEVEL",
        "nothing BRIDGE__NOTHING",
        "outbound.answer_within line 8",
        "outbound.hm line 9",
        "retry.max line 6",
        "server.body_limit line 3",
        "server.listen line 2",
    ];
    assert_eq!(found, all);
    let text = problems.to_string();
    assert_eq!(text.lines().count(), 1 + all.len(), "{text}");
    assert!(text.starts_with("the configuration has 8 problems:\n  afilnet.timeout (environment BRIDGE__AFILNET"));
}

#[test]
fn a_file_that_cannot_be_read_is_the_only_problem() {
    let missing = Config::load(Some("/nowhere/bridge.toml".as_ref()), HashMap::new()).unwrap_err();
    assert_eq!(missing.iter().count(), 1);
    assert!(missing.to_string().contains("/nowhere/bridge.toml"), "{missing}");
    for broken in ["[server\nlisten = 1", "password = \"canary-password", "password = canary-password", "a = 1\na = 2"]
    {
        let problems = load(broken, &[]).unwrap_err();
        assert_eq!(problems.iter().count(), 1, "{problems}");
        let text = problems.to_string();
        assert!(text.contains("not valid TOML") && text.contains("line "), "{text}");
        assert!(!text.contains("canary"), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}

#[test]
fn a_file_that_is_no_toml_is_told_with_the_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"[server]\n# se\xf1or\nlisten = \"0.0.0.0:1\"\n").unwrap();
    let said = Config::load(Some(file.path()), HashMap::new()).unwrap_err().to_string();
    assert!(said.contains("line 2") && said.contains("Latin-1") && !said.contains("Check the path"), "{said}");
    for number in ["99999999999999999999", "9223372036854775808", "0xffffffffffffffffff"] {
        let said = load(&format!("[afilnet]\n\nmax_in_flight = {number}\n"), &[]).unwrap_err().to_string();
        assert!(said.contains("line 3"), "{said}");
    }
}

#[test]
fn every_key_of_the_default_file_can_be_set_by_a_variable() {
    let keys = Config::DEFAULT_TOML.lines().scan(String::new(), |section, line| {
        if let Some(header) = line.strip_prefix('[') {
            *section = header.split(']').next()?.to_owned();
        }
        let key = line.split_once(" = ").filter(|_| !line.starts_with(['#', '[']));
        Some(key.map(|(key, value)| (format!("{section}.{key}"), value.to_owned())))
    });
    let keys: Vec<(String, String)> = keys.flatten().collect();
    assert!(keys.len() >= 38, "{}", keys.len());
    for (key, value) in &keys {
        let name = format!("BRIDGE__{}", key.replace('.', "__").to_uppercase());
        let value = value.trim_matches(['"', '[', ']']).replace('"', "").replace("\\n", "\n");
        let value = if value.is_empty() { "/set" } else { value.as_str() };
        let problems = wrong_keys(load_over("", &[(&name, value)]));
        // Neither an address nor a pattern, or of no use alone.
        let of_others = key.starts_with("afilnet.json.") && key.ends_with("url") || key.ends_with("json.grant");
        let of_anna = ["base_url", "company_hash", "user", "password", "fallback_url", "link_hosts"];
        let odd = ["bonychat.webhook_url", "server.trusted_proxies", "outbound.stale_after"].contains(&key.as_str())
            || key.ends_with(".ca_file")
            || of_others
            || key == "afilnet.soap.url"
            || of_anna.iter().any(|last| *key == format!("anna.{last}"));
        assert_eq!(problems.is_empty(), !odd, "{key}: {problems:?}");
    }
}

#[test]
fn the_example_channel_of_the_default_file_works_once_uncommented() {
    let (_, example) = Config::DEFAULT_TOML.split_once("# [channels.support]").unwrap();
    let lines: Vec<&str> = example.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)).collect();
    let toml = format!("[channels.support]{}", lines.join("\n"));
    let keys = wrong_keys(load(&toml, &[]));
    assert_eq!(keys, ["afilnet.password", "afilnet.user", "bonychat.webhook_url", "channels.support.api_token"]);
    for key in crate::config::keys::CHANNEL {
        assert!(toml.lines().any(|line| line.starts_with(&format!("{key} = "))), "{key} is not shown");
    }
    assert!(load(&toml, &REST).is_ok());
}
