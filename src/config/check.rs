//! Rules across keys, and the conversion from the sections as read to the configuration as used.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;

use super::checker::Checker;
use super::layers::Layers;
use super::problems::Problems;
use super::{Admin, Anna, Config, InboundConfig, Log, OutboundConfig, Retry, Server, StoreConfig, StoreUrl};
use super::{address, channels, effective, people, raw, secret, summary, transports};

/// [`Config::load`]
pub(super) fn load(file: Option<&Path>, env: HashMap<String, String>) -> Result<Config, Problems> {
    let mut problems = Problems::default();
    let Some(layers) = Layers::gather(Config::DEFAULT_TOML, file, env, &mut problems) else {
        return Err(problems.sorted());
    };
    let mut checker = Checker { layers, problems, warnings: Vec::new() };
    if let Some(file) = file.filter(|file| checker.layers.secrets_in_file && secret::open_to_all(file)) {
        let file = file.display();
        checker
            .warnings
            .push(format!("every user of this machine may read {file}, which holds a secret; chmod o-r it"));
    }
    let config = whole(&mut checker);
    for (key, odd) in std::mem::take(&mut checker.layers.oddities) {
        if !checker.problems.add(&key, &format!("The value {odd}")) {
            checker.warnings.push(format!("{key} ({}): the value {odd}", checker.layers.source(&key)));
        }
    }
    match config {
        Some(config) if checker.problems.is_empty() => {
            Ok(Config { settings: effective::settings(&checker.layers), warnings: checker.warnings, ..config })
        }
        _ => Err(checker.problems.sorted()),
    }
}

/// First parts of the paths of the admin listener: below one of them its own could not be told from those of a prefix.
const OPERATOR_PATHS: [&str; 15] = [
    "api",
    "audit",
    "bulk",
    "channels",
    "deliverz",
    "failed",
    "language",
    "live",
    "login",
    "logout",
    "messages",
    "metrics",
    "settings",
    "unconfirmed",
    "favicon.ico",
];

/// [`Config::listen`]
pub(super) fn listen(file: Option<&Path>, env: HashMap<String, String>) -> Result<SocketAddr, Problems> {
    let mut problems = Problems::default();
    let Some(layers) = Layers::gather(Config::DEFAULT_TOML, file, env, &mut problems) else {
        return Err(problems.sorted());
    };
    let mut of_section = Problems::default();
    match raw::take::<raw::Server>(&layers, &mut of_section, &["server"]) {
        Some(server) if !of_section.has("server.listen") => Ok(server.listen),
        _ => Err(of_section.sorted()),
    }
}

