//! What is read, in which order, and what a read proves.

use super::*;

/// A poller of `world` after a first run that found nothing, in no hurry to read anything twice.
async fn poller(world: &mut World) -> Poller {
    let hour = Duration::from_hours(1);
    world.set(|settings| {
        (settings.sweep_every, settings.poll_idle) = (hour, hour / 4);
        settings.retry = RetryPolicy { initial: hour, max: hour, give_up_after: hour };
    });
    world.store().store_initial_snapshot(world.channel.name(), Vec::new(), 0).await.unwrap();
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
async fn a_channel_reads_one_at_a_time_while_its_account_reads_enough() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::open(folder.path(), true).await;
    let mut poller = poller(&mut world).await;
    *world.fake.others.lock().unwrap() = (0..2 * SIDE_BY_SIDE).map(of_another).collect();
    let stop = CancellationToken::new();
    poller.round(&stop).await.unwrap();
    let account = Arc::clone(&poller.calls.account);
    let of_other_channels: Vec<_> = std::iter::from_fn(|| account.room_for_read()).take(1000).collect();
    poller.start_reads(&stop);
    assert_eq!(poller.reads.len(), 1);
    let (chats, read) = poller.reads.join_next().await.unwrap().unwrap();
    poller.finish(chats, read);
    poller.start_reads(&stop);
    assert_eq!(poller.reads.len(), 1, "the end of the first starts the second");
    drop(of_other_channels);
    poller.start_reads(&stop);
    assert_eq!(poller.reads.len(), SIDE_BY_SIDE);
}

#[tokio::test]
async fn a_full_resync_reads_few_at_once_and_each_in_its_turn() {
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
    assert!(poller.to_resync(&chats, poller.started + hour / 2).is_empty(), "read a moment ago");
    let mut taken = Vec::new();
    for n in 1..=6 {
        // An hour later each time, so that all of them are due.
        let now = poller.started + hour * n;
        let resynced: Vec<Chat> = poller.to_resync(&chats, now).into_iter().collect();
        assert_eq!(resynced.len(), 1, "an hour has rounds for all of them");
        poller.conversations.get_mut(&resynced[0]).unwrap().read_at = Some(now);
        taken.push(chats.iter().position(|(chat, _)| *chat == resynced[0]).unwrap());
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
    // It has ended, and another round comes before its result is applied.
    poller.round(&stop).await.unwrap();
    poller.start_reads(&stop);
    let deadline = Instant::now() + Duration::from_secs(30);
    while poller.conversations[&chat()].progress.as_ref().is_none_or(|there| there.read_to.is_none()) {
        assert!(Instant::now() < deadline, "it is not read again");
        turn(&mut poller).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.words().await, ["unread before the first run"]);
}

/// Only the world's customer is in the store, and the list shows other conversations alone.
async fn hidden(world: &mut World) -> Poller {
    let mut poller = poller(world).await;
    world.shows(Direction::Inbound, Some(now_ms()), "hello");
    turn(&mut poller).await;
    assert_eq!(world.words().await, ["hello"]);
    world.fake.lists_itself.store(false, Ordering::Relaxed);
    poller
}

/// Lets so much time pass for the full resync.
fn pass(poller: &mut Poller, time: Duration) {
    let read = poller.conversations.values_mut().filter_map(|state| state.read_at.as_mut());
    for at in read.chain([&mut poller.started]) {
        *at = at.checked_sub(time).unwrap();
    }
}

#[tokio::test]
async fn an_active_conversation_that_the_list_does_not_show_is_resynced_like_the_others_and_its_new_rows_come_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::open(folder.path(), true).await;
    let mut poller = hidden(&mut world).await;
    let reads = || world.fake.reads.load(Ordering::Relaxed);
    let hour = world.channel.settings.sweep_every;
    assert_eq!(reads(), 1);
    world.shows(Direction::Inbound, Some(now_ms()), "are you there?");
    pass(&mut poller, hour / 2);
    turn(&mut poller).await;
    assert_eq!(reads(), 1, "read half an hour ago");
    pass(&mut poller, hour);
    for _ in 0..3 {
        turn(&mut poller).await;
    }
    assert_eq!((reads(), world.words().await), (2, vec!["are you there?".to_owned()]), "once an hour, and no notice");
    pass(&mut poller, hour);
    turn(&mut poller).await;
    assert_eq!((reads(), world.words().await.len()), (3, 0));
    // It comes up in the list again.
    world.fake.lists_itself.store(true, Ordering::Relaxed);
    world.shows(Direction::Inbound, Some(now_ms()), "thanks");
    turn(&mut poller).await;
    turn(&mut poller).await;
    assert_eq!((reads(), world.words().await), (4, vec!["thanks".to_owned()]));
}

