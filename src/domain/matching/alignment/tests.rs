//! Who wrote rows, and what became of sends.

use super::super::testing::row;
use super::*;
use Direction::{Inbound as I, Outbound as O, Unknown as U};

fn matched(m_id: &str) -> Match {
    Match { m_id: m_id.parse().unwrap(), part: 0, last: true }
}

fn text(m_id: &str, words: &str) -> UnmatchedSend {
    UnmatchedSend::new(matched(m_id), Some(words), None, 0)
}

fn in_doubt(m_id: &str, words: &str) -> UnmatchedSend {
    text(m_id, words).with(SendVerdict::InDoubt, false)
}

fn file(m_id: &str, caption: Option<&str>) -> UnmatchedSend {
    UnmatchedSend::new(matched(m_id), caption, Some("https://x.test/f/a%20b.pdf?x=1&y=2"), 0)
}

/// An account that has shown everything word for word.
fn faithful() -> AccountTraits {
    AccountTraits {
        shows_texts: true,
        shows_files: true,
        verbatim: Features::from_bits(i64::MAX),
        ..AccountTraits::default()
    }
}

/// One that has shown texts, and rewritten some with these features.
fn rewriting(features: Features) -> AccountTraits {
    AccountTraits { shows_texts: true, verbatim: Features::WORDS, rewritten: features, ..AccountTraits::default() }
}

/// Returns who wrote each row, as the mId of its send, `~` before it where it is shown in other words; `!` explained, `?`
/// undecided, `f?` until its flag has settled, `-` foreign. And the directions.
fn judged_by(
    account: &AccountTraits,
    open: OpenRow,
    rows: &[(Direction, &str)],
    sends: Vec<UnmatchedSend>,
) -> (Vec<String>, String) {
    let mut rows: Vec<AfilnetRow> = rows.iter().map(|(direction, text)| row("", *direction, 7, text)).collect();
    let open = vec![Some(open); rows.len()];
    let (attributions, _) = attribute(&mut rows, &open, sends, account);
    let names = attributions.iter().map(|attribution| match attribution {
        Attribution::Ours { matched, how } => {
            let sign = match how {
                ShownAs::Verbatim => "",
                ShownAs::Rewritten => "=",
                ShownAs::Alike => "~",
            };
            format!("{sign}{}", matched.m_id.as_str())
        }
        Attribution::Explained => "!".to_owned(),
        Attribution::Undecided => "?".to_owned(),
        Attribution::AwaitsFlag => "f?".to_owned(),
        Attribution::Foreign => "-".to_owned(),
    });
    (names.collect(), rows.iter().map(|row| row.direction.letter()).collect())
}

fn judged(rows: &[(Direction, &str)], sends: Vec<UnmatchedSend>) -> (Vec<String>, String) {
    judged_by(&faithful(), OpenRow::default(), rows, sends)
}

const DUE: OpenRow = OpenRow { read_before_ms: Some(0), seen_ms: None, flag_settled: true, due: true };

#[test]
fn a_row_that_does_not_say_is_ours_where_we_said_so_and_else_the_customers() {
    let mut rows = vec![
        row("1", U, 7, "ok"),
        row("2", U, 7, "ok\r\n"),
        row("3", U, 7, "https://x.test/f/a%20b.pdf?x=1&y=2"),
        row("4", U, 7, ""),
        row("5", O, 8, "bye"),
        row("6", I, 9, "so long"),
        row("7", U, 7, "seen"),
    ];
    let own = vec![text("a", "ok"), file("b", Some("caption")), text("c", "bye"), text("d", "bye"), text("e", "seen")];
    let mut open = vec![Some(OpenRow::default()); 6];
    open.push(None);
    let (attributions, left) = attribute(&mut rows, &open, own, &faithful());
    let letters: String = rows.iter().map(|row| row.direction.letter()).collect();
    assert_eq!(letters, "oioioiu");
    let is_matched = |at: usize, m_id: &str| {
        assert_eq!(attributions[at], Attribution::Ours { matched: matched(m_id), how: ShownAs::Verbatim }, "{at}");
    };
    is_matched(0, "a");
    is_matched(2, "b");
    is_matched(4, "c");
    assert!([1, 3, 5, 6].iter().all(|at| attributions[*at] == Attribution::Foreign), "{attributions:?}");
    assert_eq!(left, [text("d", "bye"), text("e", "seen")]);
}

