//! Enrolment and registration (API §3.1, §3.2).

use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::client::Client;
use crate::cluster::Cluster;
use crate::device::SIGNED_REQUEST_LABEL;
use crate::handle::Outcome;
use crate::hardware::Hardware;
use crate::message::Message;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Enrolment {
    target_namespace: Option<String>,
    features: Option<Features>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Features {
    hardware: Option<Hardware>,
    #[serde(rename = "modelName")]
    _model_name: Option<String>,
}

/// `POST data/out`, directive `enrolment`. The certificate is signed; nothing else of it counts [cap g0].
pub(crate) fn enrol(cluster: &mut Cluster, id: &str, content: &Value) -> Outcome {
    let Ok(enrolment) = Option::<Enrolment>::deserialize(content).map(Option::unwrap_or_default) else {
        return Outcome::Answer(Answer::bare(400));
    };
    let namespace = enrolment.target_namespace.unwrap_or_else(|| "default".to_owned());
    if cluster.device(id, &namespace).is_some() {
        return Outcome::Answer(Answer::bare(208));
    }
    if let Some(request) = cluster.request(id) {
        let elsewhere = request.namespace != namespace && cluster.device(id, &request.namespace).is_some();
        return Outcome::Answer(if elsewhere { Answer::bare(208) } else { Answer::empty() });
    }
    let Some(features) = enrolment.features else {
        return Outcome::Abort;
    };
    let hardware = features.hardware.unwrap_or_default();
    if hardware.has_null() {
        return Outcome::Abort;
    }
    if !is_object_name(id) || hardware.refused() {
        return Outcome::Answer(Answer::bare(400));
    }
    cluster.enrol(id, &namespace);
    Outcome::Answer(Answer::empty())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Registration {
    certificate_request: Option<String>,
    hardware: Option<Hardware>,
}

/// A registration that was let in, up to the signature.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) namespace: String,
    pub(crate) request: String,
    hardware: Option<Hardware>,
}

/// Who may register as what. The answer, if it is no.
pub(crate) fn admit(cluster: &mut Cluster, id: &str, client: &Client, content: &Value) -> Result<Admitted, Answer> {
    let registration =
        Option::<Registration>::deserialize(content).map(Option::unwrap_or_default).map_err(|_| Answer::bare(400))?;
    let own = client.owns(id);
    let mut namespace = client.namespace().to_owned();
    if namespace == "default" && !own {
        let request = cluster.request(id).ok_or(Answer::bare(404))?;
        if !request.namespace.is_empty() {
            namespace.clone_from(&request.namespace);
        }
    }
    let Some(device) = cluster.device(id, &namespace) else {
        cluster.raced(id);
        return Err(Answer::bare(404));
    };
    // The registration certificate is good for the first time only [cap 12].
    if !own && device.labels.get(SIGNED_REQUEST_LABEL).is_none_or(|value| value != "true") {
        return Err(Answer::bare(500));
    }
    let request = registration.certificate_request.unwrap_or_default();
    Ok(Admitted { namespace, request, hardware: registration.hardware })
}

/// The signed certificate is there: the device has registered.
pub(crate) fn register(
    cluster: &mut Cluster,
    id: &str,
    message: &Message,
    admitted: &Admitted,
    certificate: &str,
) -> Outcome {
    let namespace = &admitted.namespace;
    let labels = match &admitted.hardware {
        None => Some(<_>::default()),
        Some(hardware) => hardware.labels(),
    };
    let Some(device) = cluster.device_mut(id, namespace) else {
        return Outcome::Answer(Answer::bare(500));
    };
    // Labels go into a map that is not there if the device has none at all: the server panics [cap f0].
    if device.labels.is_empty() && labels.as_ref().is_none_or(|labels| !labels.is_empty()) {
        return Outcome::Abort;
    }
    // One label too long and nothing is patched.
    let Some(labels) = labels else {
        return Outcome::Answer(Answer::bare(500));
    };
    device.labels.extend(labels);
    device.labels.remove(SIGNED_REQUEST_LABEL);
    // The labels are patched before the status: bad hardware fails a registration that cannot be repeated any more.
    let hardware = admitted.hardware.as_ref();
    let broken = hardware.is_some_and(Hardware::has_null);
    let refused = hardware.is_some_and(Hardware::refused);
    if !broken && !refused {
        device.hardware = message.content["hardware"].clone();
        device.registrations = device.registrations.saturating_add(1);
    }
    cluster.touched(id, namespace);
    match (broken, refused) {
        (true, _) => Outcome::Abort,
        (_, true) => Outcome::Answer(Answer::bare(500)),
        _ => Outcome::Answer(Answer::payload(
            200,
            &json!({
                "directive": message.directive, "message_id": message.message_id,
                "content": {"certificate": certificate},
            }),
        )),
    }
}

/// RFC 1123, lower case: what Kubernetes takes for a name [cap 83].
fn is_object_name(id: &str) -> bool {
    let end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let part = |part: &str| part.starts_with(end) && part.ends_with(end);
    id.len() <= 253 && id.split('.').all(part) && id.chars().all(|c| end(c) || c == '-' || c == '.')
}
