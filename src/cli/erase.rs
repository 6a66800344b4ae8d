//! `bridge messages erase`: erases everything of one person from the store.

use std::time::Duration;

use crate::config::{Config, StoreUrl};
use crate::domain::IdType;
use crate::domain::clock::now_ms;
use crate::store::{Erase, Erasure, Person, Store, StoreError};

/// How often rewriting the files is tried while another program prevents it, and the time between two tries.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// Arguments of `messages erase`: the person, and whether to erase or only to count.
#[derive(Debug, clap::Args)]
pub(super) struct EraseArgs {
    /// The person's number as it stands in BonyChat or at Afilnet, or the custom contact id
    #[arg(long)]
    contact: String,
    /// Only in this channel (its name in the configuration)
    #[arg(long)]
    channel: Option<String>,
    /// Do it; without, only say what would be erased
    #[arg(long)]
    yes: bool,
    /// With --yes: also messages that wait to be sent and events that BonyChat has not taken; nobody gets them, and no
    /// agent is told
    #[arg(long, requires = "yes")]
    waiting_too: bool,
}

/// Returns what was done, or why it was not.
pub(super) async fn run(
    arguments: EraseArgs,
    config: &Config,
    store: &dyn Store,
) -> Result<Result<String, String>, StoreError> {
    let how = match (arguments.yes, arguments.waiting_too) {
        (false, _) => Erase::DryRun,
        (true, false) => Erase::Settled,
        (true, true) => Erase::Waiting,
    };
    let person = |names| Person { names, channel: arguments.channel.clone() };
    let spelled = names(&arguments.contact);
    let erasure = match other_spelling(&spelled) {
        None => store.erase(person(spelled), how, now_ms()).await?,
        Some(other) => both(store, [person(spelled), person(other)], how).await?,
    };
    // Also if nothing was found: completes an earlier rewrite that another program prevented.
    let scrubbed = !erasure.done || scrub(store).await?;
    Ok(told(&erasure, how, scrubbed, matches!(config.store.url, StoreUrl::Postgres(_))))
}

/// Both spellings of one number, which an older store may hold as two contacts: both are erased, or neither.
async fn both(store: &dyn Store, people: [Person; 2], how: Erase) -> Result<Erasure, StoreError> {
    let [one, other] = people;
    let mut there = store.erase(one.clone(), Erase::DryRun, now_ms()).await?;
    there += store.erase(other.clone(), Erase::DryRun, now_ms()).await?;
    let waits = there.to_send + there.to_publish > 0;
    if how == Erase::DryRun || there.under_way > 0 || (waits && how == Erase::Settled) {
        return Ok(there);
    }
    let mut erased = store.erase(one, how, now_ms()).await?;
    erased += store.erase(other, how, now_ms()).await?;
    Ok(erased)
}

/// Returns both spellings of a number: BonyChat writes it with `+`, Afilnet without.
fn names(contact: &str) -> [String; 2] {
    let bare: String = contact.chars().filter(|c| !c.is_whitespace()).collect();
    let digits = bare.strip_prefix('+').or_else(|| bare.strip_prefix("00")).unwrap_or(&bare).to_owned();
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        return [format!("+{digits}"), digits];
    }
    [bare.clone(), bare]
}

/// Returns the same person under the other spelling of the number: the conversation may be stored under it.
fn other_spelling([contact, _]: &[String; 2]) -> Option<[String; 2]> {
    let other = IdType::Phone.other_spelling(&contact.parse().ok()?)?;
    Some(names(other.as_str()))
}

/// Returns false if another program prevented the files from being rewritten.
async fn scrub(store: &dyn Store) -> Result<bool, StoreError> {
    for _ in 0..TRIES {
        match store.scrub().await? {
            None | Some(true) => return Ok(true),
            Some(false) => tokio::time::sleep(PAUSE).await,
        }
    }
    Ok(false)
}

