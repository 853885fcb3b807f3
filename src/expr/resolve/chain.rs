//! Paths: a base and what is selected from it, the part that a slot stands for already taken off.

use super::{Kind, Lowered, Node, Op, Resolver, Span, Type};
use crate::{
    diagnostic::Code,
    expr::{
        Fault, Reference,
        op::{Base, Chain, Key, Link},
    },
};

/// A selection as it is written.
pub(super) struct Accessor<'n> {
    pub(super) name: Selected<'n>,
    pub(super) optional: bool,
    /// The name or key itself, for carets.
    pub(super) span: Span,
    /// Where the selection ends.
    pub(super) end: usize,
}

/// What is selected.
pub(super) enum Selected<'n> {
    /// A field, or an index that is a literal string.
    Name(&'n str),
    Computed(&'n Node),
}

/// Takes a path apart: its base and the selections in their order.
pub(super) fn unfold(node: &Node) -> (&Node, Vec<Accessor<'_>>) {
    let mut accessors = Vec::new();
    let mut node = node;
    loop {
        let end = node.span.end;
        match &node.kind {
            Kind::Select { base, field, field_span, optional } => {
                accessors.push(Accessor {
                    name: Selected::Name(field),
                    optional: *optional,
                    span: *field_span,
                    end,
                });
                node = base;
            }
            Kind::Index { base, key, optional } => {
                let name = match &key.kind {
                    Kind::Str(text) => Selected::Name(text),
                    _ => Selected::Computed(key),
                };
                accessors.push(Accessor { name, optional: *optional, span: key.span, end });
                node = base;
            }
            _ => break,
        }
    }
    accessors.reverse();
    (node, accessors)
}

impl Resolver<'_> {
    /// Lowers a name or a path.
    pub(super) fn chain(&mut self, node: &Node) -> Lowered {
        match self.path(node, false) {
            Ok((chain, known)) => {
                let optional = chain.optional || chain.links.iter().any(|link| link.optional);
                // A local may hold an optional, and what is selected from one is optional too.
                let kind = match known {
                    _ if optional => Type::Optional,
                    Some(kind) if chain.links.is_empty() => kind,
                    _ => Type::Any,
                };
                // `[1].size` and the like aside, an operation without links stands for itself.
                match chain {
                    Chain { base: Base::Op(op), ref links, optional: false, .. } if links.is_empty() => {
                        (op, kind)
                    }
                    chain => self.push(Op::Chain(chain), kind),
                }
            }
            Err(fault) => self.refuse(fault),
        }
    }

    /// Lowers the argument of `has`.
    pub(super) fn has(&mut self, node: &Node) -> Lowered {
        if !matches!(node.kind, Kind::Select { optional: false, .. }) {
            let fault = Fault::new(
                Code::ExpressionSyntax,
                node.span,
                "`has` takes a field that is selected with a dot",
            );
            let help = match node.kind {
                Kind::Index { .. } => "write `x[?\"name\"].hasValue()`",
                _ => "write `has(x.field)`",
            };
            return self.refuse(fault.help(help));
        }
        match self.path(node, true) {
            Ok((chain, _)) => self.push(Op::Has(chain), Type::Bool),
            Err(fault) => self.refuse(fault),
        }
    }

    /// The chain of a path, and what is known of its base.
    fn path(&mut self, node: &Node, in_has: bool) -> Result<(Chain, Option<Type>), Fault> {
        let (base, accessors) = unfold(node);
        let mut tolerant = in_has || accessors.iter().any(|accessor| accessor.optional);
        let mut used = 0;
        let mut known = None;
        let mut lower_case = false;
        let start = base.span.start as u32;
        let mut end = base.span.end;
        let lowered = match &base.kind {
            Kind::Name { name, rooted } => match self.local(name, *rooted) {
                Some(local) => Base::Local(local),
                None => {
                    let root = match self.root(name, base.span, &accessors) {
                        Ok(root) => root,
                        Err(fault) => {
                            // What stands in brackets after an unknown name may be wrong too.
                            self.links(&accessors, false);
                            return Err(fault);
                        }
                    };
                    used = root.used;
                    known = Some(root.kind);
                    lower_case = root.lower_case;
                    if let Some(last) = used.checked_sub(1).and_then(|last| accessors.get(last)) {
                        end = last.end;
                    }
                    match root.base {
                        Base::Slot(slot) => {
                            self.references.push(Reference { slot, tolerant, offset: base.span.start });
                            Base::Slot(slot)
                        }
                        other => {
                            tolerant = false;
                            other
                        }
                    }
                }
            },
            _ => {
                let (op, kind) = self.lower(base);
                known = Some(kind);
                if !accessors.is_empty() && !kind.may_be(&[Type::List, Type::Map, Type::Optional]) {
                    self.mismatch(base.span, format!("{} has no fields", kind.name()));
                }
                Base::Op(op)
            }
        };
        let optional = accessors[..used].iter().any(|accessor| accessor.optional);
        let links = self.links(&accessors[used..], lower_case);
        Ok((Chain { base: lowered, links, optional, tolerant, start, end: end as u32 }, known))
    }

    fn links(&mut self, accessors: &[Accessor<'_>], lower_case: bool) -> Box<[Link]> {
        let mut links = Vec::with_capacity(accessors.len());
        for (index, accessor) in accessors.iter().enumerate() {
            let key = match &accessor.name {
                // Names of header fields are lower case in every map of them.
                Selected::Name(name) if index == 0 && lower_case => {
                    Key::Name(name.to_ascii_lowercase().into())
                }
                Selected::Name(name) => Key::Name((*name).into()),
                Selected::Computed(key) => {
                    let (op, kind) = self.lower(key);
                    if !kind.may_be(&[Type::Str, Type::Number, Type::Bool]) {
                        self.mismatch(key.span, format!("{} cannot be an index", kind.name()));
                    }
                    Key::Computed(op)
                }
            };
            links.push(Link { key, optional: accessor.optional, end: accessor.end as u32 });
        }
        links.into()
    }
}
