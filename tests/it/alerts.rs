//! Alerts, board and `/deliverz`: that they say what happens, by promtool and by a real Prometheus.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::metrics::{get, value};
use crate::support::process::Bridge;
use crate::support::tools::{Service, free_address, installed};
use crate::support::{House, SOON, blocking, contact, until, until_within};

const REQUIRED: &str = "BRIDGE_TEST_PROMETHEUS_REQUIRED";
const RULES: &str = include_str!("../../config/prometheus/bridge.rules.yml");
const CASES: &str = include_str!("../../config/prometheus/bridge.rules.test.yml");
const SCRAPE: &str = include_str!("../../config/prometheus/scrape.yml");
const BOARD: &str = include_str!("../../config/grafana/bridge.json");

/// Metrics that the board does not show, and why.
const NOT_ON_THE_BOARD: &[(&str, &str)] = &[
    ("bridge_anna_calls_total", "there is none while [anna] is off"),
    ("bridge_anna_fallbacks_total", "there is none while [anna] is off"),
    ("bridge_anna_paused", "there is none while [anna] is off"),
    ("bridge_configuration_info", "`bridge doctor` compares it; a person cannot read a digest"),
];

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config/prometheus"))
}

fn run(program: &str, arguments: &[&str], at: &Path) -> Output {
    blocking(|| Command::new(program).args(arguments).current_dir(at).output().unwrap())
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Names of the alerts.
fn alerts() -> Vec<&'static str> {
    RULES.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect()
}

/// The panels of the board that have queries, with these, as they are where every channel is chosen.
fn panels() -> Vec<(String, Vec<String>)> {
    let board: Value = serde_json::from_str(BOARD).unwrap();
    let filled = |query: &Value| query.as_str().unwrap().replace("$channel", ".*").replace("$__rate_interval", "1m");
    let panels = board["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row");
    let queries = |panel: &Value| panel["targets"].as_array().unwrap().iter().map(|one| filled(&one["expr"])).collect();
    panels.map(|panel| (panel["title"].as_str().unwrap().to_owned(), queries(panel))).collect()
}

#[test]
fn every_alert_fires_and_is_held_back_where_it_should() {
    let Some(promtool) = installed("promtool", REQUIRED) else { return };
    for command in [&["check", "rules", "bridge.rules.yml"][..], &["test", "rules", "bridge.rules.test.yml"]] {
        let output = run(&promtool, command, folder());
        assert!(output.status.success(), "{command:?}: {}", words(&output));
    }
    for alert in alerts() {
        for case in ["fires", "is held back"] {
            assert!(CASES.contains(&format!("- name: {alert} {case}\n")), "no case: {alert} {case}");
        }
    }
    assert_eq!(alerts().len(), 20);
}

#[test]
fn the_board_is_sound_without_anything_that_grafana_lacks() {
    let board: Value = serde_json::from_str(BOARD).unwrap();
    let panels_of = board["panels"].as_array().unwrap();
    let ids: BTreeSet<i64> = panels_of.iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), panels_of.len(), "two panels have one id");
    let mut taken = BTreeSet::new();
    for panel in panels_of {
        assert!(["row", "stat", "timeseries"].contains(&panel["type"].as_str().unwrap()), "a plugin: {panel}");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24, "{panel}");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "two panels overlap: {panel}");
        }
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{panel}");
        }
    }
    assert!(!BOARD.contains("://"), "the board leads elsewhere");
    let Some(promtool) = installed("promtool", REQUIRED) else { return };
    let queries: Vec<String> = panels().into_iter().flat_map(|(_, queries)| queries).collect();
    let rule = |(at, query): (usize, &String)| {
        format!("  - record: board:query:{at}\n    expr: {}", Value::from(query.as_str()))
    };
    let rules: Vec<String> = queries.iter().enumerate().map(rule).collect();
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(
        scratch.path().join("board.yml"),
        format!("groups:\n- name: board\n  rules:\n{}\n", rules.join("\n")),
    )
    .unwrap();
    let output = run(&promtool, &["check", "rules", "board.yml"], scratch.path());
    assert!(output.status.success(), "{}", words(&output));
    assert!(words(&output).contains(&format!("{} rules found", queries.len())) && queries.len() > 30);
}

