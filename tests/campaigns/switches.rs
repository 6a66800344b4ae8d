//! What is unknown of the live Afilnet: every value of every switch of the simulator, one at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bridge::sim::afilnet::Switches;
use tokio::sync::Semaphore;

use crate::support::process::Bridge;
use crate::support::transports::{TRANSPORTS, over};
use crate::support::{CHANNEL, House, PLATFORM_ID, contact};

const CUSTOMERS: usize = 3;
/// Values tried side by side.
const SIDE_BY_SIDE: usize = 6;
/// Longest wait of a row that nobody can attribute: longer than a flag is late, shorter than [`STEP`].
const DECIDED: &str = "5s";
/// Longest wait for one step.
const STEP: Duration = Duration::from_secs(20);
const FILE: &str = "https://files.example.com/factura.pdf";
const CAPTION: &str = "la foto";

/// A fault that begins after the first exchange and ends before the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// The password is another one for a while, and the secret of the OAuth client.
    Password,
    /// The switch is on for a while.
    Switch,
    /// As [`Trouble::Switch`], but a send meanwhile has an unknown outcome, and so there is none.
    SwitchWithoutSends,
}

/// One value with its settings of the bridge, and what the customer's file looks like.
struct Case {
    switch: &'static str,
    value: &'static str,
    settings: Vec<(&'static str, &'static str)>,
    trouble: Trouble,
    file_shown: Vec<String>,
    transport: &'static str,
}

impl Case {
    fn new((switch, value): (&'static str, &'static str), transport: &'static str) -> Self {
        let low_rate = vec![
            ("AFILNET__REQUESTS_PER_SECOND", "4"),
            ("CHANNELS__SUPPORT__POLL_ACTIVE", "800ms"),
            ("CHANNELS__SUPPORT__POLL_IDLE", "800ms"),
        ];
        let settings = match (switch, value) {
            ("direction_meaning", "dispatched") => vec![("INBOUND__DIRECTION", "matching")],
            ("escape", "html_entities") => vec![("INBOUND__HTML_ENTITIES", "true")],
            ("time_zone", "UTC") => vec![("AFILNET__TIME_ZONE", "UTC")],
            ("time_zone", "account_offset") => vec![("AFILNET__TIME_ZONE", "Etc/GMT+3")],
            // Over the limit a send's outcome is unknown, or its refusal has no known reason: the limit is to be kept.
            ("rate_limit", "http_503_html" | "envelope_unknown_code") => low_rate,
            // Customers write what agents have just written, and no row ever tells them apart.
            ("sent_row_visible_after", "never") => vec![("INBOUND__DECIDE_WITHIN", DECIDED)],
            _ => Vec::new(),
        };
        let trouble = match (switch, value) {
            ("auth_failure", _) => Trouble::Password,
            ("ip_denied", "connection_drop") => Trouble::SwitchWithoutSends,
            ("ip_denied", "off") => Trouble::None,
            ("ip_denied", _) | ("rate_limit", "http_429") => Trouble::Switch,
            _ => Trouble::None,
        };
        // What Afilnet does not show of a file cannot be published.
        let file_shown = match (switch, value) {
            ("file_in_message", "caption_only") => vec![CAPTION.to_owned()],
            ("file_in_message", "empty") => vec!["[unsupported message]".to_owned()],
            ("file_in_message", "html_anchor") => vec![format!("<a href=\"{FILE}\">{CAPTION}</a>")],
            // A file that comes after its row is published behind the placeholder of that row.
            ("file_visible_after", value) if value != "0 s" => vec!["[unsupported message]".to_owned(), String::new()],
            _ => vec![String::new()],
        };
        Self { switch, value, settings, trouble, file_shown, transport }
    }

