//! A disk that fills up and is cleared, again and again.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{House, contact, until};

/// A small file system of its own; needs root. Unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mounted_at(folder: &Path) -> Option<Self> {
        std::fs::create_dir(folder).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(folder).output().ok()?;
        mounted.status.success().then(|| Self(folder.to_owned()))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Fills all free space.
    fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        for size in [1 << 20, 4096, 1] {
            let block = vec![0u8; size];
            while file.write_all(&block).is_ok() {}
        }
    }

    fn clear(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_ten_times_loses_and_doubles_nothing_and_needs_no_restart() {
    let mut house = House::new();
    let Some(disk) = SmallDisk::mounted_at(&house.folder.path().join("disk")) else {
        eprintln!("SKIPPED: a small disk could not be mounted here; run as root to test what happens when it is full");
        return;
    };
    house = house.set("STORE__URL", &format!("sqlite:{}", disk.0.join("bridge.db").display()));
    house = house.set("OUTBOUND__ANSWER_WITHIN", "0s");
    house.afilnet.set_latency("40ms".parse().unwrap());
    let bridge = house.start().await;
    let (mut taken, mut refused, mut slowest) = (Vec::new(), 0, Duration::ZERO);
    for cycle in 0..10 {
        // Under way while the disk fills up: their settlement can only be stored later.
        for n in 0..30 {
            let text = format!("cycle {cycle}, under way {n}");
            assert_eq!(house.agent(&bridge, &contact(n % 7), &text).await.status, 200);
            taken.push((n % 7, text));
        }
        disk.fill();
        let mut full = 0;
        for n in 0.. {
            let text = format!("cycle {cycle}, {n}");
            let started = Instant::now();
            match house.agent(&bridge, &contact(n % 7), &text).await.status {
                200 => taken.push((n % 7, text)),
                503 => {
                    full += 1;
                    slowest = slowest.max(started.elapsed());
                }
                status => panic!("answered {status}"),
            }
            if full == 5 {
                break;
            }
            assert!(n < 20_000, "the disk never got full");
        }
        refused += full;
        house.customer(&contact(8), &format!("while it is full {cycle}"));
        disk.clear();
        // Without a restart: the next call finds that there is room again.
        let deadline = Instant::now() + crate::support::SOON;
        let text = format!("cycle {cycle}, room again");
        while house.agent(&bridge, &contact(9), &text).await.status != 200 {
            assert!(Instant::now() < deadline, "it does not recover");
            tokio::time::sleep(Duration::from_millis(50)).await; // the caller's own pace
        }
        taken.push((9, text));
    }
    house.settled().await;
    until("customers are heard", || house.bonychat.texts(&contact(8)).len() == 10).await;
    assert_eq!(house.messages("unconfirmed"), [] as [String; 0]);
    for who in 0..10 {
        let expected: Vec<&str> = taken.iter().filter(|(to, _)| *to == who).map(|(_, text)| text.as_str()).collect();
        assert_eq!(house.afilnet.texts(&contact(who)[1..]), expected, "to {who}");
    }
    drop(bridge);
    let store = rusqlite::Connection::open(disk.0.join("bridge.db")).unwrap();
    let whole: String = store.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
    println!(
        "disk full and cleared 10 times: {} taken and sent once, {refused} answered 503 (slowest {slowest:.0?}), none lost, none \
         doubled, store whole",
        taken.len()
    );
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_a_full_disk_is_told_as_such_and_not_as_damage() {
    let mut house = House::new();
    let Some(disk) = SmallDisk::mounted_at(&house.folder.path().join("disk")) else {
        eprintln!("SKIPPED: a small disk could not be mounted here; run as root to test what happens when it is full");
        return;
    };
    house = house.set("STORE__URL", &format!("sqlite:{}", disk.0.join("data/bridge.db").display()));
    for state in ["no store yet", "a store that was served"] {
        disk.fill();
        let (code, words) = house.refused_start().await;
        assert_eq!(code, Some(1), "{state}: {words}");
        assert!(words.contains("disk is full") && words.contains("bridge.db"), "{state}: {words}");
        assert!(!words.contains("restore") && !words.contains("damaged"), "{state}: {words}");
        disk.clear();
        let mut bridge = house.start().await;
        bridge.signal("TERM");
        assert!(bridge.ended().await.success());
    }
}
