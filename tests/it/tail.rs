//! `bridge messages tail`: one line for each step as it happens, beside a running bridge, masked, until Ctrl-C.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::{House, SOON, contact, side_by_side, until};

/// A tail as a process.
struct Tail {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Tail {
    /// Starts one, and waits until it follows.
    async fn start(house: &House, options: &[&str]) -> Self {
        let mut command = house.command(&[&["messages", "tail"], options].concat());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let began: Arc<Mutex<bool>> = Arc::default();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (keep, begins) = (Arc::clone(&lines), Arc::clone(&began));
        std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).for_each(|line| keep.lock().unwrap().push(line));
        });
        std::thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                *begins.lock().unwrap() |= line.contains("Ctrl-C ends it");
            }
        });
        until("it follows", || *began.lock().unwrap()).await;
        Self { child, lines }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits for a line that holds all of these words.
    async fn shows(&self, words: &[&str]) {
        let there = || self.lines().iter().any(|line| words.iter().all(|word| line.contains(word)));
        until(&format!("it shows {words:?}"), there).await;
    }

    /// Ctrl-C; returns all its lines.
    async fn interrupted(mut self) -> Vec<String> {
        assert!(Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap().success());
        let mut status = None;
        until("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        assert_eq!(status.unwrap().code(), Some(0));
        self.lines()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_is_one_line_beside_a_running_bridge_and_no_line_names_a_contact() {
    let shared = House::shared(1).await;
    side_by_side(std::iter::once(House::new().on_a_file()).chain(shared), |mut house| async move {
        let bridge = house.start().await;
        assert_eq!(house.agent(&bridge, &contact(1), "before it begins").await.status, 200);
        let tail = Tail::start(&house, &["--channel", "support"]).await;
        let other = Tail::start(&house, &["--contact", &contact(7), "--json"]).await;
        let sent = house.agent(&bridge, &contact(2), "goes well").await.m_id.unwrap();
        tail.shows(&["\tout\t", &sent, "accepted, text"]).await;
        tail.shows(&[&sent, "\tsent"]).await;
        house.afilnet.fault("sendmessage:MISSING_COMPULSORY_PARAM").unwrap();
        assert_eq!(house.agent(&bridge, &contact(3), "refused").await.status, 400);
        tail.shows(&["failed: MISSING_COMPULSORY_PARAM"]).await;
        house.afilnet.fault("sendmessage:reset_stored").unwrap();
        let in_doubt = house.agent(&bridge, &contact(2), "in doubt").await.m_id.unwrap();
        tail.shows(&[&in_doubt, "in doubt: "]).await;
        tail.shows(&[&in_doubt, "\tsent"]).await;
        house.bonychat.set_poison(Some("POISON"));
        house.customer(&contact(7), "POISON");
        house.customer(&contact(7), "taken");
        assert!(house.bonychat.until(SOON, |world| world.texts(&contact(7)) == ["taken"]).await);
        tail.shows(&["\tin\t", "recorded, message"]).await;
        tail.shows(&["\tin\t", "published"]).await;
        tail.shows(&["\tin\t", "dead: http_400"]).await;
        other.shows(&["\"step\":\"dead\"", "\"fault\":\"http_400\""]).await;

        let lines = tail.interrupted().await;
        let of =
            |m_id: &str, words: &str| lines.iter().filter(|line| line.contains(m_id) && line.ends_with(words)).count();
        assert_eq!(
            (of(&sent, "accepted, text"), of(&sent, "\tsent"), of(&in_doubt, "\tsent")),
            (1, 1, 1),
            "{lines:#?}"
        );
        for line in &lines {
            assert!(!line.contains("600000") && line.contains("+********"), "{line}");
            assert_eq!(line.split('\t').count(), 6, "{line}");
        }
        for line in other.interrupted().await {
            let line: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(
                (line["contact"].as_str(), line["direction"].as_str()),
                (Some("+********007"), Some("in")),
                "{line}"
            );
        }
        let refused = house.run(&["messages", "tail", "--channel", "suport"]);
        assert_eq!(refused.status.code(), Some(2), "{}", String::from_utf8_lossy(&refused.stderr));
        house.check();
    })
    .await;
}
