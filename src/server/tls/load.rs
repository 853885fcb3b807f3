//! Certificates and keys as a tree names them → what listeners accept with.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::{SystemTime, UNIX_EPOCH},
};

use rustls::{RootCertStore, crypto::aws_lc_rs::Ticketer, server::ProducesTickets};

use super::{
    Acceptor, Asked,
    certificate::{self, Fault, Pair},
};
use crate::{
    config::{
        Spanned,
        listener::{CertificateTemplate, ClientAuth},
        service::SecretTemplate,
    },
    diagnostic::{Code, Diagnostic, Diagnostics, Place},
    plan::Listener,
    upstream::secret::{self, Sources},
};

/// The TLS of every listener that has it.
#[derive(Debug, Default)]
pub struct Listeners {
    acceptors: BTreeMap<String, Arc<Acceptor>>,
    /// What was good when it was read last, by the files' names.
    pairs: BTreeMap<(String, String), Arc<Pair>>,
    roots: BTreeMap<String, Arc<RootCertStore>>,
    tickets: OnceLock<Arc<dyn ProducesTickets>>,
}

// === impl Listeners ===

impl Listeners {
    /// Reads what the listeners name. What cannot be used is a finding; if it could be in `previous`, that
    /// one stays in use and all the rest holds.
    pub fn load(
        listeners: &[Listener],
        previous: Option<&Self>,
        sources: &dyn Sources,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let none = Self::default();
        let before = previous.unwrap_or(&none);
        let mut loading = Loading {
            before,
            now: Self::default(),
            sources,
            findings: Diagnostics::default(),
            unusable: false,
        };
        if let Some(tickets) = before.tickets.get() {
            let _ = loading.now.tickets.set(Arc::clone(tickets));
        }
        for listener in listeners {
            loading.listener(listener);
        }
        loading.findings.finish();
        if loading.unusable { Err(loading.findings) } else { Ok((loading.now, loading.findings)) }
    }

    /// What the listener of a name accepts with; nothing when it speaks cleartext.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Acceptor>> {
        self.acceptors.get(name).cloned()
    }

    /// Each certificate's file, and the last second, after 1970, of what was read from it.
    pub fn expiries(&self) -> impl Iterator<Item = (&str, i64)> + Clone {
        self.pairs.iter().map(|((cert, _), pair)| (cert.as_str(), pair.validity.1))
    }
}

struct Loading<'a> {
    before: &'a Listeners,
    now: Listeners,
    sources: &'a dyn Sources,
    findings: Diagnostics,
    /// Something is missing that nothing can stand in for.
    unusable: bool,
}

