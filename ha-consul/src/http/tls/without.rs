use ha_core::Error;
use reqwest::ClientBuilder;

use crate::address::Address;
use crate::settings::Tls;

/// The client as it is: addresses with TLS have been refused.
pub(in crate::http) fn prepared(
    builder: ClientBuilder,
    _: &Address,
    _: &Tls,
) -> Result<(ClientBuilder, Option<String>), Error> {
    Ok((builder, None))
}

pub(in crate::http) fn alert_of_handshake(_: &reqwest::Error) -> bool {
    false
}
