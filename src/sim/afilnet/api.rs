//! The API itself: the documented order of checks, the six methods of `class=chat` and `user.getbalance`.

use std::time::Instant;

use serde_json::{Value, json};

use super::render::{self, Lens, Read};
use super::state::{Author, Row, SentCall, State, Words, machine_ms};
use super::switches::{
    AuthFailure, ChatsListed, EmptyRead, FiledUnder, GetmessagesMarksRead, IpDenied, NewDestination, RateLimit,
    ReadUnder, RowOrder, UnreadIncludesSent, UnreadMarksRead, Window,
};
use super::transports::{self, Transport};
use super::{Options, World, rewriting};
use crate::sim::faults::Terms;
use crate::sim::form::{self, Params};
use crate::sim::switchable_listener::lock;
use crate::sim::wire::{Ending, Reply, Request, Service};
use crate::sim::{control, seeded_rng};

/// Longest URL of a GET, in characters (afilnet.md section 2).
const MAX_URL: usize = 4000;

/// One call, by any transport.
struct ApiCall {
    params: Params,
    user: String,
    password: String,
    transport: Transport,
    /// Its access token.
    token: Option<String>,
}

impl ApiCall {
    fn new(request: &Request, transport: Transport) -> Self {
        let (mut params, token) = transport.read(request);
        let (user, password) = match transport {
            Transport::Basic => form::basic(request).unwrap_or_default(),
            Transport::Form | Transport::Soap => {
                (params.remove("user").unwrap_or_default(), params.remove("password").unwrap_or_default())
            }
            Transport::Json => Default::default(),
        };
        Self { params, user, password, transport, token }
    }

    /// Returns a parameter that exists and is not blank.
    fn get(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn method(&self) -> &str {
        self.get("method").unwrap_or("-")
    }

    fn require<const N: usize>(&self, names: [&str; N]) -> Result<[&str; N], &'static str> {
        let mut values = [""; N];
        for (value, name) in values.iter_mut().zip(names) {
            *value = self.get(name).ok_or("MISSING_COMPULSORY_PARAM")?;
        }
        Ok(values)
    }

    /// Returns method and conversation, for the log.
    fn line(&self) -> String {
        let part = |name| self.get(name).unwrap_or("-");
        format!("{} {} {} {}", self.method(), part("platform"), part("platformid"), part("destination"))
    }
}

impl Service for World {
    async fn serve(&self, request: Request) -> Reply {
        let path = request.path();
        match path.trim_end_matches('/') {
            "/api/http" => self.woken(self.api(&request, Transport::Form).await),
            "/api/basic" => self.woken(self.api(&request, Transport::Basic).await),
            "/api/json" => self.woken(self.api(&request, Transport::Json).await),
            "/api/soap" => self.woken(self.api(&request, Transport::Soap).await),
            "/oauth/token" => self.token(&request),
            "/elsewhere" => {
                lock(&self.state).counters.redirects_followed += 1;
                Reply::page(200)
            }
            _ if path.starts_with("/control") => control::afilnet::serve(self, &request),
            _ => Reply::page(404),
        }
    }
}

impl World {
    /// Returns the reply after notifying the waiters of `until`.
    fn woken(&self, reply: Reply) -> Reply {
        self.wake();
        reply
    }

    /// The token endpoint; its faults are those of the method `token`.
    fn token(&self, request: &Request) -> Reply {
        let mut state = lock(&self.state);
        *state.counters.calls.entry("token".to_owned()).or_default() += 1;
        match state.faults.next("token") {
            Some(fault) => fault.spoil(None, &self.terms()),
            None => transports::token(&mut state, request),
        }
    }

    /// Returns the parameters of faults.
    fn terms(&self) -> Terms {
        let elsewhere = format!("http://localhost:{}/elsewhere/", self.port.get().copied().unwrap_or_default());
        let Options { down_for, drip, .. } = self.options;
        Terms { down_for, drip, elsewhere, refusal }
    }

