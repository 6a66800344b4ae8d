//! The transports without a published address: what is sent, and that an outcome stays as sure or unsure as it is over POST.

use std::time::Instant;

use serde_json::json;

use super::listener::{Afilnet, Play, http, pairs, to};
use super::*;

const SUCCESS: &str = r#"{"status":"SUCCESS","result":[]}"#;
pub(super) const TOKEN: &str = r#"{"access_token":"tok3n.value","token_type":"Bearer","expires_in":3600}"#;

pub(super) fn oauth(token_url: &str, grant: config::Grant) -> config::Transport {
    config::Transport::Json(config::OAuth {
        token_url: token_url.parse().unwrap(),
        grant,
        client_id: "cli:ent".into(),
        client_secret: "cl1ent&s3cret".into(),
        scope: "chat".into(),
    })
}

pub(super) fn soap_transport() -> config::Transport {
    let (namespace, action) = ("urn:afilnet".into(), "urn:afilnet#call".into());
    config::Transport::Soap(config::Soap { namespace, action, operation: "call".into() })
}

fn soap(json: &str) -> String {
    let json = json.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<?xml version=\"1.0\"?>\n<s:Envelope xmlns:s=\"x\"><s:Body><aResponse><return>{json}</return></aResponse></s:Body></s:Envelope>"
    )
}

fn soap_fault(code: &str, words: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"x\"><s:Body><s:Fault><faultcode>{code}</faultcode><faultstring>{words}</faultstring>\
         </s:Fault></s:Body></s:Envelope>"
    )
}

fn client_over(url: &str, transport: config::Transport) -> AfilnetClient {
    let mut channel = channel(url, transport);
    channel.afilnet.timeout = Duration::from_millis(500);
    client_of(&channel)
}

async fn send(client: &AfilnetClient) -> Verdict {
    client.send(&to(), &text("Hola"), 0, None).await.outcome
}

fn requests(listener: &Afilnet) -> Vec<String> {
    listener.requests.lock().unwrap().clone()
}