impl Loading<'_> {
    fn listener(&mut self, listener: &Listener) {
        let Some(template) = &listener.tls else { return };
        let pairs: Vec<_> = template.certificates.iter().map(|one| self.pair(one)).collect();
        let asked = template.client_auth.as_ref().map(|asked| self.asked(asked));
        // Each has a finding.
        let Some(pairs) = pairs.into_iter().collect::<Option<Vec<_>>>() else { return };
        let asked = match asked {
            None => None,
            Some(None) => return,
            Some(asked) => asked,
        };
        let tickets = match self.tickets() {
            Ok(tickets) => tickets,
            Err(why) => return self.refuse(&listener.place, format!("TLS cannot be set up: {why}"), ""),
        };
        match Acceptor::new(&pairs, template.only_tls13, asked, &tickets) {
            Ok(acceptor) => drop(self.now.acceptors.insert(listener.name.clone(), Arc::new(acceptor))),
            Err(why) => self.refuse(&listener.place, format!("`tls` is not usable: {why}"), ""),
        }
    }

    /// One for the life of the process: what was given to clients stays good.
    fn tickets(&self) -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
        if let Some(tickets) = self.now.tickets.get() {
            return Ok(Arc::clone(tickets));
        }
        let tickets = Ticketer::new()?;
        Ok(Arc::clone(self.now.tickets.get_or_init(|| tickets)))
    }

    fn pair(&mut self, template: &CertificateTemplate) -> Option<Arc<Pair>> {
        let id = (template.cert.value.clone(), key_name(&template.key));
        if let Some(pair) = self.now.pairs.get(&id) {
            return Some(Arc::clone(pair));
        }
        let read = self.read_pair(template);
        let pair = match read {
            Ok(pair) => {
                self.judge_validity(template, &pair);
                Some(Arc::new(pair))
            }
            Err(finding) => {
                let last_good = self.before.pairs.get(&id).cloned();
                self.report(*finding, last_good.is_some());
                last_good
            }
        }?;
        self.now.pairs.insert(id, Arc::clone(&pair));
        Some(pair)
    }

    fn read_pair(&self, template: &CertificateTemplate) -> Result<Pair, Box<Diagnostic>> {
        let cert = self.file(&template.cert, "cert")?;
        let key = match &template.key.value {
            SecretTemplate::File { path, .. } => {
                self.file(&Spanned { value: path.clone(), place: template.key.place.clone() }, "key")?
            }
            env @ SecretTemplate::Env { .. } => {
                secret::read(env, "tls.certificates.key", &template.key.place, self.sources)?.into_bytes()
            }
        };
        Pair::read(&cert, &key).map_err(|Fault { key, why, help }| {
            let (what, place) = if key {
                (format!("the key `{}`", key_name(&template.key)), &template.key.place)
            } else {
                (format!("the certificate `{}`", template.cert.value), &template.cert.place)
            };
            let message = format!("{what} is not usable: {why}");
            Box::new(Diagnostic::new(Code::BadCertificate, place.clone(), message).help(help))
        })
    }

    fn judge_validity(&mut self, template: &CertificateTemplate, pair: &Pair) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let (from, to) = pair.validity;
        let wrong = match () {
            () if now > to => "has expired",
            () if now < from => "is not valid yet",
            () => return,
        };
        let message = format!("the certificate `{}` {wrong}", template.cert.value);
        self.findings.push(
            Diagnostic::new(Code::ExpiredCertificate, template.cert.place.clone(), message)
                .help("clients will refuse it; replace the files, which are read again when they change"),
        );
    }

    fn asked(&mut self, template: &ClientAuth) -> Option<Asked> {
        let path = &template.ca.value;
        let roots = match self.roots(&template.ca) {
            Ok(roots) => Some(Arc::new(roots)),
            Err(finding) => {
                let last_good = self.before.roots.get(path).cloned();
                self.report(*finding, last_good.is_some());
                last_good
            }
        }?;
        self.now.roots.insert(path.clone(), Arc::clone(&roots));
        Some(Asked { roots, required: template.required })
    }

    fn roots(&self, ca: &Spanned<String>) -> Result<RootCertStore, Box<Diagnostic>> {
        let wrong = |why: String| {
            let message = format!("`clientAuth.ca` is not usable: `{}`: {why}", ca.value);
            let help = "a PEM file with the roots that clients' certificates lead to";
            Box::new(Diagnostic::new(Code::BadCertificate, ca.place.clone(), message).help(help))
        };
        let mut roots = RootCertStore::empty();
        for root in certificate::chain(&self.file(ca, "ca")?).map_err(wrong)? {
            roots.add(root).map_err(|error| wrong(format!("one of its certificates is no root: {error}")))?;
        }
        Ok(roots)
    }

    fn file(&self, path: &Spanned<String>, key: &str) -> Result<Vec<u8>, Box<Diagnostic>> {
        self.sources.file(path).map_err(|error| {
            let message = format!("`{key}` needs the file `{}`: {error}", path.value);
            let help =
                "paths are relative to the file that names them; the gateway must be allowed to read it";
            Box::new(Diagnostic::new(Code::Unreadable, path.place.clone(), message).help(help))
        })
    }

    fn report(&mut self, mut finding: Diagnostic, has_last_good: bool) {
        if has_last_good {
            finding.message.push_str("; what was read before stays in use");
        }
        self.unusable |= !has_last_good;
        self.findings.push(finding);
    }

    fn refuse(&mut self, place: &Place, message: String, help: &str) {
        let finding = Diagnostic::new(Code::BadCertificate, place.clone(), message);
        self.findings.push(if help.is_empty() { finding } else { finding.help(help) });
        self.unusable = true;
    }
}

/// What a key is called: its path, or its variable.
fn key_name(key: &SecretTemplate) -> String {
    match key {
        SecretTemplate::File { path, .. } => path.clone(),
        SecretTemplate::Env { name, .. } => format!("${name}"),
    }
}
