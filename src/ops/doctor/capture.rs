//! `bridge doctor --capture`: answers of the live account in the form of the test fixtures, without persons and secrets. What
//! cannot be proven to be without them is deleted.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use super::calls::{self, CapturedBody};
use super::canaries::{Canaries, CanaryScan};
use super::probe::{self, ProbeRequest};
use crate::afilnet::capture::{CapturedCall, CapturedResponse, Question, RULES};
use crate::afilnet::{self, AccessTokens, AfilnetClient};
use crate::bonychat;
use crate::config::{Channel, Config, StoreUrl};
use crate::domain::canary::Outgoing;
use crate::domain::content_type;
use crate::domain::matching::RowFingerprint;
use crate::domain::{AfilnetRow, Destination};
use crate::ops::calls::as_text;
use crate::ops::redact::redacted;
use crate::store::{Store, open};
use crate::telemetry::harmless;

/// Conversations of a channel that are read, at most.
const CONVERSATIONS: usize = 10;
/// Words of content types, which a text may hold too.
const MEDIA_WORDS: &[&str] =
    &["application", "text", "json", "html", "plain", "xml", "charset", "utf", "iso", "windows"];

/// The files that were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) files: usize,
    pub(crate) answers: usize,
    /// Calls of `/message` among them; `None` where none were asked for.
    pub(crate) calls: Option<usize>,
    /// Contacts, texts and secrets that were looked for.
    pub(crate) canaries: usize,
}

/// Asks the platforms as `examine` does and writes what they answer into `folder`, which is made or is empty; with `calls` what
/// the running bridge gets from BonyChat within that time too.
///
/// # Errors
/// Why nothing is there, in words.
pub(crate) async fn capture(
    config: &Config,
    folder: &Path,
    calls: Option<Duration>,
    limit: Duration,
) -> Result<Written, String> {
    if calls.is_some() {
        calls::token(config)?;
    }
    prepare(folder)?;
    let store = opened(config).await?;
    let outcome = captured(config, store.as_deref(), folder, calls, limit).await;
    if let Some(store) = store {
        store.close().await;
    }
    outcome
}

async fn captured(
    config: &Config,
    store: Option<&dyn Store>,
    folder: &Path,
    calls: Option<Duration>,
    limit: Duration,
) -> Result<Written, String> {
    let mut taken = match calls {
        Some(within) => calls::received(config, within, limit).await?,
        None => Vec::new(),
    };
    let calls = calls.map(|_| taken.len());
    let mut accounts: BTreeMap<(String, String), Account> = BTreeMap::new();
    for channel in config.channels.values() {
        let of = (channel.afilnet.url.to_string(), channel.afilnet.user.clone());
        let account = accounts.entry(of).or_insert(Account::New);
        taken.extend(of_afilnet(config, channel, store, account, limit).await?);
    }
    for channel in config.channels.values() {
        taken.extend(of_bonychat(channel, limit).await);
    }
    let canaries = Canaries::gather(config, store).await?;
    let bodies: Vec<_> = taken.iter().map(|taken| (taken.rules, &taken.body[..])).collect();
    let redacted = redacted(&bodies, |number| canaries.is_number(number));
    let files = write(folder, &taken, &redacted)?;
    let bodies: Vec<String> = redacted.iter().map(|body| String::from_utf8_lossy(body).into_owned()).collect();
    let types = taken.iter().filter_map(|taken| taken.case["content_type"].as_str());
    let codes = [RULES.words.concat(), bonychat::capture::RULES.words.concat(), MEDIA_WORDS.to_vec()].concat();
    let found = canaries.found_in(&Outgoing::new(bodies.iter().map(String::as_str).chain(types), &codes), store).await;
    match found {
        Ok(CanaryScan { hit: None, looked_for }) => {
            let (files, answers) = (files.len(), taken.len() - calls.unwrap_or(0));
            Ok(Written { files, answers, calls, canaries: looked_for })
        }
        Ok(CanaryScan { hit: Some(what), .. }) => {
            delete(&files);
            Err(format!(
                "what was captured still held {what}, so all of it was deleted again: nothing is left in {}. This is a fault of \
                 the redaction; report it, without the value",
                folder.display()
            ))
        }
        Err(why) => {
            delete(&files);
            Err(format!(
                "the store could not be read to its end ({why}), so what was captured is not proven to be without persons \
                 and was deleted again"
            ))
        }
    }
}

