//! What is said of a message that is looked up.

use super::*;

#[test]
fn reads_do_not_wait_for_the_end_of_a_pause_of_sends() {
    let unknown = MessageJourney { look_ms: Some(ACCEPTED_MS + 115_000), ..message(MessageState::Unknown) };
    let paused = |fault: &str| {
        let channel_fault = Some(ChannelFault { at_ms: ACCEPTED_MS, fault: fault.into(), lasts: true });
        told(&journey(Some(MessageJourney { channel_fault, ..unknown.clone() }), Vec::new()), En).verdict
    };
    for (fault, says) in [
        ("NO_CREDITS", "The next look is at 20:15:58."),
        ("INCORRECT_USER_PASSWORD", "Its channel is paused since 20:14:03"),
    ] {
        assert!(paused(fault).contains(says), "{}", paused(fault));
    }
}
