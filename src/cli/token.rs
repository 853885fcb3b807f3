//! `token`: tokens to try the demo with. A demo's own key signs them, and no other key can.

use std::{
    env,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use super::{
    Outcome,
    arguments::Token,
    demo::issuer::{Claims, DemoKey, states},
};
use crate::scalar;

/// The longest a token lives. Its key lives as long as the demo.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs the command.
pub(super) fn run(options: &Token, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<Outcome> {
    match mint(options)? {
        Ok(token) => writeln!(out, "{token}").map(|()| Outcome::Fine),
        Err(why) => writeln!(err, "error: {why}").map(|()| Outcome::Usage),
    }
}

/// The token; why there is none, for people.
fn mint(options: &Token) -> io::Result<Result<String, String>> {
    let lives = match scalar::duration(&options.ttl) {
        Some(lives) if lives >= Duration::from_secs(1) && lives <= LONGEST => lives,
        _ => return Ok(Err(format!("`--ttl {}` is no time from 1s to 24h, such as 15m", options.ttl))),
    };
    let state = match options.state.as_ref().map_or_else(the_only_one, |state| Ok(Ok(state.clone())))? {
        Ok(state) => state,
        Err(why) => return Ok(Err(why)),
    };
    let key = match DemoKey::of(&state) {
        Ok(key) => key,
        Err(why) => return Ok(Err(why)),
    };
    let claims =
        Claims { subject: &options.sub, audience: &options.aud, scope: &options.scope.join(" "), lives };
    key.token(claims).map(Ok)
}

/// The folder of the demo that runs.
fn the_only_one() -> io::Result<Result<PathBuf, String>> {
    let mut found = states(&env::temp_dir())?;
    Ok(match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err("no demo runs here; start `segue demo`, which makes the key for tokens".to_owned()),
        (Some(last), false) => {
            found.push(last);
            let found: Vec<String> =
                found.iter().map(|path| format!("  --state {}", path.display())).collect();
            Err(format!("several demos run here; say which one is meant:\n{}", found.join("\n")))
        }
    })
}
