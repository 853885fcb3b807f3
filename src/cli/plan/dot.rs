//! The plan as a graph in the language of Graphviz: a node per step, a rank per wave, the critical path bold.

use std::io::{self, Write};

use super::{Sheet, duration};
use crate::{
    cli::output::count,
    plan::{Step, estimate::Outline},
};

pub(super) fn write(sheet: &Sheet<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "digraph {} {{", quoted(&sheet.route.name))?;
    writeln!(out, "  rankdir=LR; node [shape=box, fontname=\"sans-serif\"];")?;
    graph(sheet, "", sheet.steps, &sheet.outline, "  ", out)?;
    for (callable, outline) in &sheet.nested {
        writeln!(out, "  subgraph {} {{", quoted(&format!("cluster {}", callable.name)))?;
        writeln!(out, "    label={};", quoted(&callable.name))?;
        let prefix = format!("{}: ", callable.name);
        graph(sheet, &prefix, &callable.composition.steps, outline, "    ", out)?;
        writeln!(out, "  }}")?;
    }
    writeln!(out, "}}")
}

fn graph(
    sheet: &Sheet<'_>,
    prefix: &str,
    steps: &[Step],
    outline: &Outline,
    indent: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    let node = |index: usize| quoted(&format!("{prefix}{}", steps[index].name));
    let is_critical = |index: usize| outline.critical.contains(&index);
    for (index, (step, cost)) in steps.iter().zip(&outline.steps).enumerate() {
        let calls = count(usize::try_from(cost.cost.calls).unwrap_or(usize::MAX), "call");
        let label = format!("{}\n{}\n{calls}, {}", step.name, sheet.action(step), duration(cost.cost.time));
        let style = match (step.tolerance.word(), is_critical(index)) {
            (Some(_), _) => ", style=dashed",
            (None, true) => ", style=bold",
            (None, false) => "",
        };
        writeln!(out, "{indent}{} [label={}{style}];", node(index), quoted(&label))?;
    }
    for (index, step) in steps.iter().enumerate() {
        for need in &step.needs {
            let bold = is_critical(index) && is_critical(need.index());
            let style = if bold { " [style=bold]" } else { "" };
            writeln!(out, "{indent}{} -> {}{style};", node(need.index()), node(index))?;
        }
    }
    for wave in 0..steps.iter().map(|step| step.wave + 1).max().unwrap_or(0) {
        let same: Vec<_> = (0..steps.len()).filter(|&index| steps[index].wave == wave).map(node).collect();
        writeln!(out, "{indent}{{rank=same; {};}}", same.join("; "))?;
    }
    Ok(())
}

/// A quoted identifier: everything is allowed in it once quotes and backslashes are escaped.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
