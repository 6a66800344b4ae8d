//! What is read, in which order, and what a read proves.

use super::*;

/// A poller of `world` after a first run that found nothing, in no hurry to read anything twice.
async fn poller(world: &mut World) -> Poller {
    let hour = Duration::from_hours(1);
    world.set(|settings| {
        (settings.sweep_every, settings.poll_idle) = (hour, hour / 4);
        settings.retry = RetryPolicy { initial: hour, max: hour, give_up_after: hour };
    });
    world.store().take_baseline(world.channel.name(), Vec::new(), 0).await.unwrap();
    let mut poller = world.poller();
    assert!(poller.load().await);
    poller
}

/// One round and all the reads that it starts.
async fn turn(poller: &mut Poller) {
    let stop = CancellationToken::new();
    poller.round(&stop).await.unwrap();
    poller.start_reads(&stop);
    while let Some(read) = poller.reads.join_next().await {
        let (chats, read) = read.unwrap();
        poller.finish(chats, read);
    }
}

/// The last row of another conversation.
fn of_another(n: usize) -> AfilnetRow {
    let time = RowTime { raw: "1".into(), epoch_ms: Some(1) };
    let destination = format!("3460099{n:04}").parse().unwrap();
    AfilnetRow { destination, id: None, direction: Direction::Outbound, time, text: "broadcast".into(), status: None }
}

#[tokio::test]
async fn a_customer_is_read_before_the_rows_of_a_broadcast() {
    for broadcast_too in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::open(folder.path(), true).await;
        let mut poller = poller(&mut world).await;
        *world.fake.others.lock().unwrap() = (0..2 * SIDE_BY_SIDE).map(of_another).collect();
        let stop = CancellationToken::new();
        if broadcast_too {
            // Its own row of the broadcast waits behind the others already.
            world.shows(Direction::Outbound, Some(1), "broadcast");
            poller.round(&stop).await.unwrap();
        }
        world.shows(Direction::Inbound, Some(2), "hello");
        poller.round(&stop).await.unwrap();
        poller.start_reads(&stop);
        assert!(poller.reader.is_reading(&contact()), "{broadcast_too}");
        assert_eq!(poller.reads.len(), SIDE_BY_SIDE);
    }
}

#[tokio::test]
async fn the_sweep_takes_few_at_once_and_each_in_its_turn() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::open(folder.path(), true).await;
    let mut poller = poller(&mut world).await;
    let chat = |n| Chat {
        contact: format!("+3460099{n:04}").parse().unwrap(),
        destination: format!("3460099{n:04}").parse().unwrap(),
    };
    let chats: Vec<(Chat, AfilnetRow)> = (0..3)
        .map(|n| (chat(n), of_another(n)))
        .inspect(|(chat, _)| poller.moved_to(unread_position(&chat.contact, &chat.destination)))
        .collect();
    let hour = world.channel.settings.sweep_every;
    assert!(poller.to_sweep(&chats, poller.started + hour / 2).is_empty(), "read a moment ago");
    let mut taken = Vec::new();
    for n in 1..=6 {
        // An hour later each time, so that all of them are due.
        let now = poller.started + hour * n;
        let swept: Vec<Chat> = poller.to_sweep(&chats, now).into_iter().collect();
        assert_eq!(swept.len(), 1, "an hour has rounds for all of them");
        poller.conversations.get_mut(&swept[0]).unwrap().read_at = Some(now);
        taken.push(chats.iter().position(|(chat, _)| *chat == swept[0]).unwrap());
    }
    assert_eq!(taken, [0, 1, 2, 0, 1, 2]);
}

#[tokio::test]
async fn a_read_that_shows_nothing_is_never_in_sync() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::open(folder.path(), true).await;
    let mut poller = poller(&mut world).await;
    world.shows(Direction::Inbound, Some(now_ms()), "hello");
    world.fake.hidden.store(true, Ordering::Relaxed);
    for _ in 0..8 {
        turn(&mut poller).await;
    }
    assert_eq!(world.fake.reads.load(Ordering::Relaxed), 8);
    world.fake.hidden.store(false, Ordering::Relaxed);
    turn(&mut poller).await;
    assert_eq!(world.words().await, ["hello"]);
}

#[tokio::test]
async fn what_never_shows_its_last_row_is_not_read_with_every_round() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::open(folder.path(), true).await;
    let mut poller = poller(&mut world).await;
    world.shows(Direction::Inbound, Some(now_ms()), "hello");
    world.fake.hidden.store(true, Ordering::Relaxed);
    for _ in 0..20 {
        turn(&mut poller).await;
    }
    assert_eq!(world.fake.reads.load(Ordering::Relaxed), 11);
}

#[tokio::test]
async fn rows_without_a_time_are_new_in_a_known_conversation_however_many_and_the_newest_in_one_just_met() {
    for (known, expected) in [(true, 31), (false, 20)] {
        let folder = tempfile::tempdir().unwrap();
        let world = World::open(folder.path(), true).await;
        if known {
            world.says("before").await.unwrap();
        }
        for n in 0..30 {
            world.shows(Direction::Inbound, None, &format!("row {n}"));
        }
        world.reader.read(&world.request(), &CancellationToken::new()).await.result.unwrap();
        assert_eq!(world.words().await.len(), expected, "{known}");
    }
}

#[tokio::test]
async fn a_conversation_whose_read_failed_or_broke_waits_and_no_other_does() {
    for trouble in [Meanwhile::Fails, Meanwhile::Breaks] {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::open(folder.path(), true).await;
        let mut poller = poller(&mut world).await;
        world.shows(Direction::Inbound, Some(now_ms()), "hello");
        world.meanwhile(trouble);
        for _ in 0..3 {
            turn(&mut poller).await;
        }
        assert_eq!(world.fake.reads.load(Ordering::Relaxed), 1, "not with every round");
        world.fake.others.lock().unwrap().push(of_another(1));
        turn(&mut poller).await;
        assert_eq!(world.fake.reads.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn a_last_row_that_reads_never_show_is_taken_as_it_is_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::open(folder.path(), true).await;
    let mut poller = poller(&mut world).await;
    world.shows(Direction::Inbound, Some(now_ms()), "hello");
    let listed = AfilnetRow { text: "in other words".into(), ..world.fake.rows.lock().unwrap()[0].clone() };
    world.fake.others.lock().unwrap().push(listed);
    for _ in 0..20 {
        turn(&mut poller).await;
    }
    assert_eq!(world.fake.reads.load(Ordering::Relaxed), 6);
    assert_eq!(world.words().await, ["hello"]);
}

#[tokio::test]
async fn a_read_that_ends_during_a_round_is_where_the_next_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path(), true).await;
    let mut poller = world.poller();
    assert!(poller.load().await);
    world.shows(Direction::Inbound, Some(1), "unread before the first run");
    world.fake.unread.lock().unwrap().clone_from(&world.fake.rows.lock().unwrap());
    // Asking what is unread has cleared the mark at Afilnet when the read fails.
    world.meanwhile(Meanwhile::Fails);
    let stop = CancellationToken::new();
    poller.round(&stop).await.unwrap();
    poller.start_reads(&stop);
    while world.fake.reads.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    // It has ended, and another round comes before what it came to is at hand.
    poller.round(&stop).await.unwrap();
    poller.start_reads(&stop);
    let deadline = Instant::now() + Duration::from_secs(30);
    while poller.conversations[&chat()].position.as_ref().is_none_or(|there| there.read_to.is_none()) {
        assert!(Instant::now() < deadline, "it is not read again");
        turn(&mut poller).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.words().await, ["unread before the first run"]);
}