    async fn api(&self, request: &Request, transport: Transport) -> Reply {
        let mut call = ApiCall::new(request, transport);
        if let Some(token) = &call.token {
            let state = lock(&self.state);
            call.user = state.tokens.get(token).cloned().unwrap_or_default();
            call.password = state.accounts.get(&call.user).cloned().unwrap_or_default();
        }
        let (wait, fault) = {
            let mut state = lock(&self.state);
            state.count(request, &call);
            let turn = state.counters.requests;
            (state.latency.of(self.options.seed, turn), state.faults.next(call.method()))
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let Some(fault) = fault else { return self.answer(request, &call) };
        let real = fault.stored.then(|| self.answer(request, &call));
        let mut state = lock(&self.state);
        state.counters.faults += 1;
        state.log(format!("{} -> fault {fault:?}", call.line()));
        transport.carry_fault(fault.spoil(real.as_ref(), &self.terms()))
    }

    /// Carries the call out.
    fn answer(&self, request: &Request, call: &ApiCall) -> Reply {
        let reply = call.transport.carry(self.carry_out(request, call));
        render::in_charset(lock(&self.state).switches.charset, reply)
    }

    fn carry_out(&self, request: &Request, call: &ApiCall) -> Reply {
        if request.method != "GET" && request.method != "POST" {
            return Reply::page(405);
        }
        let origin = "http://".len() + request.header("host").unwrap_or_default().chars().count();
        if request.method == "GET" && origin + request.target.chars().count() > MAX_URL {
            return Reply::page(414);
        }
        if !call.transport.accepts(request) {
            return Reply::page(415);
        }
        let mut state = lock(&self.state);
        if call.transport == Transport::Json && call.user.is_empty() {
            return Reply::page(401).with("www-authenticate", "Bearer");
        }
        if let Some(reply) = state.turned_away(&self.options) {
            state.log(format!("{} -> turned away with {}", call.line(), reply.status));
            return reply;
        }
        let outcome = state.dispatch(call, &self.options);
        state.log(format!("{} -> {}", call.line(), outcome.as_ref().err().unwrap_or(&"SUCCESS")));
        tracing::debug!(call = call.line(), outcome = outcome.as_ref().err().unwrap_or(&"SUCCESS"), "simulated call");
        match outcome {
            Err("INCORRECT_USER_PASSWORD") if state.switches.auth_failure == AuthFailure::Http401 => {
                Reply::page(401).with("www-authenticate", "Basic")
            }
            outcome => render::envelope(&state.switches, &outcome),
        }
    }
}

fn refusal(code: &str) -> Reply {
    render::envelope(&super::Switches::default(), &Err(code))
}

impl State {
    fn count(&mut self, request: &Request, call: &ApiCall) {
        self.counters.requests += 1;
        *self.counters.calls.entry(call.method().to_owned()).or_default() += 1;
        let shown = form::urlencoded(request.query().as_bytes());
        let secret = |value: &String| !value.is_empty() && self.accounts.values().any(|password| password == value);
        if shown.contains_key("password") || shown.values().any(secret) {
            self.counters.secrets_in_url += 1;
        }
        self.rate.note(Instant::now());
        self.counters.busiest_second = self.rate.busiest();
    }

    /// Applies the address filter and the rate limit.
    fn turned_away(&mut self, options: &Options) -> Option<Reply> {
        match self.switches.ip_denied {
            IpDenied::Off => {}
            IpDenied::Http403 => return Some(Reply::page(403)),
            IpDenied::Envelope => return Some(render::envelope(&self.switches, &Err("INCORRECT_USER_PASSWORD"))),
            IpDenied::ConnectionDrop => return Some(Reply::nothing(Ending::Reset)),
        }
        let reply = match self.switches.rate_limit {
            RateLimit::Off => return None,
            RateLimit::Http429 => Reply::page(429).with("retry-after", "1"),
            RateLimit::Http503Html => Reply::page(503),
            RateLimit::EnvelopeUnknownCode => render::envelope(&self.switches, &Err("TOO_MANY_REQUESTS")),
        };
        let now = Instant::now();
        if self.admitted.within(now) >= options.rate_limit {
            return Some(reply);
        }
        self.admitted.note(now);
        None
    }