/// Makes the folder, for its owner alone.
fn prepare(folder: &Path) -> Result<(), String> {
    let shown = folder.display();
    match fs::read_dir(folder) {
        Ok(mut there) => {
            if there.next().is_some() {
                return Err(format!(
                    "{shown} is not empty: name a folder that is, or that does not exist. Nothing was asked"
                ));
            }
            fs::set_permissions(folder, Permissions::from_mode(0o700))
                .map_err(|error| format!("{shown} cannot be made private ({error}). Nothing was asked"))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => DirBuilder::new()
            .mode(0o700)
            .create(folder)
            .map_err(|error| format!("{shown} cannot be made ({error}). Nothing was asked")),
        Err(error) => Err(format!("{shown} is no folder that can be read ({error}). Nothing was asked")),
    }
}

/// Returns the store; `None` where there is none yet.
async fn opened(config: &Config) -> Result<Option<std::sync::Arc<dyn Store>>, String> {
    if let StoreUrl::Sqlite(file) = &config.store.url
        && !file.exists()
    {
        return Ok(None);
    }
    let opened = open::visitor(&config.store.url).await.map_err(|error| {
        let why = harmless(&format!("{error:#}"));
        format!(
            "the store cannot be opened ({why}), so no capture could be proven to be without persons. Nothing was asked"
        )
    })?;
    Ok(Some(opened))
}

async fn of_afilnet(
    config: &Config,
    channel: &Channel,
    store: Option<&dyn Store>,
    account: &mut Account,
    limit: Duration,
) -> Result<Vec<CapturedBody>, String> {
    if *account == Account::Refused {
        return Ok(Vec::new()); // another try with wrong credentials could lock the account
    }
    let client = client(config, channel, limit).map_err(|error| format!("no client can be built ({error})"))?;
    let pause = Duration::from_secs(2) / channel.afilnet.requests_per_second.max(1);
    let mut asking = Asking { client, pause, channel, taken: Vec::new() };
    if *account == Account::New {
        let balance = asking.ask(Question::Balance, "").await;
        if balance.as_ref().is_some_and(is_refused) {
            *account = Account::Refused;
            return Ok(asking.taken);
        }
        *account = Account::Known;
        asking.ask(Question::Channels, "").await;
    }
    let chats = asking.ask(Question::Chats, "").await;
    let rows = chats.map(|answer| asking.client.rows(&answer)).unwrap_or_default();
    let in_sync = in_sync(channel, store, &rows).await?;
    for (number, destination) in (1..).zip(&in_sync) {
        asking.ask(Question::Messages(destination), &format!("-{number}")).await;
    }
    Ok(asking.taken)
}

/// What is known of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Account {
    /// No call was made yet.
    New,
    Known,
    /// It does not accept the login.
    Refused,
}

/// Client of one channel: calls at half the rate of its account, because a bridge may call beside it.
struct Asking<'a> {
    client: AfilnetClient,
    pause: Duration,
    channel: &'a Channel,
    taken: Vec<CapturedBody>,
}

impl Asking<'_> {
    /// Asks once, and keeps what is answered under a name with this end.
    async fn ask(&mut self, question: Question<'_>, end: &str) -> Option<CapturedResponse> {
        let answered = self.client.answer(question).await;
        tokio::time::sleep(self.pause).await;
        let answer = answered.answer.as_ref().ok().cloned();
        self.taken.push(case(answered, end, self.channel));
        answer
    }
}

fn is_refused(answer: &CapturedResponse) -> bool {
    matches!(answer.http, 401 | 403) || String::from_utf8_lossy(&answer.body).contains("INCORRECT_USER_PASSWORD")
}

