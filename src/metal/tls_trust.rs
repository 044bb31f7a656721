//! Whom our TLS connections trust.
//!
//! Owns:  the authorities, and which suites and versions are offered.
//! Never: accepts a certificate it can't check; there is no switch for that.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CipherSuite, ClientConfig, RootCertStore};

/// Whom our TLS connections trust.
#[derive(Clone, Debug)]
pub struct TlsTrust(pub(super) Arc<ClientConfig>);

/// Why trust could not be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The text holds no certificate.
    #[error(
        "no certificate in the authority file; `--ca` wants PEM text with at least one CERTIFICATE block"
    )]
    Empty,
    /// A block is no certificate that can be trusted.
    #[error("the authority file can't be used ({detail}); `--ca` wants PEM text with CERTIFICATE blocks")]
    Unreadable {
        /// What was wrong.
        detail: String,
    },
}

impl TlsTrust {
    /// The public authorities, as compiled in: the same on every host.
    ///
    /// # Errors
    ///
    /// [`TrustError::Unreadable`] if the TLS library refuses its own defaults.
    pub fn public() -> Result<Self, TrustError> {
        Self::of(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }

    /// The authorities of a PEM text (`--ca FILE`), **instead of** the public ones: a test key can
    /// then not reach a venue by mistake.
    ///
    /// # Errors
    ///
    /// [`TrustError`] if there is no certificate in it, or one can't be read.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        Self::add(&mut roots, pem)?;
        if roots.is_empty() { Err(TrustError::Empty) } else { Self::of(roots) }
    }

    /// The public authorities and those of a PEM text: for hosts that are no venue's.
    ///
    /// # Errors
    ///
    /// [`TrustError`] if a certificate can't be read.
    pub fn public_and(pem: &[u8]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        Self::add(&mut roots, pem)?;
        Self::of(roots)
    }

    fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), TrustError> {
        let unreadable = |detail: String| TrustError::Unreadable { detail };
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
        }
        Ok(())
    }

    fn of(roots: RootCertStore) -> Result<Self, TrustError> {
        let mut provider = rustls::crypto::ring::default_provider();
        // First what every peer must know and costs least per record (HOTPATH §2).
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TrustError::Unreadable { detail: error.to_string() })?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.enable_secret_extraction = true;
        Ok(Self(Arc::new(config)))
    }

    /// The same trust, but rustls keeps every connection after its handshake: for measuring what our own
    /// records gain.
    #[must_use]
    pub fn by_rustls(&self) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.enable_secret_extraction = false;
        Self(Arc::new(config))
    }
}