#[tokio::test]
async fn what_was_active_is_resynced_after_a_restart_though_the_list_never_showed_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::open(folder.path(), true).await;
    drop(hidden(&mut world).await);
    world.shows(Direction::Inbound, Some(now_ms()), "are you there?");
    let mut poller = world.poller();
    assert!(poller.load().await);
    turn(&mut poller).await;
    assert_eq!(world.words().await, [""; 0]);
    let hour = world.channel.settings.sweep_every;
    pass(&mut poller, hour);
    turn(&mut poller).await;
    assert_eq!(world.words().await, ["are you there?"]);
}

/// A poller of a customer that a list showed once, whose conversation could not be read then and that no list shows now.
async fn listed_once(world: &mut World) -> Poller {
    let mut poller = poller(world).await;
    world.shows(Direction::Inbound, Some(now_ms()), "hello");
    world.meanwhile(Meanwhile::Fails);
    turn(&mut poller).await;
    world.fake.lists_itself.store(false, Ordering::Relaxed);
    turn(&mut poller).await;
    assert_eq!((world.fake.reads.load(Ordering::Relaxed), world.words().await.len()), (1, 0));
    poller
}

#[tokio::test]
async fn who_was_listed_once_and_could_not_be_read_then_is_read_though_no_list_shows_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::open(folder.path(), true).await;
    let mut poller = listed_once(&mut world).await;
    let ends = |poller: &mut Poller| poller.conversations.get_mut(&chat()).unwrap().backoff = None;
    // Another failure is waited for as any other.
    world.meanwhile(Meanwhile::Fails);
    ends(&mut poller);
    for _ in 0..3 {
        turn(&mut poller).await;
    }
    assert_eq!(world.fake.reads.load(Ordering::Relaxed), 2);
    ends(&mut poller);
    for _ in 0..3 {
        turn(&mut poller).await;
    }
    assert_eq!((world.fake.reads.load(Ordering::Relaxed), world.words().await), (3, vec!["hello".to_owned()]));
}

#[tokio::test]
async fn who_was_listed_once_before_the_reads_showed_anything_is_read_though_no_list_shows_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::open(folder.path(), true).await;
    let mut poller = poller(&mut world).await;
    world.shows(Direction::Inbound, Some(now_ms()), "hello");
    world.fake.hidden.store(true, Ordering::Relaxed);
    turn(&mut poller).await;
    world.fake.lists_itself.store(false, Ordering::Relaxed);
    turn(&mut poller).await;
    world.fake.hidden.store(false, Ordering::Relaxed);
    turn(&mut poller).await;
    turn(&mut poller).await;
    assert_eq!((world.fake.reads.load(Ordering::Relaxed), world.words().await), (3, vec!["hello".to_owned()]));
    // What never shows anything is given up.
    world.fake.lists_itself.store(true, Ordering::Relaxed);
    world.fake.hidden.store(true, Ordering::Relaxed);
    world.shows(Direction::Inbound, Some(now_ms()), "gone");
    turn(&mut poller).await;
    world.fake.lists_itself.store(false, Ordering::Relaxed);
    for _ in 0..3 * MOST_BEHIND {
        poller.conversations.get_mut(&chat()).unwrap().backoff = None;
        turn(&mut poller).await;
    }
    assert_eq!(world.fake.reads.load(Ordering::Relaxed), 3 + 1 + MOST_BEHIND as usize);
}

