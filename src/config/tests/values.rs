//! What each key takes and refuses.

use super::*;

/// One key with one value, through the environment, which holds text only.
fn set(key: &str, value: &str) -> Vec<String> {
    let name = super::super::keys::variable(key);
    wrong_keys(load_over("", &[(&name, value)]))
}

/// A new page must be named in [`super::super::check`]: below a prefix of its name it could not be told from the prefix.
#[test]
fn no_prefix_begins_with_a_page_of_the_operators() {
    let routes = include_str!("../../http/ops/mod.rs").split(".route(\"/").skip(1);
    let first = |route: &'static str| route.split(['/', '"']).next().unwrap();
    let pages: Vec<_> = routes.map(first).filter(|page| !page.is_empty()).collect();
    assert!(pages.len() > 10, "{pages:?}");
    for page in pages {
        assert_eq!(set("admin.path_prefix", &format!("/{page}/ops")), ["admin.path_prefix"], "{page}");
    }
}

#[test]
fn good_values_are_taken() {
    for (key, values) in [
        ("server.listen", &["127.0.0.1:0", "[::]:8080", " 0.0.0.0:1 "] as &[&str]),
        ("server.path_prefix", &["", "/", "/bridge", "/a/b/"]),
        ("server.body_limit", &["1024", "1 KiB", "16 MiB", "16MiB", "2048 B"]),
        ("server.trusted_proxies", &["", "127.0.0.1", "10.0.0.0/8, ::1 ,fd00::/8", "10.1.2.3/8"]),
        ("admin.listen", &["127.0.0.2:9090", "[::1]:9090"]),
        ("admin.path_prefix", &["", "/", "/ops", "/a/b/", "/apis"]),
        ("admin.token", &["", "0012"]),
        ("store.url", &["sqlite:x.db", "postgres://u:p@h/d", "postgresql://h/d"]),
        ("store.keep_text", &["0s", "7d", "1h 30m", "3650d"]),
        ("store.lease", &["1s", "5m"]),
        ("afilnet.url", &["http://127.0.0.1:1/api/http/", "https://www.pasarelasms.com/api/http/"]),
        ("afilnet.transport", &["post", "POST", "basic", "get"]),
        ("afilnet.timeout", &["1ms", "10m"]),
        ("afilnet.answer_limit", &["1 MiB", "32 MiB", "1024 MiB", "1048576"]),
        ("afilnet.time_zone", &["UTC", "America/Bogota", "Atlantic/Canary"]),
        ("afilnet.requests_per_second", &["1", "100000"]),
        ("afilnet.max_in_flight", &["1", "1024"]),
        ("bonychat.requests_per_second", &["1", "20"]),
        ("bonychat.language", &["en", "es"]),
        ("outbound.answer_within", &["0s", "60s"]),
        ("outbound.stale_after", &["", "6s", "15m", "2d"]),
        ("outbound.on_unconfirmed", &["fail", "resend", "hold"]),
        ("outbound.look_after", &["5s", "5s,15s", "1s,1s,1s,1s,1s,1s,1s,1s,1s,1s"]),
        ("outbound.number_quick_replies", &["true", "false", "1", "0", "on", "off", "yes", "no", "TRUE"]),
        ("outbound.location_text", &["{latitude}", "a place", "{address}\n{latitude} {longitude}"]),
        ("inbound.poll_active", &["10ms", "15s"]),
        ("inbound.first_run", &["unread", "skip", "all"]),
        ("inbound.direction", &["flag", "matching"]),
        ("inbound.html_entities", &["true", "false"]),
        ("inbound.status_map.x_1", &["delivered", "read", "failed"]),
        ("retry.initial", &["1ms", "5m"]),
        ("retry.max", &["1s", "24h"]),
        ("log.level", &["off", "trace", "INFO", "info,bridge=debug", "warn,bridge::work=trace"]),
        ("log.contacts", &["masked", "full"]),
        ("channels.support.text_limit", &["1", "7000", ""]),
        ("channels.support.webhook_url", &["", "http://localhost:1/x"]),
        ("channels.support.platform", &["webchat", "whatsapp", "telegram", "operator"]),
        ("channels.support.previous_api_token", &["", "older", "canary-token"]),
    ] {
        for value in values {
            assert_eq!(set(key, value), [""; 0], "{key} = {value:?}");
        }
    }
}

