//! The page below a path of a proxy.

use std::collections::BTreeSet;

use super::{FORM, OPERATORS, call, field, get, house, messages, sign_in};
use crate::proxy::block;
use crate::support::tools::{Service, free_address, installed};

/// A proxy with the manual's block for the page, in front of `admin`.
async fn proxied(program: &str, prefix: &str, cuts: bool, admin: &str) -> Option<Service> {
    let required = format!("BRIDGE_TEST_{}_REQUIRED", program.to_uppercase());
    let path = installed(program, &required)?;
    let (folder, base) = (tempfile::tempdir().unwrap(), free_address());
    let at = folder.path().display();
    let (config, arguments) = if program == "nginx" {
        let locations = block("nginx", &format!("location {prefix}/")).replace("127.0.0.1:9090", admin);
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/{name};\n"))
            .concat();
        let config = format!(
            "daemon off;\nworker_processes 1;\npid {at}/pid;\nerror_log {at}/error.log;\nuser root;\nevents {{}}\n\
             http {{\naccess_log off;\n{paths}server {{\nlisten {base};\n{locations}\n}}\n}}\n"
        );
        (
            config,
            vec![
                "-c".to_owned(),
                format!("{at}/config"),
                "-p".to_owned(),
                at.to_string(),
                "-e".to_owned(),
                format!("{at}/error.log"),
            ],
        )
    } else {
        let site = format!("http://:{} {{\n\tbind {}", base.port(), base.ip());
        let handle = if cuts { "handle_path" } else { "handle" };
        let config = block("text", &format!("{handle} {prefix}/"))
            .replace("127.0.0.1:9090", admin)
            .replace("ops.example.com {", &site);
        let arguments = ["run", "--adapter", "caddyfile", "--config"].map(str::to_owned).into_iter();
        (format!("{{\n\tadmin off\n}}\n{config}"), arguments.chain([format!("{at}/config")]).collect())
    };
    std::fs::write(folder.path().join("config"), config).unwrap();
    let mut command = std::process::Command::new(path);
    command.args(arguments).env("HOME", folder.path());
    command.env("XDG_DATA_HOME", folder.path()).env("XDG_CONFIG_HOME", folder.path());
    Some(Service::start(&mut command, base, folder).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_path_of_the_manuals_nginx_every_link_form_and_redirect_works() {
    below_a_path("nginx", "/bridge", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_path_of_the_manuals_caddy_every_link_form_and_redirect_works() {
    below_a_path("caddy", "/bridge", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_path_that_the_manuals_nginx_passes_on_every_link_form_and_redirect_works() {
    below_a_path("nginx", "/ops", "/ops").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_path_that_the_manuals_caddy_passes_on_every_link_form_and_redirect_works() {
    below_a_path("caddy", "/ops", "/ops").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_prefix_is_the_page_and_what_programs_read_is_at_the_root_alone() {
    let mut house = house().set("ADMIN__PATH_PREFIX", "/a/ops/");
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let cookie = sign_in(&base);
    for path in ["/", "/a/ops/", "/messages?q=a", "/a/ops/messages?q=a"] {
        assert_eq!(get(&base, path, &cookie).status, 200, "{path}");
        assert_eq!(get(&base, path, "").status, 401, "{path}");
    }
    let bearer = format!("Bearer {OPERATORS}");
    for (path, status) in [
        ("/metrics", 200),
        ("/deliverz", 200),
        ("/api/v1/channels", 200),
        ("/a/ops/api/v1/channels", 200),
        ("/a/ops/metrics", 404),
        ("/a/ops/deliverz", 404),
        ("/a/opsy/", 404),
        ("/a", 404),
    ] {
        assert_eq!(call(&base, "GET", path, &[("authorization", &bearer)], "").status, status, "{path}");
    }
    let without_slash = get(&base, "/a/ops", "");
    assert_eq!((without_slash.status, without_slash.one("location")), (308, "ops/"));
    let link = String::from_utf8(house.run(&["page"]).stdout).unwrap();
    assert!(link.contains("/a/ops/login?link=v1."), "{link}");
}

/// Walks as a browser over plain HTTP does, which sends `Origin` with a form.
/// `setting`: `admin.path_prefix`, of a proxy that passes the path on.
async fn below_a_path(program: &str, prefix: &str, setting: &str) {
    let mut house = house().set("SERVER__TRUSTED_PROXIES", "127.0.0.1").set("ADMIN__PATH_PREFIX", setting);
    let bridge = house.start().await;
    let [_, failed] = messages(&house, &bridge).await;
    let admin = bridge.admin_url().trim_start_matches("http://").to_owned();
    let Some(proxy) = proxied(program, prefix, setting.is_empty(), &admin).await else { return };
    let base = proxy.base.to_string();
    let host = format!("ops.example:{}", proxy.base.port());
    let origin = format!("http://{host}");
    let walk = |method: &str, path: &str, cookie: &str, origin: &str, body: &str| {
        let path = &format!("{prefix}{path}");
        let mut headers = vec![("host", host.as_str()), ("cookie", cookie)];
        if method == "POST" {
            headers.extend([FORM, ("origin", origin)]);
        }
        call(&base, method, path, &headers, body)
    };
    let first = walk("GET", "/", "", "", "");
    assert!(
        first.status == 401 && first.body.contains("action=\"./login\""),
        "{program}: {} {}",
        first.head,
        first.body
    );
    let token = format!("token={OPERATORS}&next=");
    assert_eq!(walk("POST", "/login", "", "http://evil.example", &token).status, 403);
    let signed_in = walk("POST", "/login", "", &origin, &token);
    assert_eq!((signed_in.status, signed_in.one("location")), (303, "./"), "{program}: {}", signed_in.body);
    let cookie = signed_in.cookie();
    let overview = walk("GET", "/", &cookie, "", "");
    assert_eq!(overview.status, 200);
    let links = overview.body.split("href=\"./").skip(1).chain(overview.body.split("src=\"./").skip(1));
    let links: BTreeSet<String> =
        links.map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&").replace("&#38;", "&")).collect();
    assert!(links.len() >= 6, "{links:?}");
    for link in &links {
        let status = walk("GET", &format!("/{link}"), &cookie, "", "").status;
        assert!(matches!(status, 200 | 303), "{program}: {link}: {status}");
    }
    let page = walk("GET", &format!("/messages/{failed}"), &cookie, "", "").body;
    let link = page.split("href=\"").find(|link| link.contains("verdict=retry")).unwrap().split('"').next().unwrap();
    let link = link.replace("&amp;", "&").replace("&#38;", "&");
    let form = walk("GET", &format!("/messages/{link}"), &cookie, "", "").body;
    let fields = ["token", "verdict", "of", "once"].map(|name| format!("{name}={}", field(&form, name))).join("&");
    let decide = format!("/messages/{failed}/decide");
    assert_eq!(walk("POST", &decide, &cookie, "null", &fields).status, 403);
    let done = walk("POST", &decide, &cookie, &origin, &fields);
    assert_eq!(done.status, 200, "{program}: {}", done.body);
    let out = walk("POST", "/logout", &cookie, &origin, "");
    assert_eq!((out.status, out.one("location")), (303, "login"));
    let page = walk("GET", "", &cookie, "", "");
    assert!(
        matches!(page.status, 301 | 302 | 308) && page.one("location").ends_with(&format!("{prefix}/")),
        "{}",
        page.head
    );
}
