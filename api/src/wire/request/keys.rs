//! `POST /keys`

use std::collections::BTreeSet;

use super::{done, read};
use crate::auth::{NewKey, Principal, Role};
use crate::error::Problem;
use crate::wire::reader::{Errors, Null, Object, string};

/// The longest name of a key or an owner, in bytes.
pub(crate) const NAME_MAX_BYTES: usize = 100;

/// Reads and checks the body: `{name, owner, roles: ["user" | "auditor" | "admin"]}`.
pub fn read_new_key(body: &[u8]) -> Result<NewKey, Problem> {
    read(body, Null::IsAbsent, |errors, object| NewKey {
        name: named(errors, object, "name"),
        principal: Principal { owner: named(errors, object, "owner"), roles: roles(errors, object) },
    })
    .and_then(|(request, errors, object)| done(request, errors, object))
}

fn named(errors: &mut Errors, object: &mut Object, member: &str) -> String {
    let Some(name) = object.need_string(errors, member) else { return String::new() };
    if let Err(problem) = check_name(&name) {
        errors.add(object.pointer(member), problem);
    }
    name
}

/// What is wrong with a key's or an owner's name.
pub fn check_name(name: &str) -> Result<(), String> {
    let fits = !name.is_empty() && name.len() <= NAME_MAX_BYTES && name.trim() == name;
    match fits && !name.contains(char::is_control) {
        true => Ok(()),
        false => Err(format!(
            "must have 1 to {NAME_MAX_BYTES} bytes, none of them a control character, no blank at its ends"
        )),
    }
}

fn roles(errors: &mut Errors, object: &mut Object) -> BTreeSet<Role> {
    let pointer = object.pointer("roles");
    let Some(values) = object.need_array(errors, "roles") else { return BTreeSet::new() };
    if values.is_empty() {
        errors.add(&pointer, "must hold at least one role");
    }
    let mut roles = BTreeSet::new();
    for (index, value) in values.into_iter().enumerate() {
        let pointer = format!("{pointer}/{index}");
        let Some(name) = string(errors, &pointer, value) else { continue };
        match Role::parse(&name) {
            Some(role) => drop(roles.insert(role)),
            None => errors.add(pointer, format!("must be one of: {}", Role::ALL.map(Role::name).join(", "))),
        }
    }
    roles
}

#[cfg(test)]
mod tests;
