//! `telemetry` of the Gateway with its secrets and addresses looked up.

#![expect(clippy::result_large_err, reason = "findings of load time travel two calls up")]

use http::{HeaderValue, Uri};

use crate::{
    config::{
        service::HeaderSource,
        telemetry::{COLLECTOR, TelemetryTemplate},
        url::no_collector,
    },
    diagnostic::{Code, Diagnostic, Diagnostics},
    telemetry::{
        access_log::{self, Target},
        settings::{Otlp, Settings},
    },
    upstream::secret::{self, Sources},
};

/// Every secret that is missing is a finding.
pub(super) fn settings(
    template: &TelemetryTemplate,
    sources: &dyn Sources,
    findings: &mut Diagnostics,
) -> Settings {
    Settings {
        service_name: template.service_name.clone(),
        otlp: template.otlp.as_ref().and_then(|otlp| match collector(otlp, sources) {
            Ok(otlp) => Some(otlp),
            Err(wrong) => {
                wrong.into_iter().for_each(|finding| findings.push(finding));
                None
            }
        }),
        sample: template.sample,
        access_log: template.access_log.as_ref().map(|log| access_log::Settings {
            format: log.format,
            target: log.file.as_ref().map_or(Target::Stdout, |file| Target::File(file.value.as_str().into())),
            fields: log.fields.clone(),
            sample: log.sample,
            otlp: log.otlp,
        }),
    }
}

fn collector(
    template: &crate::config::telemetry::OtlpTemplate,
    sources: &dyn Sources,
) -> Result<Otlp, Vec<Diagnostic>> {
    let mut wrong = Vec::new();
    let place = &template.endpoint.place;
    let endpoint = secret::url(&template.endpoint.value, place, sources).and_then(|text| {
        let usable = |uri: &Uri| {
            let user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some()
                && uri.query().is_none()
                && !user
                && no_collector(&text).is_none()
        };
        text.parse().ok().filter(usable).ok_or_else(|| {
            // The text stays out of the message where it may hold a password.
            let shown = if text.contains('@') { "a URL with a user" } else { &text };
            let message = format!("`endpoint` is `{shown}`, which is no URL of a collector");
            Diagnostic::new(Code::InvalidUrl, place.clone(), message).help(COLLECTOR)
        })
    });
    let endpoint = endpoint.map_err(|finding| wrong.push(finding)).ok();
    let mut headers = Vec::new();
    for (name, source) in &template.headers {
        let text = match &source.value {
            HeaderSource::Text(text) => Ok(text.clone()),
            HeaderSource::Secret(from) => secret::read(from, name.value.as_str(), &source.place, sources),
        };
        let value = text.and_then(|text| {
            HeaderValue::from_str(&text).map_err(|_| {
                // The text stays out of the message: it may be a secret.
                let message =
                    format!("`headers.{}` has a character that a header value may not have", name.value);
                Diagnostic::new(Code::InvalidValue, source.place.clone(), message)
            })
        });
        match value {
            Ok(mut value) => {
                value.set_sensitive(true);
                headers.push((name.value.clone(), value));
            }
            Err(finding) => wrong.push(finding),
        }
    }
    match endpoint {
        Some(endpoint) if wrong.is_empty() => Ok(Otlp { endpoint, headers }),
        _ => Err(wrong),
    }
}