#[test]
fn a_file_is_known_by_its_link_its_name_its_caption_or_by_no_words_at_all() {
    for shown in [
        "https://x.test/f/a%20b.pdf?x=1&amp;y=2",
        "<a href=\"https://x.test/f/a%20b.pdf?x=1&amp;y=2\">the bill</a>",
        "[file] a%20b.pdf",
        "the  bill",
        "",
    ] {
        let (names, _) = judged(&[(O, shown)], vec![file("f", Some("the bill"))]);
        assert_eq!(names[0].trim_start_matches('~'), "f", "{shown}");
    }
    // Another row names the file, so the one without words is not it.
    let two = [(O, ""), (O, "https://x.test/f/a%20b.pdf?x=1&y=2")];
    assert_eq!(judged(&two, vec![file("f", None)]).0, ["-", "f"]);
    // The customer's own picture is the customer's, at once where flags are known to come at once.
    let prompt = AccountTraits { prompt_flags: true, ..faithful() };
    let pictures = [(U, ""), (I, "")];
    let (names, directions) = judged_by(&prompt, OpenRow::default(), &pictures, vec![file("f", None)]);
    assert_eq!((names, directions), (vec!["-".into(), "-".into()], "ii".into()));
    assert_eq!(judged(&pictures, vec![file("f", None)]).0, ["-", "?"]);
    assert_eq!(judged_by(&faithful(), DUE, &pictures, vec![file("f", None)]).0, ["-", "-"]);
}

fn filled(m_id: &str, template: &str, sent: &[&str]) -> UnmatchedSend {
    let digests = sent.iter().map(|words| crate::domain::matching::sent_form(0, [7; 16], words)).collect();
    UnmatchedSend::filled(matched(m_id), template, digests, None, 0)
}

#[test]
fn a_call_whose_placeholders_were_filled_in_is_known_by_what_any_attempt_sent() {
    let template = "Siga su caso: {{anna.chat_url}} - Ventas";
    let own = || filled("t", template, &["Siga su caso: https://a.test/?u=1&v=2 - Ventas", "Siga su caso: f - Ventas"]);
    for shown in ["Siga  su caso: https://a.test/?u=1&amp;v=2 - Ventas\r\n", "Siga su caso: f - Ventas"] {
        assert_eq!(judged(&[(O, shown)], vec![own()]).0, ["t"], "{shown}");
    }
    // As the agent wrote it, with another link, or in another order: not certainly that call.
    for shown in [
        template,
        "Siga su caso: https://a.test/?u=2 - Ventas",
        "*Siga su caso:* a.test/x - Ventas",
        "- Ventas, siga su caso:",
    ] {
        assert_eq!(judged(&[(O, shown)], vec![own()]).0, ["?"], "{shown}");
    }
    for shown in ["Ventas", "otra cosa"] {
        assert_eq!(judged(&[(O, shown)], vec![own()]).0, ["-"], "{shown}");
    }
    let bare = || filled("b", "{{anna.chat_url}}", &["https://a.test/1"]);
    assert_eq!(judged(&[(O, "https://a.test/2")], vec![bare()]).0, ["?"]);
    assert_eq!(judged(&[(O, "gracias")], vec![bare()]).0, ["-"]);
    let prompt = AccountTraits { prompt_flags: true, ..faithful() };
    assert_eq!(judged_by(&prompt, OpenRow::default(), &[(I, "https://a.test/1")], vec![bare()]).0, ["-"]);
}

#[test]
fn a_row_that_is_like_a_send_is_postponed_and_then_taken_for_it() {
    for shown in ["*Hola*, Ana", "hola ana -- Ventas", "HOLA, ANA!", "Hola", "H?la Ana", "Hola :wave: Ana", ""] {
        let (row, send) = ([(O, shown)], || vec![text("t", "Hola Ana")]);
        assert_eq!(judged(&row, send()).0, ["?"], "{shown}");
        assert_eq!(judged_by(&faithful(), DUE, &row, send()).0, ["~t"], "{shown}");
        // One in doubt is not proven by it.
        assert_eq!(judged_by(&faithful(), DUE, &row, vec![in_doubt("t", "Hola Ana")]).0, ["!"], "{shown}");
    }
    assert_eq!(judged(&[(O, "Adiós")], vec![text("t", "Hola Ana")]).0, ["-"]);
    assert_eq!(judged(&[(O, "\u{1f44d}")], vec![text("t", "\u{2764}")]).0, ["?"]);
    assert_eq!(judged(&[(O, "\u{1f44d}")], vec![text("t", "Hola Ana")]).0, ["-"]);
    assert_eq!(judged(&[(O, "\u{1f4f7}")], vec![file("f", None)]).0, ["?"]);
    // Once its send is shown a row like it is foreign.
    assert_eq!(judged(&[(O, "Hola Ana"), (O, "Hola Ana!")], vec![text("t", "Hola Ana")]).0, ["t", "-"]);
    // What the customer may have written is never doubted away.
    assert_eq!(judged(&[(U, "Hola Ana!"), (I, "Hola")], vec![text("t", "Hola Ana")]).1, "ii");
}

