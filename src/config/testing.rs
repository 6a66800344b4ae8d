//! A channel's configuration, for the tests of the rooms that speak a wire.

use std::time::Duration;

use super::{Afilnet, Bonychat, Channel, Transport};
use crate::domain::{IdType, Platform};

/// Returns a channel of WhatsApp, with Afilnet at `afilnet_url` and BonyChat's webhook at `webhook_url`.
pub(crate) fn channel(afilnet_url: &str, webhook_url: &str) -> Channel {
    Channel {
        name: "support".parse().unwrap(),
        channel_id: "gfd8g7fd89dgfd".parse().unwrap(),
        api_token: "token".into(),
        previous_api_token: None,
        id_type: IdType::Phone,
        platform: Platform::Whatsapp,
        platform_id: "100".parse().unwrap(),
        text_limit: 4096,
        anna: false,
        poll_active: Duration::from_secs(2),
        poll_idle: Duration::from_secs(15),
        afilnet: Afilnet {
            url: afilnet_url.parse().unwrap(),
            transport: Transport::Post,
            user: "ana@example.com".into(),
            password: "s3cr&t+ñ".into(),
            timeout: Duration::from_secs(5),
            answer_limit: 32 << 20,
            ca: Vec::new(),
            time_zone: jiff::tz::TimeZone::get("Europe/Madrid").unwrap(),
            requests_per_second: 10,
            max_in_flight: 4,
        },
        bonychat: Bonychat {
            webhook_url: webhook_url.into(),
            timeout: Duration::from_secs(2),
            ca: Vec::new(),
            requests_per_second: 15,
        },
    }
}
