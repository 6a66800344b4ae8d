//! `bridge demo`: both platforms and AnnA simulated, the real bridge between them, messages both ways, and a transcript of
//! each. Everything runs on loopback; the store is in a folder that is deleted with the demo.

use std::io::{IsTerminal as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::afilnet::{self, Afilnet};
use super::anna::{self, Anna};
use super::bonychat::{self, BonyChat, IdType, SendOutcome};
use crate::app::App;
use crate::config::Config;
use crate::lifecycle::Signals;

/// How to show it.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// End after the exchange: 0 when every message was verified at both ends, 1 with what failed
    #[arg(long)]
    once: bool,
    /// Where the bridge listens (any free port unless given)
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

const CHANNEL: &str = "demo0channel";
const TOKEN: &str = "demo-token-0123456789";
const PLATFORM_ID: &str = "100";
const ANA: &str = "+34600111222";
const FALLBACK: &str = "https://www.example.com/help";
const BRUNO: &str = "+34600333444";

/// Longest wait for a message to arrive on the other side.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(20);

/// Runs the demo.
///
/// # Errors
/// A part did not start, or a message was lost, doubled, out of order or altered.
pub async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let folder = Folder::new()?;
    let stage = Stage::start(&args, &folder).await?;
    if !args.once {
        stage.page("Watch it in a browser");
    }
    let exchanged = stage.exchange().await;
    if let Err(error) = exchanged {
        stage.app.stop().await;
        return Err(error.context("the demo failed"));
    }
    if !args.once {
        stage.hint();
        Signals::take()?.stop().await;
    }
    stage.app.stop().await;
    Ok(())
}

/// A folder that is deleted when the demo ends.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path =
            std::env::temp_dir().join(format!("bridge-demo-{}-{:08x}", std::process::id(), rand::random::<u32>()));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The two platforms and the bridge between them.
struct Stage {
    afilnet: Afilnet,
    bonychat: BonyChat,
    anna: Anna,
    app: App,
    base: String,
    colours: bool,
}

impl Stage {
    async fn start(args: &DemoArgs, folder: &Folder) -> anyhow::Result<Self> {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let afilnet =
            Afilnet::start(free, afilnet::Options::default()).context("cannot serve the simulated Afilnet")?;
        let channels = vec![bonychat::ChannelSpec::new(CHANNEL, TOKEN, IdType::Phone)];
        let options = bonychat::Options { channels, ..bonychat::Options::default() };
        let bonychat = BonyChat::start(free, options).context("cannot serve the simulated BonyChat")?;
        let company = anna::Options::default();
        let anna = Anna::start(free, company.clone()).context("cannot serve the simulated AnnA")?;
        let settings = [
            ("SERVER__LISTEN", args.listen.to_string()),
            ("ADMIN__LISTEN", "127.0.0.1:0".into()),
            ("ADMIN__TOKEN", format!("{:032x}", rand::random::<u128>())),
            ("STORE__URL", format!("sqlite:{}", folder.0.join("demo.db").display())),
            ("AFILNET__URL", afilnet.url()),
            ("AFILNET__USER", "user".into()),
            ("AFILNET__PASSWORD", "password".into()),
            ("BONYCHAT__WEBHOOK_URL", bonychat.webhook_url()),
            ("CHANNELS__DEMO__CHANNEL_ID", CHANNEL.into()),
            ("CHANNELS__DEMO__API_TOKEN", TOKEN.into()),
            ("CHANNELS__DEMO__ID_TYPE", "phone".into()),
            ("CHANNELS__DEMO__PLATFORM", "whatsapp".into()),
            ("CHANNELS__DEMO__PLATFORM_ID", PLATFORM_ID.into()),
            ("CHANNELS__DEMO__POLL_ACTIVE", "500ms".into()),
            ("CHANNELS__DEMO__ANNA", "true".into()),
            ("ANNA__BASE_URL", anna.url()),
            ("ANNA__COMPANY_HASH", company.company_hash),
            ("ANNA__USER", company.user),
            ("ANNA__PASSWORD", company.password),
            ("ANNA__FALLBACK_URL", FALLBACK.into()),
        ];
        let env = settings.into_iter().map(|(key, value)| (format!("BRIDGE__{key}"), value)).collect();
        let config = Config::load(None, env).map_err(|problems| anyhow::anyhow!("{problems}"))?;
        let app = App::start(config).await?;
        let base = format!("http://{}", app.address());
        Ok(Self { afilnet, bonychat, anna, app, base, colours: std::io::stdout().is_terminal() })
    }

