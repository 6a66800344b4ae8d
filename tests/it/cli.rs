//! The commands, as at a terminal.

use std::process::Command;

use crate::support::{House, contact};

fn bare_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridge"));
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("BRIDGE_")) {
        command.env_remove(key);
    }
    command.args(arguments);
    command
}

fn bare(arguments: &[&str]) -> std::process::Output {
    bare_command(arguments).output().unwrap()
}

#[test]
fn health_with_a_broken_configuration_exits_1() {
    for (key, value) in [("BRIDGE__SERVER__LISTEN", "nowhere"), ("BRIDGE_CONFIG", "/no/such/file")] {
        let health = bare_command(&["health"]).env(key, value).output().unwrap();
        assert_eq!(health.status.code(), Some(1), "{key}: {}", String::from_utf8_lossy(&health.stderr));
    }
}

#[test]
fn the_demo_verifies_itself() {
    let demo = bare(&["demo", "--once"]);
    let words = String::from_utf8_lossy(&demo.stdout);
    assert!(demo.status.success(), "{words}{}", String::from_utf8_lossy(&demo.stderr));
    assert!(words.contains("Verified at both ends"), "{words}");
}

#[test]
fn every_missing_thing_is_named_at_once() {
    let check = bare(&["check"]);
    assert_eq!(check.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&check.stderr).contains("no channel is configured"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridge"));
    let check = command.arg("check").env_clear().env("BRIDGE__CHANNELS__A__CHANNEL_ID", "c").output().unwrap();
    assert_eq!(check.status.code(), Some(2));
    let words = String::from_utf8_lossy(&check.stderr);
    for key in
        ["afilnet.user", "afilnet.password", "bonychat.webhook_url", "channels.a.api_token", "channels.a.id_type"]
    {
        assert!(words.contains(key), "{key}: {words}");
    }
    assert_eq!(bare(&["no-such-command"]).status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_refuses_what_serve_refuses() {
    for (key, value, named) in [
        ("STORE__URL", "postgres://u:p@db/bridge?sslmode=sometimes", "store.url"),
        ("CHANNELS__SUPPORT__WEBHOOK_URL", "http://127.0.0.1:9/a/../webhook", "channels.support.webhook_url"),
    ] {
        let house = House::new().set(key, value);
        for command in ["check", "serve"] {
            let refused = house.run(&[command]);
            let words = String::from_utf8_lossy(&refused.stderr);
            assert_eq!(refused.status.code(), Some(2), "{command}: {words}");
            assert!(words.contains(named), "{command}: {words}");
        }
    }
}

#[test]
fn the_default_configuration_is_printed_whole() {
    let printed = bare(&["config"]);
    assert!(printed.status.success());
    let words = String::from_utf8(printed.stdout).unwrap();
    assert!(words.contains("[server]") && words.contains("[inbound.status_map]"));
    for (option, file) in [
        ("--prometheus-rules", "prometheus/bridge.rules.yml"),
        ("--prometheus-scrape", "prometheus/scrape.yml"),
        ("--grafana", "grafana/bridge.json"),
    ] {
        let printed = bare(&["config", option]);
        let there = std::fs::read(format!("{}/config/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(printed.status.success() && printed.stdout == there, "{option}");
    }
    assert_eq!(bare(&["config", "--grafana", "--prometheus-rules"]).status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_channels_and_messages_answer_beside_a_running_bridge() {
    let mut house = House::new();
    let missing = house.run(&["messages", "list"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("there is no store"));
    let bridge = house.start().await;
    let address = bridge.url().trim_start_matches("http://").to_owned();
    let health = house.command(&["health"]).env("BRIDGE__SERVER__LISTEN", &address).status().unwrap();
    assert!(health.success());
    let elsewhere = bare_command(&["health"]).env("BRIDGE__SERVER__LISTEN", &address).env("BRIDGE__X", "y").status();
    assert!(elsewhere.unwrap().success(), "only server.listen is asked for");
    assert!(house.run(&["check"]).status.success());
    let channels = String::from_utf8(house.run(&["channels"]).stdout).unwrap();
    assert_eq!(channels, "whatsapp\t100\tVentas\tsupport\n");
    let m_id = house.agent(&bridge, &contact(1), "hello").await.m_id.unwrap();
    let listed = String::from_utf8(house.run(&["messages", "list"]).stdout).unwrap();
    assert!(listed.starts_with(&format!("{m_id}\tsupport\t+********001\tsent\ttext\t1\t")), "{listed}");
    let full = house.command(&["messages", "list"]).env("BRIDGE__LOG__CONTACTS", "full").output().unwrap();
    assert!(String::from_utf8(full.stdout).unwrap().contains(&format!("\t{}\t", contact(1))));
    let shown = house.run(&["messages", "show", &m_id]);
    assert!(String::from_utf8(shown.stdout).unwrap().contains("\"state\":\"sent\""));
    assert_eq!(house.run(&["messages", "show", "nobody"]).status.code(), Some(1));
    drop(bridge);
    let health = house.command(&["health"]).env("BRIDGE__SERVER__LISTEN", &address).output().unwrap();
    assert_eq!(health.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_reads_is_for_an_operator() {
    let mut house = House::new();
    let bridge = house.start().await;
    let typo = house.run(&["messages", "list", "--channel", "suport"]);
    let words = String::from_utf8_lossy(&typo.stderr);
    assert_eq!(typo.status.code(), Some(2), "{words}");
    assert!(words.contains("`suport`") && words.contains("support"), "{words}");
    assert!(house.run(&["messages", "list", "--channel", "support"]).status.success());
    drop(bridge);
    house.afilnet.down();
    let channels = house.run(&["channels"]);
    let words = String::from_utf8_lossy(&channels.stderr);
    assert_eq!(channels.status.code(), Some(1), "{words}");
    assert!(words.contains("could not be reached") && words.contains("afilnet.url"), "{words}");
    assert!(!words.contains("customer"), "nobody sent anything: {words}");
}