    /// The checks in the order of afilnet.md section 6, then the method.
    fn dispatch(&mut self, call: &ApiCall, options: &Options) -> Result<Option<Value>, &'static str> {
        if call.user.is_empty() {
            return Err("MISSING_USER");
        }
        if call.password.is_empty() {
            return Err("MISSING_PASSWORD");
        }
        let class = call.get("class").ok_or("MISSING_CLASS")?;
        let method = call.get("method").ok_or("MISSING_METHOD")?;
        if self.accounts.get(&call.user) != Some(&call.password) {
            return Err("INCORRECT_USER_PASSWORD");
        }
        match (class, method) {
            ("user", "getbalance") => Ok(Some(json!("100.00"))),
            ("chat", "getchatchannels") => Ok(Some(self.channel_list())),
            ("chat", "sendmessage") => self.send_message(call),
            ("chat", "sendfile") => self.send_file(call),
            ("chat", "getchats") => self.read(call, Read::Chats, options),
            ("chat", "getmessages") => self.read(call, Read::Messages, options),
            ("chat", "getunreadmessages") => self.read(call, Read::Unread, options),
            ("user" | "chat", _) => Err("INCORRECT_METHOD"),
            _ => Err("INCORRECT_CLASS"),
        }
    }

    fn channel_list(&self) -> Value {
        let rows = self.channels.iter().map(|((platform, platformid), channel)| {
            json!({"platformid": platformid, "platform": platform, "name": channel.name})
        });
        render::list(rows.collect(), self.switches.list_shape)
    }

