//! A CA as a Flotta server has one, for tests.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

use super::identity::Request;
use crate::model::time::Wall;

/// From, to; milliseconds since 1970.
pub type Validity = (Wall, Wall);

/// From a long time ago for a long time.
pub const ALWAYS: Validity = (Wall(1_577_836_800_000), Wall(4_102_444_800_000));

/// Reads RFC 3339.
pub fn at(text: &str) -> Wall {
    Wall::parse_rfc3339(text).expect(text)
}

pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

fn organisation(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, name);
    subject
}

fn valid(params: &mut CertificateParams, validity: Validity) {
    let moment = |at: Wall| {
        let since = std::time::Duration::from_millis(u64::try_from(at.0).expect("after 1970"));
        date_time_ymd(1970, 1, 1) + since
    };
    (params.not_before, params.not_after) = (moment(validity.0), moment(validity.1));
}

impl Ca {
    /// Named as the real one is: an organisation without a CN.
    pub fn new() -> Ca {
        Ca::named("flotta-operator")
    }

    pub fn named(name: &str) -> Ca {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = organisation(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        valid(&mut params, ALWAYS);
        let pem = params.self_signed(&key).expect("signed").pem();
        Ca { issuer: Issuer::new(params, key), pem }
    }

    /// What the server answers to a request.
    pub fn sign(&self, request: &Request, device: &str, validity: Validity) -> String {
        self.sign_as(request, device, validity, |_| {})
    }

    pub fn sign_as(
        &self,
        request: &Request,
        device: &str,
        validity: Validity,
        change: impl Fn(&mut CertificateParams),
    ) -> String {
        let mut csr = CertificateSigningRequestParams::from_pem(request.csr()).expect("a request");
        csr.params.distinguished_name = organisation("flotta-operator");
        csr.params.distinguished_name.push(DnType::OrganizationalUnitName, "default");
        csr.params.distinguished_name.push(DnType::CommonName, device);
        valid(&mut csr.params, validity);
        change(&mut csr.params);
        csr.signed_by(&self.issuer).expect("signed").pem()
    }

    /// A server's certificate and key (PKCS#8 DER) for 127.0.0.1 and the name the real one has.
    pub fn server(&self, validity: Validity) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = organisation("flotta-operator");
        params.distinguished_name.push(DnType::CommonName, "*");
        params.subject_alt_names = vec![
            SanType::DnsName("project-flotta.io".try_into().expect("a name")),
            SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
        ];
        valid(&mut params, validity);
        (params.signed_by(&key, &self.issuer).expect("signed"), key)
    }
}