    /// Plays the exchange and verifies it at both ends.
    async fn exchange(&self) -> anyhow::Result<()> {
        self.title("A bridge between two simulated platforms: BonyChat, where agents answer, and Afilnet, where the numbers live");
        self.title("Customers write, the bridge finds it at Afilnet and posts it to BonyChat");
        self.customer(ANA, "Hola, ¿abrís el sábado?").await?;
        self.customer(BRUNO, "Is my order on its way? 📦").await?;
        self.customer(ANA, "¿Y el domingo?").await?;
        self.title("Agents answer, the bridge keeps it, then sends it to Afilnet");
        self.agent(ANA, "text", json!({"type": "text", "text": "Sí, de 10 a 14 h."})).await?;
        self.agent(BRUNO, "text", json!({"type": "text", "text": "It left this morning."})).await?;
        let image = json!({"type": "image", "url": "https://files.example.com/label.jpg", "description": "The label"});
        self.agent(BRUNO, "image", json!({"type": "attachment", "attachment": image})).await?;
        let place =
            json!({"type": "location", "latitude": 37.3891, "longitude": -5.9845, "address": "Plaza Nueva, Sevilla"});
        self.agent(ANA, "location", place).await?;
        let question = json!({"type": "quick_reply", "title": "¿Te reservamos mesa?", "replies": ["Sí", "No"]});
        self.agent(ANA, "quick reply", question).await?;
        self.title("What cannot be sent is refused with the reason, and Afilnet is not called");
        self.refused(BRUNO, json!({"type": "text", "text": " "})).await?;
        self.refused(BRUNO, json!({"type": "location", "latitude": 91, "longitude": 0})).await?;
        self.title("Afilnet is busy for a moment: the message is kept, tried again, and arrives once");
        self.afilnet.fault("sendmessage:http_429").map_err(anyhow::Error::new)?;
        self.agent(BRUNO, "text", json!({"type": "text", "text": "Anything else I can do for you?"})).await?;
        self.title("AnnA gives a personal link for the customer; when AnnA is down, the fallback is sent in its place");
        let case = || json!({"type": "text", "text": "Siga su caso: {{anna.chat_url}}"});
        self.agent(ANA, "text", case()).await?;
        self.anna.down();
        self.agent(ANA, "text", case()).await?;
        self.verify()
    }

    /// The customer writes; waits for it in BonyChat.
    async fn customer(&self, contact: &str, text: &str) -> anyhow::Result<()> {
        let before = self.bonychat.texts(contact).len();
        let started = Instant::now();
        self.afilnet.receive(PLATFORM_ID, &contact[1..], text).map_err(anyhow::Error::new)?;
        self.line(started, "32", "customer", contact, &format!("writes \"{text}\""));
        let arrived = self.bonychat.until(ARRIVAL_TIMEOUT, |world| world.texts(contact).len() > before).await;
        anyhow::ensure!(arrived, "what {contact} wrote did not reach BonyChat within {ARRIVAL_TIMEOUT:?}");
        let events = self.bonychat.unique_events(contact);
        let event = events.last().context("an event went missing")?;
        self.line(started, "36", "BonyChat", contact, &format!("shows \"{}\" (mId {})", event.text(), event.m_id));
        Ok(())
    }

    /// An agent writes; waits for it at Afilnet.
    async fn agent(&self, contact: &str, kind: &str, message: Value) -> anyhow::Result<()> {
        let before = self.afilnet.sent(&contact[1..]).len();
        let started = Instant::now();
        self.line(started, "34", "agent", contact, &format!("sends a message of kind {kind}"));
        let outcome = self.bonychat.send(&self.base, CHANNEL, contact, message).await;
        let m_id = outcome.m_id.with_context(|| format!("the bridge answered {} {}", outcome.status, outcome.body))?;
        self.line(started, "35", "bridge", contact, &format!("has it safe (mId {m_id})"));
        let arrived = self.afilnet.until(ARRIVAL_TIMEOUT, |world| world.sent(&contact[1..]).len() > before).await;
        anyhow::ensure!(arrived, "message {m_id} did not reach Afilnet within {ARRIVAL_TIMEOUT:?}");
        let sent = self.afilnet.sent(&contact[1..]);
        let call = sent.last().context("a send went missing")?;
        let file = call.fileurl.as_deref().map(|url| format!(" {url}")).unwrap_or_default();
        let text = call.message.replace('\n', " ⏎ ");
        self.line(started, "33", "Afilnet", contact, &format!("took {}{file} \"{text}\"", call.method));
        Ok(())
    }

