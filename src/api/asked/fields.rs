//! Parameters of an address: each taken once by name, everything wrong said at once.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::{Required, Schema};

use super::super::problem::{FieldError, Problem};

/// Parameters of one request that are looked at; one that has more is refused.
const PAIRS_MAX: usize = 64;

/// A parameter: its name, its rule, and how both are documented.
pub(super) struct Param<T: 'static> {
    pub(super) name: &'static str,
    /// What it asks for, for the document.
    pub(super) about: &'static str,
    /// The value, or the rule that it does not keep.
    pub(super) read: fn(&str) -> Result<T, Refusal>,
    /// The rule, for the document.
    pub(super) schema: fn() -> Schema,
}

/// A rule that a value does not keep.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) rule: String,
    pub(super) kind: &'static str,
}

/// A set of parameters that a route takes.
pub(in super::super) trait Asked: Sized {
    /// Takes every parameter that it knows. What can't be read is `None`; the fields remember why.
    fn take(fields: &mut Fields) -> Self;
}

/// The parameters of one request on their way to being understood.
pub(in super::super) struct Fields(Mode);

enum Mode {
    /// What was given and not taken yet, what was taken, and what was wrong so far.
    Reading {
        given: Vec<(String, Option<String>)>,
        taken: Vec<(&'static str, String)>,
        faults: Vec<FieldError>,
    },
    /// Nobody asks: the parameters are listed for the document.
    Describing(Vec<Parameter>),
}

impl Fields {
    /// The value of a parameter, if it was given and keeps its rule.
    pub(super) fn take<T>(&mut self, parameter: &Param<T>) -> Option<T> {
        match &mut self.0 {
            Mode::Describing(list) => {
                list.push(parameter.describe());
                None
            }
            Mode::Reading { given, taken, faults } => {
                let mut values = given.extract_if(.., |(name, _)| name == parameter.name);
                let first = values.next()?.1;
                let again = values.count() > 0;
                let refuse = |input: Option<&str>, rule: &str, kind| {
                    FieldError::new("query", parameter.name, input, rule, kind)
                };
                if again {
                    let fault = refuse(first.as_deref(), "must be given once", "repeated");
                    faults.push(fault);
                    return None;
                }
                let Some(text) = first else {
                    let rule = "must be UTF-8 in percent encoding";
                    faults.push(refuse(None, rule, "encoding"));
                    return None;
                };
                match (parameter.read)(&text) {
                    Ok(value) => {
                        taken.push((parameter.name, text));
                        Some(value)
                    }
                    Err(refusal) => {
                        faults.push(refuse(Some(&text), &refusal.rule, refusal.kind));
                        None
                    }
                }
            }
        }
    }

    /// A parameter that can be read but does not fit the others.
    pub(super) fn refuse(&mut self, name: &str, rule: &str, kind: &'static str) {
        if let Mode::Reading { taken, faults, .. } = &mut self.0 {
            let input = taken.iter().find(|(taken, _)| *taken == name).map(|(_, text)| &**text);
            faults.push(FieldError::new("query", name, input, rule, kind));
        }
    }

    /// Reads a query string.
    pub(super) fn read<T: Asked>(query: &str) -> Result<T, Problem> {
        let pairs = || query.split('&').filter(|pair| !pair.is_empty());
        let mut given = Vec::new();
        let mut faults = Vec::new();
        for pair in pairs().take(PAIRS_MAX) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match decoded(name) {
                Some(name) => given.push((name, decoded(value))),
                None => {
                    let rule = "must be UTF-8 in percent encoding";
                    faults.push(FieldError::new("query", name, None, rule, "encoding"));
                }
            }
        }
        if pairs().nth(PAIRS_MAX).is_some() {
            let rule = format!("at most {PAIRS_MAX} parameters may be given");
            faults.push(FieldError::new("query", "", None, rule, "too_many"));
        }
        let mut fields = Self(Mode::Reading { given, taken: Vec::new(), faults });
        let asked = T::take(&mut fields);
        fields.finish().map(|()| asked)
    }

    /// What nobody took is unknown.
    fn finish(self) -> Result<(), Problem> {
        let Mode::Reading { given, mut faults, .. } = self.0 else { return Ok(()) };
        faults.extend(given.into_iter().map(|(name, value)| {
            let rule = "is not a parameter of this route";
            FieldError::new("query", &name, value.as_deref(), rule, "unknown")
        }));
        if faults.is_empty() { Ok(()) } else { Err(Problem::Invalid(faults)) }
    }

    fn describe<T: Asked>() -> Vec<Parameter> {
        let mut fields = Self(Mode::Describing(Vec::new()));
        T::take(&mut fields);
        match fields.0 {
            Mode::Describing(list) => list,
            Mode::Reading { .. } => Vec::new(),
        }
    }
}

impl<T> Param<T> {
    fn describe(&self) -> Parameter {
        let schema = (self.schema)();
        let is_list = matches!(schema, Schema::Array(_));
        let parameter = ParameterBuilder::new()
            .name(self.name)
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(self.about))
            .schema(Some(schema));
        // A parameter is given once: what a list holds is separated by commas.
        let parameter = if is_list {
            parameter.style(Some(ParameterStyle::Form)).explode(Some(false))
        } else {
            parameter
        };
        parameter.build()
    }
}

/// The text behind percent encoding, a plus standing for a space; `None` when it is not UTF-8 or an escape is torn.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(rest.next()?)? << 4 | hex_digit(rest.next()?)?,
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The parameters of a request, all of them understood.
#[derive(Debug)]
pub(in super::super) struct Parameters<T>(pub(in super::super) T);

impl<T: Asked> FromRequest for Parameters<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Fields::read(request.query_string()).map(Self))
    }
}

impl<T: Asked> IntoParams for Parameters<T> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        Fields::describe::<T>()
    }
}
