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
    Yaml = "yaml", Error,
        "The file is not YAML 1.2, so it cannot be read at all. The place is where the reader gave up, which is at or behind the \
         fault. The usual causes are an indentation that does not fit, a value that starts with `*`, `&`, `!`, `@` or `%`, and an expression \
         without quotes: `: `, ` #` and braces mean something to YAML. Quote the value: `eta: '${ a ? b : c }'`. Other documents of the file are \
         still checked.";
    FileTooLarge = "file_too_large", Error,
        "A file may have 4 MiB, and all files of the tree together 32 MiB, so that any tree is checked within seconds. \
         Spread the documents over several files, one per service for example: `routes/shop/orders.yaml`, `routes/shop/carts.yaml`.";
    Unreadable = "unreadable", Error,
        "A file or folder cannot be read, or a file that a template names is not there. The message has the operating system's reason. \
         A configuration directory holds the two folders `policies/` and `routes/`; check the path given with `--config`, the permissions, and \
         that paths in a template are relative to the file they stand in.";
    OutsideUnit = "outside_unit", Error,
        "A path or a symbolic link leads out of the unit's folder. A unit's templates may name only files of its own folder, links \
         resolved, so that no unit can read what belongs to another or to the machine. Keep the file under `routes/UNIT/` and name it \
         relative to the template: `ca: certs/ca.pem`.";
    UnnamedFile = "unnamed_file", Warning,
        "A file in the tree is neither a template nor named by one. It has no effect, which is rarely what its author thinks. A \
         template is a `.yaml` or `.yml` file whose first document has `apiVersion: segue/v1`. Add that line, name the file in a template, or \
         move it out of the tree; names that start with `.` are skipped.";
    HalfWritten = "half_written", Error,
        "The file was a template in the version that serves and is none now. Most often a reload came between emptying the \
         file and writing it, so what served before serves on until the file is whole. Write beside it and rename, as careful tools do; to \
         take a template away, remove the file.";
    ApiVersion = "api_version", Error,
        "The document is written for another version of the format. This program reads `apiVersion: segue/v1`, and every document \
         says so itself, because a later version may give a key another meaning. Write `apiVersion: segue/v1`.";
    UnknownKind = "unknown_kind", Error,
        "The document's `kind` does not exist. IT writes Gateway, Unit, Consumer, Policy, PolicyBinding and Override under \
         `policies/`; business units write Service, Composition and Route under `routes/UNIT/`. Kinds start with a capital letter: `kind: Route`.";
    WrongTree = "wrong_tree", Error,
        "The document stands in the tree of the other owner. `policies/` is governed by IT, `routes/UNIT/` is published by a \
         business unit; a unit that could write a Gateway or a Policy could drop what is mandatory. Move the document to the other tree.";
    UnknownKey = "unknown_key", Error,
        "The key does not exist in this place. It is refused and not ignored, because a mistyped `tiemout: 2s` would leave the \
         default in force and nobody would notice. Keys are camelCase and case-sensitive. The help has the nearest key or all of them; the \
         format reference says what each is for.";
    MissingKey = "missing_key", Error,
        "A key that must be there is missing. The place is that of the map that should have it. Every document has `apiVersion`, \
         `kind` and `metadata: {name, owner}`; the help says what the missing key is for.";
    DuplicateKey = "duplicate_key", Error,
        "A key stands twice in one map. YAML forbids it, and readers disagree which of the two holds, so it is refused. Header \
         names count as equal in upper and lower case. Remove one; to send a header field twice, give it a list: `set-cookie: [a=1, b=2]`.";
    WrongType = "wrong_type", Error,
        "The value has another type than the key takes: text where a list is needed, a number where a map is needed. Look for \
         missing dashes or braces: `methods: [GET]` and not `methods: GET`. In YAML 1.2 `yes`, `no`, `on` and `off` are text; booleans are \
         `true` and `false`.";
    InvalidValue = "invalid_value", Error,
        "The value has the right type, but is not one of those allowed. Durations are one number and one unit (`250ms`, `2s`, `5m`, \
         `24h`, `30d`), sizes likewise (`64KiB`, `1MiB`). Secrets never stand in a template: write `{env: NAME}` or `{file: path}`. Header \
         fields that belong to the connection, such as `content-length`, are the gateway's own.";
    InvalidName = "invalid_name", Error,
        "The name does not have the form that names have. Documents are named with 1 to 63 of `a-z`, `0-9` and `-`: \
         `trip-search`. Steps, vars and loop variables are used in expressions, so they start with a lower-case letter, go on with letters, \
         digits and `_`, and are no word of the expression language: `steps.seatMap`, but not `steps.in`.";
    NotInThisVersion = "not_in_this_version", Error,
        "The key or kind belongs to the format, but does not work in this version. It is refused because ignoring it would \
         promise what does not happen: a `retry` that never retries, a policy that never applies. Remove it until you run a version that \
         has it.";
    // -- names
    DuplicateName = "duplicate_name", Error,
        "Two documents of one kind and unit have the same name, so a reference to it would be ambiguous. Both places are shown. \
         Names are unique per kind and unit; another unit may use the same name, and it is written `unit/name` there.";
    GatewayCount = "gateway_count", Error,
        "There must be exactly one document of `kind: Gateway` under `policies/`. Without one there is nothing to listen on; with \
         two it would be open which limits hold. The smallest one: `listeners: [{name: http, address: \"127.0.0.1:8080\"}]`.";
    UnknownService = "unknown_service", Error,
        "The template names a Service that does not exist. One's own unit's is just `name`, another unit's is `unit/name`; in \
         `call: customers.getCustomer` the part before the dot is the Service. Check the spelling, or add the Service's document.";
    UnknownOperation = "unknown_operation", Error,
        "The Service exists, but has no operation of this name. Operations are listed in the Service's `operations`: \
         `getCustomer: {method: GET, path: \"/customers/{id}\"}`, and called as `call: customers.getCustomer`. Add it there, or write the call \
         out with `http: {service: customers, path: …}`.";
    NotVisible = "not_visible", Error,
        "The Service belongs to another unit and is not open to all. A Service is visible to its own unit only, so that its owner \
         knows who depends on it. Its owner can open it with `visibility: all`.";
    UnknownComposition = "unknown_composition", Error,
        "The step runs a Composition that does not exist, or not in this version. One's own unit's is just `name`, another unit's is \
         `unit/name`; `name@2` is the one whose `version` starts with 2, and without `@` it is the highest. Check the spelling, or add the \
         document with `kind: Composition`.";
    UnknownPolicy = "unknown_policy", Error,
        "A Route or a PolicyBinding names a Policy that does not exist. Policies are IT's: documents with `kind: Policy` under `policies/`. \
         It is refused, because a route whose policy is misspelt would serve without it. Check the spelling, or ask IT for the Policy.";
    LoosensMandate = "loosens_mandate", Error,
        "The route, or a Policy that it names, allows more than a mandatory PolicyBinding does: a longer timeout, a higher limit, \
         `anonymous: true` beside an authentication that is mandated, or a header that the mandate sets or removes: in an answer, in a \
         step, in a Composition that it runs, or in a Service behind them. Against a mandate a unit may only tighten. The binding is shown. Take the value away, tighten it, or ask IT to change the mandate; `segue explain UNIT/ROUTE` shows \
         what holds.";
    UnusedPolicy = "unused_policy", Warning,
        "No Route and no PolicyBinding names the Policy, so it has no effect. Somebody may think that it protects something. Bind it: a \
         document with `kind: PolicyBinding`, `mode: mandatory` and `policies: [its name]`. Or remove it.";
    IdleBinding = "idle_binding", Warning,
        "A PolicyBinding, or one of the units or routes that its `select` lists, selects no route, so it protects nothing. All that \
         `select` gives must hold for a route. Often a unit was renamed or a name is misspelt. Check the spelling, or remove what selects nothing.";
    VoidLimit = "void_limit", Warning,
        "What a route's own Policy says can never matter beside what is mandated: a limit that is never reached, origins of which \
         none is left, or a value that the mandate sets alone (`errorBody`, `compress`, `tracing`, `priority`). Its author may rely on it. Make it \
         tighter than the mandate, or remove it.";
    MissingUnit = "missing_unit", Error,
        "Once IT has written one `kind: Unit`, every folder under `routes/` needs one, because a folder without ground and grants could \
         take any path and read any secret. Write under `policies/`: `kind: Unit`, `metadata: {name: FOLDER, owner: …}`, `owns: [{prefix: \
         /folder}]`.";
    GroundOverlap = "ground_overlap", Error,
        "Two units own the same ground, so each could take the other's requests. Ground is a host, or every host without one, and a \
         path with all that lies under it; spellings of one path, upper and lower case included, are one ground. Both places are shown. Give one of \
         them a narrower or another prefix.";
    OffGround = "off_ground", Error,
        "The route matches requests that do not belong to its unit. The Unit that IT wrote says with `owns: [{host, prefix}]` where a unit's \
         routes may lie; the segments of the prefix are written out in the route's path, and hosts are named unless the ground is every host's. Move \
         the route onto the unit's own ground, or ask IT for more.";
    NotGranted = "not_granted", Error,
        "A Service names an environment variable or a host that IT has not granted to its unit, so it could read another's secret or call \
         what it has no business with. Grants stand in the Unit: `grants: {secrets: [CRM_*], egress: [crm.internal, \"*.example.com\", 10.1.0.0/16]}`. Ask IT, \
         or name what is granted.";
    DuplicateCredential = "duplicate_credential", Error,
        "Two Consumers have the same API key, token or certificate, so nobody could say whose a request is: it would count against the \
         wrong limits. Both places are shown. Give each Consumer a key of its own, and take a key that is known to two out of use.";
    UnknownStep = "unknown_step", Error,
        "The template names a step that it does not have, in `after` or in an expression. Steps are the keys of the document's own \
         `steps` map. Check the spelling; the help has the nearest one.";
    UnknownUnit = "unknown_unit", Error,
        "A unit is the first folder under `routes/`, and nothing else can say which unit a template belongs to: a folder can be \
         given to a team, a line in a file cannot. `metadata.unit` may only repeat it, and a template directly in `routes/` belongs to none. \
         Move the file to `routes/UNIT/`, or remove `unit`.";
    // -- expressions
    ExpressionSyntax = "expression_syntax", Error,
        "The text between `${` and `}` is not an expression. Expressions are CEL: `${ steps.order.body.total * 2 }`, \
         `${ a ? b : c }`, `${ list.filter(x, x.ok) }`. The place points into the scalar. If part of the expression is missing, YAML may have \
         cut it: quote it.";
    UnclosedExpression = "unclosed_expression", Error,
        "A `${` has no closing brace in its scalar. In a scalar without quotes YAML takes ` #` for a comment and cuts the \
         rest: quote this expression, `v: '${ \"a #b\" }'`. A literal `${` is written `$${`.";
    UnknownReference = "unknown_reference", Error,
        "The expression reads a name that does not exist there. The roots are `request`, `principal`, `steps`, `vars`, \
         `execution`; `self` in `ensure`, `error` in `errors`, and the loop variables of `forEach`, `$each` and macros. Steps and vars are those of \
         the same document: `${ steps.profile.body.name }`.";
    UnknownFunction = "unknown_function", Error,
        "The expression calls a function that does not exist, or with a wrong number of arguments. There are those of CEL, its \
         macros (`has`, `filter`, `map` …) and a few added ones; templates cannot define functions. Check the spelling and whether it is a \
         method: `list.filter(x, x.ok)`, but `size(list)`.";
    ExpressionTooLarge = "expression_too_large", Error,
        "The expression is too long or too deeply nested to be compiled within its bounds, which keep any tree checked \
         within seconds. Split it with `vars`, which are evaluated once and can read each other: `vars: {paid: '${ … }'}`.";
    TypeMismatch = "type_mismatch", Error,
        "The expression can never have the type that is needed here, so every request would fail. A condition is a boolean, a \
         status a number, `$each` and `forEach.in` a list. Write a condition as a comparison: `when: ${ size(vars.ids) > 0 }`.";
    // -- composition
    StepCycle = "step_cycle", Error,
        "Steps wait for each other in a circle, so none of them could ever start. A step waits for every step that its expressions \
         read, that its vars read, and that it names in `after`. The message shows the circle; remove one of the references in it.";
    TooManySteps = "too_many_steps", Error,
        "A document has more than 64 steps. Every step holds memory for every request, and a composition of that size cannot be \
         understood by the next person either. Call a list of things with one step and `forEach`, or let one of the services do part of it.";
    PlainReadOfTolerated = "plain_read_of_tolerated", Error,
        "The step has `when` or `optional` and no `fallback`, so it may have no answer, and whoever reads it plainly would \
         fail. Read it through `.?` or `has`: `${ steps.loyalty.?body.?tier.orValue(\"none\") }`, or give the step a `fallback`. Its `outcome` \
         can always be read.";
    UnorderedUnsafe = "unordered_unsafe", Error,
        "Two calls that change something have no order between them, so they would run at the same time, and when one fails the \
         other has happened or not. Say what comes first with `after: [charge]`, let the second read an answer of the first, or state that order \
         does not matter: `unordered: true`. A call that only reads can say `safe: true`.";
    UnusedStep = "unused_step", Warning,
        "Nothing reads the answer of a safe step, so calling it costs time and changes nothing. Often a reference was renamed. Use the \
         answer, or remove the step. A step with an unsafe method is not meant, because it is called for what it does.";
    CompositionCycle = "composition_cycle", Error,
        "Compositions run each other in a circle, so a request that enters it would never end. The message shows the circle as a path. \
         Take one of its `compose` steps out, or move what they share into a Composition of its own.";
    CompositionDepth = "composition_depth", Error,
        "Compositions are nested more than 8 deep. Every level holds memory for every request, and nobody can say any more what a call \
         costs. Let an outer one run the inner ones side by side, and pass what they give as inputs.";
    InputMismatch = "input_mismatch", Error,
        "What a step gives to a Composition is not what its `input` declares: a value is missing, has no such name, or has another type. It \
         is refused at load, because every request would fail. Write `with: {id: …}` with the names of `input`; one that may be left out has a \
         `default` there, or is not `required: true`.";
    RetryUnsafe = "retry_unsafe", Error,
        "A `retry` stands on a call that may not be repeated: sent twice, it may charge or book twice, and nobody can tell whether the first \
         attempt arrived. Methods that may be repeated are GET, HEAD, OPTIONS, QUERY, PUT and DELETE; a POST that only reads can say `safe: \
         true`. Remove `retry`, or let the service offer an operation that may be repeated.";
    RetryStreamed = "retry_streamed", Warning,
        "The step streams the request's body on, and what was streamed is gone, so its `retry` never happens. Remove `retry`; or let an \
         expression read something of `request.body`, which keeps it in memory.";
    TooManyCalls = "too_many_calls", Error,
        "One request could make more upstream calls than `limits.maxCalls` of the Gateway allows (500). The bound is the product of `max` of \
         `forEach`, of `attempts`, and of nesting; `segue plan UNIT/ROUTE` shows it step by step. Lower a `max`, which is 100 where it is left \
         out, or let the service answer for a list at once.";
    InvalidSchema = "invalid_schema", Error,
        "The JSON Schema cannot be used: it is no valid schema, a file that it refers to is not there, or a `pattern` needs look-around or \
         back-references, which no engine runs in bounded time. Schemas are JSON or YAML, drafts 4 to 2020-12; `$ref` leads into the schema \
         itself or to files of the unit's folder.";
    BodyNotReadable = "body_not_readable", Error,
        "A proxy route streams the request's body to the service without looking at it, so nothing may read it: not its \
         steps, not its headers, not its path. Read something else of the request, or answer with `respond` and call the service in a step.";
    // -- routes
    RouteConflict = "route_conflict", Error,
        "Two routes match the same requests with the same precedence, so it would be chance which one answers. Both places are \
         shown. A literal segment beats `{capture}`, that beats `{rest...}`, and more header and query predicates beat fewer. Change one path or \
         method, or remove one route.";
    InvalidPath = "invalid_path", Error,
        "The path pattern is not valid. It starts with `/` and has literals, `{capture}` for one whole segment, and at its end maybe \
         `{rest...}` for all that follows; capture names are different and no word of the expression language. For example \
         `/customers/{id}/orders` and `/files/{rest...}`.";
    // -- tests
    TestFailed = "test_failed", Error,
        "A test beside the templates did not find what it expects. The place is that of the expectation, and the message has both \
         what was expected and what came. Either the template changed what it does, or the test asks for too much: `body` looks at \
         the keys that it names and leaves the others alone. Only `segue test` finds this; `check` and `serve` do not read tests.";
    // -- services and gateway
    InvalidUrl = "invalid_url", Error,
        "The URL or address is not valid. An endpoint's `url` is `http://` or `https://`, a host, maybe a port and a path prefix; it \
         has no credentials, query, fragment or expression, because scheme, host and port never come from data. An `address` is an IP and a \
         port: `127.0.0.1:8080`. Either may be `{env: NAME, default: …}`.";
    InvalidKeys = "invalid_keys", Error,
        "A file of keys that `jwks: {file: …}` names cannot be read, is no JWK Set (RFC 7517), or has no key that can be used. Keys \
         that cannot be used are skipped: RSA below 2048 bits, an HMAC secret shorter than its hash or beside public keys, `use` other than `sig`, \
         `key_ops` without `verify`, an `alg` or `crv` that does not fit, and every key whose `kid` is there twice. The help says why each one was \
         skipped. A set looks like this: `{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-256\", \"kid\": \"1\", \"x\": …, \"y\": …}]}`.";
    MissingSecret = "missing_secret", Error,
        "A secret's environment variable or file is not there, so the gateway could not authenticate itself or its callers. Set the \
         variable in the environment of `segue serve`, or provide the file. The finding names which one; it never shows a value. `check` does \
         not need secrets.";
    CannotListen = "cannot_listen", Error,
        "A listener's address cannot be bound: another program has the port, or the address is not this machine's. At the start \
         that ends `segue serve`; at a reload everything else applies and `/status` shows it. Free the port or change `address`, then \
         reload.";
    CannotLog = "cannot_log", Warning,
        "The file of the access log cannot be opened: its folder does not exist, it is a folder itself, or this user may not write \
         there. For `check` that is a warning, because the machine that serves may have what this one lacks. `segue serve` does not start without \
         it, and a reload changes nothing. Create the folder, or change `telemetry.accessLog.path`.";
    BadCertificate = "bad_certificate", Error,
        "A certificate or key of a listener cannot be used: it is no PEM, the key is not the certificate's, or it is encrypted. `cert` has \
         the certificate first and then those that lead to its root, `key` its private key. At the start that ends `segue serve`. When files \
         change under a running gateway, what was read before stays in use until they are good, and `/status` shows this. `check` does not \
         read keys.";
    ExpiredCertificate = "expired_certificate", Warning,
        "A certificate of a listener has expired, or is not valid yet by this machine's clock, so clients will refuse it. Replace its file \
         and its key's: they are read again when they change, and no connection is dropped. The metric \
         `segue_tls_certificate_expiry_seconds` tells when the next one expires.";
    DeniesEverybody = "denies_everybody", Warning,
        "A rule of `authorize` reads of the caller what no caller of the route has: `principal.id` where nobody is asked who \
         they are, for example. A rule that cannot be evaluated denies, so nobody gets past it. Bind a Policy with a method under \
         `authenticate` to the route. Where the rule is meant for other routes, read with `.?`: \
         `principal.?plan.orValue(\"\") == \"gold\"`.";
    OpenRoute = "open_route", Warning,
        "The route's effective policy has no `authenticate`, so anybody can call it. That may be meant: then say it with \
         `authenticate: {anonymous: true}` in a Policy that is bound to it. Otherwise bind a Policy that authenticates.";
}
