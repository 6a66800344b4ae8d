//! `bridge simulate`: all simulators on fixed ports, for people and for programs outside.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::afilnet::{self, Afilnet, Switches};
use super::anna::{self, Anna};
use super::bonychat::{self, BonyChat, IdType};
use super::{FaultRule, Latency};

/// What `bridge simulate` takes.
#[derive(Debug, clap::Args)]
pub struct SimulateArgs {
    /// Where the simulated Afilnet listens; loopback only
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 7001)))]
    pub afilnet_listen: SocketAddr,
    /// Where the simulated BonyChat listens; loopback only
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 7002)))]
    pub bonychat_listen: SocketAddr,
    /// Where the simulated AnnA listens; loopback only
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 7003)))]
    pub anna_listen: SocketAddr,
    /// User of the Afilnet account
    #[arg(long, default_value = "user")]
    pub user: String,
    /// Password of the Afilnet account
    #[arg(long, default_value = "password")]
    pub password: String,
    /// An Afilnet channel; again for more
    #[arg(long = "channel", value_name = "PLATFORM:ID", default_value = "whatsapp:100")]
    pub channels: Vec<String>,
    /// Id of the first BonyChat channel; those of further ones get 2, 3, … behind it
    #[arg(long, default_value = "demo")]
    pub channel_id: String,
    /// Token of the first BonyChat channel; those of further ones get 2, 3, … behind it
    #[arg(long, default_value = "demo-token")]
    pub api_token: String,
    /// What contact ids hold: phone or custom
    #[arg(long, value_name = "phone|custom", default_value = "phone")]
    pub id_type: IdType,
    /// Where the bridge listens, for messages that BonyChat sends
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub bridge_url: String,
    /// Sets a switch of the simulated Afilnet; again for more
    #[arg(long = "set", value_name = "SWITCH=VALUE")]
    pub switches: Vec<String>,
    /// Injects a fault: of Afilnet by its method, of BonyChat by the type of event; again for more
    #[arg(long = "fault", value_name = "METHOD:KIND[:NTH|:PROBABILITY]")]
    pub faults: Vec<FaultRule>,
    /// Seed of all chance
    #[arg(long)]
    pub seed: Option<u64>,
    /// Wait before each answer: 20ms, or 5ms-50ms
    #[arg(long, default_value = "0ms")]
    pub latency: Latency,
}

/// The channels of both sides, matched one to one.
struct Pairs {
    afilnet: Vec<afilnet::ChannelSpec>,
    bonychat: Vec<bonychat::ChannelSpec>,
}

impl SimulateArgs {
    fn pairs(&self) -> anyhow::Result<Pairs> {
        let mut pairs = Pairs { afilnet: Vec::new(), bonychat: Vec::new() };
        for (at, channel) in self.channels.iter().enumerate() {
            let (platform, id) = channel.split_once(':').with_context(|| {
                format!("`{channel}` is not PLATFORM:ID: write --channel whatsapp:100, for example")
            })?;
            anyhow::ensure!(
                ["webchat", "whatsapp", "telegram", "operator"].contains(&platform) && !id.is_empty(),
                "`{channel}` names no platform of Afilnet: use webchat, whatsapp, telegram or operator, and an id"
            );
            let number = if at == 0 { String::new() } else { (at + 1).to_string() };
            pairs.afilnet.push(afilnet::ChannelSpec::new(platform, id, &format!("Channel {}", at + 1)));
            let (channel_id, token) = (format!("{}{number}", self.channel_id), format!("{}{number}", self.api_token));
            pairs.bonychat.push(bonychat::ChannelSpec::new(&channel_id, &token, self.id_type));
        }
        Ok(pairs)
    }

    fn switches(&self) -> anyhow::Result<Switches> {
        let mut switches = Switches::default();
        for pair in &self.switches {
            let (switch, value) =
                pair.split_once('=').with_context(|| format!("`{pair}` is not SWITCH=VALUE: --set order=desc"))?;
            switches.set(switch, value)?;
        }
        Ok(switches)
    }
}

/// Runs the simulators until SIGINT or SIGTERM.
///
/// # Errors
/// An argument is wrong or an address cannot be bound.
pub async fn simulate(args: SimulateArgs) -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let Running { afilnet, bonychat, anna, talk } = start(&args)?;
    std::io::stderr().lock().write_all(talk.as_bytes())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    afilnet.stop();
    bonychat.stop();
    anna.stop();
    Ok(())
}