#[test]
fn bad_values_are_refused_by_name() {
    for (key, values) in [
        ("server.listen", &["", "8080", "localhost:8080", "0.0.0.0:99999", "127.0.0.1:9090"] as &[&str]),
        ("server.path_prefix", &["bridge", "/a b", "/{a}", "/a//b"]),
        ("server.body_limit", &["", "1023", "17 MiB", "1 GiB", "1.5 MiB", "256 kb", "-1", "99999999999999999999 MiB"]),
        ("server.trusted_proxies", &["proxy", "10.0.0.0/33", "127.0.0.1,,::1", "0.0.0.0/0", "::/0", "127.0.0.1:80"]),
        ("admin.path_prefix", &["ops", "/a b", "/a//b", "/messages", "/api/v1", "/metrics/"]),
        ("admin.token", &["with space", "ñandú"]),
        ("store.url", &["sqlite:", "mysql://h/d", "x.db"]),
        ("store.lease", &["999ms", "6m", ""]),
        ("store.keep_text", &["", "7", "7 fortnights", "-1s", "3651d", "99999999999999y"]),
        ("afilnet.url", &["", "http://www.afilnet.com/api/http/", "https://u:p@h/", "https://h/?a=b", "h"]),
        ("afilnet.transport", &["", "put", "oauth", "OAuth2"]),
        ("afilnet.timeout", &["0s", "11m", "10"]),
        ("afilnet.answer_limit", &["", "1023 KiB", "1025 MiB", "1 GiB", "32"]),
        ("afilnet.time_zone", &["", "Madrid", "Europe/Nowhere"]),
        ("afilnet.requests_per_second", &["", "0", "100001", "-1", "1.5", "ten", "true"]),
        ("afilnet.max_in_flight", &["0", "1025"]),
        ("bonychat.webhook_url", &["http://example.com/", "https://e.com/a b", "ftp://e.com", "https://u:p@e.com/"]),
        ("bonychat.requests_per_second", &["0", "21", "100000"]),
        ("bonychat.language", &["", "de"]),
        ("outbound.answer_within", &["61s", "-5s"]),
        ("outbound.on_unconfirmed", &["retry"]),
        ("outbound.look_after", &["", "0s", "5s,,6s", "1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s"]),
        ("outbound.number_quick_replies", &["", "2", "si"]),
        ("outbound.location_text", &["", "{adress}", "{"]),
        ("inbound.poll_active", &["9ms", "16s", "25h"]),
        ("inbound.sweep_every", &["0s"]),
        ("inbound.status_map.2", &["", "sent"]),
        ("retry.initial", &["0s", "6m"]),
        ("retry.max", &["25h"]),
        ("log.format", &["xml"]),
        ("log.level", &["", "infoo", "bridge", "info,bridge", "bridge=loud"]),
        ("log.contacts", &["some"]),
        ("channels.support.channel_id", &["a b"]),
        ("channels.support.id_type", &["email"]),
        ("channels.support.platform", &["sms"]),
        ("channels.support.platform_id", &["1 2"]),
        ("channels.support.text_limit", &["0", "7001"]),
        ("channels.support.api_token", &["", "a b", "a\nb"]),
        ("channels.support.poll_active", &["1ms", "1m"]),
        ("channels.support.poll_idle", &["1s"]),
    ] {
        for value in values {
            let found = set(key, value);
            let key = if (key, *value) == ("server.listen", "127.0.0.1:9090") { "admin.listen" } else { key };
            assert_eq!(found, [key], "{key} = {value:?}");
        }
    }
}

#[test]
fn files_hold_numbers_and_switches_as_they_are() {
    let config = load_over(
        "[server]\nbody_limit = 2048\n[afilnet]\nmax_in_flight = 7\n[inbound]\nechoes = false\n\
         [inbound.status_map]\n2 = \"read\"\nEntregado = \"delivered\"",
        &[],
    )
    .unwrap();
    assert_eq!((config.server.body_limit_bytes, config.inbound.echoes), (2048, false));
    assert_eq!(config.inbound.status_map.keys().collect::<Vec<_>>(), ["2", "Entregado"]);
    for (toml, key) in [
        ("[afilnet]\nmax_in_flight = true", "afilnet.max_in_flight"),
        ("[afilnet]\nmax_in_flight = 1.5", "afilnet.max_in_flight"),
        ("[afilnet]\nmax_in_flight = [1]", "afilnet.max_in_flight"),
        ("[afilnet]\npassword = 12", "afilnet.password"),
        ("[store]\nkeep_text = 7", "store.keep_text"),
        ("[outbound]\nlook_after = [5]", "outbound.look_after"),
        ("[outbound]\nlook_after = 5", "outbound.look_after"),
        ("[log]\nlevel = 3.5", "log.level"),
        ("[server]\nlisten = 8080", "server.listen"),
    ] {
        let pairs: Vec<_> =
            REST.into_iter().filter(|(name, _)| !name.ends_with("PASSWORD") || !key.ends_with("password")).collect();
        assert_eq!(wrong_keys(load(&format!("{toml}\n{CHANNEL}"), &pairs)), [key], "{toml}");
    }
}

