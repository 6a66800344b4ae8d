//! A house over each transport to Afilnet.

use super::House;

/// Every transport, and json with both grants of OAuth 2.0.
pub const TRANSPORTS: [&str; 6] = ["post", "basic", "get", "json", "json_password", "soap"];

/// Returns the house over one of [`TRANSPORTS`].
pub fn over(house: House, transport: &str) -> House {
    let (basic, json) = (house.afilnet.basic_url(), house.afilnet.json_url());
    let (token, soap) = (house.afilnet.token_url(), house.afilnet.soap_url());
    let house = house.set("AFILNET__TRANSPORT", transport.split('_').next().unwrap());
    match transport {
        "basic" => house.set("AFILNET__URL", &basic),
        "json" | "json_password" => {
            let grant = if transport == "json" { "client_credentials" } else { "password" };
            house
                .set("AFILNET__JSON__URL", &json)
                .set("AFILNET__JSON__TOKEN_URL", &token)
                .set("AFILNET__JSON__GRANT", grant)
                .set("AFILNET__JSON__CLIENT_ID", "client")
                .set("AFILNET__JSON__CLIENT_SECRET", "client-secret")
        }
        "soap" => house.set("AFILNET__SOAP__URL", &soap).set("AFILNET__SOAP__NAMESPACE", "urn:afilnet"),
        _ => house,
    }
}
