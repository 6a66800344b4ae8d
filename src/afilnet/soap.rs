//! SOAP 1.1 (afilnet.md 2.5): one element for each parameter; a response becomes the JSON envelope that the other transports
//! bring. Documents with a document type, and entities other than XML's five, are not read. Pure.

use quick_xml::Reader;
use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::Event;
use serde_json::value::RawValue;

use super::classify::is_documented;
use crate::config;

/// Longest of Afilnet's codes, in bytes.
const LONGEST_CODE: usize = 60;
/// Most elements of a response: an envelope has a dozen.
const MOST_ELEMENTS: usize = 1000;

/// Returns the body of a request; `None` if a value holds a character that no XML document can hold.
pub(super) fn request<'v>(
    settings: &config::Soap,
    parameters: impl Iterator<Item = (&'v str, &'v str)>,
) -> Option<String> {
    let operation = &settings.operation;
    let namespace = if settings.namespace.is_empty() {
        String::new()
    } else {
        format!(" xmlns=\"{}\"", escape(settings.namespace.as_str()))
    };
    let element = |(name, value): (&str, &'v str)| {
        // A bare carriage return would be read as a line feed (XML 1.0, end-of-line handling).
        let escaped = || format!("<{name}>{}</{name}>", escape(value).replace('\r', "&#13;"));
        value.chars().all(is_xml).then(escaped)
    };
    let elements = parameters.map(element).collect::<Option<String>>()?;
    Some(format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<soap:Envelope \
         xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body><{operation}{namespace}>{elements}\
         </{operation}></soap:Body></soap:Envelope>"
    ))
}

/// Returns whether an XML 1.0 document can hold it.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Returns a response as JSON text: the JSON envelope, with the noise that was around the SOAP envelope on lines of its own,
/// so that it is tolerated as over the other transports. JSON instead of XML is returned unchanged; anything else is empty and
/// proves nothing.
pub(super) fn envelope(body: Vec<u8>) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(&body) else { return Vec::new() };
    let bare = text.trim_start_matches('\u{feff}').trim();
    if bare.starts_with('{') {
        return body;
    }
    if let Some(document) = Document::read(bare) {
        return document.as_json().unwrap_or_default().into_bytes();
    }
    let Some((before, inner, after)) = split(bare) else { return Vec::new() };
    let json = Document::read(inner).and_then(|document| document.as_json());
    json.map(|json| format!("{before}\n{json}\n{after}").into_bytes()).unwrap_or_default()
}

/// Returns what is before the SOAP envelope, from its first tag to its last, and what is after it.
fn split(text: &str) -> Option<(&str, &str, &str)> {
    let name = |at: usize| text[at + 1..].split(|c: char| c.is_whitespace() || c == '>' || c == '/').next();
    let is_envelope = |name: &str| name.rsplit(':').next() == Some("Envelope");
    let mut tags = text.match_indices('<').map(|(at, _)| at);
    let (start, name) = tags.find_map(|at| name(at).filter(|name| is_envelope(name)).map(|name| (at, name)))?;
    let last = text.rfind(&format!("</{name}")).filter(|last| *last > start)?;
    let end = last + text[last..].find('>')? + 1;
    let before = &text[..start];
    let before = before.rfind("<?xml").map_or(before, |declaration| &before[..declaration]);
    Some((before, &text[start..end], &text[end..]))
}

/// An element of a response.
#[derive(Debug)]
struct Element {
    /// Without its prefix, in lower case.
    name: String,
    /// The number of elements around it.
    depth: usize,
    /// Its own text, without that of the elements in it.
    text: String,
    has_elements: bool,
}

/// The elements of a response, in the order of their first tags.
struct Document(Vec<Element>);

impl Document {
    /// Returns `None` if `text` is not one XML element, or more than plain XML.
    fn read(text: &str) -> Option<Self> {
        let mut reader = Reader::from_str(text);
        let (mut elements, mut open) = (Vec::<Element>::new(), Vec::<usize>::new());
        loop {
            match reader.read_event().ok()? {
                Event::Start(element) => {
                    let name = element.local_name().as_ref().to_lowercase();
                    add(&mut elements, &open, name)?;
                    open.push(elements.len() - 1);
                }
                Event::Empty(element) => add(&mut elements, &open, element.local_name().as_ref().to_lowercase())?,
                Event::End(_) => drop(open.pop()?),
                Event::Text(words) => push(&mut elements, &open, &words.xml10_content())?,
                Event::CData(words) => push(&mut elements, &open, &words.xml10_content())?,
                Event::GeneralRef(reference) => {
                    let known = match reference.resolve_char_ref().ok()? {
                        Some(c) => c.to_string(),
                        None => resolve_predefined_entity(&reference)?.to_owned(),
                    };
                    push(&mut elements, &open, &known)?;
                }
                Event::DocType(_) => return None,
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof => return (!elements.is_empty() && open.is_empty()).then_some(Self(elements)),
            }
        }
    }

