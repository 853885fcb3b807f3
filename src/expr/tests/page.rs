//! The documentation page of the language: every example is run, and no function is without one.

use super::*;
use crate::expr::{function, parse, resolve};

const PAGE: &str = include_str!("../../docs/expressions.md");

/// What stands between fences of a language.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let opening = format!("```{language}\n");
    page.split(opening.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn examples() -> Vec<(&'static str, &'static str)> {
    let lines = blocks(PAGE, "cel").into_iter().flat_map(str::lines);
    lines
        .map(|line| {
            let (source, result) = line.rsplit_once('→').unwrap_or_else(|| panic!("{line} has no result"));
            (source.trim(), result.trim())
        })
        .collect()
}

#[test]
fn every_example_of_the_page_gives_what_it_says() {
    let body = blocks(PAGE, "json")[0];
    let mut wrong = Vec::new();
    for (source, expected) in examples() {
        let given = match Program::compile(source, &scope()) {
            Err(_) => "refused".to_owned(),
            Ok(_) => over(body, source),
        };
        let given = match given.as_str() {
            "omitted" => "(left out)",
            message if message.starts_with("error: ") && expected == "error" => "error",
            given => given,
        };
        if given != expected {
            wrong.push(format!("{source}\n    gives {given}\n    not   {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_function_and_macro_has_an_example() {
    let examples: Vec<&str> = examples().into_iter().map(|(source, _)| source).collect();
    let table = function::TABLE.iter().map(|function| function.name);
    let names = table.chain(resolve::FORMS).chain(resolve::MACROS);
    let without: Vec<&str> =
        names.filter(|name| !examples.iter().any(|example| example.contains(&format!("{name}(")))).collect();
    assert!(without.is_empty(), "without an example: {without:?}");
    assert!(examples.iter().all(|example| parse::parse(example).is_ok() || example.starts_with("Order")));
}
