//! No web page may steer a device: requests that a browser makes for somebody else are refused (SPEC "HTTP", last line).

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::{Shared, refusal};

pub(super) async fn guard(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    match check(request.headers(), request.uri().host(), &shared.hosts) {
        Ok(()) => next.run(request).await,
        Err(why) => {
            shared.intake.refuse("http_forbidden");
            refusal(StatusCode::FORBIDDEN, why)
        }
    }
}

pub(crate) fn check(headers: &HeaderMap, uri_host: Option<&str>, hosts: &[String]) -> Result<(), String> {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = uri_host.or_else(|| text(header::HOST));
    if let Some(host) = host.filter(|host| !is_own(host, hosts)) {
        return Err(format!("Host {host:?} is neither loopback nor listed in http.hosts; add it there to allow it"));
    }
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site"))
        && !matches!(site, "same-origin" | "none")
    {
        return Err(format!("Sec-Fetch-Site {site:?}: no web page of another site may ask this device"));
    }
    if let Some(origin) = text(header::ORIGIN) {
        let authority = origin.split_once("://").map(|(_, rest)| rest);
        if authority.is_none_or(|authority| Some(authority) != host || !is_own(authority, hosts)) {
            return Err(format!("Origin {origin:?}: no web page of another site may steer this device"));
        }
    }
    Ok(())
}

fn is_own(host: &str, hosts: &[String]) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inside, _)) => inside,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let listed = |own: &String| own.eq_ignore_ascii_case(name) || own.eq_ignore_ascii_case(host);
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        || hosts.iter().any(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(pairs: &[(&'static str, &'static str)], hosts: &[&str]) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(HeaderName::from_static(name), value.parse().expect("a header value"));
        }
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        check(&headers, None, &hosts)
    }

    #[test]
    fn the_device_itself_may_ask_under_every_loopback_name() {
        for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "127.0.0.1", "LOCALHOST"] {
            assert_eq!(verdict(&[("host", host)], &[]), Ok(()), "{host}");
        }
    }

    #[test]
    fn a_rebound_name_is_refused_and_a_listed_one_is_not() {
        let why = verdict(&[("host", "evil.example:8080")], &[]).expect_err("not ours");
        assert!(why.contains("http.hosts"), "{why}");
        assert_eq!(verdict(&[("host", "edge.lan:8080")], &["edge.lan"]), Ok(()));
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        assert!(verdict(&[("host", "localhost:8080"), ("origin", "https://evil.example")], &[]).is_err());
        assert!(verdict(&[("host", "localhost:8080"), ("origin", "null")], &[]).is_err());
        assert!(verdict(&[("host", "localhost:8080"), ("sec-fetch-site", "cross-site")], &[]).is_err());
        assert!(verdict(&[("host", "localhost:8080"), ("origin", "http://localhost:9999")], &[]).is_err());
        assert_eq!(verdict(&[("host", "localhost:8080"), ("origin", "http://localhost:8080")], &[]), Ok(()));
        assert_eq!(verdict(&[("host", "localhost:8080"), ("sec-fetch-site", "same-origin")], &[]), Ok(()));
    }
}