#[tokio::test]
async fn who_was_listed_once_just_before_another_loop_read_is_read_though_no_list_shows_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::open(folder.path(), true).await;
    let mut poller = poller(&mut world).await;
    world.shows(Direction::Inbound, Some(now_ms()), "hello");
    let stop = CancellationToken::new();
    poller.round(&stop).await.unwrap();
    let other = poller.reader.turn(&chat().contact).unwrap();
    poller.start_reads(&stop);
    world.fake.lists_itself.store(false, Ordering::Relaxed);
    drop(other);
    turn(&mut poller).await;
    assert_eq!((world.fake.reads.load(Ordering::Relaxed), world.words().await), (1, vec!["hello".to_owned()]));
}

#[tokio::test]
async fn who_was_listed_once_while_another_loop_read_is_read_though_no_list_shows_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::open(folder.path(), true).await;
    let mut poller = poller(&mut world).await;
    world.shows(Direction::Inbound, Some(now_ms()), "hello");
    let stop = CancellationToken::new();
    let other = poller.reader.turn(&chat().contact).unwrap();
    poller.round(&stop).await.unwrap();
    poller.start_reads(&stop);
    world.fake.lists_itself.store(false, Ordering::Relaxed);
    drop(other);
    turn(&mut poller).await;
    assert_eq!((world.fake.reads.load(Ordering::Relaxed), world.words().await), (1, vec!["hello".to_owned()]));
    // It is read by now, and not again.
    turn(&mut poller).await;
    assert_eq!(world.fake.reads.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn who_was_listed_once_and_could_not_be_read_then_is_resynced_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::open(folder.path(), true).await;
    drop(listed_once(&mut world).await);
    let mut poller = world.poller();
    assert!(poller.load().await);
    turn(&mut poller).await;
    assert_eq!(world.words().await, [""; 0]);
    let hour = world.channel.settings.sweep_every;
    pass(&mut poller, hour);
    turn(&mut poller).await;
    assert_eq!(world.words().await, ["hello"]);
}

#[tokio::test]
async fn what_the_first_run_listed_and_what_was_only_written_to_is_resynced_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::open(folder.path(), true).await;
    world.fake.lists_itself.store(false, Ordering::Relaxed);
    let mut poller = poller(&mut world).await;
    let there = of_another(7);
    let of_first_run: ContactId = "+34600990007".parse().unwrap();
    let snapshot_row = Some(RowFingerprint::of(&there).to_text());
    let position = Position { snapshot_row, ..unread_position(&of_first_run, &there.destination) };
    let now_ms = now_ms();
    world.store().store_initial_snapshot(world.channel.name(), vec![position], now_ms).await.unwrap();
    world.asks(&["Monday", "Tuesday"]).await;
    assert!(poller.load().await);
    let hour = world.channel.settings.sweep_every;
    for _ in 0..2 {
        pass(&mut poller, hour);
        turn(&mut poller).await; // there is room for one of them
    }
    let mut read: Vec<&str> = poller.conversations.keys().map(|chat| chat.contact.as_str()).collect();
    read.sort_unstable();
    assert_eq!(read, ["+34600111222", "+34600990007"]);
    assert!(poller.conversations.values().all(|state| state.read_at.is_some()));
    // Too long ago.
    let mut old = world.poller();
    assert!(old.load().await);
    old.snapshot_ms = Some(now_ms - millis(ACTIVE_FOR) - 1);
    pass(&mut old, hour);
    turn(&mut old).await;
    let unlisted: Vec<&ContactId> = old.unlisted.chats().map(|chat| &chat.contact).collect();
    assert_eq!(unlisted, [&contact()]);
}

#[tokio::test]
async fn where_the_list_shows_all_a_full_resync_reads_each_once_and_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::open(folder.path(), true).await;
    let mut poller = poller(&mut world).await;
    world.shows(Direction::Inbound, Some(now_ms()), "hello");
    turn(&mut poller).await;
    let reads = || world.fake.reads.load(Ordering::Relaxed);
    let hour = world.channel.settings.sweep_every;
    for resyncs in 1..=5 {
        for _ in 0..4 {
            turn(&mut poller).await;
        }
        assert_eq!((reads(), poller.unlisted.len(), poller.resync_room()), (resyncs, 0, 1));
        pass(&mut poller, hour);
    }
}
