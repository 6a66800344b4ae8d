//! The operators' page where it deals with more than one message: what failed by reason, many at once, channels and their
//! pauses, the audit, the settings. Messages are counted at the simulators.

use std::collections::BTreeSet;

use crate::page::escaping::{markup, payloads};
use crate::page::{Answer, FORM, OPERATORS, SAME, call, encoded, field, get, house, messages, post, sign_in};
use crate::support::process::Bridge;
use crate::support::{House, contact, side_by_side, until};

/// The house of the page on each engine.
async fn houses() -> impl Iterator<Item = House> {
    let shared = House::shared(1).await.map(|house| house.set("ADMIN__TOKEN", OPERATORS));
    [Some(house().on_a_file()), shared].into_iter().flatten()
}

/// Runs a command that succeeds; returns its output.
fn done(house: &House, arguments: &[&str]) -> String {
    let output = house.run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Messages to these contacts that fail for this reason.
async fn fail(house: &House, bridge: &Bridge, who: std::ops::Range<usize>, fault: &str) {
    house.afilnet.fault(&format!("sendmessage:{fault}:1-1000000")).unwrap();
    for who in who.clone() {
        house.agent(bridge, &contact(who), &format!("text of {who}")).await;
    }
    until("they have failed", || house.messages("failed").len() == who.end).await;
    house.afilnet.clear_faults();
}

/// Returns the page in Spanish.
fn in_spanish(base: &str, path: &str, cookie: &str) -> String {
    call(base, "GET", path, &[("cookie", &format!("{cookie}; bridge_language=es"))], "").body
}

fn unescaped(link: &str) -> String {
    link.replace("&amp;", "&").replace("&#38;", "&")
}

/// Returns the first link of a page that holds these words.
fn link(page: &str, words: &str) -> String {
    let mut links = page.split("href=\"").skip(1).map(|rest| unescaped(rest.split('"').next().unwrap()));
    links.find(|link| link.contains(words)).unwrap_or_else(|| panic!("no link with {words} in {page}"))
}

/// Returns the hidden fields of the form of a page that goes to `action`, as a browser sends them.
pub(crate) fn hidden(page: &str, action: &str) -> String {
    let form = page.split(&format!("method=\"post\" action=\"{action}\"")).nth(1);
    let form = form.unwrap_or_else(|| panic!("no form to {action} in {page}")).split("</form>").next().unwrap();
    let fields = form.split("type=\"hidden\" name=\"").skip(1).map(|rest| {
        let (name, rest) = rest.split_once("\" value=\"").unwrap();
        format!("{name}={}", encoded(&unescaped(rest.split('"').next().unwrap())))
    });
    fields.collect::<Vec<_>>().join("&")
}

/// The number of a job that a page has a link to.
pub(crate) fn job_of(page: &str) -> String {
    link(page, "bulk/").rsplit('/').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_found_by_reason_and_comes_back_once() {
    side_by_side(houses().await, |house| async move {
        let mut house = house.set("OUTBOUND__ANSWER_WITHIN", "0s");
        let bridge = house.start().await;
        let base = bridge.admin_url();
        let cookie = sign_in(&base);
        let calm = get(&base, "/failed", &cookie).body;
        assert!(calm.contains("Nothing has failed.") && !calm.contains("<table"), "{calm}");
        fail(&house, &bridge, 0..3, "INCORRECT_FILETYPE").await;
        fail(&house, &bridge, 3..5, "INCORRECT_FILEURL").await;
        house.agent(&bridge, &contact(0), "newer").await;
        house.settled().await;

        let page = get(&base, "/failed", &cookie).body;
        let spanish = in_spanish(&base, "/failed", &cookie);
        for (page, words) in
            [(&page, "mended: others went through since"), (&spanish, "resuelto: otros han pasado después")]
        {
            let rows: Vec<&str> = page.split("<tr>").skip(2).collect();
            assert_eq!(rows.len(), 2, "{page}");
            for (row, (fault, count)) in rows.iter().zip([("INCORRECT_FILEURL", 2), ("INCORRECT_FILETYPE", 3)]) {
                assert!(row.contains(fault) && row.contains(&format!(">{count}</a>")), "{fault}: {row}");
                assert!(row.contains("action=retry") && row.contains("action=discard"), "{row}");
                assert!(row.contains(words), "another message went through: {row}");
            }
        }
        let listed = get(&base, &format!("/{}", link(&page, "messages?channel=support&")), &cookie);
        let listed = if listed.status == 200 { listed } else { panic!("{}", listed.body) };
        assert_eq!(listed.body.matches("<th scope=\"row\">").count(), 2, "{}", listed.body);

        let path = format!("/{}", link(&page, "action=retry&state=failed&channel=support&fault=INCORRECT_FILETYPE"));
        let plan = get(&base, &path, &cookie).body;
        for words in [
            "<strong>2</strong> would be sent again",
            "<strong>1</strong> are left out, since their conversations have moved on",
            "at half the rate of the slowest account",
            "This is a plan: nothing has been changed.",
        ] {
            assert!(plan.contains(words), "{words} in {plan}");
        }
        assert!(!plan.contains("text of") && !plan.contains(&contact(1)[4..]), "no texts, no numbers: {plan}");
        let spanish = in_spanish(&base, &path, &cookie);
        assert!(spanish.contains("<strong>2</strong> se enviarían otra vez"), "{spanish}");
        assert_eq!((house.messages("failed").len(), done(&house, &["messages", "jobs"])), (5, String::new()));

        let form = hidden(&plan, "bulk") + "&why=a+wrong+type";
        let first = post(&base, "/bulk", &cookie, &form);
        let second = post(&base, "/bulk", &cookie, &form);
        assert_eq!((first.status, second.status), (200, 200), "{}", first.body);
        assert_eq!(first.body, second.body, "pressed twice, done once");
        let job = job_of(&first.body);
        until("it is done", || get(&base, &format!("/bulk/{job}"), &cookie).body.contains("class=\"state good\""))
            .await;
        house.settled().await;
        for (who, texts) in
            [(0, vec!["newer"]), (1, vec!["text of 1"]), (2, vec!["text of 2"]), (3, vec![]), (4, vec![])]
        {
            assert_eq!(house.afilnet.texts(&contact(who)[1..]), texts, "contact {who}");
        }
        assert_eq!(done(&house, &["messages", "jobs"]).lines().count(), 1, "one job");
        let of_job = get(&base, &format!("/bulk/{job}"), &cookie).body;
        assert!(of_job.contains("a wrong type") && of_job.contains("<dd>admin</dd>"), "{of_job}");
        assert!(!of_job.contains("/cancel") && !of_job.contains("/resume"), "it is over: {of_job}");
        assert!(get(&base, "/bulk", &cookie).body.contains(&format!("bulk/{job}\"")));
        let audit = get(&base, &format!("/audit?about=job+{job}"), &cookie).body;
        assert!(audit.contains("many sent or posted again") && audit.contains("a wrong type"), "{audit}");

        // Moved on, where that is asked for; and given up, with the texts.
        let all = get(&base, "/bulk?action=retry&state=failed&fault=INCORRECT_FILETYPE&moved_on=1", &cookie).body;
        assert!(all.contains("<strong>1</strong> would be sent again"), "{all}");
        let rest = get(&base, "/bulk?action=discard&state=failed&fault=INCORRECT_FILEURL", &cookie).body;
        assert_eq!(post(&base, "/bulk", &cookie, &hidden(&rest, "bulk")).status, 200);
        until("they are given up", || {
            get(&base, "/bulk?action=discard&state=failed", &cookie)
                .body
                .contains("<strong>1</strong> would be given up")
        })
        .await;
        drop(bridge);
        house.check();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_done_as_it_was_shown_by_a_form_of_the_bridge_or_not_at_all() {
    let mut house = house().set("OUTBOUND__ANSWER_WITHIN", "0s");
    let bridge = house.start().await;
    let base = bridge.admin_url();
    fail(&house, &bridge, 0..3, "INCORRECT_FILETYPE").await;
    let cookie = sign_in(&base);
    let plan = || get(&base, "/bulk?action=retry&state=failed", &cookie).body;
    let form = hidden(&plan(), "bulk");
    let nothing = || {
        assert_eq!((house.messages("failed").len(), done(&house, &["messages", "jobs"])), (3, String::new()));
    };

    // Not from elsewhere, not without the token of the session, not by looking.
    for headers in [vec![("sec-fetch-site", "cross-site")], vec![("origin", "null")], vec![]] {
        let headers: Vec<(&str, &str)> = [&headers[..], &[FORM, ("cookie", &cookie)]].concat();
        assert_eq!(call(&base, "POST", "/bulk", &headers, &form).status, 403, "{headers:?}");
    }
    let token = field(&plan(), "token");
    assert_eq!(post(&base, "/bulk", &cookie, &form.replace(&encoded(&token), "other")).status, 403);
    assert_eq!(post(&base, "/bulk", "", &form).status, 401);
    assert_eq!(get(&base, &format!("/bulk?{form}"), &cookie).status, 200);
    nothing();

    // Not what another page showed: too old, of another number, of others.
    let of = field(&plan(), "of");
    let parts: Vec<&str> = of.split('-').collect();
    let old = format!("{}-{}-{}-{}", parts[0].parse::<i64>().unwrap() - 601_000, parts[1], parts[2], parts[3]);
    let fewer = format!("{}-9-{}-{}", parts[0], parts[2], parts[3]);
    let earlier = format!("{}-3-1-{}", parts[0], parts[3]);
    let others = format!("{}-3-{}-{}", parts[0], parts[2], "0".repeat(64));
    for (other, says) in [
        (old.as_str(), "older than 10 minutes"),
        (&fewer, "the page showed 9, of which there are now 3"),
        (&earlier, "the page showed 3, of which there are now"),
        (&others, "as many match as the page showed, but not all of them are the same"),
    ] {
        let form = format!("{}&of={other}", hidden(&plan(), "bulk").replace("&of=", "&x="));
        let stale = post(&base, "/bulk", &cookie, &form);
        assert!(stale.status == 409 && stale.body.contains(says), "{says}: {} {}", stale.status, stale.body);
        assert!(stale.body.contains("<strong>3</strong> would be sent again"), "the plan of now: {}", stale.body);
    }
    for broken in ["of=x", "of=1-2", "of=1-2-3"] {
        let form = format!("{broken}&{}", hidden(&plan(), "bulk").replace("&of=", "&x="));
        assert_eq!(post(&base, "/bulk", &cookie, &form).status, 400, "{broken}");
    }
    nothing();

    // Not while a channel of it is paused.
    let before = hidden(&plan(), "bulk");
    done(&house, &["channels", "pause", "support", "out", "--why", "migration"]);
    let paused = plan();
    assert!(
        paused.contains("paused by hand") && paused.contains("migration") && !paused.contains("name=\"of\""),
        "{paused}"
    );
    let refused = post(&base, "/bulk", &cookie, &before);
    assert!(refused.status == 409 && refused.body.contains("has been paused by hand meanwhile"), "{}", refused.body);
    nothing();
    done(&house, &["channels", "resume", "support", "out"]);

    for (query, english, spanish) in [
        ("action=retry&state=unconfirmed", "are not decided by many", "no se deciden por lotes"),
        ("action=retry&state=queued", "there is nothing to retry", "no hay nada que reintentar"),
        ("action=discard&state=queued&text=+", "would be given up", "se abandonarían"),
        ("action=discard&state=queued&text=%22%22", "there is none in it", "no hay ninguna"),
        ("action=retry&state=failed&since=ayer", "«Since» takes", "«Desde» admite"),
        ("action=retry&state=failed&channel=suport", "there is no channel `suport`", "no existe el canal `suport`"),
        ("action=delete&state=failed", "choose what to do", "elija qué hacer"),
    ] {
        let page = get(&base, &format!("/bulk?{query}"), &cookie);
        let es = in_spanish(&base, &format!("/bulk?{query}"), &cookie);
        assert!(page.body.contains(english) && es.contains(spanish), "{query}: {} {es}", page.body);
        assert_eq!(page.status, if query.ends_with("text=+") { 200 } else { 400 }, "{query}");
        assert!(!page.body.contains("--text"), "no words of the command line: {}", page.body);
    }
    // What has gone its own way meanwhile.
    let seen = hidden(&plan(), "bulk");
    let one = house.messages("failed").remove(0);
    done(&house, &["messages", "retry", &one]);
    house.settled().await;
    let stale = post(&base, "/bulk", &cookie, &seen);
    assert!(
        stale.status == 409 && stale.body.contains("the page showed 3, of which there are now 2"),
        "{}",
        stale.body
    );
    assert_eq!(done(&house, &["messages", "jobs"]), "");
    for path in ["/bulk/1", "/bulk/x", "/bulk/99999999999999999999"] {
        assert_eq!(get(&base, path, &cookie).status, 404, "{path}");
        assert_eq!(post(&base, &format!("{path}/cancel"), &cookie, &format!("token={token}&once=a")).status, 404);
    }
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_the_page_goes_on_after_a_kill_and_is_ended_by_a_form() {
    side_by_side(houses().await, |house| async move {
        let mut house = house.set("OUTBOUND__ANSWER_WITHIN", "0s");
        let bridge = house.start().await;
        fail(&house, &bridge, 0..60, "INCORRECT_FILETYPE").await;
        drop(bridge);
        let mut house = house.set("AFILNET__REQUESTS_PER_SECOND", "4");
        let bridge = house.start().await;
        let base = bridge.admin_url();
        let cookie = sign_in(&base);
        let begin = |base: &str| {
            let plan = get(base, "/bulk?action=retry&state=failed", &cookie).body;
            let begun = post(base, "/bulk", &cookie, &hidden(&plan, "bulk"));
            assert_eq!(begun.status, 200, "{}", begun.body);
            job_of(&begun.body)
        };
        let job = begin(&base);
        until("some are done", || house.messages("failed").len() < 60).await;
        bridge.kill();
        let left = house.messages("failed").len();
        assert!(left > 0, "it was killed before its end");
        let bridge = house.start().await;
        let base = bridge.admin_url();
        until("it goes on by itself", || house.messages("failed").len() < left).await;

        let page = get(&base, &format!("/bulk/{job}"), &cookie).body;
        assert!(page.contains("under way") && !page.contains("/resume"), "{page}");
        let form = hidden(&page, &format!("{job}/cancel")) + "&why=enough";
        let path = format!("/bulk/{job}/cancel");
        let headers = [FORM, ("cookie", cookie.as_str()), ("sec-fetch-site", "cross-site")];
        assert_eq!(call(&base, "POST", &path, &headers, &form).status, 403);
        let token = field(&page, "token");
        assert_eq!(post(&base, &path, &cookie, &form.replace(&encoded(&token), "x")).status, 403);
        let [ended, twice] = [(); 2].map(|()| post(&base, &path, &cookie, &form));
        assert!(ended.status == 200 && ended.body.contains("what is done stays done"), "{}", ended.body);
        assert_eq!(ended.body, twice.body, "pressed twice, done once");
        let another = post(&base, &path, &cookie, &form.replace("once=", "once=1"));
        assert!(another.status == 409 && another.body.contains("it is over already"), "{}", another.body);
        let resumed = post(&base, &format!("/bulk/{job}/resume"), &cookie, &format!("token={token}"));
        assert!(resumed.status == 409 && resumed.body.contains("it is over already"), "{}", resumed.body);
        house.settled().await;
        let left = house.messages("failed").len();
        assert!(left > 0, "it was ended before its time");
        assert!(get(&base, &format!("/bulk/{job}"), &cookie).body.contains("ended before its time"));

        // One that the command line has left is gone on with by a press.
        let mut command = house.command(&["messages", "retry", "--state", "failed", "--yes"]);
        let mut child =
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        until("it has begun", || house.messages("failed").len() < left).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let job = done(&house, &["messages", "jobs"]).split(':').next().unwrap()["job ".len()..].to_owned();
        let page = get(&base, &format!("/bulk/{job}"), &cookie).body;
        let path = format!("/bulk/{job}/resume");
        let resumed = post(&base, &path, &cookie, &hidden(&page, &format!("{job}/resume")));
        assert!(resumed.status == 200 && resumed.body.contains("goes on with it"), "{}", resumed.body);
        until("it is done", || get(&base, &format!("/bulk/{job}"), &cookie).body.contains("class=\"state good\""))
            .await;
        house.settled().await;
        for who in 0..60 {
            assert_eq!(house.afilnet.texts(&contact(who)[1..]), [format!("text of {who}")], "each once");
        }
        drop(bridge);
        house.check();
    })
    .await;
}

/// The page that asks, from a link of the channel's page.
pub(crate) fn asks(base: &str, cookie: &str, verb: &str, what: &str) -> Answer {
    let channel = get(base, "/channels/support", cookie).body;
    let path = link(&channel, &format!("support/{verb}?what={what}&"));
    get(base, &format!("/channels/{path}"), cookie)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_paused_with_a_reason_and_gone_on_with_by_two_clicks_each() {
    side_by_side(houses().await, |house| async move {
        let mut house = house.set("OUTBOUND__ANSWER_WITHIN", "0s");
        let bridge = house.start().await;
        let base = bridge.admin_url();
        let cookie = sign_in(&base);
        let all = get(&base, "/channels", &cookie).body;
        assert!(all.contains("href=\"channels/support\"") && all.contains("works"), "{all}");
        for (what, meaning, spanish) in [
            ("out", "From now on nothing more of it is sent", "Desde ahora no se envía nada más de él"),
            ("in", "nothing more of it is posted to BonyChat", "no se entrega nada más de él a BonyChat"),
            ("drain", "/message answers 503 for it", "/message responde 503 para él"),
        ] {
            let ask = asks(&base, &cookie, "pause", what);
            assert!(ask.status == 200 && ask.body.contains(meaning) && ask.body.contains(" required>"), "{}", ask.body);
            let es = in_spanish(&base, &format!("/channels/support/pause?what={what}&of=none"), &cookie);
            assert!(es.contains(spanish), "{es}");
        }
        let ask = asks(&base, &cookie, "pause", "out").body;
        let form = hidden(&ask, "pause");
        let path = "/channels/support/pause";
        let token = field(&ask, "token");
        assert_eq!(post(&base, path, &cookie, &form.replace(&encoded(&token), "x")).status, 403);
        let headers = [FORM, ("cookie", cookie.as_str()), ("sec-fetch-site", "cross-site")];
        assert_eq!(call(&base, "POST", path, &headers, &format!("{form}&why=a")).status, 403);
        for why in ["", "&why=", "&why=+"] {
            let without = post(&base, path, &cookie, &format!("{form}{why}"));
            assert!(without.status == 400 && without.body.contains("say why"), "{}", without.body);
        }
        assert_eq!(done(&house, &["channels", "pauses"]), "", "nothing of that paused anything");

        let [paused, twice] = [(); 2].map(|()| post(&base, path, &cookie, &format!("{form}&why=migration")));
        assert!(paused.status == 200 && paused.body.contains("nothing more of it is sent"), "{}", paused.body);
        assert_eq!(paused.body, twice.body, "pressed twice, done once");
        let listed = done(&house, &["channels", "pauses"]);
        assert!(listed.starts_with("support\tout\t") && listed.ends_with("\tadmin\tmigration\n"), "{listed}");
        let late = post(&base, path, &cookie, &format!("{}&why=late", form.replace("once=", "once=1")));
        assert!(late.status == 409 && late.body.contains("paused by admin since"), "{}", late.body);
        house.agent(&bridge, &contact(1), "kept").await;
        let before = house.afilnet.calls("getchats");
        until("Afilnet is read", || house.afilnet.calls("getchats") > before + 5).await;
        assert_eq!(house.afilnet.calls("sendmessage"), 0, "nothing is sent");
        let page = get(&base, "/channels/support", &cookie).body;
        assert!(page.contains("Paused by admin since") && page.contains("migration"), "{page}");

        // Of a pause that is over and has begun anew.
        let old = hidden(&asks(&base, &cookie, "resume", "out").body, "resume");
        done(&house, &["channels", "resume", "support", "out"]);
        done(&house, &["channels", "pause", "support", "out", "--why", "another"]);
        let stale = post(&base, "/channels/support/resume", &cookie, &old);
        assert!(stale.status == 409 && stale.body.contains("no longer as the page showed it"), "{}", stale.body);
        assert!(stale.body.contains("another"), "who has paused it now: {}", stale.body);
        assert!(done(&house, &["channels", "pauses"]).contains("another"), "and it stays so");
        let form = hidden(&asks(&base, &cookie, "resume", "out").body, "resume");
        let [resumed, twice] = [(); 2].map(|()| post(&base, "/channels/support/resume", &cookie, &form));
        assert!(resumed.status == 200 && resumed.body.contains("what waits is sent"), "{}", resumed.body);
        assert_eq!(resumed.body, twice.body, "pressed twice, done once");
        until("it is sent", || house.afilnet.texts(&contact(1)[1..]) == ["kept"]).await;
        for wrong in ["/channels/suport", "/channels/suport/pause?what=out&of=none"] {
            assert_eq!(get(&base, wrong, &cookie).status, 404, "{wrong}");
        }
        assert_eq!(get(&base, "/channels/support/pause?what=all&of=none", &cookie).status, 400);
        let audit = get(&base, "/audit?about=support", &cookie).body;
        assert_eq!(audit.matches("sending paused").count(), 2, "{audit}");
        assert_eq!(audit.matches("sending resumed").count(), 2, "{audit}");
        drop(bridge);
        house.check();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_shows_its_problems_and_its_settings_and_no_secret() {
    let mut house = house();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let [_, failed] = messages(&house, &bridge).await;
    let cookie = sign_in(&base);
    let page = get(&base, "/channels/support", &cookie).body;
    assert!(page.contains(&format!("messages/{failed}")) && page.contains("Last sent"), "{page}");
    assert!(!page.contains(&contact(2)[4..]), "masked: {page}");
    let full = get(&base, "/channels/support?contacts=full", &cookie).body;
    assert!(full.contains(&contact(2)), "where it is asked for: {full}");
    let settings = get(&base, "/settings", &cookie).body;
    for (page, key) in
        [(&page, "channels.support.api_token"), (&settings, "channels.support.api_token"), (&settings, "admin.token")]
    {
        let row = page.split(&format!(">{key}</th>")).nth(1).unwrap_or_else(|| panic!("no {key} in {page}"));
        let row = row.split("</tr>").next().unwrap();
        assert!(row.contains("set, ") && row.contains(" characters") && row.contains("variable BRIDGE__"), "{row}");
    }
    let effective = done(&house, &["config", "--effective"]);
    assert_eq!(settings.matches("<th scope=\"row\"").count(), effective.lines().count());
    for secret in [OPERATORS, "token-of-channel-1"] {
        assert!(!page.contains(secret) && !settings.contains(secret), "{secret}");
    }
    let spanish = in_spanish(&base, "/settings", &cookie);
    assert!(spanish.contains("Ajustes en vigor") && spanish.contains("por defecto"), "{spanish}");
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_is_read_page_by_page_and_of_one_thing() {
    let mut house = house().set_plain("SUDO_USER", "ana");
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let [_, failed] = messages(&house, &bridge).await;
    done(&house, &["messages", "discard", &failed, "--why", "a test"]);
    for _ in 0..26 {
        done(&house, &["channels", "pause", "support", "in", "--why", "again"]);
        done(&house, &["channels", "resume", "support", "in"]);
    }
    let cookie = sign_in(&base);
    let rows = |page: &str| page.matches("<th scope=\"row\">").count();
    let first = get(&base, "/audit", &cookie).body;
    assert_eq!(rows(&first), 50);
    let next = get(&base, &format!("/{}", link(&first, "audit?before=")), &cookie).body;
    assert!(rows(&next) == 3 && next.contains("a test") && !next.contains("rel=\"next\""), "{next}");
    assert!(next.contains(&format!("href=\"messages/{failed}\"")), "{next}");
    for (about, count) in [("ana", 50), ("support", 50), (failed.as_str(), 1), ("nobody", 0)] {
        let page = get(&base, &format!("/audit?about={about}"), &cookie).body;
        assert_eq!(rows(&page), count, "{about}: {page}");
    }
    let of_channel = get(&base, "/audit?about=support", &cookie).body;
    let next = get(&base, &format!("/{}", link(&of_channel, "audit?about=support&")), &cookie).body;
    assert_eq!(rows(&next), 2, "the rest of the same: {next}");
    let listed = done(&house, &["messages", "audit", "--about", &failed]);
    assert!(listed.lines().count() == 1 && listed.contains("discard"), "{listed}");
    let wrong = get(&base, "/audit?before=x", &cookie);
    assert!(wrong.status == 400 && wrong.body.contains("does not go on with any list"), "{}", wrong.body);
    assert!(in_spanish(&base, "/audit", &cookie).contains("entregas reanudadas"));
    drop(bridge);
    house.check();
}

const PATHS: [&str; 9] = [
    "/failed",
    "/bulk",
    "/bulk?action=retry&state=failed",
    "/bulk/1",
    "/channels",
    "/channels/support",
    "/channels/support/pause?what=out&of=none",
    "/audit",
    "/settings",
];

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_many_are_shown_to_who_is_signed_in_alone_with_headers_and_relative_links() {
    let mut house = house().set("OUTBOUND__ANSWER_WITHIN", "0s");
    let bridge = house.start().await;
    let base = bridge.admin_url();
    fail(&house, &bridge, 0..60, "INCORRECT_FILETYPE").await;
    let cookie = sign_in(&base);
    let plan = get(&base, "/bulk?action=retry&state=failed", &cookie).body;
    assert_eq!(post(&base, "/bulk", &cookie, &hidden(&plan, "bulk")).status, 200);
    let tampered = format!("{cookie}x");
    for path in PATHS {
        for bad in ["", "x=y", &tampered] {
            let answer = get(&base, path, bad);
            assert!(answer.status == 401 && answer.body.contains("name=\"token\""), "{path}: {}", answer.body);
            let next = unescaped(&field(&answer.body, "next"));
            let is_shown_next = next == path[1..] || path.contains("/pause") || next.is_empty();
            assert!(is_shown_next, "{next}");
        }
        let public = call(&bridge.url(), "GET", path, &[("cookie", &cookie)], "");
        assert!(matches!(public.status, 404 | 405), "{path}: {}", public.status);
        let answer = get(&base, path, &cookie);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(answer.one("content-security-policy").starts_with("default-src 'none';"));
        assert_eq!((answer.one("cache-control"), answer.one("referrer-policy")), ("no-store", "same-origin"));
        assert!(answer.body.len() <= 100 * 1024, "{path}: {} bytes", answer.body.len());
        for inline in ["<style", " style=", "javascript:", " onclick", "<script>"] {
            assert!(!answer.body.contains(inline), "{path}: {inline}");
        }
        for attribute in ["href=\"", "src=\"", "action=\""] {
            for link in answer.body.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap()) {
                assert!(!link.starts_with('/') && !link.contains("://"), "{path}: {link}");
            }
        }
        // Each link of it leads somewhere.
        let folder = &path[..=path.split('?').next().unwrap().rfind('/').unwrap()];
        let links: BTreeSet<String> = answer
            .body
            .split("href=\"")
            .skip(1)
            .map(|rest| unescaped(rest.split('"').next().unwrap()))
            .filter(|link| !link.starts_with('#') && !link.contains("messages/"))
            .collect();
        for link in links {
            let (mut folder, mut rest) = (folder.trim_end_matches('/').to_owned(), link.as_str());
            loop {
                if let Some(after) = rest.strip_prefix("../") {
                    folder.truncate(folder.rfind('/').unwrap_or(0));
                    rest = after;
                } else if let Some(after) = rest.strip_prefix("./") {
                    rest = after;
                } else {
                    break;
                }
            }
            let status = get(&base, &format!("{folder}/{rest}"), &cookie).status;
            assert!(matches!(status, 200 | 303), "{path}: {link}: {status}");
        }
        // And after the sign-in.
        if !path.contains("/pause") {
            let next = encoded(&path[1..]);
            let signed = call(&base, "POST", "/login", &[FORM, SAME], &format!("token={OPERATORS}&next={next}"));
            assert_eq!((signed.status, signed.one("location")), (303, &path[1..]));
        }
    }
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_element_and_no_attribute_of_a_page_of_many_comes_from_its_address_or_a_reason() {
    let mut house = house();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let cookie = sign_in(&base);
    let kinds = |path: &str| markup(&get(&base, path, &cookie).body).into_iter().collect::<BTreeSet<_>>();
    let mut known: BTreeSet<String> =
        ["/bulk", "/bulk?action=retry&state=failed", "/bulk?action=x", "/audit", "/audit?about=zzz"]
            .into_iter()
            .flat_map(kinds)
            .collect();
    known.extend(["@checked", "@selected"].map(str::to_owned));
    for (n, payload) in payloads().iter().enumerate() {
        let value = encoded(payload);
        for name in ["action", "state", "fault", "channel", "contact", "since", "until", "text", "moved_on"] {
            if n % 9 != name.len() % 9 {
                continue;
            }
            let others = if matches!(name, "action" | "state") { "" } else { "action=retry&state=failed&" };
            let found = kinds(&format!("/bulk?{others}{name}={value}"));
            assert!(found.is_subset(&known), "{name}={payload}: {found:?}");
        }
        let found = kinds(&format!("/audit?about={value}"));
        assert!(found.is_subset(&known), "about={payload}: {found:?}");
    }
    // Reasons are shown in four places.
    let pages = ["/channels/support", "/channels/support/resume?what=in&of=none", "/audit"];
    let resume = |base: &str| asks(base, &cookie, "resume", "in").body;
    let pause = |why: &str| {
        let form = hidden(&asks(&base, &cookie, "pause", "in").body, "pause");
        let paused = post(&base, "/channels/support/pause", &cookie, &format!("{form}&why={}", encoded(why)));
        assert_eq!(paused.status, 200, "{why}: {}", paused.body);
    };
    let all = |base: &str| -> Vec<BTreeSet<String>> {
        let of_resume = markup(&resume(base)).into_iter().collect();
        pages.iter().map(|path| kinds(path)).chain([of_resume]).collect()
    };
    pause("plain words");
    let plain = all(&base);
    for payload in payloads().iter().step_by(13) {
        let form = hidden(&resume(&base), "resume");
        assert_eq!(post(&base, "/channels/support/resume", &cookie, &form).status, 200);
        pause(payload);
        assert_eq!(all(&base), plain, "{payload}");
    }
    drop(bridge);
    house.check();
}
