//! Certificate authorities: the server's own, and foreign ones for tests (API §1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::options::Error;

/// The name that the real server gives itself.
pub const ORGANISATION: &str = "flotta-operator";
/// The CN of the registration certificate.
pub const REGISTER: &str = "register";
const DOMAIN: &str = "project-flotta.io";
const DAY: i64 = 86_400;
const YEAR: i64 = 365 * DAY;

/// A certificate with its key, both PEM; the key as the real server writes it, `EC PRIVATE KEY`.
#[derive(Debug, Clone)]
pub struct Identity {
    /// One certificate, no chain.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// What a client certificate is to say. Times are seconds since 1970.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// The device id, or `register`.
    pub common_name: String,
    /// The namespace of the device, if the certificate is to name one.
    pub namespace: Option<String>,
    /// Valid from.
    pub not_before: i64,
    /// Valid until.
    pub not_after: i64,
}

/// A certificate authority with subject `O=flotta-operator` and an EC P-256 key, good for ten years.
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
    made: i64,
}

impl Authority {
    /// A new one, made at this second.
    ///
    /// # Errors
    /// No randomness for the key.
    pub fn new(now: i64) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let mut params = params(&[(DnType::OrganizationName, ORGANISATION)], now, now.saturating_add(10 * YEAR), now);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
        params.use_authority_key_identifier_extension = false;
        let certificate = params.self_signed(&key)?;
        Ok(Self { certificate, issuer: Issuer::new(params, key), made: now })
    }

    /// Its certificate.
    #[must_use]
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A client certificate of this authority with a key of its own.
    ///
    /// # Errors
    /// No randomness for the key.
    pub fn identity(&self, leaf: &Leaf) -> Result<Identity, Error> {
        let key = KeyPair::generate()?;
        let mut subject = vec![(DnType::OrganizationName, ORGANISATION)];
        if let Some(namespace) = &leaf.namespace {
            subject.push((DnType::OrganizationalUnitName, namespace));
        }
        subject.push((DnType::CommonName, &leaf.common_name));
        let params = client(params(&subject, leaf.not_before, leaf.not_after, self.made));
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Identity { certificate, key: sec1(&key)? })
    }

    /// The registration certificate: CN `register`, good for a year.
    pub(crate) fn registration(&self) -> Result<Identity, Error> {
        let (not_before, not_after) = (self.made, self.made.saturating_add(YEAR));
        self.identity(&Leaf { common_name: REGISTER.to_owned(), namespace: None, not_before, not_after })
    }

    /// The server's own, for a year: CN `*`, the domain and the loopback addresses, and no `localhost` (API §1).
    pub(crate) fn server(&self, from: i64) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), Error> {
        let key = KeyPair::generate()?;
        let subject = [(DnType::OrganizationName, ORGANISATION), (DnType::CommonName, "*")];
        let mut params = params(&subject, from, from.saturating_add(YEAR), self.made);
        params.subject_alt_names = vec![
            SanType::DnsName(DOMAIN.try_into()?),
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.der().clone(), PrivatePkcs8KeyDer::from(key.serialize_der()).into()))
    }

    /// A device certificate for somebody's key: CN, O and OU are the server's, the rest of the subject stays (API §1).
    pub(crate) fn device(
        &self,
        key: &impl PublicKeyData,
        mut subject: DistinguishedName,
        (id, namespace): (&str, &str),
        (now, lifetime): (i64, i64),
    ) -> Result<String, Error> {
        for (name, value) in [
            (DnType::OrganizationName, ORGANISATION),
            (DnType::OrganizationalUnitName, namespace),
            (DnType::CommonName, id),
        ] {
            subject.remove(name.clone());
            subject.push(name, value);
        }
        let mut params = client(params(&[], now.saturating_sub(DAY), now.saturating_add(lifetime), now));
        params.distinguished_name = subject;
        Ok(params.signed_by(key, &self.issuer)?.pem())
    }

    /// When it was made, in seconds since 1970.
    pub(crate) fn made(&self) -> i64 {
        self.made
    }

    /// Whether this authority signed a certificate. Nothing else is checked.
    pub(crate) fn signed(&self, certificate: &X509Certificate<'_>) -> bool {
        X509Certificate::from_der(self.certificate.der())
            .is_ok_and(|(_, own)| certificate.verify_signature(Some(own.public_key())).is_ok())
    }
}

fn params(subject: &[(DnType, &str)], not_before: i64, not_after: i64, serial: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (name, value) in subject {
        params.distinguished_name.push(name.clone(), *value);
    }
    let second = |second: i64| date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(second).unwrap_or(0));
    params.not_before = second(not_before);
    params.not_after = second(not_after);
    params.serial_number = Some(SerialNumber::from(u64::try_from(serial).unwrap_or(0)));
    params.use_authority_key_identifier_extension = true;
    params
}

/// As the captures show client certificates: one key usage, EKU client and server, no SAN.
fn client(mut params: CertificateParams) -> CertificateParams {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// `EC PRIVATE KEY` with the curve's name in it. rcgen has the same key as PKCS#8, laid out by ring in one way only.
fn sec1(key: &KeyPair) -> Result<String, Error> {
    const SECRET: std::ops::Range<usize> = 36..68;
    const P256: [u8; 12] = [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let pkcs8 = key.serialized_der();
    let secret = pkcs8.get(SECRET).ok_or(Error::Key("the PKCS#8 is too short"))?;
    if pkcs8.get(SECRET.start - 2..SECRET.start) != Some(&[0x04, 0x20]) || key.public_key_raw().len() != 65 {
        return Err(Error::Key("not a P-256 key as ring writes it"));
    }
    let mut der = vec![0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20];
    der.extend_from_slice(secret);
    der.extend_from_slice(&P256);
    der.extend_from_slice(&[0xa1, 0x44, 0x03, 0x42, 0x00]);
    der.extend_from_slice(key.public_key_raw());
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    Ok(pem::encode_config(&pem::Pem::new("EC PRIVATE KEY", der), config))
}
