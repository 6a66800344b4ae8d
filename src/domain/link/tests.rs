//! Which links are public, as a table of spellings, and how links are spelled.

use proptest::prelude::*;

use super::*;
use crate::domain::content::FileUrl;

fn verdict(text: &str, reach: Reach) -> bool {
    Url::parse(text).is_ok_and(|url| is_public(&url, reach))
}

/// Links into a private network, to this machine, or with a misleading host.
const REFUSED: &[&str] = &[
    // Loopback, in every spelling of an address.
    "https://127.0.0.1/a.pdf",
    "https://127.0.0.1:443/a.pdf",
    "https://127.1/a.pdf",
    "https://127.0.1/a.pdf",
    "https://127.255.255.254/a.pdf",
    "https://2130706433/a.pdf",
    "https://0x7f000001/a.pdf",
    "https://0x7F.1/a.pdf",
    "https://0177.0.0.1/a.pdf",
    "https://017700000001/a.pdf",
    "https://0x7f.0x0.0x0.0x1/a.pdf",
    "https://127.0.0.1./a.pdf",
    "https://１２７.０.０.１/a.pdf",
    "https://①②⑦.⓪.⓪.①/a.pdf",
    "https://127。0。0。1/a.pdf",
    "https://%31%32%37.0.0.1/a.pdf",
    "https://%30x7f.1/a.pdf",
    "https://[::1]/a.pdf",
    "https://[0:0:0:0:0:0:0:1]/a.pdf",
    "https://[::]/a.pdf",
    "https://0/a.pdf",
    "https://0.0.0.0/a.pdf",
    "https://0.1.2.3/a.pdf",
    // Names of this machine and of private networks.
    "https://localhost/a.pdf",
    "https://LOCALHOST/a.pdf",
    "https://localhost./a.pdf",
    "https://ｌｏｃａｌｈｏｓｔ/a.pdf",
    "https://loc%61lhost/a.pdf",
    "https://a.localhost/a.pdf",
    "https://localhost.localdomain/a.pdf",
    "https://printer.local/a.pdf",
    "https://printer.LOCAL./a.pdf",
    "https://metadata.google.internal/computeMetadata/v1/a.jpg",
    "https://vault.internal/a.pdf",
    "https://router.home.arpa/a.pdf",
    "https://home.arpa/a.pdf",
    "https://intranet/a.pdf",
    "https://intranet./a.pdf",
    "https://com/a.pdf",
    "https://xn--seal-hqa/a.pdf",
    // Private, link-local, carrier-grade, reserved (RFC 6890).
    "https://10.0.0.1/a.pdf",
    "https://10.255.255.255/a.pdf",
    "https://167772161/a.pdf",
    "https://172.16.0.1/a.pdf",
    "https://172.31.255.255/a.pdf",
    "https://192.168.0.1/a.pdf",
    "https://192.168.1/a.pdf",
    "https://0xC0A80101/a.pdf",
    "https://169.254.169.254/latest/meta-data/x.jpg",
    "https://169.254.0.1/a.pdf",
    "https://2852039166/a.pdf",
    "https://0xa9fea9fe/a.pdf",
    "https://0251.0376.0251.0376/a.pdf",
    "https://169.254.43518/a.pdf",
    "https://100.64.0.1/a.pdf",
    "https://100.100.100.200/latest/meta-data/a.jpg",
    "https://100.127.255.255/a.pdf",
    "https://192.0.0.1/a.pdf",
    "https://192.0.0.192/a.pdf",
    "https://192.0.2.1/a.pdf",
    "https://198.51.100.1/a.pdf",
    "https://203.0.113.1/a.pdf",
    "https://192.88.99.1/a.pdf",
    "https://198.18.0.1/a.pdf",
    "https://198.19.255.255/a.pdf",
    "https://224.0.0.1/a.pdf",
    "https://239.255.255.250/a.pdf",
    "https://240.0.0.1/a.pdf",
    "https://255.255.255.255/a.pdf",
    "https://0xffffffff/a.pdf",
    // IPv6, with all that embeds an IPv4 address.
    "https://[fe80::1]/a.pdf",
    "https://[febf::1]/a.pdf",
    "https://[fec0::1]/a.pdf",
    "https://[fc00::1]/a.pdf",
    "https://[fd00:ec2::254]/a.pdf",
    "https://[ff02::1]/a.pdf",
    "https://[100::1]/a.pdf",
    "https://[5f00::1]/a.pdf",
    "https://[4000::1]/a.pdf",
    "https://[1fff::1]/a.pdf",
    "https://[::ffff:127.0.0.1]/a.pdf",
    "https://[::ffff:7f00:1]/a.pdf",
    "https://[::ffff:10.0.0.1]/a.pdf",
    "https://[::ffff:169.254.169.254]/a.pdf",
    "https://[::ffff:8.8.8.8]/a.pdf",
    "https://[::ffff:0:127.0.0.1]/a.pdf",
    "https://[::127.0.0.1]/a.pdf",
    "https://[::7f00:1]/a.pdf",
    "https://[64:ff9b::127.0.0.1]/a.pdf",
    "https://[64:ff9b::a9fe:a9fe]/a.pdf",
    "https://[64:ff9b:1::1]/a.pdf",
    "https://[2001::1]/a.pdf",
    "https://[2001:0:7f00:1::]/a.pdf",
    "https://[2001:1ff::1]/a.pdf",
    "https://[2001:db8::1]/a.pdf",
    "https://[2002:7f00:1::]/a.pdf",
    "https://[2002:a9fe:a9fe::]/a.pdf",
    "https://[3fff::1]/a.pdf",
    "https://[3fff:fff::1]/a.pdf",
    // A user, and what hides the host.
    "https://user@files.example.com/a.pdf",
    "https://user:pw@files.example.com/a.pdf",
    "https://:pw@files.example.com/a.pdf",
    "https://files.example.com@127.0.0.1/a.pdf",
    "https://files.example.com:x@10.0.0.1/a.pdf",
    "https://files.example.com%2f@10.0.0.1/a.pdf",
    "https://@169.254.169.254/a.pdf",
    "https:10.0.0.1/a.pdf",
    "https:///10.0.0.1/a.pdf",
    "https:\\\\10.0.0.1\\a.pdf",
    "https://10.0.0.1\\@files.example.com/a.pdf",
    "https://10.0.0.1#@files.example.com/a.pdf",
    "https://10.0.0.1?@files.example.com/a.pdf",
    "HtTpS://10.0.0.1/a.pdf",
    // Other ports and schemes.
    "https://files.example.com:8443/a.pdf",
    "https://files.example.com:80/a.pdf",
    "https://files.example.com:22/a.pdf",
    "https://files.example.com:0/a.pdf",
    "https://files.example.com:65536/a.pdf",
    "http://files.example.com/a.pdf",
    "http://files.example.com:443/a.pdf",
    "http://127.0.0.1:9090/metrics",
    "http://localhost:8080/a.pdf",
    "http://169.254.169.254/a.pdf",
    "ftp://files.example.com/a.pdf",
    "gopher://files.example.com/a.pdf",
    "file:///etc/passwd",
    "file://files.example.com/a.pdf",
    "data:image/png;base64,AA",
    "javascript:alert(1)",
    "blob:https://files.example.com/a",
    "//files.example.com/a.pdf",
    "files.example.com/a.pdf",
    "https://",
    "",
];

