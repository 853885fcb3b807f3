//! For people: one page without scripts, fonts or anything else from elsewhere.

use std::fmt::Write;

use super::{
    json::time,
    waterfall::{Bar, Waterfall, What, waterfall},
};
use crate::telemetry::{
    Finished, RequestError,
    keep::{Keep, KeptRoute},
};

const ROW: usize = 20;
const NAMES: usize = 230;
const CHART: usize = 480;
const TOP: usize = 22;
const WIDTH: usize = NAMES + CHART + 310;

const HEAD: &str = concat!(
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>segue · requests</title>",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>",
    include_str!("page.css"),
    "</style></head><body>",
);

/// The whole page.
pub(in crate::admin) fn page(keep: &Keep) -> String {
    let routes = keep.all();
    let mut out = String::from(HEAD);
    out.push_str(
        "<header><h1>Requests</h1><p>Of each route within the last hour: the failed, those that the client left \
         before there was an answer, and the slowest to answer. \
         <a href=\"/requests.json\">JSON</a></p><p class=\"legend\">\
         <span class=\"key ok\"></span>step <span class=\"key attempt\"></span>attempt, dark until its head \
         <span class=\"key failed\"></span>failed <span class=\"key left\"></span>nobody waited for its end \
         <span class=\"key skipped\"></span>skipped \
         <span class=\"key critical\"></span>critical path: what made the answer take this long</p></header>",
    );
    if routes.is_empty() {
        out.push_str("<p class=\"none\">No request has ended yet.</p>");
    }
    for kept in &routes {
        route(&mut out, kept);
    }
    out.push_str("</body></html>\n");
    out
}

fn route(out: &mut String, kept: &KeptRoute) {
    let name = if kept.name.is_empty() { "without a route" } else { &kept.name };
    let _ = write!(out, "<section><h2>{}</h2>", Escaped(name));
    for (title, requests) in [
        ("Failed, the last first", &kept.failed),
        ("Left by the client, the last first", &kept.left),
        ("Slowest to answer", &kept.slowest),
    ] {
        if requests.is_empty() {
            continue;
        }
        let _ = write!(out, "<h3>{title}</h3>");
        for (at, one) in requests.iter().enumerate() {
            request(out, one, at == 0);
        }
    }
    out.push_str("</section>");
}

fn request(out: &mut String, request: &Finished, open: bool) {
    let record = &request.record;
    let status = record.status.map_or_else(|| "no answer".to_owned(), |status| status.as_u16().to_string());
    let Waterfall { bars, omitted, gateway_us } = waterfall(request);
    let _ = write!(
        out,
        "<details{}><summary><span class=\"badge {}\">{status}</span><b>{}</b><code>{} {}</code>",
        if open { " open" } else { "" },
        request.outcome.as_str(),
        duration(request.us),
        Escaped(request.method.as_str()),
        Escaped(&request.path),
    );
    let code = request.code();
    let code = code.as_ref().map_or("", RequestError::as_text);
    let _ = write!(
        out,
        "<span class=\"dim\">{} {code}</span><span class=\"when\">{}</span></summary>",
        request.outcome.as_str(),
        time(request),
    );
    svg(out, request, &bars, gateway_us);
    if omitted > 0 {
        let _ = write!(out, "<p class=\"dim\">{omitted} more steps and attempts are not shown</p>");
    }
    let _ = write!(
        out,
        "<p class=\"dim\">trace <code>{:032x}</code> · request <code>{}</code>",
        request.trace.id,
        Escaped(&request.id),
    );
    if let Some(principal) = &request.principal {
        let _ = write!(out, " · principal <code>{}</code>", Escaped(principal));
    }
    if let Some(route) = &record.route {
        let _ = write!(out, " · generation {}", route.generation.number);
    }
    if !record.degraded.is_empty() {
        let _ = write!(out, " · degraded: {}", Escaped(&record.degraded.join(", ")));
    }
    out.push_str("</p></details>");
}