#[test]
fn a_row_that_is_liker_to_a_send_in_doubt_shows_none_that_was_taken() {
    let damaged = (O, "Buenos dA\u{83}A\u{ad}as");
    let both = || vec![in_doubt("d", "Buenos d\u{ed}as"), text("t", "\u{1f44d}")];
    assert_eq!(judged_by(&faithful(), DUE, &[damaged], both()).0, ["!"]);
    assert_eq!(judged_by(&faithful(), DUE, &[damaged, (O, "A\u{83}A\u{9f}")], both()).0, ["!", "~t"]);
}

#[test]
fn of_rows_that_are_equally_like_a_send_the_one_in_its_place_shows_it() {
    let rows = [(O, "https://maps.test/centre"), (O, "GRACIAS POR SU PACIENCIA"), (O, "https://afl.test/x7")];
    let sends = vec![text("a", "Gracias por su paciencia"), text("b", "https://shop.test/p/1")];
    let account = AccountTraits { shows_texts: true, ..AccountTraits::default() };
    assert_eq!(judged_by(&account, DUE, &rows, sends.clone()).0, ["-", "~a", "~b"]);
    // Of two in its place neither is told: the bridge's own is no echo.
    let two = [rows[1], rows[0], rows[2]];
    assert_eq!(judged_by(&account, DUE, &two, sends).0, ["~a", "!", "~b"]);
}

#[test]
fn what_is_left_of_a_sign_is_no_echo_and_what_somebody_typed_in_its_place_is_one() {
    let account = AccountTraits { verbatim: Features::default(), ..rewriting(Features::WORDS) };
    let own = (O, "*Ana:* ?\n-- Tienda Ejemplo");
    let sign = || text("s", "\u{1f44d}");
    assert_eq!(judged_by(&account, OpenRow::default(), &[own], vec![sign()]).0, ["?"]);
    assert_eq!(judged_by(&account, DUE, &[own], vec![sign()]).0, ["~s"]);
    assert_eq!(judged_by(&account, DUE, &[own], vec![in_doubt("s", "\u{1f44d}")]).0, ["!"]);
    // Typed in the panel, where nothing of the bridge is left that it may be.
    let typed = (O, "?");
    for left in [vec![], vec![sign().with(SendVerdict::Taken, true)]] {
        assert_eq!(judged_by(&account, DUE, &[typed], left).0, ["-"]);
    }
    // Beside it: what the account puts around the bridge's words tells them apart.
    let shown = (O, "*Ana:* Su pedido sale hoy\n-- Tienda Ejemplo");
    let both = || vec![text("t", "Su pedido sale hoy").with(SendVerdict::Taken, true), sign()];
    for account in [account, rewriting(Features::WORDS.with(Features::SIGN))] {
        for rows in [[shown, typed, own], [shown, own, typed]] {
            let mut rows: Vec<AfilnetRow> = rows.iter().map(|(side, words)| row("", *side, 7, words)).collect();
            for due in [false, true] {
                let open = [None, Some(OpenRow { due, ..DUE }), Some(OpenRow { due, ..DUE })];
                let (attributions, _) = attribute(&mut rows, &open, both(), &account);
                let (mine, theirs) = if rows[1].text == "?" { (2, 1) } else { (1, 2) };
                let is_own =
                    matches!(&attributions[mine], Attribution::Ours { matched, .. } if *matched == sign().matched);
                assert!(is_own || !due, "{attributions:?}");
                assert!(attributions[theirs] == Attribution::Foreign || !due, "{attributions:?}");
                assert!(!matches!(attributions[theirs], Attribution::Ours { .. }), "{attributions:?}");
            }
        }
    }
}

#[test]
fn a_row_unlike_a_send_waits_where_the_account_has_not_shown_such_sends_word_for_word() {
    let row = [(O, "Le llamo en cinco minutos")];
    let send = || vec![text("t", "Mire https://a.test/x \u{1f44b}")];
    assert_eq!(judged(&row, send()).0, ["-"]);
    let new = AccountTraits::default();
    assert_eq!(judged_by(&new, OpenRow::default(), &row, send()).0, ["?"]);
    assert_eq!(judged_by(&new, DUE, &row, send()).0, ["-"], "nothing says that it is ours");
}