/// Returns the destinations that have been read up to the newest row: reading them changes no mark of what is unread.
async fn in_sync(
    channel: &Channel,
    store: Option<&dyn Store>,
    rows: &[AfilnetRow],
) -> Result<Vec<Destination>, String> {
    let Some(store) = store else { return Ok(Vec::new()) };
    let positions = store.positions(&channel.name).await.map_err(|error| error.to_string())?;
    let is_read = |row: &&AfilnetRow| {
        let of = positions.iter().filter(|position| position.destination == row.destination);
        of.filter_map(|position| RowFingerprint::parse(position.read_to.as_deref()?)).any(|known| known.still_is(row))
    };
    Ok(rows.iter().filter(is_read).take(CONVERSATIONS).map(|row| row.destination.clone()).collect())
}

fn client(config: &Config, channel: &Channel, limit: Duration) -> Result<AfilnetClient, reqwest::Error> {
    let mut channel = channel.clone();
    channel.afilnet.timeout = channel.afilnet.timeout.min(limit);
    let http = afilnet::client(channel.afilnet.timeout, &channel.afilnet.ca)?;
    Ok(AfilnetClient::new(&channel, &config.outbound, config.language, http, &AccessTokens::default()))
}

fn case(answered: CapturedCall, number: &str, channel: &Channel) -> CapturedBody {
    let CapturedCall { method, parameters, answer } = answered;
    let mut case = json!({ "name": format!("{method} of the live account"), "parameters": parameters });
    if method == "getmessages" {
        case["method"] = method.into();
    }
    let body = match answer {
        Ok(CapturedResponse { http, retry_after, content_type, body }) => {
            case["http"] = http.into();
            if let Some(wait) = retry_after {
                case["retry_after"] = wait.as_secs().to_string().into();
            }
            add_type(&mut case, content_type.as_deref());
            body
        }
        Err(fault) => {
            case["no_answer"] = fault.code().into();
            Vec::new()
        }
    };
    CapturedBody { file: format!("afilnet-{method}-{}{number}", channel.name), case, body, rules: &RULES }
}

fn add_type(case: &mut Value, header: Option<&str>) {
    if let Some(known) = header.and_then(content_type::without_persons) {
        case["content_type"] = known.into();
    }
}

/// A question without a token, as the doctor asks it.
async fn of_bonychat(channel: &Channel, limit: Duration) -> Option<CapturedBody> {
    let url = Url::parse(channel.bonychat.webhook_url.trim()).ok()?;
    let client = probe::client(limit, &channel.bonychat.ca).ok()?;
    let answer = probe::call(&client, Method::OPTIONS, &url, ProbeRequest::default()).await.ok()?;
    let mut case = json!({
        "name": "OPTIONS of the webhook, without a token", "method": "OPTIONS", "http": answer.status.as_u16(),
        "redirects": answer.location.is_some(),
    });
    add_type(&mut case, answer.content_type.as_deref());
    let (file, body) = (format!("bonychat-options-{}", channel.name), answer.body.into_bytes());
    Some(CapturedBody { file, case, body, rules: &RULES })
}

/// Writes a file for each answer. After an error none is left.
fn write(folder: &Path, taken: &[CapturedBody], bodies: &[Vec<u8>]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for (taken, body) in taken.iter().zip(bodies) {
        let mut case = taken.case.clone();
        as_text(&mut case, body);
        let path = folder.join(format!("{}.json", taken.file));
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).and_then(|mut file| {
            files.push(path.clone());
            writeln!(file, "[\n{case}\n]")?;
            file.sync_all()
        });
        if let Err(error) = written {
            delete(&files);
            return Err(format!(
                "{} cannot be written ({error}); what was written before was deleted again",
                path.display()
            ));
        }
    }
    Ok(files)
}

fn delete(files: &[PathBuf]) {
    for file in files {
        let _ = fs::remove_file(file); // nothing better can be done than to go on with the others
    }
}
