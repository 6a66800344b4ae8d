//! Attributes the rows of the business, and finds what became of each send: the sends of a conversation, with their verdicts, held
//! against its rows by order, count, time and likeness. Pure.
//!
//! Two answers need a proof, for each is a fault when it is wrong: that a row is foreign (else the bridge would
//! echo its own words), and that a send is absent (else it would be sent twice). What has no proof is postponed.

use std::cmp::{Ordering, Reverse};

use super::AccountTraits;
use super::likeness::{Features, Likeness, RowWords, SendForms};
use super::sent_form::SentForm;
use super::wrapping::Wrappings;
use crate::domain::{AfilnetRow, Direction, MId};

/// After this time without its row a send explains rows no longer that come up later (longer where rows are known to show
/// late).
const EXPLAINS_FOR_MS: i64 = 10 * 60_000;

/// A taken send without a row speaks for an account that hides rows for this long.
const MISSING_FOR_MS: i64 = 60 * 60_000;

/// That a row shows one call of a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Match {
    pub(crate) m_id: MId,
    /// Which call of the message, from 0.
    pub(crate) part: u32,
    /// Whether it is the last one.
    pub(crate) last: bool,
}

/// What is known of whether a call was carried out. What was certainly refused is no send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendVerdict {
    /// Afilnet took it.
    Taken,
    /// No response yet.
    InFlight,
    /// No clear response came.
    InDoubt,
}

/// One call that the bridge made and that no row shows word for word yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnmatchedSend {
    pub(crate) matched: Match,
    forms: SendForms,
    verdict: SendVerdict,
    /// When it ended, or began where that is not known. Epoch ms.
    at_ms: i64,
    /// What was read before cannot be it. Epoch ms.
    earliest_ms: i64,
    /// A row was taken for it by its likeness: only one that shows it word for word can be it as well.
    shown_rewritten: bool,
}

impl UnmatchedSend {
    /// A call that was taken at `at_ms` and said `words`, or sent the file at this link with these words as its caption.
    pub(crate) fn new(matched: Match, words: Option<&str>, file_url: Option<&str>, at_ms: i64) -> Self {
        let forms = SendForms::new(words, file_url);
        Self { matched, forms, verdict: SendVerdict::Taken, at_ms, earliest_ms: 0, shown_rewritten: false }
    }

    /// A call that was taken at `at_ms` and said `template` with its placeholders filled in, as the digests of its attempts
    /// show, or sent the file at this link with that as its caption.
    pub(crate) fn filled(
        matched: Match,
        template: &str,
        digests: Vec<SentForm>,
        file_url: Option<&str>,
        at_ms: i64,
    ) -> Self {
        let forms = SendForms::filled(template, digests, file_url);
        Self { matched, forms, verdict: SendVerdict::Taken, at_ms, earliest_ms: 0, shown_rewritten: false }
    }

    /// The same with this verdict.
    pub(crate) fn with(self, verdict: SendVerdict, shown_rewritten: bool) -> Self {
        Self { verdict, shown_rewritten, ..self }
    }

    /// The same, which no row can be that was read before this time.
    pub(crate) fn not_before(self, earliest_ms: i64) -> Self {
        Self { earliest_ms, ..self }
    }

    pub(crate) fn features(&self) -> Features {
        self.forms.features()
    }

    /// Returns whether it was taken in the hour before this time and has no row.
    pub(crate) fn is_missing_at(&self, now_ms: i64) -> bool {
        let lately = now_ms.saturating_sub(MISSING_FOR_MS)..now_ms;
        self.verdict == SendVerdict::Taken && !self.shown_rewritten && lately.contains(&self.at_ms)
    }

    /// Returns whether it was made before a row was read.
    fn precedes(&self, row: &OpenRow) -> bool {
        row.seen_ms.is_none_or(|seen_ms| self.earliest_ms <= seen_ms)
    }

    /// Returns the send as text, for the trace of a simulation.
    #[cfg(test)]
    pub(crate) fn traced(&self) -> String {
        let Self { matched, verdict, at_ms, shown_rewritten, .. } = self;
        format!("{} {verdict:?} at {} s, shown rewritten: {shown_rewritten}", matched.m_id, at_ms / 1000 % 100_000)
    }