/// A Prometheus that reads `bridge` as the example says, each second, and whose alerts do not wait.
async fn prometheus(bridge: &Bridge, token: &str) -> Option<Service> {
    let program = installed("prometheus", REQUIRED)?;
    let (folder, base) = (tempfile::tempdir().unwrap(), free_address());
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, token).unwrap();
    let scrape = SCRAPE
        .replace("scrape_interval: 15s", "scrape_interval: 1s")
        .replace("/etc/prometheus/bridge-admin-token", &token_file.display().to_string())
        .replace("127.0.0.1:9090", bridge.admin_url().trim_start_matches("http://"));
    let config = format!("global: {{ evaluation_interval: 1s }}\n{scrape}");
    std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
    let at_once: Vec<&str> = RULES.lines().filter(|line| !line.starts_with("        for: ")).collect();
    std::fs::write(folder.path().join("bridge.rules.yml"), at_once.join("\n")).unwrap();
    let mut command = Command::new(program);
    let at = folder.path().display();
    command.args([format!("--config.file={at}/prometheus.yml"), format!("--storage.tsdb.path={at}/data")]);
    command.args([format!("--web.listen-address={base}"), "--log.level=error".into()]);
    let service = Service::start(&mut command, base, folder).await;
    // It listens before its database is open, and answers 503 until then.
    until("Prometheus answers queries", || get(&format!("http://{base}"), "/-/ready", None).0 == 200).await;
    Some(service)
}

