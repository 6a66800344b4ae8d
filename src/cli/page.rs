//! `bridge page`: a link to the operators' page that signs in.

use anyhow::anyhow;
use url::Url;

use super::output::{Failure, print};
use crate::config::Config;
use crate::domain::clock::wall_ms;
use crate::ops::local::on_this_machine;
use crate::ops::sign_in::{LEAST_TOKEN, People};
use crate::telemetry::harmless;

/// Where the page is.
#[derive(Debug, clap::Args)]
pub(super) struct PageArgs {
    /// Where a browser reaches the page, if not at admin.listen: `https://ops.example.com/bridge/`
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
    /// Signs in this person of `[admin.people]`; without it "admin", the person of admin.token
    #[arg(long = "as", value_name = "NAME")]
    person: Option<String>,
}

/// Prints the link. It is signed with the person's token, so that no running bridge is asked.
pub(super) fn run(arguments: PageArgs, config: &Config) -> Result<(), Failure> {
    let people = People::new(&config.admin);
    if let Some(name) = arguments.person.as_deref().filter(|name| people.link(Some(name), 0).is_none()) {
        let known = std::iter::once("admin").chain(config.admin.people.keys().map(String::as_str));
        let known = known.filter(|name| people.link(Some(name), 0).is_some()).collect::<Vec<_>>().join(", ");
        return Err(Failure::Work(anyhow!(
            "there is no person `{}` who may sign in: there is {known}",
            harmless(name)
        )));
    }
    let Some(link) = people.link(arguments.person.as_deref(), wall_ms() / 1000) else {
        return Err(Failure::Work(anyhow!(
            "the operators' page is off: admin.token is not set, or is shorter than {LEAST_TOKEN} characters. Make one with \
             `openssl rand -hex 32`, set it as BRIDGE__ADMIN__TOKEN or in a file that admin.token_file names, and restart the \
             bridge"
        )));
    };
    let mut base = match arguments.url {
        Some(url) => url.to_string(),
        None => format!("http://{}{}/", on_this_machine(config.admin.listen), config.admin.path_prefix),
    };
    if !base.ends_with('/') {
        base.push('/');
    }
    print(&format!("{base}login?link={link}\n"))?;
    let _ = std::io::Write::write_all(
        &mut std::io::stderr().lock(),
        b"It signs in once, within 60 seconds: paste it into the address bar of a browser.\n",
    ); // a reader may have gone away
    Ok(())
}
