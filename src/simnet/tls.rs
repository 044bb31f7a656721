//! The box's own certificate authority, made anew at every start, and the one certificate it signs.
//!
//! Owns:  the authority's PEM text (what clients are told to trust) and the server side of TLS.
//! Never: writes a private key anywhere: both keys live and die with the process.
//! Wire:  RFC 5280 profile strict enough for OpenSSL's `X509_STRICT` (key usages, both key identifiers).
//! Quirk: no ALPN is answered, so clients that also offer HTTP/2 fall back to HTTP/1.1, as the doors speak.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// How long both certificates are valid: a year and a month, below the 825 days beyond which Apple's
/// verifier refuses even private authorities.
const VALID: Duration = Duration::from_secs(397 * 86_400);

/// Certificates start a day in the past, so that a client whose clock runs behind still takes them.
const BACKDATED: Duration = Duration::from_secs(86_400);

/// The names the box goes by. Libraries that tell spot from USD-M by the host (ccxt does, and reads error codes by it)
/// may call its doors by those of the venue's demo environment.
const NAMES: [&str; 4] = ["localhost", "demo-api.localhost", "demo-stream.localhost", "demo-fapi.localhost"];

/// What went wrong while making certificates.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate could not be made.
    #[error("the box's certificate could not be made: {0}; check the listen address and the host's clock")]
    Certificate(#[from] rcgen::Error),
    /// rustls refused the certificate or the key.
    #[error("rustls refused the box's own certificate: {0}; please report this")]
    Server(#[from] rustls::Error),
}

/// An authority and the server configuration that it vouches for.
pub(super) struct Authority {
    /// The authority's certificate, PEM: the file clients are pointed at with `--ca`.
    pub(super) ca_pem: String,
    /// TLS 1.3 and 1.2 with ring's suites; tickets on, so clients may resume.
    pub(super) server: Arc<ServerConfig>,
}

impl Authority {
    /// Makes a fresh authority and a certificate for [`NAMES`], 127.0.0.1 and `listen`.
    pub(super) fn new(listen: IpAddr) -> Result<Self, TlsError> {
        let ca_key = KeyPair::generate()?;
        let mut ca = params("contango box authority");
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_pem = ca.self_signed(&ca_key)?.pem();
        let issuer = Issuer::new(ca, ca_key);

        let key = KeyPair::generate()?;
        let mut leaf = params("localhost");
        for name in NAMES {
            leaf.subject_alt_names.push(SanType::DnsName(name.try_into()?));
        }
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        leaf.subject_alt_names.push(SanType::IpAddress(loopback));
        if listen != loopback && !listen.is_unspecified() {
            leaf.subject_alt_names.push(SanType::IpAddress(listen));
        }
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let certificate = leaf.signed_by(&key, &issuer)?;

        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok(Self { ca_pem, server: Arc::new(server) })
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    // A clock before 1970 yields 1970: such a host fails elsewhere, with a better message.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(BACKDATED);
    params.not_after = epoch + now + VALID;
    params
}