#[test]
fn a_send_explains_no_row_that_comes_up_long_after_it() {
    let late = OpenRow { read_before_ms: Some(EXPLAINS_FOR_MS + 1), ..OpenRow::default() };
    let new = AccountTraits::default();
    assert_eq!(judged_by(&new, late, &[(O, "Le llamo luego")], vec![text("t", "Su pedido")]).0, ["-"]);
    let slow = AccountTraits { settle_lag_ms: EXPLAINS_FOR_MS, ..new };
    assert_eq!(judged_by(&slow, late, &[(O, "Le llamo luego")], vec![text("t", "Su pedido")]).0, ["?"]);
    // The very words are its own, however late, and words like them wait.
    assert_eq!(judged_by(&new, late, &[(O, "Su pedido")], vec![text("t", "Su pedido")]).0, ["t"]);
    assert_eq!(judged_by(&new, late, &[(O, "Su pedido!")], vec![text("t", "Su pedido")]).0, ["?"]);
    assert_eq!(
        judged_by(&new, OpenRow { due: true, ..late }, &[(O, "Su pedido!")], vec![text("t", "Su pedido")]).0,
        ["-"]
    );
}

#[test]
fn a_link_right_after_a_file_that_was_taken_is_that_file_and_bars_nobody_elses_row() {
    let new = rewriting(Features::FILE);
    let rows = [(O, "https://media.test/out/8c1f0e.pdf"), (O, "Le llamo en cinco minutos")];
    assert_eq!(judged_by(&new, OpenRow::default(), &rows, vec![file("f", None)]).0, ["~f", "-"]);
    // One to something else waits, and is nobody's proof where another leads to a file of its kind.
    let page = (O, "https://maps.test/centre");
    assert_eq!(judged_by(&new, OpenRow::default(), &[page], vec![file("f", None)]).0, ["?"]);
    assert_eq!(
        judged_by(&AccountTraits { shows_files: true, ..new }, DUE, &[page, rows[0]], vec![file("f", None)]).0,
        ["-", "~f"]
    );
    // Where the account was not seen to do that, the row waits, and with it only what else may be that file.
    let unknown = AccountTraits { shows_texts: true, verbatim: Features::WORDS, ..AccountTraits::default() };
    assert_eq!(judged_by(&unknown, OpenRow::default(), &rows[..1], vec![file("f", None)]).0, ["?"]);
    assert_eq!(judged_by(&unknown, DUE, &rows, vec![file("f", None)]).0, ["~f", "-"]);
    // Not of one in doubt, nor where a text of the bridge may be that link.
    let doubtful = file("f", None).with(SendVerdict::InDoubt, false);
    assert_eq!(judged_by(&new, OpenRow::default(), &rows[..1], vec![doubtful]).0, ["?"]);
    let both = vec![file("f", None), text("t", "https://shop.test/pay/7")];
    assert_eq!(judged_by(&new, OpenRow::default(), &rows[..1], both).0, ["?"]);
}

#[test]
fn a_row_with_the_customers_flag_that_says_what_was_just_sent_waits() {
    let rows = [(I, "Buenos d\u{ed}as")];
    let send = || vec![text("t", "Buenos d\u{ed}as")];
    assert_eq!(judged(&rows, send()).0, ["?"]);
    assert_eq!(
        judged_by(&faithful(), DUE, &rows, send()).0,
        ["~t"],
        "no other row shows it, and the account shows rows"
    );
    assert_eq!(judged_by(&AccountTraits::default(), DUE, &rows, send()).0, ["-"]);
    assert_eq!(judged_by(&faithful(), DUE, &rows, vec![in_doubt("t", "Buenos d\u{ed}as")]).0, ["-"]);
    // Where another row shows it, that row may be somebody else's, who typed the same, for as long as the flag of this one may
    // turn; not where flags are known to come at once.
    let both = [(I, "Buenos d\u{ed}as"), (O, "Buenos d\u{ed}as")];
    let prompt = AccountTraits { prompt_flags: true, ..faithful() };
    assert_eq!(judged(&both, send()).0, ["f?", "t"]);
    assert_eq!(judged_by(&prompt, OpenRow::default(), &both, send()).0, ["-", "t"]);
    let again = OpenRow { read_before_ms: Some(0), seen_ms: Some(1), ..OpenRow::default() };
    assert_eq!(judged_by(&faithful(), again, &both, vec![]).0, ["f?", "-"]);
    assert_eq!(judged_by(&faithful(), OpenRow { flag_settled: true, ..again }, &both, vec![]).0, ["-", "-"]);
    assert_eq!(judged_by(&faithful(), DUE, &both, vec![]).0, ["-", "-"]);
    let late = OpenRow { read_before_ms: Some(EXPLAINS_FOR_MS + 1), ..OpenRow::default() };
    assert_eq!(judged_by(&faithful(), late, &rows, send()).0, ["-"]);
}

