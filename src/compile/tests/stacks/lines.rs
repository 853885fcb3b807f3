//! What `explain` says of a generated stack.

use super::*;

/// The line that explains a value has that value in it.
pub(super) fn hold(tree: &Tree, stack: &Stack, it: &str, route: &str) -> Result<(), TestCaseError> {
    let Explained::Route(explanation) = explain(tree, "team/r") else { panic!("the route is there") };
    for line in &explanation.values {
        let Some(place) = &line.place else {
            prop_assert!(["built-in", "together"].contains(&line.layer), "{}", line.layer);
            continue;
        };
        let text = if place.file.starts_with("routes/") { route } else { it };
        let written = text.lines().nth(place.line as usize - 1).unwrap_or_default();
        let wanted = match line.field.as_str() {
            "timeout" => format!("timeout: {}", line.value.replace("1m", "60s")),
            "body.maxBytes" => format!("maxBytes: {}", line.value),
            "concurrency" => format!("max: {}", line.value),
            "rateLimit.calls" => format!("limit: {}", line.value.split(' ').next().unwrap_or_default()),
            "authenticate" => "apiKey".to_owned(),
            "priority" => format!("priority: {}", line.value),
            "authorize" => line.value.replacen(' ', ": '", 1),
            "compress" => format!("types: [{}]", line.value.split(' ').next().unwrap_or_default()),
            "tracing" => line.value.replacen("sample ", "sample: ", 1),
            "errorBody" => {
                let policy = line.policy.as_deref().unwrap_or_default();
                prop_assert_eq!(
                    &line.value,
                    &format!("{{code: \"${{ error.code }}\"}} as application/{policy}+json")
                );
                "errorBody: ".to_owned()
            }
            field if field.starts_with("cors.") => {
                let part = |cors: &Cors| cors.part(field.trim_start_matches("cors."));
                let held = stack.held(|given| given.cors);
                // Who says exactly what holds is named, if anybody does, and everybody else as looser.
                let exact: Vec<String> = held
                    .iter()
                    .filter(|(_, cors)| part(cors) == line.value)
                    .filter(|(_, cors)| field != "cors.maxAge" || cors.max_age.is_some())
                    .map(|(index, _)| format!("p{index}"))
                    .collect();
                let policy = line.policy.as_deref().unwrap_or_default().to_owned();
                prop_assert!(exact.is_empty() || exact[0] == policy, "{}: {} of {:?}", field, policy, exact);
                let others = held.iter().filter(|(_, cors)| part(cors) != line.value);
                prop_assert_eq!(line.tightens.len(), others.count(), "{}", field);
                "cors: ".to_owned()
            }
            "headers.request.remove" => format!("request: {{remove: [{}]", line.value),
            "headers.response.remove" => format!("response: {{remove: [{}]", line.value),
            field => match field.strip_prefix("headers.").and_then(|field| field.split_once(".set.")) {
                Some((of, name)) => format!("{of}: {{set: {{{name}: {}", line.value),
                None => return Err(TestCaseError::fail(format!("{field} is not expected"))),
            },
        };
        prop_assert!(written.contains(&wanted), "{}: `{}` is not in `{}`", place, wanted, written);
        // And it stands in the Policy that is named.
        if let Some(policy) = &line.policy {
            let before: Vec<&str> = text.lines().take(place.line as usize).collect();
            let owner = before.iter().rev().find(|line| line.starts_with("metadata:")).copied();
            let named = format!("name: {policy},");
            prop_assert!(owner.is_some_and(|line| line.contains(&named)));
        }
    }
    Ok(())
}