    /// Returns whether it was taken at this time or later.
    pub(crate) fn was_taken_since(&self, since_ms: i64) -> bool {
        self.verdict == SendVerdict::Taken && self.at_ms >= since_ms
    }

    /// Returns whether it may be what a row shows that did not show when the conversation was read before.
    fn explains(&self, row: &OpenRow, account: &AccountTraits) -> bool {
        let until_ms = self.at_ms.saturating_add(EXPLAINS_FOR_MS.max(account.settle_lag_ms.saturating_mul(2)));
        !self.shown_rewritten && self.precedes(row) && row.read_before_ms.is_none_or(|read_ms| read_ms <= until_ms)
    }
}

/// A row of which nothing is decided yet.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OpenRow {
    /// When the last read began that did not show it; `None` where there was none or it is not known.
    pub(crate) read_before_ms: Option<i64>,
    /// When it was read first, where its decision was postponed.
    pub(crate) seen_ms: Option<i64>,
    /// It was read first so long ago that its flag would have turned by now.
    pub(crate) flag_settled: bool,
    /// It has waited for as long as a decision may be postponed.
    pub(crate) due: bool,
}

/// How a row shows a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShownAs {
    /// Word for word.
    Verbatim,
    /// Word for word once what a platform did is undone.
    Rewritten,
    /// By its likeness: its own words may still come up.
    Alike,
}

/// Who wrote an open row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attribution {
    /// It shows this send.
    Ours { matched: Match, how: ShownAs },
    /// Sends of the bridge explain it, but not which: no proof of one, and not a foreign message.
    Explained,
    /// No send of the bridge; what its direction says.
    Foreign,
    /// Not decided yet.
    Undecided,
    /// It has the customer's flag and says what a send said that another row shows: decided by its flag, once that has settled.
    AwaitsFlag,
}

/// The sends of one conversation on their way to their rows.
struct Alignment<'a> {
    account: &'a AccountTraits,
    open: &'a [Option<OpenRow>],
    words: Vec<Option<RowWords>>,
    /// Rows with a sign, or nothing, between what the account puts around the words of sends: no foreign row has that.
    wrapped_signs: Vec<bool>,
    /// All sends, oldest first.
    made: Vec<Match>,
    /// Those that no row was matched with yet.
    sends: Vec<UnmatchedSend>,
    attributions: Vec<Attribution>,
}

/// Attributes each open row (`open` has one entry a row, oldest first), against the sends that no row shows yet (oldest
/// first), and which of these are left. One row shows one send. A row that does not say who wrote it becomes the
/// business's where it shows exactly what was sent, and else the customer's.
pub(crate) fn attribute(
    rows: &mut [AfilnetRow],
    open: &[Option<OpenRow>],
    sends: Vec<UnmatchedSend>,
    account: &AccountTraits,
) -> (Vec<Attribution>, Vec<UnmatchedSend>) {
    let attributions = vec![Attribution::Foreign; rows.len()];
    let waits = |open: &OpenRow| open.seen_ms.is_some() && !open.due;
    if sends.is_empty() && !open.iter().flatten().any(waits) {
        name_directions(rows, open, &attributions);
        return (attributions, sends);
    }
    let words: Vec<Option<RowWords>> =
        rows.iter().zip(open).map(|(row, open)| open.map(|_| RowWords::new(&row.text))).collect();
    let is_wanted = sends.iter().any(|send| !send.shown_rewritten && send.forms.is_silent());
    let shown: Vec<&SendForms> =
        sends.iter().filter(|send| is_wanted && send.shown_rewritten).map(|send| &send.forms).collect();
    let wrappings = Wrappings::of(rows, &shown);
    let wrapped_signs =
        words.iter().map(|words| words.as_ref().is_some_and(|words| wrappings.hold_a_sign(words))).collect();
    let unmatched = sends.clone();
    let made = sends.iter().map(|send| send.matched.clone()).collect();
    let mut alignment = Alignment { account, open, words, wrapped_signs, made, sends, attributions };
    let at = |wanted: &dyn Fn(Direction) -> bool| -> Vec<usize> {
        (0..rows.len()).filter(|index| open[*index].is_some() && wanted(rows[*index].direction)).collect()
    };
    let business = at(&|direction| direction == Direction::Outbound);
    // The surest first, over the whole page: a row without words takes no send that another row names.
    alignment.match_exactly(&at(&|direction| direction != Direction::Inbound), SendForms::says);
    alignment.match_exactly(&business, SendForms::is_held_by);
    // A row without words may be a text without letters as well.
    if !alignment.sends.iter().any(|send| send.forms.is_silent()) {
        alignment.match_exactly(&business, |send, row| send.is_file() && row.is_empty());
    }
    alignment.match_files(&business);
    alignment.weigh(&business);
    alignment.decide(&business);
    alignment.weigh_flagged(&at(&|direction| direction == Direction::Inbound), &business);
    alignment.doubt_flagged(rows, &unmatched);
    let Alignment { attributions, sends, .. } = alignment;
    name_directions(rows, open, &attributions);
    (attributions, sends)
}

