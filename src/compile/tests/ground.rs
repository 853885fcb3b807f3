//! Two units, one hostile: whatever it spells, it gets no request of the other's.

use super::GATEWAY;
use crate::{compile::compile, config::Tree, diagnostic::Code};

const UNITS: &str = "\
apiVersion: segue/v1
kind: Unit
metadata: {name: care, owner: platform}
owns: [{host: api.example.com, prefix: /customers}, {prefix: /care}, {host: \"*.care.example.com\", prefix: /}]
---
apiVersion: segue/v1
kind: Unit
metadata: {name: hostile, owner: platform}
";

/// The codes that a hostile unit gets for this ground and this route.
fn codes(owns: &str, matching: &str) -> Vec<Code> {
    let units = format!("{UNITS}owns: [{owns}]\n");
    let route = format!(
        "apiVersion: segue/v1\nkind: Route\nmetadata: {{name: r, owner: h}}\nmatch: {matching}\nstatic: {{body: 1}}\n"
    );
    let files = [
        ("policies/gateway.yaml", GATEWAY),
        ("policies/units.yaml", units.as_str()),
        ("routes/hostile/r.yaml", route.as_str()),
    ];
    let (plan, findings) = compile(&Tree::from_texts(files));
    let errors = findings.items().iter().filter(|finding| finding.code != Code::OpenRoute);
    let codes: Vec<Code> = errors.map(|finding| finding.code).collect();
    assert_eq!(plan.is_none(), !codes.is_empty(), "{owns} {matching}: {findings:#?}");
    codes
}

/// Spellings of paths that are, or could match, what `care` owns below `root`.
fn spellings(root: &str) -> Vec<String> {
    let (first, rest) = root[1..].split_at(1);
    let encoded = format!("%{:02x}", first.as_bytes()[0]);
    let upper = root.to_uppercase();
    let title = format!("/{}{rest}", first.to_uppercase());
    let mut all = Vec::new();
    for start in [root, &format!("/{encoded}{rest}"), &upper, &title, "/{any}", &format!("{root}/x/..")] {
        for end in ["", "/", "/a", "/{id}", "/{id}/x", "/{rest...}", "/%61", "/A", "//a", "/a/"] {
            all.push(format!("{start}{end}"));
        }
    }
    all.push("/{rest...}".to_owned());
    all
}

#[test]
fn no_route_of_a_hostile_unit_lies_on_anothers_ground() {
    let mut tried = 0;
    for (hosts, root) in [
        ("", "/care"),
        ("hosts: [api.example.com], ", "/care"),
        ("hosts: [api.example.com], ", "/customers"),
        ("hosts: [API.example.com], ", "/customers"),
        ("", "/customers"),
        ("hosts: [\"*.example.com\"], ", "/customers"),
        ("hosts: [a.care.example.com], ", "/anything"),
    ] {
        for path in spellings(root) {
            let codes =
                codes("{host: own.example.com, prefix: /own}", &format!("{{{hosts}path: \"{path}\"}}"));
            assert!(!codes.is_empty(), "{hosts}{path}");
            let expected = |code: &Code| matches!(code, Code::OffGround | Code::InvalidPath);
            assert!(codes.iter().all(expected), "{hosts}{path}: {codes:?}");
            tried += 1;
        }
    }
    assert!(tried > 200, "{tried}");
}

#[test]
fn no_ground_of_a_hostile_unit_overlaps_anothers() {
    let own = "{path: /own}";
    for ground in [
        "{prefix: /}",
        "{prefix: /care}",
        "{prefix: /care/}",
        "{prefix: /care/deep/er}",
        "{prefix: /CARE}",
        "{prefix: \"/%63are\"}",
        "{prefix: /customers}",
        "{host: api.example.com, prefix: /}",
        "{host: API.EXAMPLE.com, prefix: /Customers/x}",
        "{host: \"api.example.com.\", prefix: /customers}",
        "{host: \"*.example.com\", prefix: /customers}",
        "{host: other.example.com, prefix: /care}",
        "{host: a.care.example.com, prefix: /own}",
        "{host: \"*.b.care.example.com\", prefix: /own}",
    ] {
        let codes = codes(ground, own);
        assert!(codes.contains(&Code::GroundOverlap), "{ground}: {codes:?}");
    }
    for ground in ["{host: own.example.com, prefix: /customers}", "{host: api.example.com, prefix: /custom}"]
    {
        assert!(!codes(ground, own).contains(&Code::GroundOverlap), "{ground}");
    }
}

#[test]
fn what_lies_on_its_own_ground_is_served() {
    let own = "{host: own.example.com, prefix: /own}, {host: \"*.own.example.com\", prefix: \"/%6fwn/x/\"}";
    for fine in [
        "{hosts: [own.example.com], path: /own}",
        "{hosts: [OWN.example.com], path: \"/%6fwn/{rest...}\"}",
        "{hosts: [a.own.example.com, \"*.b.own.example.com\"], path: \"/own/x/{id}\"}",
    ] {
        assert_eq!(codes(own, fine), [], "{fine}");
    }
}