    /// Waits for a state that must come, or returns what did not.
    async fn wait(&self, what: &str, mut state: impl FnMut() -> bool) -> Result<(), String> {
        let deadline = Instant::now() + STEP;
        while !state() {
            if Instant::now() > deadline {
                return Err(format!("not within {STEP:?}: {what}"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Messages in both directions, compared at the end.
    async fn run(&self) -> Result<(), String> {
        let mut house = over(House::new().set("OUTBOUND__ANSWER_WITHIN", "1s"), self.transport);
        for (key, value) in &self.settings {
            house = house.set(key, value);
        }
        let passing = matches!(self.trouble, Trouble::Switch | Trouble::SwitchWithoutSends);
        if !passing {
            house.afilnet.set_switch(self.switch, self.value).map_err(|e| e.to_string())?;
        }
        house.customer(&contact(0), "old and read");
        house.afilnet.mark_read(PLATFORM_ID, &contact(0)[1..]);
        let bridge = house.start().await;
        let has_snapshot = || bridge.log().iter().any(|line| line.contains("stored the initial snapshot"));
        self.wait("the initial snapshot is taken", has_snapshot).await?;

        let (mut written, mut answered) = (Vec::new(), Vec::new());
        for text in ["¿Sigue abierto? <b>\"ñ\"</b> &amp; más", "línea 1\nlínea 2"] {
            (0..CUSTOMERS).for_each(|who| house.customer(&contact(who), text));
            written.push(text.to_owned());
        }
        for who in 0..CUSTOMERS {
            house.afilnet.receive_file(PLATFORM_ID, &contact(who)[1..], FILE, CAPTION).map_err(|e| e.to_string())?;
        }
        written.extend(self.file_shown.clone());
        self.published(&house, &written).await?;

        self.begin_trouble(&house, &bridge).await?;
        if self.trouble != Trouble::SwitchWithoutSends {
            self.answer(&house, &bridge, &mut answered).await?;
        }
        if self.trouble == Trouble::None {
            self.arrived(&house, &answered).await?;
        }
        for text in ["ok", "ok"] {
            (0..CUSTOMERS).for_each(|who| house.customer(&contact(who), text));
            written.push(text.to_owned());
        }
        self.end_trouble(&house)?;
        if self.trouble == Trouble::SwitchWithoutSends {
            self.published(&house, &written).await?;
            self.answer(&house, &bridge, &mut answered).await?;
        }
        self.published(&house, &written).await?;
        self.arrived(&house, &answered).await?;
        self.first_word(&house, &bridge).await?;
        // Some more rounds, in which nothing may come twice.
        let rounds = house.afilnet.calls("getchats") + 4;
        self.wait("some quiet rounds", || house.afilnet.calls("getchats") >= rounds).await?;
        self.published(&house, &written).await?;
        self.arrived(&house, &answered).await?;
        self.check(&house)
    }

    /// Two replies to each customer: one with a text that the customer will write too, and a file.
    async fn answer(&self, house: &House, bridge: &Bridge, answered: &mut Vec<String>) -> Result<(), String> {
        for text in ["ok", "Sí: <a> & \"b\" mañana\n¡gracias!"] {
            for who in 0..CUSTOMERS {
                let outcome = house.agent(bridge, &contact(who), text).await;
                if outcome.status != 200 {
                    return Err(format!("an answer got {} {}", outcome.status, outcome.body));
                }
            }
            answered.push(text.to_owned());
        }
        for who in 0..CUSTOMERS {
            let outcome = house.bonychat.attachment(&bridge.url(), CHANNEL, &contact(who), "file", FILE).await;
            if outcome.status != 200 {
                return Err(format!("a file got {} {}", outcome.status, outcome.body));
            }
        }
        answered.push(String::new());
        Ok(())
    }

    /// A message to a contact that never wrote: accepted, or refused with the reason.
    async fn first_word(&self, house: &House, bridge: &Bridge) -> Result<(), String> {
        let outcome = house.agent(bridge, &contact(9), "buenos días").await;
        let refused = (self.switch, self.value) == ("new_destination", "chat_not_found");
        let sentence = outcome.body["error"]["message"].as_str().unwrap_or_default();
        match (refused, outcome.status) {
            (false, 200) => Ok(()),
            (true, 400) if !sentence.is_empty() => Ok(()),
            (_, status) => Err(format!("the first word to a stranger got {status} {}", outcome.body)),
        }
    }

    async fn begin_trouble(&self, house: &House, bridge: &Bridge) -> Result<(), String> {
        match self.trouble {
            Trouble::None => return Ok(()),
            Trouble::Password => {
                house.afilnet.add_account("user", "another");
                house.afilnet.set_client_secret("another");
                house.afilnet.expire_tokens();
            }
            Trouble::Switch | Trouble::SwitchWithoutSends => {
                house.afilnet.set_switch(self.switch, self.value).map_err(|e| e.to_string())?;
            }
        }
        let noticed = |line: &String| line.contains(" paused (") || line.contains("a poll failed");
        self.wait("the bridge says that it pauses", || bridge.log().iter().any(noticed)).await
    }

    fn end_trouble(&self, house: &House) -> Result<(), String> {
        match self.trouble {
            Trouble::None => Ok(()),
            Trouble::Password => {
                house.afilnet.add_account("user", "password");
                house.afilnet.set_client_secret("client-secret");
                Ok(())
            }
            Trouble::Switch | Trouble::SwitchWithoutSends => {
                house.afilnet.set_switch(self.switch, "off").map_err(|e| e.to_string())
            }
        }
    }

    /// Every customer's messages are in BonyChat, these and in this order.
    async fn published(&self, house: &House, expected: &[String]) -> Result<(), String> {
        let there = |who: usize| house.bonychat.texts(&contact(who));
        let all = || (0..CUSTOMERS).all(|who| there(who).len() >= expected.len());
        let waited = self.wait("all is published", all).await;
        match (0..CUSTOMERS).map(there).find(|texts| texts != expected) {
            Some(texts) => Err(format!("BonyChat shows {texts:?} for {expected:?}")),
            None => waited,
        }
    }

    /// Every answer is at Afilnet, these and in this order.
    async fn arrived(&self, house: &House, expected: &[String]) -> Result<(), String> {
        let there = |who: usize| house.afilnet.texts(&contact(who)[1..]);
        let all = || (0..CUSTOMERS).all(|who| there(who).len() >= expected.len());
        let waited = self.wait("all answers arrived", all).await;
        match (0..CUSTOMERS).map(there).find(|texts| texts != expected) {
            Some(texts) => Err(format!("Afilnet took {texts:?} for {expected:?}")),
            None => waited,
        }
    }

    fn check(&self, house: &House) -> Result<(), String> {
        let events = house.bonychat.all_events();
        if let Some(other) = events.iter().find(|event| event.kind != "message" || event.repeat) {
            return Err(format!("an event that should not be: {other:?}"));
        }
        if let Some(odd) = events.iter().find(|event| (event.at_ms - event.timestamp_ms).abs() > 60_000) {
            return Err(format!("an event is {} ms from its time", odd.at_ms - odd.timestamp_ms));
        }
        let violations = house.bonychat.violations();
        if !violations.is_empty() {
            return Err(format!("BonyChat refused {violations:?}"));
        }
        if (house.afilnet.secrets_in_url() != 0 && self.transport != "get")
            || house.afilnet.counters().redirects_followed != 0
        {
            return Err("a secret was in a URL, or a redirect was followed".to_owned());
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_live_service_turns_out_to_be_nothing_is_lost_doubled_or_disordered() {
    assert_eq!(failing_over("post").await, Vec::<String>::new());
}

/// `cargo test --features crashpoints --test campaigns -- --ignored --nocapture over_every_transport` (some minutes).
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: see tests/README.md"]
async fn whatever_the_live_service_turns_out_to_be_it_holds_over_every_transport() {
    let mut failing = Vec::new();
    let only = std::env::var("BRIDGE_TRANSPORT_ONLY").ok();
    for transport in TRANSPORTS.into_iter().filter(|transport| only.as_ref().is_none_or(|only| only == transport)) {
        failing.extend(failing_over(transport).await);
    }
    assert!(failing.is_empty(), "{}", failing.join("\n"));
}

/// Tries every value over `transport`; returns those that do not hold, and why.
async fn failing_over(transport: &'static str) -> Vec<String> {
    let started = Instant::now();
    let room = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let mut all = Switches::all();
    // Slow ones first, so that they do not stand alone at the end.
    all.sort_by_key(|(switch, _)| !matches!(*switch, "rate_limit" | "sent_row_visible_after"));
    let tried = all.len();
    let running: Vec<_> = all
        .into_iter()
        .map(|pair| {
            let room = Arc::clone(&room);
            let task = tokio::spawn(async move {
                let _turn = room.acquire().await;
                Case::new(pair, transport).run().await
            });
            (pair, task)
        })
        .collect();
    let mut failed = Vec::new();
    for ((switch, value), task) in running {
        if let Err(why) = task.await.unwrap_or_else(|panic| Err(panic.to_string())) {
            failed.push(format!("{transport}: {switch}={value}: {why}"));
        }
    }
    println!(
        "switches over {transport}: {} of {tried} values hold, in {:.1?}",
        tried - failed.len(),
        started.elapsed()
    );
    failed
}