fn name_directions(rows: &mut [AfilnetRow], open: &[Option<OpenRow>], attributions: &[Attribution]) {
    for ((row, attribution), _) in rows.iter_mut().zip(attributions).zip(open).filter(|(_, open)| open.is_some()) {
        if row.direction == Direction::Unknown {
            row.direction = if *attribution == Attribution::Foreign { Direction::Inbound } else { Direction::Outbound };
        }
    }
}

impl Alignment<'_> {
    fn is_free(&self, index: usize) -> bool {
        self.attributions[index] == Attribution::Foreign
    }

    fn take(&mut self, index: usize, send: usize, how: ShownAs) {
        self.attributions[index] = Attribution::Ours { matched: self.sends.remove(send).matched, how };
    }

    /// Matches rows that show a send and nothing else, the oldest with the oldest.
    fn match_exactly(&mut self, rows: &[usize], shows: impl Fn(&SendForms, &RowWords) -> bool) {
        for index in rows.iter().copied() {
            let Some((words, open)) = self.words[index].as_ref().zip(self.open[index]).filter(|_| self.is_free(index))
            else {
                continue;
            };
            // What was taken has a row for certain, the oldest first. Of what is in doubt the newest comes first: lookups have
            // not found the rows of those before. What a row was taken for by its likeness has one already.
            let fits = |send: &UnmatchedSend| send.precedes(&open) && shows(&send.forms, words);
            let taken =
                |send: &UnmatchedSend| !send.shown_rewritten && send.verdict == SendVerdict::Taken && fits(send);
            let found = (self.sends.iter().position(taken))
                .or_else(|| self.sends.iter().rposition(|send| !send.shown_rewritten && fits(send)))
                .or_else(|| self.sends.iter().position(fits));
            if let Some(send) = found {
                let forms = &self.sends[send].forms;
                let as_it_stands = forms.is_file() || forms.says_as_it_stands(words);
                self.take(index, send, if as_it_stands { ShownAs::Verbatim } else { ShownAs::Rewritten });
            }
        }
    }

    /// Rows that bear the flag of the customer's and say what was just sent: the flag may come late (afilnet.md U2).
    fn weigh_flagged(&mut self, rows: &[usize], business: &[usize]) {
        for index in rows.iter().copied() {
            let (Some(words), Some(open)) = (&self.words[index], self.open[index]) else { continue };
            let found = self.sends.iter().position(|send| {
                send.explains(&open, self.account) && self.account.may_be_flagged_late(&send.forms, words)
            });
            let Some(send) = found else { continue };
            if !open.due {
                self.attributions[index] = Attribution::Undecided;
                continue;
            }
            let forms = &self.sends[send].forms;
            let must_show = self.sends[send].verdict == SendVerdict::Taken && self.account.shows(forms);
            // Customers send files and links themselves: by now the flag would be another.
            let says_it = !words.is_blank() && !words.is_one_link();
            let surely = (self.account.late_flags && says_it) || forms.likeness(words, true) == Likeness::Equal;
            let elsewhere = business.iter().any(|other| {
                let words = self.words[*other].as_ref().filter(|_| self.attributions[*other] == Attribution::Undecided);
                words.is_some_and(|words| forms.likeness(words, false) > Likeness::Unlike)
            });
            if must_show && surely && !elsewhere {
                self.take(index, send, ShownAs::Alike);
            } else if self.account.late_flags && forms.likeness(words, true) == Likeness::Equal {
                self.attributions[index] = Attribution::Explained;
            }
        }
    }

    /// Rows that have the customer's flag and say what a send said that another row was matched with: an agent may have
    /// typed the same words in Afilnet's panel, and that other row is theirs. The flag decides, once it has settled. Not on an
    /// account that is known to set flags at once: there a customer who repeats an agent's words would wait for nothing.
    fn doubt_flagged(&mut self, rows: &[AfilnetRow], made: &[UnmatchedSend]) {
        if self.account.prompt_flags {
            return;
        }
        for index in 0..rows.len() {
            let (Some(words), Some(open)) = (&self.words[index], self.open[index]) else { continue };
            let settled = open.due || open.flag_settled;
            if settled || rows[index].direction != Direction::Inbound || !self.is_free(index) {
                continue;
            }
            let is_matched = |send: &UnmatchedSend| !self.sends.iter().any(|left| left.matched == send.matched);
            let is_said = |send: &&UnmatchedSend| {
                send.explains(&open, self.account) && self.account.likeness(&send.forms, words) >= Likeness::Same
            };
            let says_it_too = |other: &AfilnetRow| {
                other.direction == Direction::Outbound && RowWords::new(&other.text).says_the_same_as(words)
            };
            if made.iter().filter(is_said).any(is_matched)
                || (open.seen_ms.is_some() && !words.is_empty() && rows.iter().any(says_it_too))
            {
                self.attributions[index] = Attribution::AwaitsFlag;
            }
        }
    }

    /// Rows that are one link, where a file was just taken: platforms keep files under links of their own.
    fn match_files(&mut self, rows: &[usize]) {
        for index in rows.iter().copied().filter(|index| self.is_free(*index)).collect::<Vec<_>>() {
            let (Some(words), Some(open)) = (&self.words[index], self.open[index]) else { continue };
            if !words.is_one_link() {
                continue;
            }
            let explains = |send: &&UnmatchedSend| send.explains(&open, self.account);
            let of_text = |send: &UnmatchedSend| {
                !send.forms.is_file() && self.account.likeness(&send.forms, words) > Likeness::Unlike
            };
            if self.sends.iter().filter(explains).any(of_text) {
                continue;
            }
            let taken = |send: &UnmatchedSend| {
                send.forms.is_file()
                    && send.verdict == SendVerdict::Taken
                    && self.account.likeness(&send.forms, words) >= Likeness::Strong
                    && self.account.rewrites_promptly(&send.forms)
            };
            if let Some(send) = self.sends.iter().position(|send| explains(&send) && taken(send)) {
                self.take(index, send, ShownAs::Alike);
            }
        }
    }

    /// How much a row is like a send.
    fn likeness(&self, send: &UnmatchedSend, index: usize, words: &RowWords) -> Likeness {
        match self.account.likeness(&send.forms, words) {
            Likeness::Weak if self.wrapped_signs[index] && send.forms.is_silent() => Likeness::Strong,
            likeness => likeness,
        }
    }

    /// Returns whether a row is less like a send without letters than one that is wrapped as the account wraps sends.
    fn yields_to_wrapped(&self, send: &UnmatchedSend, index: usize, rows: &[usize]) -> bool {
        let may_be_it = |other: &usize| {
            self.wrapped_signs[*other] && (self.is_free(*other) || self.attributions[*other] == Attribution::Undecided)
        };
        send.forms.is_silent() && !self.wrapped_signs[index] && rows.iter().any(may_be_it)
    }

    /// The sends that may be what a row shows, each with how much it is like it.
    fn candidates(&self, index: usize) -> Vec<(usize, Likeness)> {
        let (Some(words), Some(open)) = (&self.words[index], self.open[index]) else { return Vec::new() };
        let sends = self.sends.iter().enumerate();
        // Long after it was sent only what says the same is explained by a send.
        let of = |(at, send): (usize, &UnmatchedSend)| {
            let likeness = self.likeness(send, index, words);
            let may = send.explains(&open, self.account)
                || (likeness >= Likeness::Strong && !send.shown_rewritten && send.precedes(&open) && !open.due);
            may.then_some((at, likeness))
        };
        sends.filter_map(of).collect()
    }

    /// Decides the rows that can be decided at once; the rest is undecided.
    fn weigh(&mut self, rows: &[usize]) {
        for index in rows.iter().copied().filter(|index| self.is_free(*index)).collect::<Vec<_>>() {
            let candidates = self.candidates(index);
            let foreign = |(send, likeness): &(usize, Likeness)| {
                *likeness == Likeness::Unlike && self.account.is_faithful_to(&self.sends[*send].forms)
            };
            if candidates.iter().all(foreign) {
                continue;
            }
            self.attributions[index] = Attribution::Undecided;
            let mut like = candidates.iter().filter(|(_, likeness)| *likeness > Likeness::Unlike);
            if let (Some((send, Likeness::Strong | Likeness::Same)), None) = (like.next(), like.next())
                && self.sends[*send].verdict == SendVerdict::Taken
                && self.account.rewrites_promptly(&self.sends[*send].forms)
                && !self.yields_to_wrapped(&self.sends[*send], index, rows)
            {
                self.take(index, *send, ShownAs::Alike);
            }
        }
    }

    /// How well a row fits a send: by its words, by what is around them, and by its place. `None` where it cannot be it.
    fn fit(&self, send: &UnmatchedSend, index: usize) -> Option<(Likeness, bool, bool)> {
        let likeness = self.likeness(send, index, self.words[index].as_ref()?);
        let is_wrapped = self.wrapped_signs[index] && send.forms.is_silent();
        (likeness > Likeness::Unlike).then(|| (likeness, is_wrapped, self.is_in_order(send, index)))
    }

    /// How a row compares with the best of the other rows that are not decided.
    fn against_others(&self, send: &UnmatchedSend, index: usize, rows: &[usize]) -> Ordering {
        let waits = |other: &&usize| **other != index && self.attributions[**other] == Attribution::Undecided;
        let others = rows.iter().filter(waits).filter_map(|other| self.fit(send, *other)).max();
        self.fit(send, index).cmp(&others)
    }

    /// Returns whether a row stands behind the rows of all sends before this one, and before those of the sends after it.
    fn is_in_order(&self, send: &UnmatchedSend, index: usize) -> bool {
        let place = |matched: &Match| self.made.iter().position(|made| made == matched);
        let of_send = place(&send.matched);
        self.attributions.iter().enumerate().all(|(other, attribution)| match attribution {
            Attribution::Ours { matched, .. } => (place(matched) < of_send) == (other < index),
            Attribution::Explained | Attribution::Foreign | Attribution::Undecided | Attribution::AwaitsFlag => true,
        })
    }

    /// Decides of the rows that have waited for long enough: first of those that are most like a send, since their places
    /// tell where the rows of the other sends belong.
    fn decide(&mut self, rows: &[usize]) {
        let waits = |index: &usize| {
            self.open[*index].is_some_and(|open| open.due) && self.attributions[*index] == Attribution::Undecided
        };
        let mut due: Vec<usize> = rows.iter().copied().filter(waits).collect();
        due.sort_by_cached_key(|index| {
            Reverse(self.candidates(*index).into_iter().map(|(_, likeness)| likeness).max())
        });
        for index in due {
            let candidates = self.candidates(index);
            let against_others = |send: usize| self.against_others(&self.sends[send], index, rows);
            let explains = |(send, likeness): &&(usize, Likeness)| {
                *likeness > Likeness::Unlike && against_others(*send) != Ordering::Less
            };
            let likest = candidates.iter().filter(explains).map(|(_, likeness)| *likeness).max();
            let Some(likest) = likest else {
                self.attributions[index] = Attribution::Foreign;
                continue;
            };
            // The likest, if it certainly has a row and no other row may be it as well; of equals the oldest.
            let shows = |(send, likeness): &&(usize, Likeness)| {
                let UnmatchedSend { verdict, forms, .. } = &self.sends[*send];
                let is_it = *likeness >= Likeness::Strong
                    || (self.account.shows(forms) && against_others(*send) == Ordering::Greater);
                *likeness == likest && *verdict == SendVerdict::Taken && is_it
            };
            match candidates.iter().filter(explains).find(shows) {
                Some((send, _)) => self.take(index, *send, ShownAs::Alike),
                None => self.attributions[index] = Attribution::Explained,
            }
        }
    }
}