    /// Returns the elements in the SOAP body, or all of a response without a SOAP envelope (as guessed in afilnet.md 2.5).
    /// Other documents have none: a web page that shows an envelope is not one.
    fn content(&self) -> &[Element] {
        match self.0.first() {
            Some(root) if root.name == "envelope" => {
                let body = self.0.iter().position(|element| element.depth == 1 && element.name == "body");
                body.map_or(&[], |body| inside(&self.0, body))
            }
            Some(root) if root.name.ends_with("response") => &self.0,
            _ => &[],
        }
    }

    /// Returns the JSON envelope that it is or holds.
    fn as_json(&self) -> Option<String> {
        let content = self.content();
        let first = content.first()?;
        if first.name == "fault" {
            return fault(inside(content, 0));
        }
        if let Some(at) = content.iter().position(|element| element.name == "status" && !element.has_elements) {
            return Some(of_elements(content, at));
        }
        content.iter().map(|element| element.text.trim()).find(|text| !text.is_empty()).map(str::to_owned)
    }
}

/// Adds an element inside the last of `open`. `None`: there are too many, or a second one beside the first.
fn add(elements: &mut Vec<Element>, open: &[usize], name: String) -> Option<()> {
    if elements.len() >= MOST_ELEMENTS || (open.is_empty() && !elements.is_empty()) {
        return None;
    }
    if let Some(parent) = open.last().and_then(|at| elements.get_mut(*at)) {
        parent.has_elements = true;
    }
    elements.push(Element { name, depth: open.len(), text: String::new(), has_elements: false });
    Some(())
}

/// Adds to the text of the last of `open`. `None`: it is outside of all elements.
fn push(elements: &mut [Element], open: &[usize], words: &str) -> Option<()> {
    match open.last().and_then(|at| elements.get_mut(*at)) {
        Some(element) => element.text.push_str(words),
        None if words.trim().is_empty() => {}
        None => return None,
    }
    Some(())
}

/// Returns the elements inside the one at `at`.
fn inside(elements: &[Element], at: usize) -> &[Element] {
    let Some((outer, rest)) = elements.get(at..).and_then(<[Element]>::split_first) else { return &[] };
    let end = rest.iter().position(|element| element.depth <= outer.depth).unwrap_or(rest.len());
    &rest[..end]
}

/// Returns the ERROR envelope of a SOAP fault. `None` for a fault of the server without a documented code of Afilnet's: it may
/// come from before the send or from after it, so it proves nothing. `TIMEOUT` would be such a word.
fn fault(parts: &[Element]) -> Option<String> {
    let text = |name: &str| parts.iter().find(|part| part.name == name).map(|part| part.text.trim());
    let local = |text: &'_ str| text.rsplit(':').next().unwrap_or_default().to_owned();
    // Nothing was carried out under these codes of SOAP 1.1; they may go on after a dot.
    let refused = text("faultcode")
        .map(local)
        .is_some_and(|code| matches!(code.split('.').next(), Some("Client" | "VersionMismatch" | "MustUnderstand")));
    let is_code = |code: &str| if refused { is_code(code) } else { is_documented(code) };
    let code = ["faultstring", "error", "detail"].into_iter().filter_map(text).find(|text| is_code(text));
    let code = code.map(str::to_owned).or_else(|| text("faultcode").map(local).filter(|code| is_code(code)));
    let error = code.or_else(|| text("faultstring").filter(|_| refused).map(str::to_owned))?;
    Some(serde_json::json!({"status": "ERROR", "error": error}).to_string())
}

