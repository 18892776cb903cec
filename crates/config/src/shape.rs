//! What sections look like whose function is elsewhere or still to come: their keys and the types
//! of their values, so that a slip of the pen is found in them, too.

use crate::error::Problem;
use crate::node::{Field, Section, Value};

/// A key and what may stand behind it.
pub(crate) type Key = (&'static str, Shape);

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    Any,
    Text,
    Bool,
    Number,
    Float,
    Duration,
    Size,
    Texts,
    /// Free names, each with a text.
    Labels,
    /// One of these texts.
    One(&'static [&'static str]),
    Section(&'static [Key]),
}

/// Opens a section with these keys and checks their values.
pub(crate) fn open<'a>(
    field: Field<'a>,
    keys: &[Key],
    more: &[&[&str]],
) -> Result<Section<'a>, Problem> {
    let names: Vec<&str> = keys.iter().map(|(name, _)| *name).collect();
    let mut known = vec![names.as_slice()];
    known.extend(more);
    let section = field.section(&known)?;
    check(&section, keys)?;
    Ok(section)
}

/// Checks the values of these keys, as far as they are there.
pub(crate) fn check(section: &Section<'_>, keys: &[Key]) -> Result<(), Problem> {
    for (name, shape) in keys {
        if let Some(field) = section.get(name) {
            value(field, *shape)?;
        }
    }
    Ok(())
}

fn value(field: Field<'_>, shape: Shape) -> Result<(), Problem> {
    match shape {
        Shape::Any => {}
        Shape::Text => drop(field.string()?),
        Shape::Bool => drop(field.boolean()?),
        Shape::Number => drop(field.number()?),
        Shape::Float => drop(field.float()?),
        Shape::Duration => drop(field.duration_ms()?),
        Shape::Size => drop(field.size()?),
        Shape::Texts => drop(field.strings()?),
        Shape::Labels => drop(field.labels()?),
        Shape::One(allowed) => {
            let text = field.string()?;
            if !text.is_empty() && !allowed.contains(&text) {
                let reason = format!("expected one of {allowed:?}, got {text:?}");
                return Err(field.problem(reason));
            }
        }
        Shape::Section(keys) => drop(open(field, keys, &[])?),
    }
    Ok(())
}

/// The items of a list of sections; `what` names an empty one.
pub(crate) fn sections<'a>(
    field: &Field<'a>,
    what: &str,
    keys: &[Key],
    more: &[&[&str]],
) -> Result<Vec<Section<'a>>, Problem> {
    let mut sections = Vec::new();
    for item in field.items()? {
        if item.node.value == Value::Null {
            return Err(item.problem(format!("empty or null {what}")));
        }
        sections.push(open(item, keys, more)?);
    }
    Ok(sections)
}