/// Doubts the rows of the business that were there before the initial snapshot and are like a send that no row shows: one
/// that was made before then has its row among them, and what an agent wrote in the same words is no proof of it.
pub(crate) fn mark_history_ambiguous(
    rows: &[AfilnetRow],
    history: &[bool],
    unshown: &[UnmatchedSend],
    attributions: &mut [Attribution],
) {
    for (index, row) in rows.iter().enumerate().filter(|(index, _)| history[*index]) {
        if row.direction == Direction::Outbound && !unshown.is_empty() {
            let words = RowWords::new(&row.text);
            if unshown.iter().any(|send| send.forms.likeness(&words, false) > Likeness::Unlike) {
                attributions[index] = Attribution::Explained;
            }
        }
    }
}

/// A row that was not known before an attempt began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowSince<'a> {
    pub(crate) row: &'a AfilnetRow,
    pub(crate) shows: Shows,
}

/// What a row is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// The send in question.
    It,
    /// Another send.
    Another,
    Nothing,
}

/// What the rows of one lookup show of a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendStanding {
    /// A row shows it.
    Shown,
    /// No row that came since can be it.
    Absent,
    /// The rows do not decide it.
    Undecidable,
}

/// The same in numbers of rows of the business that came since.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LookupEvidence {
    pub(crate) since: usize,
    /// Those that show sends of the bridge for certain.
    pub(crate) ours: usize,
    /// Those that are foreign for certain.
    pub(crate) others: usize,
    pub(crate) unexplained: usize,
    /// Sends of the hour before that were taken for certain and that no row shows.
    pub(crate) missing: usize,
}