/// The simulators, and the text for the user.
struct Running {
    afilnet: Afilnet,
    bonychat: BonyChat,
    anna: Anna,
    talk: String,
}

/// Starts the simulators.
fn start(args: &SimulateArgs) -> anyhow::Result<Running> {
    let seed = args.seed.unwrap_or_else(rand::random);
    let pairs = args.pairs()?;
    let is_event = |rule: &&FaultRule| rule.method.starts_with("message");
    let options = afilnet::Options {
        accounts: vec![(args.user.clone(), args.password.clone())],
        channels: pairs.afilnet.clone(),
        switches: args.switches()?,
        faults: args.faults.iter().filter(|rule| !is_event(rule)).cloned().collect(),
        seed,
        latency: args.latency,
        ..afilnet::Options::default()
    };
    let at = args.afilnet_listen;
    let afilnet = Afilnet::start(at, options).with_context(|| format!("cannot serve Afilnet on {at}"))?;
    let options = bonychat::Options {
        channels: pairs.bonychat.clone(),
        faults: args.faults.iter().filter(is_event).cloned().collect(),
        seed,
        latency: args.latency,
        bridge_url: args.bridge_url.clone(),
        ..bonychat::Options::default()
    };
    let at = args.bonychat_listen;
    let bonychat = BonyChat::start(at, options).with_context(|| format!("cannot serve BonyChat on {at}"))?;
    let at = args.anna_listen;
    let options = anna::Options { seed, ..anna::Options::default() };
    let anna = Anna::start(at, options.clone()).with_context(|| format!("cannot serve AnnA on {at}"))?;
    let mut talk = talk(args, seed, &pairs, &afilnet, &bonychat);
    talk.push_str(&talk_of_anna(&anna, &options));
    Ok(Running { afilnet, bonychat, anna, talk })
}

fn talk(args: &SimulateArgs, seed: u64, pairs: &Pairs, afilnet: &Afilnet, bonychat: &BonyChat) -> String {
    let (a, b) = (afilnet.control_url(), bonychat.control_url());
    let platformid = pairs.afilnet.first().map_or("100", |channel| &channel.platformid);
    let mut lines = vec![
        format!("Simulated Afilnet:  {}", afilnet.url()),
        format!("Simulated BonyChat: {}", bonychat.webhook_url()),
        format!("Seed: {seed} (--seed {seed} plays the same faults again)"),
        String::new(),
        "A bridge between them (paste before `bridge serve`):".into(),
        format!("export BRIDGE__AFILNET__URL={}", quote(&afilnet.url())),
        format!("export BRIDGE__AFILNET__USER={}", quote(&args.user)),
        format!("export BRIDGE__AFILNET__PASSWORD={}", quote(&args.password)),
        format!("export BRIDGE__BONYCHAT__WEBHOOK_URL={}", quote(&bonychat.webhook_url())),
        format!("export BRIDGE__ADMIN__TOKEN={:032x}", rand::random::<u128>()),
    ];
    for (at, (far, near)) in pairs.afilnet.iter().zip(&pairs.bonychat).enumerate() {
        let key = format!("export BRIDGE__CHANNELS__SIM{}", at + 1);
        lines.push(format!("{key}__CHANNEL_ID={}", quote(&near.channel_id)));
        lines.push(format!("{key}__API_TOKEN={}", quote(&near.api_token)));
        lines.push(format!("{key}__ID_TYPE={}", near.id_type.as_str()));
        lines.push(format!("{key}__PLATFORM={}", far.platform));
        lines.push(format!("{key}__PLATFORM_ID={}", quote(&far.platformid)));
    }
    lines.extend([
        String::new(),
        "The customer writes:  ".to_owned()
            + &format!("curl -d platformid={platformid} -d destination=34600111222 -d text=Hola {a}receive"),
        format!("... and BonyChat has: curl {b}events"),
        format!("An agent writes:      curl -d contact_id=+34600111222 -d text=Hola {b}say"),
        format!("... and Afilnet has:  curl {a}sent"),
        format!("Make it hard:         curl -d rule=sendmessage:reset_stored {a}faults"),
        format!("More:                 curl {a} ; curl {b}"),
        "See it in a browser:  bridge page (beside `bridge serve`, with the same variables; it prints a link that signs in)".into(),
        String::new(),
    ]);
    lines.join("\n")
}

