//! Every diagnostic code: its severity and the text `segue explain CODE` prints.

use super::Severity;

macro_rules! codes {
    ($($name:ident = $code:literal, $severity:ident, $explanation:literal;)*) => {
        /// Which rule a finding is about. The text form is stable: tools match on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "the explanation of each is its documentation")]
        pub enum Code {
            $(#[doc = $explanation] $name,)*
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable text form.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }

            /// Whether a finding of this code stops the tree.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity),* }
            }

            /// Why it is a finding and what to do, for `segue explain`.
            #[must_use]
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$name => $explanation),* }
            }
        }
    };
}

codes! {
    // -- files and shape
    Yaml = "yaml", Error, "The file is not YAML 1.2.";
    FileTooLarge = "file_too_large", Error, "A template file is larger than 4 MiB.";
    Unreadable = "unreadable", Error, "The file or folder cannot be read.";
    OutsideUnit = "outside_unit", Error, "A path or link leaves the unit's folder.";
    UnnamedFile = "unnamed_file", Warning, "A YAML file is neither a template nor named by one.";
    ApiVersion = "api_version", Error, "apiVersion is not segue/v1.";
    UnknownKind = "unknown_kind", Error, "The document's kind does not exist.";
    WrongTree = "wrong_tree", Error, "A kind stands in the tree of the other owner.";
    UnknownKey = "unknown_key", Error, "The key does not exist here.";
    MissingKey = "missing_key", Error, "A required key is missing.";
    DuplicateKey = "duplicate_key", Error, "A key stands twice in one map.";
    WrongType = "wrong_type", Error, "The value has the wrong type.";
    InvalidValue = "invalid_value", Error, "The value is not one of those allowed.";
    InvalidName = "invalid_name", Error, "The name does not have the form that names have.";
    NotInThisVersion = "not_in_this_version", Error, "The key or kind is reserved and does not work in this version.";
    // -- names
    DuplicateName = "duplicate_name", Error, "Two documents of one kind and unit have the same name.";
    GatewayCount = "gateway_count", Error, "There must be exactly one Gateway.";
    UnknownService = "unknown_service", Error, "No such Service.";
    UnknownOperation = "unknown_operation", Error, "The Service has no such operation.";
    NotVisible = "not_visible", Error, "The Service belongs to another unit and is not open to all.";
    UnknownStep = "unknown_step", Error, "No such step.";
    UnknownUnit = "unknown_unit", Error, "metadata.unit says otherwise than the folder.";
    // -- expressions
    ExpressionSyntax = "expression_syntax", Error, "The expression cannot be parsed.";
    UnclosedExpression = "unclosed_expression", Error, "A ${ has no closing brace in its scalar.";
    UnknownReference = "unknown_reference", Error, "The expression reads a name that does not exist.";
    UnknownFunction = "unknown_function", Error, "The expression calls a function that does not exist.";
    ExpressionTooLarge = "expression_too_large", Error, "The expression is too long or too deeply nested.";
    TypeMismatch = "type_mismatch", Error, "The expression can never have the type that is needed here.";
    // -- composition
    StepCycle = "step_cycle", Error, "Steps wait for each other in a circle.";
    TooManySteps = "too_many_steps", Error, "A document has more than 64 steps.";
    PlainReadOfTolerated = "plain_read_of_tolerated", Error, "A step that may have no answer is read as if it always had one.";
    UnorderedUnsafe = "unordered_unsafe", Error, "Two unsafe calls have no order between them.";
    UnusedStep = "unused_step", Warning, "Nothing reads the answer of a safe step.";
    BodyNotReadable = "body_not_readable", Error, "A proxy route streams its body, so nothing may read it.";
    // -- routes
    RouteConflict = "route_conflict", Error, "Two routes match the same requests.";
    InvalidPath = "invalid_path", Error, "The path pattern is not valid.";
    // -- services and gateway
    InvalidUrl = "invalid_url", Error, "The URL or address is not valid.";
    MissingSecret = "missing_secret", Error, "A secret's environment variable or file is not there.";
    OpenRoute = "open_route", Warning, "The route's effective policy has no authenticate.";
}
