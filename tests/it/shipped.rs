//! Every template that this package ships or shows compiles without a finding.

use std::path::Path;

use segue::{
    compile::compile,
    config::Tree,
    diagnostic::{Code, Diagnostic, Diagnostics, render},
    suite,
};

use crate::sources::{files_below, root, shown};

fn assert_clean(what: &str, tree: &Tree, mut findings: Diagnostics) {
    let (plan, compiled) = compile(tree);
    // The benches measure routes without policies.
    let expected = |finding: &Diagnostic| finding.code == Code::OpenRoute && what.contains("benches/config");
    for finding in compiled.items().iter().filter(|finding| !expected(finding)) {
        findings.push(finding.clone());
    }
    let text = render::text(&findings, &|path| tree.text(path));
    assert!(findings.items().is_empty(), "{what}:\n{text}");
    let plan = plan.unwrap_or_else(|| panic!("{what} has no finding and no plan"));
    let report = suite::run(tree, plan, &|_| true);
    assert!(report.is_fine(), "{what}:\n{}", suite::report::text(&report, &|path| tree.text(path)));
}

fn assert_directory_is_clean(directory: &Path) {
    let mut findings = Diagnostics::default();
    let tree = Tree::read(directory, &mut findings);
    assert!(!tree.files.is_empty(), "no template in {}", directory.display());
    assert_clean(&directory.display().to_string(), &tree, findings);
}

#[test]
fn the_sample_compiles_without_a_finding() {
    assert_directory_is_clean(root());
}

#[test]
fn the_tests_of_the_sample_reach_every_route_and_every_branch() {
    let (tree, _, plan) = segue::reload::read(root());
    let report = suite::run(&tree, plan.unwrap(), &|_| true);
    assert!(report.cases.len() > 15);
    let missed: Vec<_> = report.coverage.branches().filter(|branch| !branch.taken).collect();
    assert!(missed.is_empty(), "{missed:#?}");
    assert_eq!(report.coverage.unreached().count(), 0);
}

#[test]
fn the_templates_of_the_benches_compile_without_a_finding() {
    for name in ["proxy", "compose"] {
        assert_directory_is_clean(&root().join("benches/config").join(name));
    }
}

#[test]
fn every_template_in_the_documentation_compiles_without_a_finding() {
    let mut pages: Vec<_> = files_below(&root().join("src/docs"));
    pages.push(root().join("README.md"));
    let mut seen = 0;
    for page in pages {
        let Ok(text) = std::fs::read_to_string(&page) else { continue };
        let mut files = shown(&page.display().to_string(), &text);
        if files.is_empty() {
            continue;
        }
        seen += files.len();
        // A page may show a route alone: the rest is the sample's.
        for path in
            files_below(&root().join("policies")).into_iter().chain(files_below(&root().join("routes")))
        {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            let claimed = |start: &str| files.iter().any(|(path, _)| path.starts_with(start));
            // A page with policies of its own says what holds; those that the sample's routes name stay.
            let others = matches!(&*name, "policies/baseline.yaml" | "policies/gateway.yaml");
            if claimed(&name) || claimed("policies/") && others {
                continue;
            }
            files.push((name, std::fs::read_to_string(&path).unwrap()));
        }
        let tree = Tree::from_texts(files.iter().map(|(path, text)| (path.as_str(), text.as_str())));
        assert_clean(&page.display().to_string(), &tree, Diagnostics::default());
    }
    assert!(seen > 3, "the documentation shows {seen} templates");
}