#[test]
fn a_number_is_fine_as_an_id() {
    let toml = CHANNEL.replace("\"100\"", "100");
    let config = load(&toml, &REST).unwrap();
    assert_eq!(config.channels[&"support".parse().unwrap()].platform_id.as_str(), "100");
}

#[test]
fn a_transport_without_a_published_address_needs_one_and_is_warned_about() {
    let url = |config: &Config| config.channels[&"support".parse().unwrap()].afilnet.url.to_string();
    let needs = |transport: &str, keys: &[&str]| {
        let missing = wrong_keys(load_over("", &[("BRIDGE__AFILNET__TRANSPORT", transport)]));
        assert_eq!(missing, keys, "{transport}");
    };
    needs(
        "json",
        &[
            "afilnet.json.client_id",
            "afilnet.json.client_secret",
            "afilnet.json.grant",
            "afilnet.json.token_url",
            "afilnet.json.url",
        ],
    );
    needs("soap", &["afilnet.soap.url"]);
    let toml = "[afilnet]\ntransport = 'json'\n[afilnet.json]\nurl = 'https://x.example/api/json/'\ntoken_url = \
                'https://x.example/token'\ngrant = 'client_credentials'\nclient_id = 'id'\nclient_secret = 'canary'";
    let config = load_over(toml, &[]).unwrap();
    assert_eq!(url(&config), "https://x.example/api/json/");
    assert!(config.warnings.iter().any(|said| said.contains("never seen live") && said.contains("bridge channels")));
    assert!(!format!("{config:?}").contains("canary"));
    let line = "afilnet: Json with ClientCredentials tokens of x.example to https://x.example/api/json/, 1 account(s)";
    assert!(config.summary().iter().any(|said| said.starts_with(line)), "{:?}", config.summary());
    // The client stands for itself: the account's own user and password may be left out.
    let channels = [REST[2], REST[3]];
    assert!(load(&format!("{toml}\n{CHANNEL}"), &channels).is_ok());
    let keys = wrong_keys(load(&format!("{}\n{CHANNEL}", toml.replace("client_credentials", "password")), &channels));
    assert_eq!(keys, ["afilnet.password", "afilnet.user"]);
    let toml = "[afilnet]\ntransport = 'soap'\n[afilnet.soap]\nurl = 'https://x.example/api/soap/'";
    assert_eq!(url(&load_over(toml, &[]).unwrap()), "https://x.example/api/soap/");
    for (key, bad) in [("operation", "a b"), ("operation", "1"), ("action", "a\"b"), ("action", "a b")] {
        let name = format!("BRIDGE__AFILNET__SOAP__{}", key.to_uppercase());
        assert_eq!(wrong_keys(load_over(toml, &[(&name, bad)])), [format!("afilnet.soap.{key}")], "{bad}");
    }
    assert_eq!(wrong_keys(load_over("", &[("BRIDGE__AFILNET__JSON__CLIENT", "x")])), ["afilnet.json.client"]);
    let words = wrong(load_over("", &[("BRIDGE__AFILNET__TRANSPORT", "canary")]));
    assert_eq!(words, ["afilnet.transport: must be one of `post`, `get`, `basic`, `json`, `soap`"]);
}

#[test]
fn get_is_taken_with_a_warning_and_basic_goes_to_its_own_address() {
    let config = load_over("", &[("BRIDGE__AFILNET__TRANSPORT", "get")]).unwrap();
    assert!(config.warnings[0].contains("afilnet.transport"), "{:?}", config.warnings);
    let basic = load_over("", &[("BRIDGE__AFILNET__TRANSPORT", "basic")]).unwrap();
    let url = |config: &Config| config.channels[&"support".parse().unwrap()].afilnet.url.to_string();
    assert_eq!(url(&basic), "https://www.afilnet.com/api/basic/");
    let own =
        [("BRIDGE__AFILNET__TRANSPORT", "basic"), ("BRIDGE__AFILNET__URL", "https://reseller.example/api/basic/")];
    assert_eq!(url(&load_over("", &own).unwrap()), "https://reseller.example/api/basic/");
}