    /// An agent writes a message that cannot be sent.
    async fn refused(&self, contact: &str, message: Value) -> anyhow::Result<()> {
        let started = Instant::now();
        self.line(started, "34", "agent", contact, &format!("sends {message}"));
        let SendOutcome { status, body, .. } = self.bonychat.send(&self.base, CHANNEL, contact, message).await;
        let reason = body["error"]["message"].as_str().unwrap_or_default();
        anyhow::ensure!(status == 400 && !reason.is_empty(), "expected a refusal with its reason, got {status} {body}");
        self.line(started, "31", "bridge", contact, &format!("refuses it: {status} {reason}"));
        Ok(())
    }

    /// Compares both ledgers with what was written.
    fn verify(&self) -> anyhow::Result<()> {
        let inbound =
            [(ANA, vec!["Hola, ¿abrís el sábado?", "¿Y el domingo?"]), (BRUNO, vec!["Is my order on its way? 📦"])];
        for (contact, expected) in &inbound {
            let found = self.bonychat.texts(contact);
            anyhow::ensure!(found == *expected, "BonyChat shows {found:?} of {contact}, and {expected:?} was written");
        }
        let outbound = [
            (
                ANA,
                vec![
                    "Sí, de 10 a 14 h.".to_owned(),
                    "Plaza Nueva, Sevilla".to_owned(),
                    "¿Te reservamos mesa?".to_owned(),
                    format!("Siga su caso: {}", self.anna.links().first().context("AnnA gave no link")?),
                    format!("Siga su caso: {FALLBACK}"),
                ],
            ),
            (
                BRUNO,
                ["It left this morning.", "The label", "Anything else I can do for you?"].map(str::to_owned).into(),
            ),
        ];
        for (contact, expected) in &outbound {
            let sent = self.afilnet.texts(&contact[1..]);
            let firsts: Vec<&str> = sent.iter().map(|text| text.lines().next().unwrap_or_default()).collect();
            anyhow::ensure!(firsts == *expected, "Afilnet took {sent:?} for {contact}, and {expected:?} was sent");
        }
        let counters = self.afilnet.counters();
        let violations = self.bonychat.violations();
        anyhow::ensure!(violations.is_empty(), "BonyChat found bodies that break its contract: {violations:?}");
        anyhow::ensure!(counters.duplicate_sends == 0 && self.bonychat.repeats() == 0, "something came twice");
        anyhow::ensure!(counters.secrets_in_url == 0, "a password was in a URL");
        self.title("Verified at both ends: 3 messages in, 8 out, 2 refused; none lost, none twice, all in order");
        Ok(())
    }

    fn hint(&self) {
        self.page("What became of them");
        let (base, a, b) = (&self.base, self.afilnet.control_url(), self.bonychat.control_url());
        self.title("It keeps running. Try it from another terminal; Ctrl-C ends it");
        Self::print(&format!(
            "An agent sends:      curl -H 'authorization: Bearer {TOKEN}' {base}/message \\\n\
             \x20                      -d '{{\"channelId\":\"{CHANNEL}\",\"contactId\":\"{ANA}\",\"message\":{{\"type\":\"text\",\"text\":\"Hello\"}}}}'\n\
             ... and Afilnet has: curl {a}sent\n\
             A customer writes:   curl -d platformid={PLATFORM_ID} -d destination={} -d text=Hola {a}receive\n\
             ... BonyChat has:    curl {b}events\n\
             Make it hard:        curl -d rule=sendmessage:http_500 {a}faults\n\
             More of both:        curl {a} ; curl {b}\n",
            &ANA[1..]
        ));
    }

    /// Prints a link to the operators' page.
    fn page(&self, what: &str) {
        if let Some(link) = self.app.page_link() {
            self.title(&format!("{what}: the operators' page, signed in (once, within 60 s)"));
            Self::print(&format!("{link}\n"));
        }
    }

    fn title(&self, text: &str) {
        Self::print(&if self.colours { format!("\n\x1b[1m{text}\x1b[0m\n") } else { format!("\n{text}\n") });
    }

    /// Prints one step of a message: time since its start, who, which conversation, what.
    fn line(&self, started: Instant, colour: &str, who: &str, contact: &str, what: &str) {
        let at = format!("{:>8.1} ms", started.elapsed().as_secs_f64() * 1000.0);
        let who = format!("{who:<8}");
        Self::print(&if self.colours {
            format!("\x1b[2m{at}\x1b[0m  \x1b[{colour}m{who}\x1b[0m  {contact}  {what}\n")
        } else {
            format!("{at}  {who}  {contact}  {what}\n")
        });
    }

    /// Prints to stdout; a closed stdout is ignored.
    fn print(text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}