fn whole(checker: &mut Checker) -> Option<Config> {
    // Every section is read before the first `?`, so that one bad section hides no other.
    let server = section::<raw::Server>(checker, "server");
    let admin = section::<raw::Admin>(checker, "admin");
    let store = section::<raw::Store>(checker, "store");
    let afilnet = section::<raw::Afilnet>(checker, "afilnet");
    let json = raw::take::<raw::AfilnetJson>(&checker.layers, &mut checker.problems, &["afilnet", "json"]);
    let soap = raw::take::<raw::AfilnetSoap>(&checker.layers, &mut checker.problems, &["afilnet", "soap"]);
    let anna = section::<raw::Anna>(checker, "anna");
    let bonychat = section::<raw::Bonychat>(checker, "bonychat");
    let outbound = section::<raw::Outbound>(checker, "outbound");
    let inbound = section::<raw::Inbound>(checker, "inbound");
    let retry = section::<raw::Retry>(checker, "retry");
    let log = section::<raw::Log>(checker, "log");

    let admin = admin.map(|raw| check_admin(checker, raw, server.as_ref()));
    let store = store.and_then(|raw| check_store(checker, raw));
    let retry = retry.map(|raw| check_retry(checker, &raw));
    let wants_anna = anna.as_ref().is_some_and(|raw| raw.base_url.is_some());
    let anna = anna.and_then(|raw| check_anna(checker, raw));
    let language = bonychat.as_ref()?.language;
    let inbound = inbound?;
    if checker.clean(&["inbound.poll_active", "inbound.poll_idle"]) && inbound.poll_active > inbound.poll_idle {
        checker.note("inbound.poll_active", "must not be longer than inbound.poll_idle");
    }
    let afilnet = afilnet?;
    let transport = transports::check(checker, afilnet.transport, json, soap)?;
    let defaults =
        channels::ChannelDefaults::new(checker, afilnet, transport, bonychat?, &inbound, admin.as_ref()?, wants_anna);
    let channels = defaults.channels(checker);
    channels::warn_of_polls(checker, &channels);
    channels::warn_of_user_ids(checker, &channels, anna.as_ref());

    let (server, outbound, log) = (server?, outbound?, log?);
    let stale_after =
        outbound.stale_after.filter(|_| checker.clean(&["outbound.stale_after", "outbound.answer_within"]));
    if stale_after.is_some_and(|stale_after| stale_after <= outbound.answer_within) {
        checker
            .note("outbound.stale_after", "must be longer than outbound.answer_within: for so long its caller waits");
    }
    Some(Config {
        server: Server {
            listen: server.listen,
            path_prefix: server.path_prefix.map(|prefix| prefix.0).unwrap_or_default(),
            body_limit_bytes: server.body_limit.0,
            trusted_proxies: server.trusted_proxies.map(|proxies| proxies.0).unwrap_or_default(),
        },
        admin: admin?,
        store: store?,
        outbound: OutboundConfig {
            answer_within: outbound.answer_within,
            live_for: outbound.live_for,
            stale_after: outbound.stale_after,
            on_unconfirmed: outbound.on_unconfirmed,
            look_after: outbound.look_after,
            number_quick_replies: outbound.number_quick_replies,
            location_text: outbound.location_text,
        },
        inbound: InboundConfig {
            sweep_every: inbound.sweep_every,
            decide_within: inbound.decide_within,
            first_run: inbound.first_run,
            direction: inbound.direction,
            html_entities: inbound.html_entities,
            echoes: inbound.echoes,
            statuses: inbound.statuses,
            attachments: inbound.attachments,
            status_map: inbound.status_map.into_iter().map(|(status, value)| (status, value.0)).collect(),
        },
        retry: retry?,
        log: Log {
            format: log.format,
            format_is_default: !checker.layers.is_set("log.format"),
            level: log.level,
            contacts: log.contacts,
        },
        anna,
        language,
        channels,
        warnings: Vec::new(),
        settings: Vec::new(),
        written: summary::DURATIONS.map(|key| (key, written(&checker.layers, key))).into(),
    })
}

/// Returns the text of `key` as it is in its layer; the texts of a list separated by spaces.
fn written(layers: &Layers, key: &str) -> String {
    let value = layers.get(&key.split('.').collect::<Vec<_>>());
    let list = value.clone().and_then(|value| value.into_array().ok());
    let texts = list.unwrap_or_else(|| value.into_iter().collect());
    texts.into_iter().filter_map(|text| text.into_string().ok()).collect::<Vec<_>>().join(" ")
}

fn section<T: serde::de::DeserializeOwned + validator::Validate>(checker: &mut Checker, name: &str) -> Option<T> {
    raw::take(&checker.layers, &mut checker.problems, &[name])
}

fn check_admin(checker: &mut Checker, raw: raw::Admin, server: Option<&raw::Server>) -> Admin {
    let token = checker.token("admin.token", raw.token, raw.token_file);
    if !raw.listen.ip().is_loopback() && token.is_none() && checker.clean(&["admin.listen", "admin.token_file"]) {
        let what = "is not set, but admin.listen is reachable from other machines. Set it as BRIDGE__ADMIN__TOKEN or name \
                    a file that holds it as admin.token_file, or let admin.listen be 127.0.0.1:9090";
        checker.note("admin.token", what);
    }
    let same = server.is_some_and(|server| server.listen == raw.listen && raw.listen.port() != 0);
    if same && checker.clean(&["admin.listen", "server.listen"]) {
        checker.note("admin.listen", "is the same address as server.listen. Give it a port of its own");
    }
    let path_prefix = raw.path_prefix.map(|prefix| prefix.0).unwrap_or_default();
    let first = path_prefix.split('/').nth(1).unwrap_or_default();
    if OPERATOR_PATHS.contains(&first) {
        checker.note(
            "admin.path_prefix",
            "must not begin with the address of something that the admin listener serves itself",
        );
    }
    let people = people::check(checker, token.as_ref());
    Admin { listen: raw.listen, path_prefix, token, people }
}