#[test]
fn a_webhook_address_that_moved_is_warned_about_and_kept() {
    let url = "https://app.respond.io/custom/channel/webhook/";
    let config = load_over("", &[("BRIDGE__BONYCHAT__WEBHOOK_URL", url)]).unwrap();
    assert!(config.warnings.len() == 1 && config.warnings[0].contains("app.respond.io"), "{:?}", config.warnings);
    assert_eq!(config.channels[&"support".parse().unwrap()].bonychat.webhook_url, url, "byte for byte");
    let elsewhere = [("BRIDGE__BONYCHAT__WEBHOOK_URL", "https://bony.example/app.respond.io")];
    assert!(load_over("", &elsewhere).unwrap().warnings.is_empty());
}

#[test]
fn an_admin_listener_that_others_reach_needs_a_token() {
    let open = ("BRIDGE__ADMIN__LISTEN", "0.0.0.0:9090");
    assert_eq!(wrong_keys(load_over("", &[open])), ["admin.token"]);
    assert!(load_over("", &[open, ("BRIDGE__ADMIN__TOKEN", "canary-admin")]).is_ok());
}

#[test]
fn the_summary_tells_durations_as_they_were_written() {
    let toml = "[store]\nkeep_rows = \"90d\"\n[outbound]\nlook_after = [\"1s\", \"1m 30s\"]";
    let set = [("BRIDGE__RETRY__GIVE_UP_AFTER", "36h")];
    let summary = load_over(toml, &set).unwrap().summary().join("\n");
    for told in ["texts 7d, rows 90d", "looks after 1s 1m 30s", "retry: 1s to 5m, gives up after 36h"] {
        assert!(summary.contains(told), "{told}: {summary}");
    }
    assert!(!summary.contains("9090"), "nothing listens there yet: {summary}");
}

#[test]
fn each_person_has_a_token_of_their_own_a_right_and_channels_that_there_are() {
    let ana = |more: &[(&str, &str)]| {
        let mut keys = vec![("TOKEN", "token-of-ana-0123"), ("MAY", "act")];
        keys.retain(|(key, _)| !more.iter().any(|(other, _)| other == key));
        keys.extend(more);
        let names: Vec<String> = keys.iter().map(|(key, _)| format!("BRIDGE__ADMIN__PEOPLE__ANA__{key}")).collect();
        let pairs: Vec<_> = names.iter().map(String::as_str).zip(keys.iter().map(|(_, value)| *value)).collect();
        load_over("", &pairs)
    };
    let config = ana(&[("CHANNELS", "support")]).unwrap();
    let person = &config.admin.people["ana"];
    assert!(person.may == crate::config::May::Act && person.channels.len() == 1, "{person:?}");
    assert!(!format!("{config:?}").contains("token-of-ana"), "no secret comes out");
    let shown = config.settings.iter().find(|setting| setting.key == "admin.people.ana.token").unwrap();
    assert_eq!(shown.value, "set, 17 characters");
    assert!(ana(&[]).unwrap().admin.people["ana"].channels.is_empty());
    for (more, key) in [
        (&[("TOKEN", "")][..], "token"),
        (&[("TOKEN", "fifteen-letters")], "token"),
        (&[("TOKEN", "with space in the token")], "token"),
        (&[("MAY", "")], "may"),
        (&[("MAY", "all")], "may"),
        (&[("CHANNELS", "support,sales")], "channels"),
        (&[("CHANNELS", "A B")], "channels"),
        (&[("CHANNELS", "")], "channels"),
        (&[("CHANNELS", " , ")], "channels"),
        (&[("NAME", "Ana")], "name"),
    ] {
        assert_eq!(wrong_keys(ana(more)), [format!("admin.people.ana.{key}")], "{more:?}");
    }
    let admin = ("BRIDGE__ADMIN__TOKEN", "token-of-ana-0123");
    let toml = "[admin.people.ana]\ntoken = \"token-of-ana-0123\"\nmay = \"read\"";
    assert_eq!(wrong_keys(load_over(toml, &[admin])), ["admin.people.ana.token"]);
    let none = format!("{toml}\nchannels = []");
    assert_eq!(wrong_keys(load_over(&none, &[])), ["admin.people.ana.channels"], "none, or all?");
    let channel = ("BRIDGE__CHANNELS__SUPPORT__API_TOKEN", "token-of-ana-0123");
    assert_eq!(wrong_keys(load_over(toml, &[channel])), ["channels.support.api_token"]);
    for name in ["admin", "Ana", "ana-maria", "a.b"] {
        let toml = format!("[admin.people.\"{name}\"]\ntoken = \"token-of-ana-0123\"\nmay = \"read\"");
        let wrong = load_over(&toml, &[]).unwrap_err();
        assert!(wrong.to_string().contains("is not the name of a person"), "{name}: {wrong}");
    }
}
