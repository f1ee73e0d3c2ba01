use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ha_core::Error;
use reqwest::ClientBuilder;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::client::WantsClientCert;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_platform_verifier::BuilderVerifierExt;

use super::unverified::Unverified;
use crate::address::{Address, Scheme};
use crate::settings::{Tls, invalid};

/// The client, able to speak to that agent; and the name that stands for the agent's host in a URL, if one does.
pub(in crate::http) fn prepared(
    builder: ClientBuilder,
    address: &Address,
    settings: &Tls,
) -> Result<(ClientBuilder, Option<String>), Error> {
    let Address::Tcp { scheme: Scheme::Https, host, .. } = address else {
        // Trusts nobody: nothing is to be encrypted.
        let nothing = base()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        return Ok((builder.tls_backend_preconfigured(nothing), None));
    };
    let builder = builder.tls_backend_preconfigured(configuration(settings)?);
    let Some(name) = &settings.server_name else { return Ok((builder, None)) };
    // The certificate is checked against the host of the URL, which is also what the agent is told that it is asked
    // for. So the name stands there, and is looked up as what the address says.
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok((builder.dns_resolver(Arc::new(Instead { host })), Some(name.clone())))
}

fn base() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, Error> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid("tls", error.to_string()))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn configuration(settings: &Tls) -> Result<ClientConfig, Error> {
    let trusting = trusting(settings)?;
    let mut configuration = match (&settings.cert_file, &settings.key_file) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate, "tls.cert_file")?;
            let refused = |why: &dyn std::fmt::Display| of_file("tls.key_file", key, why);
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| refused(&error))?;
            trusting.with_client_auth_cert(chain, secret).map_err(|error| refused(&error))?
        }
        // One without the other has been refused.
        _ => trusting.with_no_client_auth(),
    };
    // Of several protocols the agent would choose another: each waiting request is to have its own connection.
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(configuration)
}

/// Whom to believe: nobody is asked, or these authorities, or those of the system.
fn trusting(settings: &Tls) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, Error> {
    if !settings.verify {
        tracing::warn!("Consul's certificate is not checked: whoever stands in between can read the token");
        let all = Arc::new(Unverified::new(provider()));
        return Ok(base()?.dangerous().with_custom_certificate_verifier(all));
    }
    let (field, files) = match (&settings.ca_file, &settings.ca_path) {
        (Some(file), _) => ("tls.ca_file", vec![file.clone()]),
        (None, Some(folder)) => ("tls.ca_path", files_in(folder)?),
        (None, None) => {
            let system = base()?.with_platform_verifier();
            return system.map_err(|error| invalid("tls.ca_file", format!("the system's authorities: {error}")));
        }
    };
    let mut roots = RootCertStore::empty();
    for file in &files {
        for certificate in certificates(file, field)? {
            roots.add(certificate).map_err(|error| of_file(field, file, &error))?;
        }
    }
    Ok(base()?.with_root_certificates(roots))
}

/// The files of a folder, in the order of their names.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let refused = |error: io::Error| of_file("tls.ca_path", folder, &error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(of_file("tls.ca_path", folder, &"it holds no file"));
    }
    Ok(files)
}

fn certificates(file: &Path, field: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let refused = |why: &dyn std::fmt::Display| of_file(field, file, why);
    let read = CertificateDer::pem_file_iter(file).map_err(|error| refused(&error))?;
    let certificates = read.collect::<Result<Vec<_>, _>>().map_err(|error| refused(&error))?;
    if certificates.is_empty() {
        return Err(refused(&"it holds no certificate in PEM form"));
    }
    Ok(certificates)
}

/// Errors of these files name places in them and never their contents.
fn of_file(field: &str, file: &Path, why: &dyn std::fmt::Display) -> Error {
    invalid(field, format!("{}: {why}", file.display()))
}

/// Whether the agent ended the handshake.
///
/// Since TLS 1.3 its "no" to a certificate comes when our side of the handshake is over. The request may have been
/// sent by then, and is thrown away unread.
pub(in crate::http) fn alert_of_handshake(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(error) = next {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let inner = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::AlertReceived(alert)) = inner.or(error.downcast_ref()) {
            return ends_a_handshake(*alert);
        }
        next = StdError::source(error);
    }
    false
}

/// Alerts about a certificate, or about what was agreed on. None of them comes once requests are read.
fn ends_a_handshake(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::HandshakeFailure
            | Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::CertificateRequired
            | Alert::ProtocolVersion
            | Alert::UnrecognisedName
            | Alert::NoApplicationProtocol
    )
}

/// Looks up one host, whatever name is asked for.
struct Instead {
    host: String,
}

impl Resolve for Instead {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.host.clone();
        Box::pin(async move {
            // The port of the URL counts.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