#[tokio::test]
async fn json_carries_the_parameters_as_an_object_and_a_token_that_is_asked_for_once() {
    for (grant, form) in [
        (config::Grant::ClientCredentials, "grant_type=client_credentials&scope=chat"),
        (
            config::Grant::Password,
            "grant_type=password&username=ana%40example.com&password=s3cr%26t%2B%C3%B1&scope=chat",
        ),
    ] {
        let (afilnet, issuer) = (Afilnet::answering(SUCCESS).await, Afilnet::answering(TOKEN).await);
        let client = afilnet.client(oauth(&issuer.url, grant));
        for _ in 0..2 {
            assert_eq!(send(&client).await, Verdict::Sent { afilnet_id: None });
        }
        let (head, body) = issuer.request();
        assert_eq!(pairs(&body), pairs(form));
        // Both halves are form-encoded before they are joined (RFC 6749 section 2.3.1): cli%3Aent:cl1ent%26s3cret.
        assert!(head.contains("\r\nauthorization: Basic Y2xpJTNBZW50OmNsMWVudCUyNnMzY3JldA==\r\n"), "{head}");
        let sent = requests(&afilnet);
        assert_eq!(sent.len(), 2);
        let (head, body) = sent[1].split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /api/http/ HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
        assert!(head.contains("\r\nauthorization: Bearer tok3n.value\r\n"), "{head}");
        assert_eq!(
            serde_json::from_str::<Value>(body).unwrap(),
            json!({"class": "chat", "method": "sendmessage", "platform": "whatsapp", "platformid": "100",
                   "destination": "34600111222", "message": "Hola"})
        );
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_the_message_is_tried_again() {
    let closed =
        format!("http://{}/", tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap());
    let huge = format!("{}{TOKEN}", " ".repeat(65 << 10));
    let afilnet = Afilnet::answering(SUCCESS).await;
    let elsewhere = format!("location: {}\r\n", afilnet.url);
    for (play, fault) in [
        (None, Fault::Unreachable),
        (Some(Play::Reset), Fault::ConnectionLost),
        (Some(Play::SayAndHang(vec![])), Fault::TimedOut),
        (Some(Play::SayAndHang(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".to_vec())), Fault::NotUnderstood),
        (Some(Play::Say(http(500, "", ""))), Fault::Http(500)),
        (Some(Play::Say(http(429, "", ""))), Fault::Busy),
        (Some(Play::Say(http(404, "", ""))), Fault::WrongService("oauth_404".into())),
        (Some(Play::Say(http(307, &elsewhere, ""))), Fault::WrongService("oauth_307".into())),
        (Some(Play::Say(http(400, "", r#"{"error":"invalid_grant"}"#))), Fault::Credentials("oauth_400".into())),
        (Some(Play::Say(http(401, "", r#"{"error":"invalid_client"}"#))), Fault::Credentials("oauth_401".into())),
        (Some(Play::Say(http(200, "", "<html>"))), Fault::NotUnderstood),
        (Some(Play::Say(http(200, "", r#"{"token_type":"Bearer"}"#))), Fault::NotUnderstood),
        (Some(Play::Say(http(200, "", &huge))), Fault::NotUnderstood),
    ] {
        let url = match play {
            Some(play) => Afilnet::that(play).await.url,
            None => closed.clone(),
        };
        let client = client_over(&afilnet.url, oauth(&url, config::Grant::ClientCredentials));
        assert_eq!(send(&client).await, Verdict::NotSent { fault: fault.clone(), asked: None });
        assert_eq!(client.messages(&to()).await, Err(ReadError { fault, asked: None }));
    }
    assert_eq!(requests(&afilnet).len(), 0, "no call and no redirect");
}

#[tokio::test]
async fn a_401_is_answered_with_another_token_once() {
    let (afilnet, issuer) = (Afilnet::that(Play::Say(http(401, "", ""))).await, Afilnet::answering(TOKEN).await);
    let client = afilnet.client(oauth(&issuer.url, config::Grant::ClientCredentials));
    let refused = Verdict::NotSent { fault: Fault::Credentials("http_401".into()), asked: None };
    assert_eq!(send(&client).await, refused);
    assert_eq!((requests(&afilnet).len(), requests(&issuer).len()), (2, 2));
    assert_eq!(send(&client).await, refused);
    assert_eq!((requests(&afilnet).len(), requests(&issuer).len()), (4, 4), "a refused token is not used again");
    // Not over the others, which have nothing to renew.
    for transport in [config::Transport::Post, config::Transport::Basic, soap_transport()] {
        let afilnet = Afilnet::that(Play::Say(http(401, "", ""))).await;
        assert_eq!(send(&afilnet.client(transport)).await, refused);
        afilnet.request();
    }
    // Refused in the envelope: the same call is not made again, the next one has another token.
    let body = r#"{"status":"ERROR","error":"INCORRECT_USER_PASSWORD"}"#;
    let (afilnet, issuer) = (Afilnet::answering(body).await, Afilnet::answering(TOKEN).await);
    let client = afilnet.client(oauth(&issuer.url, config::Grant::ClientCredentials));
    for calls in 1..3 {
        let fault = Fault::Credentials("INCORRECT_USER_PASSWORD".into());
        assert_eq!(send(&client).await, Verdict::NotSent { fault, asked: None });
        assert_eq!((requests(&afilnet).len(), requests(&issuer).len()), (calls, calls));
    }
}

#[tokio::test]
async fn calls_that_wait_for_the_same_token_share_its_failure() {
    let (afilnet, issuer) = (Afilnet::answering(SUCCESS).await, Afilnet::that(Play::SayAndHang(vec![])).await);
    let client = client_over(&afilnet.url, oauth(&issuer.url, config::Grant::ClientCredentials));
    let started = Instant::now();
    let (a, b, c, d) = tokio::join!(send(&client), send(&client), send(&client), send(&client));
    for verdict in [a, b, c, d] {
        assert_eq!(verdict, Verdict::NotSent { fault: Fault::TimedOut, asked: None });
    }
    assert_eq!(requests(&issuer).len(), 1);
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn an_unknown_outcome_stays_one_over_both() {
    let issuer = Afilnet::answering(TOKEN).await;
    let padded = |body: &str| http(200, "", &format!("{}{body}", " ".repeat(2 << 20)));
    for (transport, success) in
        [(oauth(&issuer.url, config::Grant::ClientCredentials), SUCCESS.to_owned()), (soap_transport(), soap(SUCCESS))]
    {
        let cut = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{success}", success.len() + 1).into_bytes();
        let half = &success[..success.len() - 4];
        for (play, fault) in [
            (Play::Reset, Fault::ConnectionLost),
            (Play::Say(vec![]), Fault::ConnectionLost),
            (Play::SayAndHang(vec![]), Fault::TimedOut),
            (Play::SayAndHang(cut.clone()), Fault::TimedOut),
            (Play::Say(cut), Fault::NotUnderstood),
            (Play::Say(http(200, "", half)), Fault::NotUnderstood),
            (Play::Say(http(200, "", "")), Fault::NotUnderstood),
            (Play::Say(http(200, "", "<html><body>{\"status\":\"SUCCESS\"}</body></html>")), Fault::NotUnderstood),
            (Play::Say(padded(&success)), Fault::NotUnderstood),
            (Play::Say(http(500, "", &success)), Fault::Http(500)),
            (Play::Say(http(502, "", "")), Fault::Http(502)),
        ] {
            let afilnet = Afilnet::that(play).await;
            assert_eq!(send(&client_over(&afilnet.url, transport.clone())).await, Verdict::Unknown { fault });
            afilnet.request();
        }
        let afilnet = Afilnet::answering(&success).await;
        assert_eq!(send(&client_over(&afilnet.url, transport)).await, Verdict::Sent { afilnet_id: None });
    }
}

#[tokio::test]
async fn json_responses_have_the_meaning_that_they_have_over_post() {
    let notice = "<br />\n<b>Notice</b>:  Undefined index: to in <b>/srv/json.php</b> on line <b>12</b><br />\n";
    let issuer = Afilnet::answering(TOKEN).await;
    for (status, body, expected) in [
        (200, format!("{notice}{SUCCESS}"), Verdict::Sent { afilnet_id: None }),
        (
            200,
            format!(r#"{notice}{{"status":"ERROR","error":"STRANGE"}}"#),
            Verdict::Unknown { fault: Fault::Other("STRANGE".into()) },
        ),
        (
            400,
            r#"{"status":"ERROR","error":"NO_CREDITS"}"#.to_owned(),
            Verdict::NotSent { fault: Fault::NoCredits, asked: None },
        ),
        (403, String::new(), Verdict::NotSent { fault: Fault::Forbidden, asked: None }),
        (413, String::new(), Verdict::Refused { fault: Fault::Http(413) }),
    ] {
        let afilnet = Afilnet::that(Play::Say(http(status, "", &body))).await;
        let client = client_over(&afilnet.url, oauth(&issuer.url, config::Grant::ClientCredentials));
        assert_eq!(send(&client).await, expected, "{status} {body}");
    }
}

#[tokio::test]
async fn soap_responses_have_the_meaning_that_they_have_over_post() {
    let notice = "<br />\n<b>Notice</b>:  Undefined index: to in <b>/srv/soap.php</b> on line <b>12</b><br />\n";
    let error = |code: &str| soap(&format!(r#"{{"status":"ERROR","error":"{code}"}}"#));
    let (not_sent, unknown) = (|fault| Verdict::NotSent { fault, asked: None }, |fault| Verdict::Unknown { fault });
    let bomb = format!("<!DOCTYPE x [<!ENTITY a \"{}\"><!ENTITY b \"&a;&a;&a;&a;\">]>", "ha".repeat(500));
    let outside = "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/hostname\">]>";
    for (status, body, expected) in [
        (200, soap(SUCCESS), Verdict::Sent { afilnet_id: None }),
        (
            200,
            soap(r#"{"status":"SUCCESS","result":{"messageid":"77"}}"#),
            Verdict::Sent { afilnet_id: Some("77".into()) },
        ),
        (200, soap(&format!("{notice}{SUCCESS}")), Verdict::Sent { afilnet_id: None }),
        (200, format!("{notice}{}", soap(SUCCESS)), Verdict::Sent { afilnet_id: None }),
        (200, format!("{}\n{notice}", soap(SUCCESS)), Verdict::Sent { afilnet_id: None }),
        (200, error("NO_CREDITS"), not_sent(Fault::NoCredits)),
        (200, format!("{notice}{}", error("NO_CREDITS")), not_sent(Fault::NoCredits)),
        (200, error("STRANGE"), not_sent(Fault::Other("STRANGE".into()))),
        (200, format!("{notice}{}", error("STRANGE")), unknown(Fault::Other("STRANGE".into()))),
        (500, soap_fault("s:Server", "NO_CREDITS"), not_sent(Fault::NoCredits)),
        (500, soap_fault("s:Client", "Bad request"), not_sent(Fault::Other("UNKNOWN_ERROR".into()))),
        (500, soap_fault("s:Server", "Internal error"), unknown(Fault::Http(500))),
        (500, soap_fault("s:Server", "TIMEOUT"), unknown(Fault::Http(500))),
        (200, soap_fault("INTERNAL_ERROR", "No"), unknown(Fault::NotUnderstood)),
        (500, soap_fault("s:Server", "MISSING_COMPULSORY_PARAM"), Verdict::Refused { fault: Fault::MissingParam }),
        (200, soap_fault("s:Server", "Internal error"), unknown(Fault::NotUnderstood)),
        (
            200,
            format!("{bomb}<aResponse><status>SUCCESS</status><x>&b;</x></aResponse>"),
            unknown(Fault::NotUnderstood),
        ),
        (
            200,
            format!("{outside}<aResponse>{{\"status\":\"SUCCESS\",\"x\":\"&e;\"}}</aResponse>"),
            unknown(Fault::NotUnderstood),
        ),
        (200, format!("{outside}<aResponse><status>SUCCESS</status></aResponse>"), unknown(Fault::NotUnderstood)),
    ] {
        let afilnet = Afilnet::that(Play::Say(http(status, "", &body))).await;
        assert_eq!(send(&client_over(&afilnet.url, soap_transport())).await, expected, "{status} {body}");
    }
}

#[tokio::test]
async fn soap_carries_each_parameter_as_an_element() {
    let afilnet = Afilnet::answering(&soap(SUCCESS)).await;
    let words = text("<a> & 'b' ñ");
    let verdict = afilnet.client(soap_transport()).send(&to(), &words, 0, None).await.outcome;
    assert_eq!(verdict, Verdict::Sent { afilnet_id: None });
    let (head, body) = afilnet.request();
    assert!(head.contains("\r\ncontent-type: text/xml; charset=utf-8\r\n"), "{head}");
    assert!(head.contains("\r\nsoapaction: \"urn:afilnet#call\"\r\n"), "{head}");
    let call = "<call xmlns=\"urn:afilnet\"><class>chat</class><method>sendmessage</method><user>ana@example.com</user>\
                <password>s3cr&amp;t+ñ</password><platform>whatsapp</platform><platformid>100</platformid>\
                <destination>34600111222</destination><message>&lt;a&gt; &amp; &apos;b&apos; ñ</message></call>";
    assert!(body.contains(call), "{body}");
    let refused = afilnet.client(soap_transport()).send(&to(), &text("a\u{b}b"), 0, None).await.outcome;
    assert_eq!(refused, Verdict::Refused { fault: Fault::Other("NOT_XML_TEXT".into()) });
    afilnet.request();
}

#[tokio::test]
async fn soap_lists_are_read_and_lists_of_elements_are_not_taken_for_empty() {
    let rows = r#"{"status":"SUCCESS","result":{"list":[{"destination":"34600111222","messageid":"1","message":"<a>","sent":"0"}]}}"#;
    let afilnet = Afilnet::answering(&soap(rows)).await;
    let read = client_over(&afilnet.url, soap_transport()).messages(&to()).await.unwrap();
    assert_eq!(read.into_iter().map(|row| row.text).collect::<Vec<_>>(), ["<a>"]);
    let elements =
        "<aResponse><status>SUCCESS</status><result><item><message>Hola</message></item></result></aResponse>";
    let afilnet = Afilnet::answering(elements).await;
    assert_eq!(client_over(&afilnet.url, soap_transport()).messages(&to()).await, Err(not_understood()));
}