impl std::ops::AddAssign for LookupEvidence {
    fn add_assign(&mut self, other: Self) {
        self.since += other.since;
        self.ours += other.ours;
        self.others += other.others;
        self.unexplained += other.unexplained;
        // Each read counts the same sends.
        self.missing = self.missing.max(other.missing);
    }
}

impl std::fmt::Display for LookupEvidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { since, ours, others, unexplained, missing } = self;
        write!(
            f,
            "rows since: {since}, ours for certain: {ours}, somebody else's: {others}, unexplained: {unexplained}"
        )?;
        if *missing > 0 {
            write!(f, "; messages that were certainly sent before and do not show: {missing}")?;
        }
        Ok(())
    }
}

/// Returns what the rows that came since a send began show of it, with the evidence in counts, where so many sends of the hour before were taken and do
/// not show (an account that hides one row may hide another).
pub(crate) fn standing(
    send: &UnmatchedSend,
    rows: &[RowSince<'_>],
    missing: usize,
    account: &AccountTraits,
) -> (SendStanding, LookupEvidence) {
    let mut evidence = LookupEvidence { missing, ..LookupEvidence::default() };
    let mut shown = false;
    let faithful = account.is_faithful_to(&send.forms);
    for RowSince { row, shows } in rows {
        let likeness = || account.likeness(&send.forms, &RowWords::new(&row.text));
        let is_the_customers = match row.direction {
            Direction::Outbound => false,
            Direction::Inbound => {
                *shows == Shows::Nothing && !account.may_be_flagged_late(&send.forms, &RowWords::new(&row.text))
            }
            Direction::Unknown => *shows == Shows::Nothing && likeness() == Likeness::Unlike,
        };
        if is_the_customers {
            continue;
        }
        evidence.since += 1;
        match shows {
            Shows::It => {
                shown = true;
                evidence.ours += 1;
            }
            Shows::Another => evidence.ours += 1,
            Shows::Nothing if faithful && likeness() == Likeness::Unlike => evidence.others += 1,
            Shows::Nothing => evidence.unexplained += 1,
        }
    }
    let standing = match (shown, evidence.unexplained + missing) {
        (true, _) => SendStanding::Shown,
        (false, 0) => SendStanding::Absent,
        (false, _) => SendStanding::Undecidable,
    };
    (standing, evidence)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod worlds;