/// The series that a query gives, one a line.
fn series(promtool: &str, prometheus: &Service, query: &str) -> String {
    let url = format!("http://{}", prometheus.base);
    let output = run(promtool, &["query", "instant", &url, query], prometheus.folder());
    assert!(output.status.success(), "{query}: {}", words(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_shows_the_whole_board_and_its_alerts_fire() {
    let Some(promtool) = installed("promtool", REQUIRED) else { return };
    let token = "token-of-the-operators";
    let mut house = House::new().set("ADMIN__TOKEN", token).set("RETRY__GIVE_UP_AFTER", "2s");
    let bridge = house.start().await;
    let Some(prometheus) = prometheus(&bridge, token).await else { return };
    let firing = |alert: &str| {
        let query = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}");
        series(&promtool, &prometheus, &query).contains(alert)
    };
    let answers = || series(&promtool, &prometheus, "bridge_accepted_total").contains("support");
    until("it reads the bridge as the example says", answers).await;
    until("it has nothing to say", || {
        !series(&promtool, &prometheus, "up").is_empty() && !alerts().into_iter().any(firing)
    })
    .await;

    house.bonychat.set_poison(Some("POISON"));
    for text in ["POISON", "after"] {
        house.customer(&contact(1), text);
    }
    house.afilnet.fault("sendmessage:NO_ROUTE_AVAILABLE:1-1000").unwrap();
    for n in 2..8 {
        house.agent(&bridge, &contact(n), "words of the agent").await;
    }
    for _ in 0..12 {
        let wrong = house.bonychat.post(&bridge.url(), "wrong", "{}").await;
        assert!(matches!(wrong.status, 401 | 429), "{}", wrong.body);
    }
    for alert in ["BridgeDeadEvents", "BridgeFailures", "BridgeWrongTokens"] {
        until(alert, || firing(alert)).await;
    }
    house.afilnet.clear_faults();
    house.afilnet.fault("sendmessage:reset:1-12").unwrap();
    for n in 20..32 {
        house.agent(&bridge, &contact(n), "words of the agent").await;
    }
    until("BridgeDoubts", || firing("BridgeDoubts")).await;
    house.afilnet.clear_faults();
    house.afilnet.fault("*:INCORRECT_USER_PASSWORD:1-1000000").unwrap();
    house.agent(&bridge, &contact(1), "waits").await;
    until("BridgePaused", || firing("BridgePaused")).await;
    house.afilnet.clear_faults();
    until("the pause is over, and so is its alert", || !firing("BridgePaused")).await;

    // The balance is first asked for half a minute after the start.
    for (panel, queries) in panels() {
        for query in queries {
            until_within(SOON, &format!("{panel}: {query}"), || !series(&promtool, &prometheus, &query).is_empty())
                .await;
        }
    }
    let text = get(&bridge.admin_url(), "/metrics", Some(token)).1;
    let counted = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    for name in counted {
        let shown = panels().iter().any(|(_, queries)| queries.iter().any(|query| query.contains(name)));
        let left_out = NOT_ON_THE_BOARD.iter().any(|(exception, _)| *exception == name);
        assert!(shown || left_out, "{name} is not on the board");
    }
    bridge.kill();
    until("BridgeDown", || firing("BridgeDown")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliverz_says_in_words_what_keeps_messages_from_being_delivered() {
    let mut house = House::new().on_a_file().set("OUTBOUND__ANSWER_WITHIN", "0s");
    let bridge = house.start().await;
    let number = |series: &str| value(&get(&bridge.admin_url(), "/metrics", None).1, series);
    let asked = || get(&bridge.admin_url(), "/deliverz", None);
    let (status, said) = asked();
    assert_eq!((status, said.as_str()), (200, "messages are delivered: 1 channel(s) by this process\n"));
    house.afilnet.fault("*:INCORRECT_USER_PASSWORD:1-1000000").unwrap();
    house.agent(&bridge, &contact(1), "waits").await;
    until("it says so", || asked().1.contains("everything of its Afilnet account is paused")).await;
    let (status, said) = asked();
    assert!(status == 200 && said.contains("paused for less than 5 minutes"), "it may be over soon: {status} {said}");
    assert!(said.contains("Messages are kept") && !said.contains("600000"), "{said}");
    house.afilnet.clear_faults();
    until("it is over", || !asked().1.contains("paused")).await;
    assert!(number("bridge_store_ready") > 0.5);
    let (store, aside) = (house.database(), house.folder.path().join("aside.db"));
    std::fs::rename(&store, &aside).unwrap();
    until("the store is gone", || number("bridge_store_ready") < 0.5).await;
    let (status, said) = asked();
    assert!(status == 503 && said.contains("the store cannot be written"), "{status} {said}");
    std::fs::rename(&aside, &store).unwrap();
    until("it is back", || number("bridge_store_ready") > 0.5 && asked().0 == 200).await;

    house.bonychat.set_poison(Some("POISON"));
    for text in ["POISON", "after"] {
        house.customer(&contact(1), text);
    }
    until("what waits for a person is named", || asked().1.contains("1 event(s) did not reach BonyChat")).await;
    assert_eq!(asked().0, 200, "and holds nothing up");
    until("it is counted", || number("bridge_dead_events{channel=\"support\"}") > 0.5).await;
    let dead = house.messages("dead").remove(0);
    assert!(house.run(&["messages", "discard", &dead]).status.success());
    until("a person has dealt with it", || number("bridge_dead_events{channel=\"support\"}") < 0.5).await;
    assert!(!asked().1.contains("BonyChat"));

    assert!(!bridge.log().iter().any(|line| line.contains("/deliverz") && line.contains("refused")));
    house.check();
}

/// As where a process cannot write its lease.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_no_process_delivers_is_named_and_then_fails_deliverz() {
    use sqlx::{Connection as _, Executor as _, PgConnection};
    let Some(mut house) = House::shared(2).await else { return };
    let bridge = house.start().await;
    let asked = || get(&bridge.admin_url(), "/deliverz", None);
    until("it delivers both", || asked().1.contains("2 channel(s) by this process")).await;
    let mut link = PgConnection::connect(house.setting("STORE__URL")).await.unwrap();
    for statement in [
        "CREATE FUNCTION nobodys() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF NEW.channel = 'c1' AND NEW.process IS NOT NULL THEN RAISE 'not this one'; END IF; RETURN NEW; END $$",
        "CREATE TRIGGER nobodys BEFORE INSERT OR UPDATE ON leases FOR EACH ROW EXECUTE FUNCTION nobodys()",
        "UPDATE leases SET process = NULL WHERE channel = 'c1'",
    ] {
        link.execute(statement).await.unwrap();
    }
    until("it is named", || asked().1.contains("channel `c1`: for") && asked().1.contains("no process delivers it"))
        .await;
    let (status, said) = asked();
    assert!(status == 200 && said.contains("without a process for less than 2 minutes"), "{status} {said}");
    until_within(4 * SOON, "it fails", || asked().0 == 503).await;
    let (_, said) = asked();
    assert!(said.starts_with("messages are not delivered as they should be: 1 thing(s)\n- channel `c1`"), "{said}");
    link.execute("DROP TRIGGER nobodys ON leases").await.unwrap();
    until("somebody delivers it", || asked().0 == 200 && asked().1.contains("2 channel(s)")).await;
    house.check();
}