const TAKEN: &[&str] = &[
    "https://files.example.com/a.pdf",
    "https://files.example.com:443/a.pdf",
    "https://files.example.com./a.pdf",
    "https://señal.example/ñ.jpg",
    "https://8.8.8.8/a.pdf",
    "https://134744072/a.pdf",
    "https://100.63.255.255/a.pdf",
    "https://100.128.0.1/a.pdf",
    "https://172.15.0.1/a.pdf",
    "https://172.32.0.1/a.pdf",
    "https://192.167.1.1/a.pdf",
    "https://198.20.0.1/a.pdf",
    "https://223.255.255.254/a.pdf",
    "https://[2606:4700:4700::1111]/a.pdf",
    "https://[2001:4860:4860::8888]/a.pdf",
    "https://[2a00:1450:4003::1]/a.pdf",
    "https://localhost.example.com/a.pdf",
    "https://mylocal.es/a.pdf",
    "https://internal.example.com/a.pdf",
    "https://10.0.0.1.example.com/a.pdf",
    "https://files.example.com\\@10.0.0.1/a.pdf",
    "https://files.example.com#@10.0.0.1/a.pdf",
    "https://files.example.com/a.pdf?at=a@b",
];

#[test]
fn only_links_to_public_hosts_are_public() {
    assert!(REFUSED.len() >= 120, "{}", REFUSED.len());
    for text in REFUSED {
        assert!(!verdict(text, Reach::Public), "{text}");
    }
    for text in TAKEN {
        assert!(verdict(text, Reach::Public), "{text}");
    }
}

#[test]
fn beside_an_afilnet_on_this_machine_files_may_be_here_and_nowhere_else_in_private() {
    let here = ["127.0.0.1", "127.1", "2130706433", "[::1]", "localhost"];
    let is_local = |text: &&&str| Url::parse(text).is_ok_and(|url| here.contains(&url.host_str().unwrap_or_default()));
    for text in REFUSED.iter().filter(|text| !is_local(text) && !text.contains("127")) {
        assert!(!verdict(text, Reach::ThisMachine), "{text}");
    }
    for text in ["http://127.0.0.1:9/a.jpg", "http://localhost:8/a.jpg", "https://[::1]/a.jpg", "https://8.8.8.8/a.jpg"]
    {
        assert!(verdict(text, Reach::ThisMachine), "{text}");
    }
    assert!(!verdict("http://user@127.0.0.1/a.jpg", Reach::ThisMachine));
    assert!(!verdict("ftp://127.0.0.1/a.jpg", Reach::ThisMachine));
}