    fn known_channel(&self, platform: &str, platformid: &str) -> Result<(String, String), &'static str> {
        let key = (platform.to_owned(), platformid.to_owned());
        if self.channels.contains_key(&key) { Ok(key) } else { Err("CHANNEL_NOT_FOUND") }
    }

    fn has_chat(&self, channel: &(String, String), destination: &str) -> bool {
        self.channels.get(channel).is_some_and(|channel| channel.chats.contains_key(destination))
    }

    /// A text may open a conversation (afilnet.md 3.2).
    fn send_message(&mut self, call: &ApiCall) -> Result<Option<Value>, &'static str> {
        let [platform, platformid, destination, message] =
            call.require(["platform", "platformid", "destination", "message"])?;
        let channel = self.known_channel(platform, platformid)?;
        let refuses_new = self.switches.new_destination == NewDestination::ChatNotFound;
        if refuses_new && !self.has_chat(&channel, destination) {
            return Err("CHAT_NOT_FOUND");
        }
        Ok(self.store("sendmessage", channel, destination, call, message))
    }

    /// A file needs a conversation (afilnet.md 3.2, remark on `CHAT_NOT_FOUND`).
    fn send_file(&mut self, call: &ApiCall) -> Result<Option<Value>, &'static str> {
        let [platform, platformid, destination, kind, url] =
            call.require(["platform", "platformid", "destination", "type", "fileurl"])?;
        let channel = self.known_channel(platform, platformid)?;
        if !self.has_chat(&channel, &rewriting::filed_under(self.switches.filed_under, destination)) {
            return Err("CHAT_NOT_FOUND");
        }
        if !["image", "video", "audio", "voice", "document", "contact"].contains(&kind) {
            return Err("INCORRECT_FILETYPE");
        }
        if !is_link(url) {
            return Err("INCORRECT_FILEURL");
        }
        // Blank is not absent here: clients are to leave it out (afilnet.md 3.3).
        if call.params.get("thumburl").is_some_and(|url| !is_link(url)) {
            return Err("INCORRECT_THUMBURL");
        }
        Ok(self.store("sendfile", channel, destination, call, call.get("message").unwrap_or_default()))
    }

    /// Appends the row and the entry of the ledger; does not check for an equal one.
    fn store(
        &mut self,
        method: &'static str,
        channel: (String, String),
        destination: &str,
        call: &ApiCall,
        message: &str,
    ) -> Option<Value> {
        let filed = rewriting::filed_under(self.switches.filed_under, destination);
        let own = |name| if method == "sendfile" { call.get(name).map(str::to_owned) } else { None };
        let (kind, fileurl, thumburl) = (own("type"), own("fileurl"), own("thumburl"));
        let row = self.append(&channel, &filed, Author::Api, &Words { text: message, file: fileurl.as_deref() })?;
        let (platform, platformid) = channel;
        let (destination, message, at_ms) = (destination.to_owned(), message.to_owned(), machine_ms());
        let sent = SentCall { method, platform, platformid, destination, message, kind, fileurl, thumburl, at_ms, row };
        self.sent.push(sent);
        render::send_result(self.switches.send_result, row)
    }

    fn read(&mut self, call: &ApiCall, read: Read, options: &Options) -> Result<Option<Value>, &'static str> {
        let [platform, platformid] = call.require(["platform", "platformid"])?;
        let destination = if read == Read::Chats { "" } else { call.require(["destination"])?[0] };
        let key = self.known_channel(platform, platformid)?;
        let kept_as = self.kept_as(&key, destination);
        let destination = kept_as.as_deref().unwrap_or(destination);
        let rows = self.rows(&key, destination, read, options);
        if rows.is_empty() && self.switches.empty_read == EmptyRead::ChatNotFound {
            return Err("CHAT_NOT_FOUND");
        }
        let marks = match read {
            Read::Chats => false,
            Read::Messages => self.switches.getmessages_marks_read == GetmessagesMarksRead::Yes,
            Read::Unread => self.switches.unread_marks_read == UnreadMarksRead::Yes,
        };
        if marks && let Some(chat) = self.channels.get_mut(&key).and_then(|c| c.chats.get_mut(destination)) {
            for row in chat {
                row.read = true;
            }
        }
        Ok(Some(render::list(rows, self.switches.list_shape)))
    }

    /// The destination under which a conversation is kept that is asked for by any spelling of its number.
    fn kept_as(&self, key: &(String, String), destination: &str) -> Option<String> {
        if self.switches.read_under == ReadUnder::AsWritten {
            return None;
        }
        let plain =
            |number: &str| rewriting::filed_under(FiledUnder::WithoutMobileDigits, number.trim_start_matches('+'));
        let chats = &self.channels.get(key)?.chats;
        let same = |kept: &&String| plain(kept) == plain(destination);
        (!chats.contains_key(destination)).then(|| chats.keys().find(same).cloned())?
    }

    fn rows(&self, key: &(String, String), destination: &str, read: Read, options: &Options) -> Vec<Value> {
        let now_ms = self.now_ms();
        let Some(channel) = self.channels.get(key) else { return Vec::new() };
        let shows = |row: &&Row| self.shows(row, now_ms);
        let chat = channel.chats.get(destination).map_or(&[][..], Vec::as_slice);
        let with_sent = self.switches.unread_includes_sent == UnreadIncludesSent::Yes;
        let mut rows: Vec<(&str, &Row)> = match read {
            Read::Chats => {
                let chats = channel.chats.iter();
                chats
                    .filter_map(|(destination, rows)| Some((destination.as_str(), rows.iter().rfind(shows)?)))
                    .collect()
            }
            Read::Messages => chat.iter().filter(shows).map(|row| (destination, row)).collect(),
            Read::Unread => {
                let unread = chat.iter().filter(|row| !row.read && (with_sent || !row.outgoing));
                unread.filter(shows).map(|row| (destination, row)).collect()
            }
        };
        rows.sort_by_key(|(_, row)| row.id);
        if read == Read::Messages {
            let window = match self.switches.window {
                Window::Unlimited => rows.len(),
                Window::Last20 => 20,
                Window::Last100 => 100,
            };
            rows.drain(..rows.len().saturating_sub(window));
        }
        if read == Read::Chats && self.switches.chats_listed == ChatsListed::Newest50 {
            rows.drain(..rows.len().saturating_sub(50));
        }
        let turn = self.counters.requests;
        match self.switches.order {
            RowOrder::Asc => {}
            RowOrder::Desc => rows.reverse(),
            RowOrder::Shuffled => rows.sort_by_key(|(_, row)| seeded_rng::random(options.seed, row.id, turn)),
        }
        let mut lens = Lens::new(&self.switches, read, (&key.0, &key.1), now_ms);
        lens.delivered_after_ms = options.delivered_after.and_then(|after| i64::try_from(after.as_millis()).ok());
        lens.turn = turn;
        rows.into_iter().map(|(destination, row)| lens.row(destination, row)).collect()
    }
}

/// Returns whether Afilnet could fetch it.
fn is_link(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some())
}