#[test]
fn a_send_that_a_row_was_taken_for_is_shown_by_its_own_words_alone() {
    let taken = || vec![text("t", "Hola Ana").with(SendVerdict::Taken, true)];
    assert_eq!(judged(&[(O, "Hola Ana!")], taken()).0, ["-"]);
    assert_eq!(judged(&[(O, "Hola Ana")], taken()).0, ["t"]);
}

#[test]
fn a_row_that_was_read_before_a_send_is_not_its_row() {
    let waits = OpenRow { read_before_ms: Some(0), seen_ms: Some(1000), ..OpenRow::default() };
    let send = |earliest_ms| vec![text("t", "Hola Ana").not_before(earliest_ms)];
    for shown in ["Hola Ana", "Hola Ana!"] {
        assert_eq!(judged_by(&faithful(), waits, &[(O, shown)], send(1001)).0, ["-"], "{shown}");
        assert_ne!(judged_by(&faithful(), waits, &[(O, shown)], send(1000)).0, ["-"], "{shown}");
    }
    assert_eq!(judged_by(&faithful(), waits, &[(I, "Hola Ana")], send(1001)).0, ["-"]);
}

#[test]
fn absence_is_not_proven_while_a_send_that_was_taken_does_not_show() {
    let hour_ms = MISSING_FOR_MS;
    let taken = |at_ms| UnmatchedSend::new(matched("a"), Some("ok"), None, at_ms);
    assert!(taken(hour_ms).is_missing_at(2 * hour_ms));
    assert!(!taken(hour_ms - 1).is_missing_at(2 * hour_ms), "long ago");
    assert!(!taken(hour_ms).is_missing_at(hour_ms), "later");
    assert!(!taken(hour_ms).with(SendVerdict::InDoubt, false).is_missing_at(2 * hour_ms));
    assert!(!taken(hour_ms).with(SendVerdict::Taken, true).is_missing_at(2 * hour_ms), "a row was taken for it");
    let (standing, evidence) = standing(&in_doubt("t", "Su pedido sale hoy"), &[], 1, &faithful());
    assert_eq!(standing, SendStanding::Undecidable);
    assert!(evidence.to_string().contains("do not show: 1"), "{evidence}");
}

fn since(send: &UnmatchedSend, account: &AccountTraits, rows: &[(Direction, &str, Shows)]) -> (SendStanding, String) {
    let rows: Vec<(AfilnetRow, Shows)> = rows.iter().map(|(d, words, shows)| (row("", *d, 7, words), *shows)).collect();
    let rows: Vec<RowSince<'_>> = rows.iter().map(|(row, shows)| RowSince { row, shows: *shows }).collect();
    let (standing, evidence) = standing(send, &rows, 0, account);
    (standing, evidence.to_string())
}

#[test]
fn a_send_is_absent_where_every_row_since_is_another_send_or_surely_somebody_elses() {
    let send = in_doubt("t", "Su pedido sale hoy");
    let others = [(O, "ok", Shows::Another), (I, "gracias", Shows::Nothing)];
    let words = "rows since: 1, ours for certain: 1, somebody else's: 0, unexplained: 0".to_owned();
    assert_eq!(since(&send, &AccountTraits::default(), &others), (SendStanding::Absent, words));
    let with = |row: (Direction, &'static str, Shows)| [others[0], others[1], row];
    let unlike = with((O, "Le llamo en cinco minutos", Shows::Nothing));
    assert_eq!(since(&send, &faithful(), &unlike).0, SendStanding::Absent);
    assert_eq!(since(&send, &AccountTraits::default(), &unlike).0, SendStanding::Undecidable);
    for like in ["Su pedido sale hoy \u{2013} Ventas", "su pedido", "Su p", ""] {
        assert_eq!(since(&send, &faithful(), &with((O, like, Shows::Nothing))).0, SendStanding::Undecidable, "{like}");
    }
    assert_eq!(since(&send, &faithful(), &with((O, "x", Shows::It))).0, SendStanding::Shown);
    let flagged = with((I, "Su pedido sale hoy", Shows::Nothing));
    assert_eq!(since(&send, &faithful(), &flagged).0, SendStanding::Undecidable, "a flag may come late");
}