/// Returns how to let the bridge fill in placeholders.
fn talk_of_anna(anna: &Anna, options: &anna::Options) -> String {
    let lines = [
        format!("Simulated AnnA: {}; to let the bridge fill in {{{{anna.chat_url}}}}:", anna.url()),
        format!("export BRIDGE__ANNA__BASE_URL={}", quote(&anna.url())),
        format!("export BRIDGE__ANNA__COMPANY_HASH={}", quote(&options.company_hash)),
        format!("export BRIDGE__ANNA__USER={}", quote(&options.user)),
        format!("export BRIDGE__ANNA__PASSWORD={}", quote(&options.password)),
        "export BRIDGE__ANNA__FALLBACK_URL=https://www.example.com/help".to_owned(),
        "export BRIDGE__CHANNELS__SIM1__ANNA=true".to_owned(),
        format!("More: curl {}", anna.control_url()),
        String::new(),
    ];
    lines.join("\n")
}

/// Quotes for a shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        args: SimulateArgs,
    }

    fn args(line: &[&str]) -> Result<SimulateArgs, clap::Error> {
        let free = [
            "simulate",
            "--afilnet-listen",
            "127.0.0.1:0",
            "--bonychat-listen",
            "127.0.0.1:0",
            "--anna-listen",
            "127.0.0.1:0",
        ];
        Arguments::try_parse_from(free.iter().chain(line)).map(|line| line.args)
    }

    #[tokio::test]
    async fn it_says_how_to_go_on() {
        let line = "--channel whatsapp:100 --channel telegram:7 --set order=desc --fault sendmessage:hang:2 \
                    --fault message:http_503:0.5 --seed 42 --password it's --id-type custom --latency 1ms-2ms";
        let args = args(&line.split_whitespace().collect::<Vec<_>>()).unwrap();
        let Running { afilnet, bonychat, anna, talk } = start(&args).unwrap();
        for line in [
            "--seed 42",
            &format!("export BRIDGE__AFILNET__URL='{}'", afilnet.url()),
            r"export BRIDGE__AFILNET__PASSWORD='it'\''s'",
            &format!("export BRIDGE__BONYCHAT__WEBHOOK_URL='{}'", bonychat.webhook_url()),
            &format!("export BRIDGE__ANNA__BASE_URL='{}'", anna.url()),
            "export BRIDGE__ADMIN__TOKEN=",
            "See it in a browser:  bridge page",
            "export BRIDGE__CHANNELS__SIM1__CHANNEL_ID='demo'",
            "export BRIDGE__CHANNELS__SIM2__API_TOKEN='demo-token2'",
            "export BRIDGE__CHANNELS__SIM2__PLATFORM=telegram",
            &format!("destination=34600111222 -d text=Hola {}receive", afilnet.control_url()),
        ] {
            assert!(talk.contains(line), "{line} in {talk}");
        }
        let faults = |dump: serde_json::Value| dump["faults"].as_array().map(Vec::len);
        assert_eq!((faults(afilnet.dump()), faults(bonychat.dump())), (Some(1), Some(1)));
        assert_eq!(afilnet.switches(), "order=desc".parse().unwrap());
        assert_eq!(afilnet.dump()["channels"].as_array().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn wrong_arguments_are_refused_in_words() {
        for (line, word) in [
            (["--channel", "whatsapp"], "PLATFORM:ID"),
            (["--channel", "fax:1"], "telegram"),
            (["--set", "order"], "SWITCH=VALUE"),
            (["--set", "order=up"], "shuffled"),
            (["--afilnet-listen", "0.0.0.0:0"], "127.0.0.1"),
        ] {
            let line = [&line[..], &["--bonychat-listen", "127.0.0.1:0", "--anna-listen", "127.0.0.1:0"]].concat();
            let args = Arguments::try_parse_from(std::iter::once(&"simulate").chain(&line)).unwrap().args;
            let why = format!("{:#}", start(&args).err().unwrap());
            assert!(why.contains(word), "{line:?}: {why}");
        }
        for line in [["--fault", "x"], ["--id-type", "email"], ["--latency", "fast"]] {
            assert!(args(&line).is_err(), "{line:?}");
        }
    }
}