/// Returns the envelope of the elements `status`, `result` and `error`, of which the first is at `at`.
fn of_elements(content: &[Element], at: usize) -> String {
    let depth = content[at].depth;
    let start = content[..at].iter().rposition(|element| element.depth < depth).map_or(0, |parent| parent + 1);
    let beside = content[start..].iter().take_while(|element| element.depth >= depth);
    let mut fields = vec![format!("\"status\":{}", quoted(&content[at].text))];
    for element in beside.filter(|element| element.depth == depth) {
        match element.name.as_str() {
            "status" => {}
            "error" => fields.push(format!("\"error\":{}", quoted(&element.text))),
            "result" if !element.has_elements => fields.push(format!("\"result\":{}", json(&element.text))),
            // Rows may be in it, so that this is no empty list: `true` is no list at all.
            _ => fields.push("\"result\":true".to_owned()),
        }
    }
    format!("{{{}}}", fields.join(","))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text.trim()).to_string()
}

/// Returns `text` if it is JSON, else as a JSON string.
fn json(text: &str) -> String {
    serde_json::from_str::<&RawValue>(text.trim()).map_or_else(|_| quoted(text), |json| json.get().to_owned())
}

/// Returns whether `text` looks like one of Afilnet's codes.
fn is_code(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    (3..=LONGEST_CODE).contains(&text.len())
        && text.bytes().all(legal)
        && text.contains(|c: char| c.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soap(namespace: &str) -> config::Soap {
        config::Soap { namespace: namespace.into(), action: String::new(), operation: "call".into() }
    }

    fn enveloped(body: &str) -> String {
        String::from_utf8(envelope(body.as_bytes().to_vec())).unwrap()
    }

    fn in_body(inner: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"x\"><s:Header><id>7</id></s:Header><s:Body>{inner}</s:Body>\
             </s:Envelope>"
        )
    }

    #[test]
    fn a_request_has_one_element_a_parameter_and_carries_every_character_that_xml_can() {
        let words = "<a> & \"b\" 'c' ]]> ñ 👍\r\n\t{{x}}";
        let parameters = [("class", "chat"), ("message", words)];
        let body = request(&soap("urn:a&b"), parameters.into_iter()).unwrap();
        assert!(body.contains("<call xmlns=\"urn:a&amp;b\"><class>chat</class><message>"), "{body}");
        let read = Document::read(&body).unwrap();
        assert_eq!((read.0[4].name.as_str(), read.0[4].text.as_str()), ("message", words));
        assert!(request(&soap(""), parameters.into_iter()).unwrap().contains("<call><class>"));
        for odd in ["\0", "\u{b}", "\u{1b}[1m", "\u{fffe}"] {
            assert_eq!(request(&soap(""), [("message", odd)].into_iter()), None);
        }
    }

    #[test]
    fn responses_become_the_envelope_of_the_other_transports() {
        for (inner, expected) in [
            (
                "<callResponse><return>{\"status\":\"SUCCESS\",\"result\":{\"list\":[]}}</return></callResponse>",
                r#"{"status":"SUCCESS","result":{"list":[]}}"#,
            ),
            (
                "<aResponse><return xsi:type=\"xsd:string\">{&quot;a&quot;:&quot;&lt;&#241;&amp;&quot;}</return></aResponse>",
                r#"{"a":"<ñ&"}"#,
            ),
            ("<aResponse><![CDATA[{\"status\":\"ERROR\"}]]></aResponse>", r#"{"status":"ERROR"}"#),
            ("<aResponse><status>SUCCESS</status></aResponse>", r#"{"status":"SUCCESS"}"#),
            (
                "<aResponse><status>SUCCESS</status><result>{\"list\":[]}</result></aResponse>",
                r#"{"status":"SUCCESS","result":{"list":[]}}"#,
            ),
            (
                "<aResponse><Status>success</Status><Result>77</Result></aResponse>",
                r#"{"status":"success","result":77}"#,
            ),
            (
                "<aResponse><status>ERROR</status><error>NO_CREDITS</error></aResponse>",
                r#"{"status":"ERROR","error":"NO_CREDITS"}"#,
            ),
            (
                "<aResponse><result>a \"b\"</result><status>SUCCESS</status></aResponse>",
                r#"{"status":"SUCCESS","result":"a \"b\""}"#,
            ),
        ] {
            assert_eq!(enveloped(&in_body(inner)), expected);
            assert_eq!(enveloped(inner), expected, "without a SOAP envelope");
        }
        assert_eq!(
            enveloped("\u{feff} {\"status\":\"ERROR\"}"),
            "\u{feff} {\"status\":\"ERROR\"}",
            "JSON all the same"
        );
    }

    #[test]
    fn rows_that_are_elements_are_no_empty_list() {
        for inner in [
            "<status>SUCCESS</status><result><item><message>Hola</message></item></result>",
            "<status>SUCCESS</status><list><item/></list>",
        ] {
            assert_eq!(
                enveloped(&in_body(&format!("<aResponse>{inner}</aResponse>"))),
                r#"{"status":"SUCCESS","result":true}"#
            );
        }
    }

    #[test]
    fn a_fault_is_an_error_unless_it_may_come_from_after_the_send() {
        let fault = |code: &str, rest: &str| {
            enveloped(&in_body(&format!("<s:Fault><faultcode>{code}</faultcode>{rest}</s:Fault>")))
        };
        let error = |code: &str| format!("{{\"error\":\"{code}\",\"status\":\"ERROR\"}}");
        let words = |text: &str| format!("<faultstring>{text}</faultstring>");
        assert_eq!(fault("s:Server", &words("NO_CREDITS")), error("NO_CREDITS"));
        assert_eq!(fault("INCORRECT_USER_PASSWORD", &words("No")), error("INCORRECT_USER_PASSWORD"));
        let detail = format!("{}<detail><error>CHANNEL_NOT_FOUND</error></detail>", words("Error"));
        assert_eq!(fault("s:Server", &detail), error("CHANNEL_NOT_FOUND"));
        assert_eq!(fault("s:Client", &words("Bad call")), error("Bad call"));
        assert_eq!(fault("s:Client.Authentication", &words("Bad call")), error("Bad call"));
        assert_eq!(fault("s:VersionMismatch", &words("Wrong Version")), error("Wrong Version"));
        let quoting = format!("{}<detail>{{\"status\":\"SUCCESS\"}}</detail>", words("Internal error"));
        for rest in ["", &words("Internal error"), &quoting, &words("TIMEOUT"), &words("INTERNAL_ERROR")] {
            assert_eq!(fault("s:Server", rest), "", "{rest}");
        }
        assert_eq!(fault("TIMEOUT", &words("No")), "");
        assert_eq!(fault("s:Client", &words("BAD_CALL")), error("BAD_CALL"));
    }

    #[test]
    fn noise_around_a_soap_envelope_is_kept_apart_from_it() {
        let notice = "<br />\n<b>Notice</b>:  Undefined index in <b>/var/www/soap.php</b> on line <b>12</b><br />\n";
        let inner = in_body("<aResponse><return>{\"status\":\"SUCCESS\"}</return></aResponse>");
        assert_eq!(enveloped(&format!("{notice}{inner}")), format!("{notice}\n{{\"status\":\"SUCCESS\"}}\n"));
        assert_eq!(enveloped(&format!("{inner}\nDeprecated: x")), "\n{\"status\":\"SUCCESS\"}\n\nDeprecated: x");
        assert_eq!(enveloped(&format!("{notice}{inner}{inner}")), "", "two of them");
    }

    #[test]
    fn what_proves_nothing_becomes_nothing() {
        let (good, nested) = ("<aResponse><status>SUCCESS</status></aResponse>", "<a>".repeat(MOST_ELEMENTS + 1));
        let bomb = "<!DOCTYPE aResponse [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;\">]><aResponse><status>&b;</status></aResponse>";
        for body in [
            "",
            "words",
            "<html><body>Error</body>",
            "<html><body>{\"status\":\"SUCCESS\"}</body></html>",
            "<note><status>SUCCESS</status></note>",
            "<aResponse><return>{\"status\":\"SUCCESS\"}",
            bomb,
            "<!DOCTYPE aResponse [<!ENTITY a \"SUCCESS\">]><aResponse><status>&a;</status></aResponse>",
            "<!DOCTYPE aResponse SYSTEM \"file:///etc/passwd\"><aResponse><status>SUCCESS</status></aResponse>",
            "<!DOCTYPE aResponse [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><aResponse>{\"status\":\"SUCCESS\",\"x\":\"&x;\"}</aResponse>",
            "<aResponse><status>&unknown;</status></aResponse>",
            &format!("{good}{good}"),
            &format!("{good}{{\"status\":\"SUCCESS\"}}"),
            &in_body(""),
            &nested,
            &"<a/>".repeat(MOST_ELEMENTS + 1),
        ] {
            assert_eq!(enveloped(body), "", "{body:.80}");
        }
        assert_eq!(envelope(vec![0xff, 0xfe, 0x3c, 0x00]), b"");
    }
}