fn spelled(text: &str) -> String {
    FileUrl::new(text).unwrap().as_str().to_owned()
}

#[test]
fn what_no_url_may_hold_is_escaped() {
    for (text, legal) in [
        (
            "https://cdn.example.com/u/Presupuesto Nº 5 (final) – año.pdf",
            "https://cdn.example.com/u/Presupuesto%20N%C2%BA%205%20(final)%20%E2%80%93%20a%C3%B1o.pdf",
        ),
        ("https://señal.example/ñ.jpg", "https://xn--seal-hqa.example/%C3%B1.jpg"),
        ("https://SEÑAL.example", "https://xn--seal-hqa.example/"),
        ("https://x.test/a b%20c.pdf?q=á b#fin ñ", "https://x.test/a%20b%20c.pdf?q=%C3%A1%20b#fin%20%C3%B1"),
        ("https://x.test/100%.pdf", "https://x.test/100%25.pdf"),
        ("https://x.test/100%año%2.pdf", "https://x.test/100%25a%C3%B1o%252.pdf"),
        ("https://x.test/a\"b<c>d`e{f}g|h^i.pdf", "https://x.test/a%22b%3Cc%3Ed%60e%7Bf%7Dg%7Ch%5Ei.pdf"),
        ("https://x.test/?a={b}|c^d", "https://x.test/?a=%7Bb%7D%7Cc%5Ed"),
        ("https://x.test\\@10.0.0.1/a.pdf", "https://x.test/@10.0.0.1/a.pdf"),
        ("https:x.test/a.pdf", "https://x.test/a.pdf"),
        ("https:///x.test/a.pdf", "https://x.test/a.pdf"),
        ("https://x.t%65st/a.pdf", "https://x.test/a.pdf"),
        ("https://x。test/a.pdf", "https://x.test/a.pdf"),
        ("https://134744072/a.pdf", "https://8.8.8.8/a.pdf"),
        ("https://x.test/日本.jpg", "https://x.test/%E6%97%A5%E6%9C%AC.jpg"),
        ("https://x.test/e\u{301}.jpg", "https://x.test/e%CC%81.jpg"),
        ("https://x.test/\u{a0}a.jpg", "https://x.test/%C2%A0a.jpg"),
    ] {
        assert_eq!(spelled(text), legal, "{text}");
    }
}

#[test]
fn a_legal_url_stays_byte_for_byte() {
    for text in [
        "https://cdn.example.com/u/Presupuesto%20N%c2%ba%205%20(final).pdf",
        "HTTPS://CDN.Example.com/A",
        "https://x.test",
        "https://x.test:443/a",
        "https://x.test./a",
        "https://x.test?a=b",
        "https://x.test/a/../b/./c.pdf",
        "https://x.test//a//b.pdf",
        "https://x.test/a.pdf?X-Amz-Signature=0a%2Fb&a[]=1&b=it's*+;,!$#page=2",
        "https://x.test/~user/a_b-c.pdf?&=",
        "https://8.8.8.8/a.pdf",
        "https://[2001:4860:4860::8888]/a.pdf",
        "http://127.0.0.1:8080/a.jpg",
    ] {
        assert_eq!(spelled(text), text);
    }
    let longest = format!("https://x.test/{}", "ñ".repeat(2000 - "https://x.test/".len()));
    let stored = String::from(FileUrl::new(&longest).unwrap());
    assert!(stored.len() > 9000);
    assert_eq!(FileUrl::try_from(stored.clone()).unwrap().as_str(), stored);
    assert!(FileUrl::new(longest + "n").is_err());
}

proptest! {
    #[test]
    fn a_spelling_is_legal_means_the_same_and_stays(
        text in r"[hH]ttps://[a-zñ]{1,6}(\.|。)(test|example)(:443)?(/(\PC|[ %/.\\]|%[0-9a-fA-F]{2}){0,30})?(\?(\PC|[ %&]){0,15})?"
    ) {
        if let (Ok(url), Ok(file)) = (Url::parse(&text), FileUrl::new(text.clone())) {
            let legal = file.as_str();
            prop_assert!(legal.bytes().all(|b| b.is_ascii_graphic()), "{legal}");
            prop_assert_eq!(spelled(legal), legal);
            let again = Url::parse(legal).unwrap();
            prop_assert_eq!(again.host(), url.host());
            let decoded = |url: &Url| form_urlencoded::parse(url.path().replace('+', "%2B").as_bytes()).next().map(|pair| pair.0.into_owned());
            prop_assert_eq!(decoded(&again), decoded(&url));
            prop_assert_eq!(again.query().is_some(), url.query().is_some());
        }
    }

    #[test]
    fn legal_ones_are_untouched(text in r"https://[a-z]{1,6}\.test(/([a-zA-Z0-9._~!$'()*+,;=:@-]|%[0-9a-fA-F]{2}){0,20}){0,3}(\?[a-zA-Z0-9=&+/?]{0,15})?(#[a-z0-9]{0,5})?") {
        prop_assert_eq!(spelled(&text), text);
    }
}