fn svg(out: &mut String, request: &Finished, bars: &[Bar], gateway_us: u64) {
    let whole = request.until.max(1);
    let height = TOP + ROW * (bars.len() + 1) + 6;
    let _ = write!(
        out,
        "<svg viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
         aria-label=\"where the time went\">"
    );
    for quarter in 0..=4 {
        let x = NAMES + CHART * quarter / 4;
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{x}\" y1=\"{TOP}\" x2=\"{x}\" y2=\"{height}\"/>\
             <text class=\"tick\" x=\"{x}\" y=\"14\">{}</text>",
            duration(whole * quarter as u64 / 4),
        );
    }
    let own = format!("gateway's own time {}", duration(gateway_us));
    row(
        out,
        0,
        &Row { whole, depth: 0, name: "request", class: "request", from: 0, to: request.us, note: &own },
    );
    let mut wave = None;
    for (at, bar) in bars.iter().enumerate() {
        let class = match (bar.what, bar.outcome) {
            (_, "failed") => "failed",
            (_, "skipped") => "skipped",
            (_, "cancelled" | "late" | "idle_timeout") => "left",
            (What::Attempt, _) => "attempt",
            (What::Step { .. }, _) => "ok",
        };
        if let What::Step { wave: of } = bar.what
            && bar.depth == 1
            && wave.replace(of).is_some_and(|before| before != of)
        {
            let y = TOP + ROW * (at + 1) + 1;
            let _ = write!(out, "<line class=\"wave\" x1=\"0\" y1=\"{y}\" x2=\"{WIDTH}\" y2=\"{y}\"/>");
        }
        let mut note = duration(bar.end_us.saturating_sub(bar.start_us));
        for more in bar.code.iter().chain(&bar.notes) {
            let _ = write!(note, " · {more}");
        }
        let class = if bar.critical { format!("{class} critical") } else { class.to_owned() };
        let (from, to) = (bar.start_us, bar.end_us);
        row(
            out,
            at + 1,
            &Row { whole, depth: bar.depth, name: &bar.name, class: &class, from, to, note: &note },
        );
        if let Some(head) = bar.head_us.filter(|head| *head < bar.end_us) {
            let (x, y) = (place(head, whole), TOP + ROW * (at + 1) + 6);
            let width = place(bar.end_us, whole).saturating_sub(x).max(1);
            let _ = write!(out, "<rect class=\"body\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"9\"/>");
        }
    }
    out.push_str("</svg>");
}

struct Row<'a> {
    whole: u64,
    depth: usize,
    name: &'a str,
    class: &'a str,
    from: u64,
    to: u64,
    note: &'a str,
}

fn row(out: &mut String, at: usize, row: &Row<'_>) {
    let y = TOP + ROW * at;
    let (x, end) = (place(row.from, row.whole), place(row.to, row.whole));
    let width = end.saturating_sub(x).max(2);
    let indent = 14 * row.depth.min(8);
    let most = (NAMES - indent - 8) / 7;
    let shown: String = if row.name.chars().count() > most {
        row.name.chars().take(most.saturating_sub(1)).chain(['…']).collect()
    } else {
        row.name.to_owned()
    };
    let _ = write!(
        out,
        "<text class=\"name {class}\" x=\"{indent}\" y=\"{}\">{}</text>\
         <rect class=\"bar {class}\" x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"{height}\" rx=\"2\">\
         <title>{}: from {} to {}, {}</title></rect>",
        y + 15,
        Escaped(&shown),
        if row.class.starts_with("attempt") { y + 6 } else { y + 4 },
        Escaped(row.name),
        duration(row.from),
        duration(row.to),
        Escaped(row.note),
        class = row.class,
        height = if row.class.starts_with("attempt") { 9 } else { 13 },
    );
    // Beside the bar where there is room, so that it is read with it.
    let _ = write!(
        out,
        "<text class=\"note\" x=\"{}\" y=\"{}\">{}</text>",
        end.max(x + 2) + 6,
        y + 15,
        Escaped(row.note)
    );
}

fn place(us: u64, whole: u64) -> usize {
    NAMES + usize::try_from(us.min(whole) * CHART as u64 / whole).unwrap_or_default()
}

fn duration(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..100_000 => format!("{:.1} ms", us as f64 / 1e3),
        100_000..10_000_000 => format!("{} ms", us / 1000),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

/// Text of HTML and of its attributes.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays_text() {
        assert_eq!(Escaped("<b a='1' c=\"&\">").to_string(), "&lt;b a=&#39;1&#39; c=&quot;&amp;&quot;&gt;");
    }

    #[test]
    fn durations_are_short() {
        for (us, text) in [(7, "7 µs"), (1_250, "1.2 ms"), (250_000, "250 ms"), (12_340_000, "12.3 s")] {
            assert_eq!(duration(us), text);
        }
    }
}