fn told(erasure: &Erasure, how: Erase, scrubbed: bool, postgres: bool) -> Result<String, String> {
    let Erasure { conversations, messages, events, to_send, under_way, to_publish, done } = erasure;
    let what = format!("{conversations} conversation(s), {messages} message(s), {events} event(s)");
    if *conversations == 0 {
        return Err("nothing is stored of that contact (check its spelling, and --channel): nothing was erased".into());
    }
    let waits = format!("{to_send} message(s) wait to be sent and {to_publish} event(s) to be taken by BonyChat");
    match how {
        _ if *done => {}
        Erase::DryRun if to_send + to_publish + under_way == 0 => {
            return Ok(format!("{what}: add --yes to erase them; nothing was erased"));
        }
        Erase::DryRun => {
            return Ok(format!(
                "{what}; {waits}, {under_way} are being sent, were sent a moment ago, or are looked for. Let them end, or erase them too with --yes \
                 --waiting-too; nothing was erased"
            ));
        }
        Erase::Settled | Erase::Waiting if *under_way > 0 => {
            return Err(format!(
                "{under_way} message(s) of that contact are being sent, were sent a moment ago, or may have been and are looked for: \
                 try again in a minute; nothing was erased"
            ));
        }
        Erase::Settled | Erase::Waiting => {
            return Err(format!(
                "{waits}: let them end, or erase them too with --waiting-too (nobody gets them, and no agent is told); \
                 nothing was erased"
            ));
        }
    }
    let where_else = "What Afilnet, BonyChat, logs and backups hold of that person is not touched. A hash of the contact \
                      stays, so that what Afilnet still shows is not published anew";
    if postgres {
        return Ok(format!(
            "erased: {what}. {where_else}. PostgreSQL keeps deleted rows in its files until it vacuums, and in its log and \
             backups as long as you keep those: `VACUUM FULL` and an end of old backups are yours to do"
        ));
    }
    if !scrubbed {
        return Err(format!(
            "erased: {what}, but another program reads the store, so that free parts of its files still hold some of it: end \
             that program and run this command again with the same contact. {where_else}"
        ));
    }
    Ok(format!("erased: {what}, from tables, indexes, log and free parts of the store. {where_else}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_spellings_of_a_number_are_erased_or_neither() {
        use crate::domain::content::Text;
        use crate::domain::{Chat, ContactId, Content, Event, EventBody, MId};
        use crate::store::open::SqliteStore;
        use crate::store::{ConversationRead, NewRow, Publication};

        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("bridge.db")).unwrap();
        let channel = "support".parse().unwrap();
        let spellings: [ContactId; 2] = ["+541155551234", "+5491155551234"].map(|contact| contact.parse().unwrap());
        for contact in &spellings {
            let chat = Chat { contact: contact.clone(), destination: contact.as_str()[1..].parse().unwrap() };
            let content = Content::Text { text: Text::new("hola").unwrap() };
            let m_id = MId::derived(&[contact.as_str()]);
            let event = Event { m_id, timestamp_ms: 1, body: EventBody::Message { content } };
            let row = NewRow { identity: "1".into(), events: vec![event], from_customer: true, ..NewRow::default() };
            let read = ConversationRead { rows: vec![row], ..ConversationRead::listed_only(&channel, &chat, 1) };
            store.record(read).await.unwrap();
        }
        // Something waits in the conversation of one of them.
        for due in store.due_events(&channel, i64::MAX, 9).await.unwrap() {
            if due.contact == spellings[0] {
                store.published(&due, Publication::Done, 2).await.unwrap();
            }
        }
        let people = || {
            let [one, other] = spellings.clone();
            [one, other].map(|contact| Person { names: names(contact.as_str()), channel: None })
        };
        let there = both(&store, people(), Erase::Settled).await.unwrap();
        assert_eq!((there.done, there.conversations, there.to_publish), (false, 2, 1));
        assert_eq!(store.known_contacts(&channel, spellings.to_vec()).await.unwrap(), spellings);
        assert!(both(&store, people(), Erase::Waiting).await.unwrap().done);
        assert_eq!(store.known_contacts(&channel, spellings.to_vec()).await.unwrap(), []);
    }

    #[test]
    fn a_number_is_found_however_it_is_spelled() {
        for spelled in ["+34600111222", "34600111222", "0034600111222", "+34 600 111 222"] {
            assert_eq!(names(spelled), ["+34600111222", "34600111222"], "{spelled}");
        }
        assert_eq!(names("user_7@web"), ["user_7@web", "user_7@web"]);
        assert_eq!(other_spelling(&names("5491155551234")), Some(names("541155551234")));
        assert_eq!((other_spelling(&names("34600111222")), other_spelling(&names("user_7@web"))), (None, None));
    }
}