fn check_store(checker: &mut Checker, raw: raw::Store) -> Option<StoreConfig> {
    let url = checker.secret("store.url", raw.url, raw.url_file);
    let url = checker.required("store.url", url)?;
    match address::store_url(&url) {
        Ok(url) => {
            if let StoreUrl::Sqlite(file) = &url {
                warn_of_loose_modes(checker, file);
            }
            Some(StoreConfig { url, keep_text: raw.keep_text, keep_rows: raw.keep_rows, lease: raw.lease })
        }
        Err(rule) => {
            let from_file = checker.layers.is_set("store.url_file") && !checker.layers.is_set("store.url");
            checker.note(if from_file { "store.url_file" } else { "store.url" }, rule);
            None
        }
    }
}

/// Warns about files of an existing store that others can read: they hold messages and numbers, and the bridge creates
/// them for its own user alone.
fn warn_of_loose_modes(checker: &mut Checker, file: &Path) {
    for end in ["", "-wal", "-shm", ".answers"] {
        let mut name = file.as_os_str().to_owned();
        name.push(end);
        if let Some(mode) = secret::loose_mode(Path::new(&name)) {
            let name = name.display();
            checker.warnings.push(format!(
                "store.url: other users of this machine may read or write {name} (mode {mode:03o}), which holds messages and \
                 phone numbers; chmod 600 it"
            ));
        }
    }
}

/// `[anna]`; `None` where it is off.
fn check_anna(checker: &mut Checker, raw: raw::Anna) -> Option<Anna> {
    let company_hash = checker.secret("anna.company_hash", raw.company_hash, raw.company_hash_file);
    let password = checker.secret("anna.password", raw.password, raw.password_file);
    let ca = checker.certificates("anna.ca_file", raw.ca_file);
    let Some(mut base_url) = raw.base_url else {
        let set = company_hash.is_some() || password.is_some() || raw.user.is_some() || raw.fallback_url.is_some();
        if set && checker.clean(&["anna.base_url"]) {
            checker.note("anna.base_url", "is not set, and other keys of [anna] are: placeholders stay off without it");
        }
        return None;
    };
    if !base_url.path().ends_with('/') {
        // Joining would take the last segment for a file and drop it (anna.md section 1).
        let path = format!("{}/", base_url.path());
        base_url.set_path(&path);
    }
    let company_hash = checker.required("anna.company_hash", company_hash);
    let user = checker.required("anna.user", raw.user);
    let password = checker.required("anna.password", password);
    let fallback_url = checker.required("anna.fallback_url", raw.fallback_url);
    Some(Anna {
        base_url,
        company_hash: company_hash?,
        user: user?,
        password: password?,
        fallback_url: fallback_url?.0,
        fallback_pending: raw.fallback_pending.0,
        user_id: raw.user_id,
        create_users: raw.create_users,
        start_service: raw.start_service.unwrap_or_default(),
        doc_type: raw.doc_type.unwrap_or_default(),
        link_hosts: raw.link_hosts.map(|hosts| hosts.0).unwrap_or_default(),
        budget: raw.budget,
        max_parallel: raw.max_parallel as usize,
        ca,
    })
}

fn check_retry(checker: &mut Checker, raw: &raw::Retry) -> Retry {
    let all = ["retry.initial", "retry.max", "retry.give_up_after"];
    if checker.clean(&all) && raw.initial > raw.max {
        checker.note("retry.initial", "must not be longer than retry.max");
    }
    if checker.clean(&all) && raw.max > raw.give_up_after {
        checker.note("retry.max", "must not be longer than retry.give_up_after");
    }
    Retry { initial: raw.initial, max: raw.max, give_up_after: raw.give_up_after }
}
